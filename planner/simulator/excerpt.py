"""The busiest stretches of a trace, served alone: what is late in them is late in the whole too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import numpy as np

from planner.perf.reference import Reference
from planner.policies.base import Policy
from planner.results.evidence import Evidence, Judgement, Verdict
from planner.simulator.account import account
from planner.simulator.books import window
from planner.simulator.judge import TO_THE_END_S
from planner.simulator.metrics import Observed, Sample, observations, sample
from planner.simulator.pools import PoolModel, Run
from planner.simulator.serve import serve
from planner.simulator.traffic import Judging
from workloads.arrivals import Floats
from workloads.growth import picked
from workloads.slo import Metric, Slo
from workloads.traces import Trace

PARTS = 40
"""Parts of equal time that the measured window is cut into: a minute or two of an hour."""

LATE_RATIO = 3.0
"""Length of a stretch over the share of requests that an objective lets be late: a plan that just misses is late in the
busiest stretch alone."""

SURE_RATIO, SURE_GAP_RATIO = 1.05, 1.25
"""Observed over limit from which on something is late in the whole too; of all gaps, kept in bins, the second."""

SURE_ERRORS = 3.0
"""Standard errors of their number by which more must be late than may be. That fewer requests before make none later is
true but for how batches fall: a P99 of stalls was 42 % above that of the whole, and what one step makes late counts as
one event. Of 3,750 plans that just meet an objective 46 are missed by the stretch with 0 errors, 6 with 1, 0 with 2."""

WHOLE = Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95)
"""All of a stretch is measured; it has no interval."""

_SAME_DIGITS = 9
"""Of seconds, to which times of one step are the same."""

LEAST_SHARE, MOST_SHARE = 0.1, 0.5
"""Length of a stretch as a share of the measured window, at least; and at most, for more is soon the whole."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Excerpt:
    """The requests of the busiest stretches of a trace, at their own time.

    Attributes:
        trace: of these requests alone.
        observations: of each objective, in the whole measured window.
    """

    trace: Trace
    observations: tuple[float, ...]


def excerpts(trace: Trace, slos: Sequence[Slo], *, warmup_frac: float, cooldown_frac: float) -> tuple[Excerpt, ...]:
    """The busiest stretches of a trace's measured window, the smallest first; none where only the whole would do.

    First tokens are late where most prompt tokens come, all else where most output tokens do. A stretch is one piece,
    since backlogs carry over from minute to minute; an excerpt holds those of all objectives that need none longer.
    """
    measured = window(trace, warmup_frac=warmup_frac, cooldown_frac=cooldown_frac, slices=1)
    rows = np.arange(measured.first, measured.last)
    since_s, span_s = trace.arrival_s[rows] - measured.start_s, max(1e-9, measured.end_s - measured.start_s)
    part = np.minimum((since_s / span_s * PARTS).astype(np.int64), PARTS - 1)
    whole = tuple(observations(trace, rows, slo) for slo in slos)
    chosen, cut = np.zeros(PARTS, bool), list[Excerpt]()
    wanted = sorted((max(LEAST_SHARE, LATE_RATIO * (1 - s.percentile / 100)), s.metric is Metric.TTFT) for s in slos)
    for share, mine in groupby((each for each in dict.fromkeys(wanted) if each[0] <= MOST_SHARE), itemgetter(0)):
        for _, first in mine:
            tokens = (trace.prompt_tokens if first else trace.output_tokens)[rows]
            begin, count = _busiest(np.asarray(np.bincount(part, tokens, PARTS), np.float64), share)
            chosen[begin : begin + count] = True
        cut.append(Excerpt(trace=picked(trace, rows[chosen[part]]), observations=whole))
    return tuple(cut)


def _busiest(work: Floats, share: float) -> tuple[int, int]:
    """First part and length of the stretch with most work, of a share of all parts."""
    count, until = round(share * len(work)), np.concatenate([[0.0], np.cumsum(work)])
    return int(np.argmax(until[count:] - until[:-count])), count


