"""The nouns of a frontier: what one quantity costs in terms of another."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.results.sweep import Outcome
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One validated plan, placed by two quantities.

    Attributes:
        values: axis -> value, in the axis's unit; mean watts and their CO2 as simulated.
        efficient: no other design of the frontier is at least as good on both axes and better on one.
        bound: limit on the bounded axis it was found under; None where there was none.
        outcome: the plan and its evidence; None for a design that the planning loop found before its answer.
        machines: role and machine type -> how many, for example ``{"decode dgx-a100": 2}``.
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
        x: first axis.
        y: second axis.
        bounded: the one of them that was bounded; the other was optimised.
        units: axis -> unit.
        best: axis -> ``least`` or ``most``.
        designs: every validated one, efficient and dominated, by x.
        step: smallest change of the bounded axis that was looked for, in its unit; None: any change (see
            docs/whatif.md), so that no efficient design is stepped over.
        complete: the walk went on until nothing met a tighter bound.
        ended: why it ended, a full sentence.
    """

    scenario: Scenario | Fleet
    x: str
    y: str
    bounded: str
    units: Mapping[str, str]
    best: Mapping[str, str]
    designs: tuple[Design, ...]
    step: float | None
    complete: bool
    ended: str
