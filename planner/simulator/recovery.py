"""Failures injected where most requests arrive, and how soon after one every objective holds again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.perf.reference import Reference
from planner.policies.base import Policy
from planner.results.availability import Outage
from planner.results.evidence import Judgement
from planner.results.failings import failures
from planner.simulator.judge import judge
from planner.simulator.outages import down
from planner.simulator.pools import Events, PoolModel, Shift
from planner.simulator.traffic import Judging, Traffic
from workloads.slo import Slo
from workloads.traces import Trace

AFTER_S = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
"""Seconds after a failure from which arrivals are looked at, until all objectives hold."""

EARLIEST_FRAC, LATEST_FRAC = 0.2, 0.5
"""Part of a window in which a machine fails: where most requests arrive."""

LAST_FRAC = 0.75
"""Part of a window that must be left to measure in after a failure, at the latest."""

MOMENTS = 60
"""Parts of a window, the fullest of which a machine fails in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What failures are injected into.

    Attributes:
        pools: all of them.
        policy: how they serve.
        traffic: whom.
        trace: of its first seed.
        slos: what must hold.
        reference: the step times of ``slos`` that are slowdowns.
        cooldown_frac: share of the arrival time after measuring ends.
        confidence_frac: of the intervals.
        begin_frac: share of the arrival time before the part that counts begins.
        shifts: instances that come, go or change.
    """

    pools: Sequence[PoolModel]
    policy: Policy
    traffic: Traffic
    trace: Trace
    slos: Sequence[Slo]
    reference: Reference | None
    cooldown_frac: float
    confidence_frac: float
    begin_frac: float = 0.0
    shifts: Sequence[Shift] = ()


def struck(
    stage: Stage, words: str, before: Sequence[int], failing: Sequence[int], *, single: bool
) -> Outage:  # fmt: skip
    """What ``struck_and_seen`` says of a failure."""
    return struck_and_seen(stage, words, before, failing, single=single)[0]


def struck_and_seen(
    stage: Stage, words: str, before: Sequence[int], failing: Sequence[int], *, single: bool
) -> tuple[Outage, Judgement]:  # fmt: skip
    """A failure injected where most requests arrive, and how soon after it every objective holds.

    Args:
        stage: into which.
        words: what fails.
        before: machines of each pool that are down from the start.
        failing: machines of each pool that fail.
        single: one failure of machines that are all up.

    Returns:
        What became of it, and what is seen of the arrivals right after it, which tells what there was too little of.
    """
    at_s, none = _busiest_s(stage.trace, stage.begin_frac), (0,) * len(before)
    events = Events(
        failures=[*down(stage.pools, before, 0.0, first=none), *down(stage.pools, failing, at_s, first=before)],
        shifts=stage.shifts,
    )  # fmt: skip
    first: Judgement | None = None
    for after_s in AFTER_S:
        from_frac = (at_s + after_s) / stage.trace.duration_s
        if after_s and (from_frac - stage.begin_frac) / (1 - stage.begin_frac) > LAST_FRAC:
            break
        judging = Judging(
            warmup_frac=from_frac, cooldown_frac=stage.cooldown_frac, confidence_frac=stage.confidence_frac, early=True
        )
        said = judge(
            stage.pools, stage.policy, stage.traffic, stage.slos, judging, reference=stage.reference, events=events
        )
        first = first or said
        found = Outage(
            words=words, single=single, down_machines=sum(before), machines=sum(failing), recovery_s=after_s,
            restarted=said.restarted, used_ratio=min(1e9, max((e.used_ratio for e in said.evidence), default=0.0)),
            fails=failures(said),
        )  # fmt: skip
        if not found.fails:
            break
    assert first is not None, "right after the failure is always looked at"
    return found, first


def _busiest_s(trace: Trace, begin_frac: float) -> float:
    """When most requests arrive, between the parts of a window where a failure tells."""
    span_s = (begin_frac * trace.duration_s, trace.duration_s)
    counts, edges = np.histogram(trace.arrival_s, bins=MOMENTS, range=span_s)
    first, last = round(EARLIEST_FRAC * MOMENTS), round(LATEST_FRAC * MOMENTS)
    return float(edges[first + int(counts[first:last].argmax())])