def look(
    pools: Sequence[PoolModel], policy: Policy, seeds: Sequence[Sequence[Excerpt]], slos: Sequence[Slo], *,
    first_seed: int, workload: str, reference: Reference | None = None, sure: bool = True,
) -> Judgement:  # fmt: skip
    """What the busiest stretches alone say of a candidate: each objective is measured as if nothing else were late.

    They begin with empty queues. So what is missed here is missed in the whole; what is met may not be. The smallest
    excerpts are served first, and no more than it takes to miss something.

    Args:
        pools: the candidate.
        policy: how it serves.
        seeds: the excerpts of each seed's trace, the smallest first, of equally many sizes; at least one of each.
        slos: the objectives.
        first_seed: its number; the others follow.
        workload: the whole traces in words.
        reference: what slowdowns are measured against.
        sure: call a miss only what is far enough beyond a limit to be one of the whole.
    """
    served: dict[int, tuple[Run, Observed]] = {}
    found: list[Evidence] = []
    for size in range(len(seeds[0])):
        for place, sizes in enumerate(seeds):
            trace = sizes[size].trace
            measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
            run = serve(pools, policy, trace, measured, cutoff_s=TO_THE_END_S)
            served[place] = run, Observed(trace=trace, ledger=run.ledger, reference=reference)
            found = _weighed([seen for _, seen in served.values()], seeds, slos, sure=sure)
            if any(e.verdict is Verdict.MISSED for e in found):
                return _told(found, served, slos, pools, first_seed, workload)
    return _told(found, served, slos, pools, first_seed, workload)


def sure_ratio(metric: Metric) -> float:
    """Observed over limit from which on something is late in the whole too."""
    return SURE_GAP_RATIO if metric is Metric.TBT else SURE_RATIO


def _surely(seen: Sample, limit: float, may_be: float) -> bool:
    """Whether more is beyond a limit than may be, whatever chance does.

    Requests that one step makes late are late together, by the same time.
    """
    values, weights = np.concatenate(seen.values), np.concatenate(seen.weights)
    late = values > limit
    count = float(weights[late].sum())
    together = np.ones(int(count))
    if (weights == 1).all():
        together = np.unique(np.round(values[late], _SAME_DIGITS), return_counts=True)[1].astype(np.float64)
    return count - SURE_ERRORS * float(np.linalg.norm(together)) > may_be


def _weighed(
    observed: Sequence[Observed], seeds: Sequence[Sequence[Excerpt]], slos: Sequence[Slo], *, sure: bool
) -> list[Evidence]:
    """Every objective, as if all that was not served had taken no time."""
    found = []
    for place, slo in enumerate(slos):
        seen, whole = sample(observed, slo), sum(sizes[0].observations[place] for sizes in seeds)
        limit = slo.limit * sure_ratio(slo.metric) if sure else slo.limit
        padded = Sample(
            values=(*seen.values, np.zeros(1)), weights=(*seen.weights, np.array([max(0.0, whole - seen.n)]))
        )
        least = padded.quantile(slo.percentile / 100)
        missed = _surely(seen, limit, whole * (1 - slo.percentile / 100)) if sure else least > limit
        found.append(
            Evidence(
                slo=slo, measured=least, low=least,
                high=np.inf if missed else least, verdict=Verdict.MISSED if missed else Verdict.MET, n=int(whole),
            )
        )  # fmt: skip
    return found


def _told(
    found: Sequence[Evidence], served: dict[int, tuple[Run, Observed]], slos: Sequence[Slo],
    pools: Sequence[PoolModel], first_seed: int, workload: str,
) -> Judgement:  # fmt: skip
    """The judgement; the watts of busy stretches say nothing of the mean, so none are told."""
    runs, observed = zip(*served.values(), strict=True)
    told = account(
        found, slos, runs, observed, pools=pools, judging=WHOLE, first_seed=first_seed,
        workload=f"{workload}, the busiest stretches alone",
    )  # fmt: skip
    return replace(told, power=None)
