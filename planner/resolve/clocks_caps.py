"""Clocks and caps to try: the scenario's words against what each GPU can do."""

from collections.abc import Iterable, Mapping
from typing import Literal

from hw_catalog.gpus import Gpu
from hw_catalog.machines import Machine
from planner.errors import BadInput
from planner.perf.power import curve_of

AUTO_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the highest clock, or of the rating, that ``auto`` tries."""

Wanted = Mapping[str, tuple[int, ...] | Literal["auto"]]
Knob = tuple[int | None, int | None]
"""(clock, MHz, or None; cap, W, or None)."""


def knobs_of(machines: Iterable[Machine], clocks_mhz: Wanted, caps_w: Wanted) -> dict[str, tuple[Knob, ...]]:
    """What each machine type is tried with: the driver's own clock first, then every lock, then every cap.

    Raises:
        BadInput: a clock or a cap that a GPU does not have; all of them, each with the nearest it has.
    """
    problems: list[str] = []
    found: dict[str, tuple[Knob, ...]] = {}
    for machine in machines:
        clocks = _clocks(machine, clocks_mhz.get(machine.name, ()), problems)
        caps = _caps(machine, caps_w.get(machine.name, ()), problems)
        found[machine.name] = ((None, None), *((clock, None) for clock in clocks), *((None, cap) for cap in caps))
    if problems:
        raise BadInput(*problems)
    return found


def nearest_clock_mhz(gpu: Gpu, clock_mhz: float) -> int:
    """The lockable clock nearest to one that is asked for: whole steps below the highest."""
    step = curve_of(gpu).clock_step_mhz
    below = round((gpu.clock_max_mhz - min(max(clock_mhz, gpu.clock_min_mhz), gpu.clock_max_mhz)) / step)
    found = gpu.clock_max_mhz - below * step
    return round(found if found >= gpu.clock_min_mhz else found + step)


def _clocks(machine: Machine, wanted: tuple[int, ...] | Literal["auto"], problems: list[str]) -> tuple[int, ...]:
    """The clocks to try on a machine type."""
    gpu = machine.gpu
    if wanted == "auto":
        return tuple(nearest_clock_mhz(gpu, ratio * gpu.clock_max_mhz) for ratio in AUTO_RATIOS)
    problems += [
        f"catalog.clocks_mhz.{machine.name}: found {clock}; expected {gpu.clock_min_mhz:g} to "
        f"{gpu.clock_max_mhz:g} MHz in steps of {curve_of(gpu).clock_step_mhz:g} below the highest, which is what "
        f"{gpu.name} has; nearest {nearest_clock_mhz(gpu, clock)}"
        for clock in wanted
        if nearest_clock_mhz(gpu, clock) != clock
    ]
    return tuple(dict.fromkeys(wanted))


def _caps(machine: Machine, wanted: tuple[int, ...] | Literal["auto"], problems: list[str]) -> tuple[int, ...]:
    """The caps to try on a machine type."""
    gpu = machine.gpu
    low = curve_of(gpu).cap_min_w
    if wanted == "auto":
        return tuple(round(ratio * gpu.tdp_w) for ratio in AUTO_RATIOS if ratio * gpu.tdp_w >= low)
    problems += [
        f"catalog.caps_w.{machine.name}: found {cap}; expected {low:g} to {gpu.tdp_w:g} W, the power limits of "
        f"{gpu.name}; nearest {min(max(cap, low), gpu.tdp_w):g}"
        for cap in wanted
        if not low <= cap <= gpu.tdp_w
    ]
    return tuple(dict.fromkeys(wanted))


def check_power_budgets(machines: Iterable[Machine], *, power_w: float | None, expected_power_w: float | None) -> None:
    """A power budget below what the smallest machine draws idle holds no machine at all.

    Raises:
        BadInput: naming that machine and its idle power.
    """
    smallest = min(machines, key=lambda m: m.idle_w)
    limits = {"power_w": power_w, "expected_power_w": expected_power_w}
    problems = [
        f"budgets.{key}: found {limit:g}; expected at least {smallest.idle_w:g} W, what {smallest.name}, the smallest "
        "draw of catalog.machines, takes without any work"
        for key, limit in limits.items()
        if limit is not None and limit < smallest.idle_w
    ]
    if problems:
        raise BadInput(*problems)
