"""What is proven of a value: the bound on it, and how far it may be from the best."""

from dataclasses import replace
from typing import NamedTuple

from planner.results.evidence import Certificate
from planner.scenario.objectives import IN_JOULES, Objective

ROUNDING_FRAC = 1e-6
"""By which a value may pass its bound through rounding alone."""


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

    A bound of watts is of the mean of endless traffic at the rates asked for. Seeds that ask for less may be served
    with fewer watts: of such a sample nothing is proven, rather than that it cannot be beaten.

    Args:
        objective: what is counted.
        value: of the plan as it is told; watts as simulated.
        bound: proven of every plan; None where none is.
    """
    if bound is None:
        return Proven(None, None)
    if Objective(objective) in IN_JOULES and bound > value:
        if bound > value * (1 + ROUNDING_FRAC):
            return Proven(None, None)
        bound = value
    return Proven(bound, abs(value - bound) / max(1e-9, abs(value)))


def certified(given: Certificate, objective: Objective | str, value: float, bound: float | None) -> Certificate:
    """A certificate with what is proven of a value; see ``proven``."""
    told, gap_frac = proven(objective, value, bound)
    return replace(given, bound=told, gap_frac=gap_frac, expected_bound=bound if told is None else None)
