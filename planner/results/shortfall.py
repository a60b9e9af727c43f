"""What several models share and have too little of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A shared limit that keeps plans of all models apart, and the nearest value of it with which there are plans.

    Attributes:
        row: of the program that holds the limit, as in ``NoPlan.raises``: ``machines``, ``availability[dgx-h100]``.
        key: of the scenario.
        given: the limit as it is asked.
        least: model -> what it takes at least of it, in plans that this limit does not bound; of stock and rows
            the machines that it has in those with the smallest value.
        admits: the smallest value found with which all models have validated plans.
        refused: the largest value tried with which none were found.
        alone: raising it is enough; else the others of the refusal have to be raised with it.
    """

    row: str
    key: str
    given: float
    least: Mapping[str, float]
    admits: float
    refused: float
    alone: bool
