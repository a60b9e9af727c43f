"""What the section ``power`` asks of machines: a limit that bears one, and clocks that its GPUs have."""

from collections.abc import Iterator, Mapping, Sequence

from hw_catalog.gpus import Gpu
from hw_catalog.machines import Machine
from planner.perf.power import curve_of
from planner.resolve.clocks_caps import nearest_clock_mhz
from planner.scenario.power import PowerSection

MOST_IN_ROW = 1000
"""Machines behind one breaker: no row of a data centre has as many, and each is simulated over weeks."""

A100_MHZ = 1410.0
A100_CLOCKS_MHZ = {"low_t1_mhz": 1275.0, "low_t2_mhz": 1110.0, "high_mhz": 1305.0}
"""POLCA's clocks. On another GPU the same shares of its highest clock are used: transferred."""


def row_problems(asked: PowerSection, machines: Sequence[Machine], brake_mhz: float) -> tuple[str, ...]:
    """What is wrong with the section ``power``, which has a limit, for what may be bought.

    Args:
        asked: the section.
        machines: that may be bought.
        brake_mhz: clock of the last resort.
    """
    found = [
        text for machine in machines for text in (*_limit_problems(asked, machine), *_clock_problems(asked, machine))
    ]
    rack, meant = asked.machines_per_rack, asked.provisioned_machines
    if rack is not None and meant is not None and rack > meant:
        found.append(
            f"power.machines_per_rack: found {rack}; expected at most {meant}, power.provisioned_machines: racks "
            "stand in rows"
        )
    clocks = {machine.name: row_clocks_mhz(asked, machine.gpu, brake_mhz) for machine in machines}
    return (*found, *_order_problems(clocks))


def row_clocks_mhz(asked: PowerSection, gpu: Gpu, brake_mhz: float) -> dict[str, float]:
    """The clocks of the policy and of the brake on a GPU, by key; ``full`` is the highest."""
    step_mhz = curve_of(gpu).clock_step_mhz
    found = {"full": gpu.clock_max_mhz}
    for key, a100_mhz in A100_CLOCKS_MHZ.items():
        given = getattr(asked, key)
        share_mhz = gpu.clock_max_mhz * a100_mhz / A100_MHZ
        lower_mhz = gpu.clock_max_mhz - step_mhz * round((gpu.clock_max_mhz - share_mhz) / step_mhz)
        found[key] = lower_mhz if given is None else given
    return {**found, "brake": max(gpu.clock_min_mhz, brake_mhz)}


def _order_problems(clocks: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """An order to the row names one clock for all its GPUs by its place: each type has them in the same order."""
    ranks = {tuple(sorted(each, key=each.__getitem__, reverse=True)) for each in clocks.values()}
    different = all(len(set(each.values())) == len(each) for each in clocks.values())
    if len(clocks) == 1 or (len(ranks) == 1 and different):
        return
    lists = {name: ", ".join(f"{key} {mhz:g}" for key, mhz in each.items()) for name, each in clocks.items()}
    words = "; ".join(f"{name} {each}" for name, each in lists.items())
    yield (
        f"power: found a row of {len(clocks)} machine types with clocks in different order ({words}); expected the "
        "same order on each, no two alike; without any given, each GPU gets the same shares of its highest"
    )


def _limit_problems(asked: PowerSection, machine: Machine) -> Iterator[str]:
    """A limit that is too low for a machine, or for those it is meant for."""
    limit_w, meant = asked.row_limit_w or 0.0, asked.provisioned_machines
    where = f"power.row_limit_w: found {limit_w:g}; expected at least"
    if limit_w < machine.idle_w:
        kilo = f"; were {limit_w:g} kW meant, which are {limit_w * 1e3:g}?" if limit_w * 1e3 >= machine.rated_w else ""
        yield f"{where} {machine.idle_w:g}, what one {machine.name} draws with no work{kilo}"
    elif meant is None and limit_w < machine.rated_w:
        yield f"{where} {machine.rated_w:g}, the rating of one {machine.name}; or give power.provisioned_machines"
    elif (meant or limit_w / machine.rated_w) > MOST_IN_ROW:
        yield (
            f"power.row_limit_w: found {limit_w:g} for {meant or limit_w / machine.rated_w:,.0f} {machine.name}; "
            f"expected a row of at most {MOST_IN_ROW}: more stand in several (power.rows)"
        )
    elif meant is not None and limit_w < meant * machine.idle_w:
        yield (
            f"{where} {meant * machine.idle_w:g}, what the {meant} {machine.name} of power.provisioned_machines draw "
            "with no work"
        )


def _clock_problems(asked: PowerSection, machine: Machine) -> Iterator[str]:
    """Clocks that its GPUs do not have."""
    gpu = machine.gpu
    for key in A100_CLOCKS_MHZ:
        clock = getattr(asked, key)
        if clock is not None and not gpu.clock_min_mhz <= clock <= gpu.clock_max_mhz:
            yield (
                f"power.{key}: found {clock:g}; expected {gpu.clock_min_mhz:g} to {gpu.clock_max_mhz:g}, the "
                f"clocks of the {gpu.name} of {machine.name}"
            )
        elif clock is not None and nearest_clock_mhz(gpu, clock) != clock:
            yield (
                f"power.{key}: found {clock:g}; expected a clock of the {gpu.name} of {machine.name}, nearest "
                f"{nearest_clock_mhz(gpu, clock)}"
            )
