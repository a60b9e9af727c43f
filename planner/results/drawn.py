"""What an objective of mean watts comes to: as simulated, which is what is validated, priced and paid for."""

from planner.results.plan import Totals
from planner.scenario.objectives import IN_JOULES, Objective


def as_drawn(objective: Objective | str, planned: float, totals: Totals, mean_w: float | None) -> float:
    """The value of a plan that is told, and that a bound is compared with.

    Args:
        objective: what is counted.
        planned: value by the estimates of the program; watts and CO2 of it are in proportion.
        totals: of the same plan.
        mean_w: that its machines drew in simulation; None where their watts are not known.
    """
    if Objective(objective) not in IN_JOULES or mean_w is None or not totals.expected_power_w:
        return planned
    return planned * mean_w / totals.expected_power_w
