"""Frontiers: what one quantity costs in terms of another."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.scenario import Scenario
from planner.whatif.nouns import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One validated plan, placed by two quantities.

    Attributes:
        values: axis -> value, in the axis's unit.
        efficient: no other design of the frontier is at least as good on both axes and better on one.
        bound: limit on the bounded axis it was found under; None where there was none.
        outcome: the plan and its evidence; None for a design that another turn of the argument passed through.
        machines: machine type and role -> how many, for example ``{"decode dgx-a100": 2}``.
    """

    values: Mapping[str, float]
    efficient: bool
    bound: float | None
    outcome: Outcome | None
    machines: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The best of one quantity for every value of another.

    Attributes:
        scenario: as given.
        x: first axis: cost, power, throughput or machines.
        y: second axis.
        units: axis -> unit.
        best: axis -> ``least`` or ``most``.
        designs: every validated one, efficient and dominated, by x.
        step: smallest change of the bounded axis that was looked for, in its unit.
        complete: the whole frontier within the step was walked; False where the most points were reached first.
        ended: why the walk ended, a full sentence.
    """

    scenario: Scenario
    x: str
    y: str
    units: Mapping[str, str]
    best: Mapping[str, str]
    designs: tuple[Design, ...]
    step: float
    complete: bool
    ended: str
