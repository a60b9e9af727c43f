"""What is proven of a value: the bound on it, and how far it may be from the best."""

from typing import NamedTuple

from planner.scenario.objectives import IN_JOULES, Objective


class Proven(NamedTuple):
    """Fields of a certificate.

    Attributes:
        bound: of the objective; None where nothing is proven.
        gap_frac: how far the value is from the bound; None where there is none.
    """

    bound: float | None
    gap_frac: float | None


def proven(objective: Objective | str, value: float, bound: float | None) -> Proven:
    """The bound and the gap of a plan.

    Planned joules may lie below the least that is proven of simulated ones. The smaller is then said of both:
    it bounds simulated ones as well.

    Args:
        objective: what is counted.
        value: of the plan, as planned.
        bound: proven of every plan; None where none is.
    """
    if bound is None:
        return Proven(None, None)
    if Objective(objective) in IN_JOULES:
        bound = min(bound, value)
    return Proven(bound, abs(value - bound) / max(1e-9, abs(value)))
