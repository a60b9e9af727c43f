"""The judge: serves traces on a candidate and says what it saw."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import numpy as np

from planner.executor.here import Threads
from planner.perf.reference import Reference, unit_s
from planner.policies.base import Policy
from planner.results.evidence import Evidence, Judgement, Verdict
from planner.simulator.account import account, left
from planner.simulator.books import window
from planner.simulator.metrics import Observed, evidence, percentiles, sample
from planner.simulator.pools import NOTHING, Events, PoolModel, Run
from planner.simulator.serve import serve, stepwise
from planner.simulator.traffic import Judging, Traffic
from workloads.slo import Metric, Slo
from workloads.traces import Trace

SLICES = 5
"""Batches per seed for confidence intervals: three seeds give fifteen, enough for a stable standard error."""


MOST_SEEDS_RATIO = 3
"""An undecided objective is given up to this many times the seeds that were asked for."""

MOST_OBSERVED = 100_000
"""Requests up to which further seeds are served where all that an objective lacks is observations."""

MOST_PATIENT = 30_000
"""Requests up to which further seeds are served where an objective is too close to call, which takes a tenth of a
second: a machine more for want of a longer look costs more."""

ALIGNED_SLICES = 20
"""The same where seeds are thickenings of the same minutes: they are compared slice by slice."""

CLEAR_RATIO = 1.25
"""Measured over limit, from which on the first thickening of a trace alone is a clear miss."""

SEVERAL = 3.0
"""A window lasts at least this many times as long as 99 of 100 requests take: a shorter one never fills the batches."""

WELL_LONGER = 2.0
"""Times its length from which on a window that was made longer is not looked at over a longer one once more."""

MOST_TIMES = 10.0
"""Times its length by which a window is made longer at most."""

TO_THE_END_S = 1e9
"""When a run ends that is not given up: long after its last request."""

Note = Callable[[int, Trace, Run], None]
"""Is shown a seed, its trace, and what became of it."""


def judge(
    pools: Sequence[PoolModel], policy: Policy, traffic: Traffic, slos: Sequence[Slo], judging: Judging, *,
    reference: Reference | None = None, events: Events = NOTHING, note: Note | None = None,
) -> Judgement:  # fmt: skip
    """Serve every seed's trace and weigh every objective.

    Args:
        pools: the candidate.
        policy: how it serves.
        traffic: the traces.
        slos: the objectives.
        judging: what of a run is measured, and how sure a verdict has to be.
        reference: what slowdowns are measured against.
        events: what happens meanwhile.
        note: is shown every seed's trace and the run that was weighed, in their order, the longer one excepted.
    """
    draw, seeds, workload = traffic.draw, traffic.seeds, traffic.workload
    lengthen, exact = traffic.lengthen, traffic.exact
    aligned = traffic.aligned and len(seeds) > 1
    bench = Bench(
        pools=pools, policy=policy, slos=slos, reference=reference, judging=judging, exact=exact, aligned=aligned,
        events=events,
    )  # fmt: skip
    first = bench.serve(draw(seeds[0]))
    times = _times_longer(first[1], slos) if lengthen else 1.0
    if lengthen and times > 1:
        draw, first = partial(_drawn_for, lengthen, times), bench.serve(lengthen(seeds[0], times))
        workload += f", over a window made longer for {SEVERAL:g} times what 99 of 100 requests take"
    each = partial(Threads().map, lambda seed: first if seed == seeds[0] else bench.serve(draw(seed)))
    runs, observed, found = _served(bench, each, seeds, early=judging.early)
    for place, (run, seen) in enumerate(zip(runs, observed, strict=True)):
        if note:
            note(seeds[0] + place, seen.trace, run)
    said = account(found, slos, runs, observed, pools=pools, judging=judging, first_seed=seeds[0], workload=workload)
    said = replace(said, steady=exact or aligned or _steady(observed, slos, judging.confidence_frac))
    if traffic.longer is None or judging.brief or times >= WELL_LONGER:
        return said
    return _looked_longer(bench, traffic.longer, seeds[0], said)


def judge_longer(bench: "Bench", traffic: Traffic, said: Judgement) -> Judgement:
    """What ``judge`` would say in full after a brief look that served as many seeds; none of them is served again."""
    if traffic.longer is None or said.horizon_s >= WELL_LONGER * traffic.draw(traffic.seeds[0]).duration_s:
        return said
    return _looked_longer(bench, traffic.longer, traffic.seeds[0], said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How traces are served and what was seen is weighed; the attributes are those of ``judge`` and its traffic."""

    pools: Sequence[PoolModel]
    policy: Policy
    slos: Sequence[Slo]
    reference: Reference | None
    judging: Judging
    exact: bool
    aligned: bool
    events: Events

    def serve(self, trace: Trace, *, to_the_end: bool = False) -> tuple[Run, Observed]:
        """Serve a trace, until its longest request can have ended or to its last one."""
        measured = window(
            trace, warmup_frac=self.judging.warmup_frac, cooldown_frac=self.judging.cooldown_frac,
            slices=ALIGNED_SLICES if self.aligned else SLICES,
        )  # fmt: skip
        until_s = TO_THE_END_S if to_the_end else _cutoff_s(trace, self.slos, self.reference)
        run = (stepwise if self.judging.stepwise else serve)(
            self.pools, self.policy, trace, measured, cutoff_s=until_s, beside=self.events
        )
        return run, Observed(trace=trace, ledger=run.ledger, reference=self.reference)

    def weigh(self, observed: Sequence[Observed], look: int = 0) -> list[Evidence]:
        """Every objective; a thickening alone is weighed as if there were no other.

        Args:
            observed: what was seen of every seed.
            look: how often the same objectives were weighed before with as many seeds as were asked for, or more.
        """
        confidence_frac = 1 - (1 - self.judging.confidence_frac) / 2**look
        exact = self.exact or (self.aligned and len(observed) == 1)
        samples = [sample(observed, slo, aligned=self.aligned) for slo in self.slos]
        return [
            evidence(slo, seen, confidence_frac=confidence_frac, exact=exact)
            for slo, seen in zip(self.slos, samples, strict=True)
        ]

    @property
    def patient(self) -> bool:
        """Whether further seeds are other requests, and what is too close to call is worth some."""
        return self.judging.patient and not self.exact and not self.aligned

    def hopeless(self, found: Sequence[Evidence]) -> bool:
        """Whether the first seed alone tells that an objective is missed."""
        if self.aligned:
            return any(e.measured > CLEAR_RATIO * e.limit for e in found)
        return any(e.verdict is Verdict.MISSED for e in found)

    def settled(self, found: Sequence[Evidence]) -> bool:
        """Whether the first seed alone is enough of a brief look: every interval is within its limit."""
        return self.judging.brief and not self.aligned and all(e.verdict is Verdict.MET for e in found)


