"""What a planning run has found out so far."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from planner.planning.served import Key
from planner.results.evidence import Judgement, Round
from solvers.allocation import Termination


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Plain values, which travel between processes; named as ``PlanningLoop`` names them."""

    rounds: tuple[Round, ...]
    proof: Termination | None
    seen: Mapping[tuple[Key, bool], Judgement]
    full: frozenset[tuple[Key, bool]]
    planned_w: float | None
    more_spares: int
    clocked: frozenset[str]


def by_clock(programs: Collection[str]) -> tuple[str, ...]:
    """That the clock ended solves, so that the answer may depend on the load of the machine; nothing where it did not.

    Args:
        programs: whose solve it ended.
    """
    if not programs:
        return ()
    return (f"the clock ended solves of {', '.join(sorted(programs))}: under another load the answer may be another",)
