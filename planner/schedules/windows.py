"""How long windows have to be to tell of an objective, and what several of them tell together."""

from collections.abc import Sequence
from dataclasses import replace

from planner.results.evidence import Judgement, Verdict
from workloads.slo import Slo

FEW = 4.0
"""Fewer expected requests beyond a percentile do not bound it, with the usual confidence."""

MOST_TIMES = 16.0
"""Times its length by which the window of an epoch is made longer at most."""


def needed(slo: Slo) -> float:
    """Requests whose percentile an objective can be told of, with room: three times ``FEW`` are expected beyond it."""
    return 3 * FEW / (1 - slo.percentile / 100)


def more_times(said: Judgement) -> float:
    """By how much a window has to be longer to tell of objectives that may be met; 1 where it tells.

    A percentile p is bounded from above by n requests at the earliest where 1 - p^n is the confidence. What is measured
    beyond its limit among so few may be met all the same.
    """
    evidence = said.evidence
    few = [e for e in evidence if e.verdict is Verdict.UNDECIDED and 0 < e.n < needed(e.slo) / 3]
    if said.unfinished or any(e.verdict is Verdict.MISSED or (e.measured > e.limit and e not in few) for e in evidence):
        return 1.0
    return min(MOST_TIMES, max((needed(e.slo) / e.n for e in few), default=1.0))


def together(said: Judgement, other: Judgement, slos: Sequence[Slo]) -> Judgement:
    """Two judgements of separate parts of a cluster, their evidence in the order of the objectives."""
    evidence = {each.slo: each for each in (*said.evidence, *other.evidence)}
    return replace(
        said, evidence=tuple(evidence[slo] for slo in slos if slo in evidence), steady=said.steady and other.steady,
        arrived=said.arrived + other.arrived, unfinished=said.unfinished + other.unfinished,
        refused=said.refused + other.refused, longer_missed=(*said.longer_missed, *other.longer_missed),
    )  # fmt: skip
