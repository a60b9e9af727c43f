"""Clocks and caps to try: the scenario's words against what each GPU can do."""

from collections.abc import Iterable, Mapping
from typing import Literal

from hw_catalog.gpus import Gpu
from hw_catalog.machines import Machine
from planner.errors import BadInput
from planner.perf.power import curve_of

AUTO_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the highest clock, or of the rating, that ``auto`` tries."""

THRIFTY_RATIOS = (0.6, 0.8)
"""Shares of the highest clock that are tried where joules are asked for or limited and no clock is named."""

Wanted = Mapping[str, tuple[int, ...] | Literal["auto"]]
Scheduled = tuple[int, ...] | Mapping[str, tuple[int, ...]]
Knob = tuple[int | None, int | None]
"""(clock, MHz, or None; cap, W, or None)."""


def knobs_of(
    machines: Iterable[Machine],
    clocks_mhz: Wanted,
    caps_w: Wanted,
    scheduled_mhz: Scheduled = (),
    *,
    thrifty: bool = False,
) -> dict[str, tuple[Knob, ...]]:
    """What each machine type is tried with: the driver's own clock first, then every lock, then every cap.

    Args:
        machines: the types.
        clocks_mhz: of ``catalog.clocks_mhz``.
        caps_w: of ``catalog.caps_w``.
        scheduled_mhz: of ``schedule.clocks_mhz``, of every type that has them or by type. The highest clock among
            them stands for the driver's own, which nothing holds below it.
        thrifty: joules are asked for or limited: a type of which neither clocks nor caps are named is tried at a few.

    Raises:
        BadInput: a clock or a cap that a GPU does not have; all of them, each with the nearest it has.
    """
    problems: list[str] = []
    found: dict[str, tuple[Knob, ...]] = {}
    machines = tuple(machines)
    for machine in machines:
        name = machine.name
        listed = _had(machine, machines, () if isinstance(scheduled_mhz, Mapping) else scheduled_mhz)
        if isinstance(scheduled_mhz, Mapping):
            listed = scheduled_mhz.get(name, ())
        clocks = _clocks(machine, clocks_mhz.get(name, ()), f"catalog.clocks_mhz.{name}", problems)
        more = _clocks(machine, listed, "schedule.clocks_mhz", problems)
        caps = _caps(machine, caps_w.get(name, ()), problems)
        if thrifty and not more and name not in clocks_mhz and name not in caps_w:
            more = _shares(machine.gpu, THRIFTY_RATIOS)
        own: tuple[Knob, ...] = () if machine.gpu.clock_max_mhz in more else ((None, None),)
        locks = dict.fromkeys((*clocks, *more))
        found[name] = (*own, *((clock, None) for clock in locks), *((None, cap) for cap in caps))
    if problems:
        raise BadInput(*problems)
    return found


def _had(machine: Machine, machines: Iterable[Machine], clocks_mhz: Iterable[int]) -> tuple[int, ...]:
    """Of clocks for every type those that a type has, and those that none has, which are refused."""
    had = {clock: [m.name for m in machines if nearest_clock_mhz(m.gpu, clock) == clock] for clock in clocks_mhz}
    return tuple(clock for clock, names in had.items() if machine.name in names or not names)


def nearest_clock_mhz(gpu: Gpu, clock_mhz: float) -> int:
    """The lockable clock nearest to one that is asked for: whole steps below the highest."""
    step = curve_of(gpu).clock_step_mhz
    below = round((gpu.clock_max_mhz - min(max(clock_mhz, gpu.clock_min_mhz), gpu.clock_max_mhz)) / step)
    found = gpu.clock_max_mhz - below * step
    return round(found if found >= gpu.clock_min_mhz else found + step)


def _shares(gpu: Gpu, ratios: Iterable[float]) -> tuple[int, ...]:
    """The lockable clocks nearest to shares of the highest."""
    return tuple(nearest_clock_mhz(gpu, ratio * gpu.clock_max_mhz) for ratio in ratios)


def _clocks(
    machine: Machine, wanted: tuple[int, ...] | Literal["auto"], key: str, problems: list[str]
) -> tuple[int, ...]:
    """The clocks to try on a machine type, as ``key`` of the scenario asks."""
    gpu = machine.gpu
    if wanted == "auto":
        return _shares(gpu, AUTO_RATIOS)
    problems += [
        f"{key}: found {clock}; expected {gpu.clock_min_mhz:g} to {gpu.clock_max_mhz:g} MHz in steps of "
        f"{curve_of(gpu).clock_step_mhz:g} below the highest, which is what {gpu.name} of {machine.name} has; nearest "
        f"{nearest_clock_mhz(gpu, clock)}"
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


def power_budget_problems(
    machines: Iterable[Machine], *, power_w: float | None, expected_power_w: float | None
) -> tuple[str, ...]:
    """Power budgets below what the smallest machine draws idle, which hold no machine at all."""
    smallest = min(machines, key=lambda m: m.idle_w)
    limits = {"power_w": power_w, "expected_power_w": expected_power_w}
    return tuple(
        f"budgets.{key}: found {limit:g}; expected at least {smallest.idle_w:g} W, what {smallest.name}, the smallest "
        "draw of catalog.machines, takes without any work"
        for key, limit in limits.items()
        if limit is not None and limit < smallest.idle_w
    )