def _served(
    bench: Bench, each: Callable[[range], Iterable[tuple[Run, Observed]]], seeds: Sequence[int], *, early: bool
) -> tuple[list[Run], list[Observed], list[Evidence]]:
    """As many seeds as it takes, and what they say; runs that keep every objective, to their last request.

    What may stop at every look passes a miss more often than one look does: each further one halves what its interval
    leaves out. At its limit an objective is so called met, over all looks, in no more than ``1 - confidence_frac`` of
    cases: half of that at the first, a quarter at the second, ...
    """
    runs, observed, found, look = list[Run](), list[Observed](), list[Evidence](), 0
    for upto in _looks(len(seeds), exact=bench.exact):
        for run, seen in each(range(seeds[0] + len(runs), seeds[0] + upto)):
            runs.append(run)
            observed.append(seen)
        if not early and upto < len(seeds):
            continue
        found, look = bench.weigh(observed, look), look + (upto >= len(seeds))
        if early and upto == 1 and (bench.hopeless(found) or bench.settled(found)):
            break
        if upto < len(seeds) or (bench.patient and _close(found) and _arrived(observed) < MOST_PATIENT):
            continue
        if not _more(found, observed, upto >= MOST_SEEDS_RATIO * len(seeds)):
            break
    for place in [] if _beyond(found) else [place for place, run in enumerate(runs) if left(run)]:
        runs[place], observed[place] = bench.serve(observed[place].trace, to_the_end=True)
        found = bench.weigh(observed, max(0, look - 1))
    return runs, observed, found


def _drawn_for(lengthen: Callable[[int, float], Trace], times: float, seed: int) -> Trace:
    return lengthen(seed, times)


def _times_longer(seen: Observed, slos: Sequence[Slo]) -> float:
    """Times its length that a window needs to tell of a steady load; 1 where it does, or something is missed in it."""
    if any(sample([seen], slo).quantile(slo.percentile / 100) > slo.limit for slo in slos):
        return 1.0
    needed_s = SEVERAL * sample([seen], Slo(metric=Metric.E2E, percentile=99.0, limit=1.0)).quantile(0.99)
    return max(1.0, min(MOST_TIMES, needed_s / seen.trace.duration_s))


