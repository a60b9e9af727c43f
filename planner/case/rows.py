"""What the section ``power`` asks of machines: a limit that bears one, and clocks that its GPUs have."""

from collections.abc import Sequence

from hw_catalog.machines import Machine
from planner.scenario.power import PowerSection

A100_MHZ = 1410.0
A100_CLOCKS_MHZ = {"low_t1_mhz": 1275.0, "low_t2_mhz": 1110.0, "high_mhz": 1305.0}
"""POLCA's clocks. On another GPU the same shares of its highest clock are used: transferred."""


def row_problems(asked: PowerSection, machines: Sequence[Machine]) -> tuple[str, ...]:
    """What is wrong with the section ``power`` for the machines that may be bought."""
    found: list[str] = []
    if asked.row_limit_w is None:
        return ()
    for machine in machines:
        if asked.row_limit_w < machine.idle_w:
            found.append(
                f"power.row_limit_w: found {asked.row_limit_w:g}; expected at least {machine.idle_w:g}, what one "
                f"{machine.name} draws with no work"
            )
        elif asked.provisioned_machines is None and asked.row_limit_w < machine.rated_w:
            found.append(
                f"power.row_limit_w: found {asked.row_limit_w:g}; expected at least {machine.rated_w:g}, the rating of "
                f"one {machine.name}; or give power.provisioned_machines"
            )
        for key in A100_CLOCKS_MHZ:
            clock, gpu = getattr(asked, key), machine.gpu
            if clock is not None and not gpu.clock_min_mhz <= clock <= gpu.clock_max_mhz:
                found.append(
                    f"power.{key}: found {clock:g}; expected {gpu.clock_min_mhz:g} to {gpu.clock_max_mhz:g}, the "
                    f"clocks of the {gpu.name} of {machine.name}"
                )
    return tuple(found)