def _looked_longer(bench: Bench, longer: Callable[[int], Trace], seed: int, said: Judgement) -> Judgement:
    """A judgement with what a longer run adds where all is well: objectives that it misses; else none is drawn."""
    if not said.valid:
        return said
    trace = longer(seed)
    _, seen = bench.serve(trace, to_the_end=True)
    missed = tuple(s.name for s in bench.slos if percentiles([seen], s, (s.percentile / 100,))[0] > s.limit)
    return replace(said, steady=not missed, longer_s=trace.duration_s, longer_missed=missed)


def _cutoff_s(trace: Trace, slos: Sequence[Slo], reference: Reference | None) -> float:
    """When a run is given up: long enough for the longest request to take twice what its objectives allow it.

    The time that a request may take is its limit on E2E, or that on its first token and that on every gap after it.
    Where no objective bounds it, the run goes on until the last request has ended.
    """
    longest = np.zeros((2, len(trace.classes)), np.int64)
    for most, tokens in zip(longest, (trace.prompt_tokens, trace.output_tokens), strict=True):
        np.maximum.at(most, trace.class_index, tokens)
    there = zip(trace.classes, longest.T.tolist(), strict=True)
    longest_s = max((_allowed_s(c.name, p, o, slos, reference) for c, (p, o) in there if p), default=0.0)
    return min(TO_THE_END_S, 2 * trace.duration_s + 60 + 2 * longest_s)


def _allowed_s(name: str, prompt: int, output: int, slos: Sequence[Slo], reference: Reference | None) -> float:
    """What a request of a class with so many tokens may take; inf where nothing bounds it."""
    limits_s: dict[Metric, float] = {}
    for slo in slos:
        if slo.request_class in (None, name):
            limit_s = slo.limit * float(unit_s(slo, reference, [prompt], [output])[0])
            limits_s[slo.metric] = max(limits_s.get(slo.metric, 0.0), limit_s)
    gap_s = max((limit for metric, limit in limits_s.items() if metric in (Metric.TPOT, Metric.TBT)), default=inf)
    first_s = limits_s.get(Metric.TTFT, inf)
    return limits_s.get(Metric.E2E, first_s + (gap_s * (output - 1) if output > 1 else 0.0))


def _looks(seeds: int, *, exact: bool) -> list[int]:
    """Seeds served when the objectives are weighed: the first alone, which may settle it; then more and more."""
    looks = {1, seeds}
    if not exact:
        looks |= {seeds * ratio for ratio in range(1, MOST_SEEDS_RATIO + 1)}
        looks |= {seeds * MOST_SEEDS_RATIO * 2**doubled for doubled in range(1, 6)}
    return sorted(looks)


def _arrived(observed: Sequence[Observed]) -> int:
    """Requests of all seeds."""
    return sum(len(seed.trace) for seed in observed)


def _beyond(found: Sequence[Evidence]) -> bool:
    """Whether something is measured beyond its limit."""
    return any(e.measured > e.limit for e in found)


def _more(found: Sequence[Evidence], observed: Sequence[Observed], seen_often: bool) -> bool:
    """Whether more seeds are worth serving: something is open, and they may settle it."""
    return _promising(found) and (not seen_often or (_few(found) and _arrived(observed) < MOST_OBSERVED))


def _few(found: Sequence[Evidence]) -> bool:
    """Whether something is undecided for want of observations alone."""
    return any(e.verdict is Verdict.UNDECIDED and e.few for e in found)


def _close(found: Sequence[Evidence]) -> bool:
    """Whether something is too close to call, and nothing is missed."""
    verdicts = {e.verdict for e in found}
    return Verdict.UNDECIDED in verdicts and Verdict.MISSED not in verdicts


def _promising(found: Sequence[Evidence]) -> bool:
    """Whether more seeds may settle it: something is undecided, and everything is measured within its limit."""
    undecided = any(e.verdict is Verdict.UNDECIDED for e in found)
    return undecided and not _beyond(found)


def _steady(observed: Sequence[Observed], slos: Sequence[Slo], confidence_frac: float) -> bool:
    """Whether no objective is missed by the second half of the window alone: a growing backlog would show there."""
    for slo in slos:
        late = evidence(slo, sample(observed, slo, second_half=True), confidence_frac=confidence_frac, exact=False)
        if late.low > slo.limit:
            return False
    return True
