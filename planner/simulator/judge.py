"""The judge: serves traces on a candidate and says what it saw."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.perf.reference import Reference, unit_s
from planner.policies.base import Policy
from planner.results.evidence import BubbleUse, Evidence, Judgement, PoolUse, PowerUse, Verdict
from planner.simulator.engine import PoolModel, Run
from planner.simulator.failures import Failure
from planner.simulator.meter import Meter
from planner.simulator.metrics import Observed, attained, evidence, sample
from planner.simulator.records import window
from planner.simulator.serve import serve, unsupported
from planner.simulator.shifts import Shift
from planner.simulator.watts import power_use, together
from workloads.slo import Metric, Slo
from workloads.traces import Trace

SLICES = 5
"""Batches per seed for confidence intervals: three seeds give fifteen, enough for a stable standard error."""


MOST_SEEDS_RATIO = 3
"""An undecided objective is given up to this many times the seeds that were asked for."""

DESCRIBED = (50.0, 90.0, 99.0)
"""Percentiles of every metric that are told of every judgement, promised or not."""

Note = Callable[[int, Trace, Run], None]
"""Is shown a seed, its trace, and what became of it."""


def judge(
    pools: Sequence[PoolModel], policy: Policy, draw: Callable[[int], Trace], slos: Sequence[Slo], *,
    seeds: Sequence[int], workload: str, exact: bool, warmup_frac: float, cooldown_frac: float, confidence_frac: float,
    reference: Reference | None = None, early: bool = False, failures: Sequence[Failure] = (),
    shifts: Sequence[Shift] = (), longer: Callable[[int], Trace] | None = None, note: Note | None = None,
) -> Judgement:  # fmt: skip
    """Serve every seed's trace and weigh every objective.

    Args:
        pools: the candidate.
        policy: how it serves.
        draw: seed -> trace.
        slos: the objectives.
        seeds: consecutive, at least one. As many again, twice, are simulated where an objective seems to hold but
            its interval still straddles the limit.
        workload: the traces in words.
        exact: the only trace is the workload itself, so that its percentiles have no sampling error.
        warmup_frac: share of the arrival time before measuring begins.
        cooldown_frac: share of the arrival time after measuring ends.
        confidence_frac: of the intervals.
        reference: what slowdowns are measured against.
        early: stop after the first seed if that alone is a clear miss.
        failures: machines that fail in every seed.
        shifts: instances that come, go or change their clock in every seed.
        longer: seed -> a trace of the same workload over a longer time. Where all is well, the first seed is served
            once more so: a queue that grows slowly hides in a short window.
        note: is shown every seed's trace and run, in their order, the longer one excepted.
    """
    runs, observed, found, most = list[Run](), list[Observed](), list[Evidence](), len(seeds) * _looks(exact)

    def served(seed: int, drawn: Callable[[int], Trace] = draw) -> tuple[Run, Observed]:
        trace, fracs = drawn(seed), {"warmup_frac": warmup_frac, "cooldown_frac": cooldown_frac}
        measured = window(trace, **fracs, slices=SLICES)
        until_s = _cutoff_s(trace, slos, reference)
        run = serve(pools, policy, trace, measured, cutoff_s=until_s, failures=failures, shifts=shifts)
        return run, Observed(trace=trace, ledger=run.ledger, reference=reference)

    together = not unsupported(pools, policy, failures)
    for upto in sorted({1, *range(len(seeds), most + 1, len(seeds))}):  # the first alone: it may settle it
        for run, seen in _each(served, range(seeds[0] + len(runs), seeds[0] + upto), together=together, note=note):
            runs.append(run)
            observed.append(seen)
        if not early and upto < len(seeds):
            continue
        found = [evidence(s, sample(observed, s), confidence_frac=confidence_frac, exact=exact) for s in slos]
        if (upto >= len(seeds) and not _promising(found)) or (early and upto == 1 and _hopeless(found)):
            break
    said = _judgement(
        found, slos, runs, observed, seeds=tuple(range(seeds[0], seeds[0] + len(runs))), workload=workload,
        warmup_frac=warmup_frac, cooldown_frac=cooldown_frac,
        steady=exact or _steady(observed, slos, confidence_frac),
        bodies={pool.name: pool.physics for pool in pools},
    )  # fmt: skip
    return _looked_longer(said, *served(seeds[0], longer), slos) if longer and said.valid else said


def _looked_longer(said: Judgement, run: Run, seen: Observed, slos: Sequence[Slo]) -> Judgement:
    """A judgement with what a longer run adds: objectives that it misses."""
    missed = tuple(s.name for s in slos if sample([seen], s).quantile(s.percentile / 100) > s.limit)
    steady = not missed and run.waiting + run.running == 0
    return replace(said, steady=steady, longer_s=seen.trace.duration_s, longer_missed=missed)


def _each(
    served: Callable[[int], tuple[Run, Observed]], seeds: Sequence[int], *, together: bool, note: Note | None
) -> Iterator[tuple[Run, Observed]]:
    """What came of each seed, in their order; ``together`` on as many cores as there are."""
    at_once = min(len(seeds), os.cpu_count() or 1) if together else 1
    with ThreadPoolExecutor(at_once) as threads:
        for seed, (run, seen) in zip(seeds, (threads.map if at_once > 1 else map)(served, seeds), strict=True):
            if note:
                note(seed, seen.trace, run)
            yield run, seen


def _cutoff_s(trace: Trace, slos: Sequence[Slo], reference: Reference | None) -> float:
    """When a run is given up: long enough for the longest request to miss its loosest limit twice over."""
    longest = [int(trace.prompt_tokens.max())], [int(trace.output_tokens.max())]
    limits_s = [s.limit * float(unit_s(s, reference, *longest)[0]) for s in slos]
    return 2 * trace.duration_s + 60 + 2 * max(limits_s, default=0.0)


def _looks(exact: bool) -> int:
    """How often as many seeds may be simulated."""
    return 1 if exact else MOST_SEEDS_RATIO


def _hopeless(found: Sequence[Evidence]) -> bool:
    """Whether an objective is clearly missed."""
    return any(e.verdict is Verdict.MISSED for e in found)


def _promising(found: Sequence[Evidence]) -> bool:
    """Whether more seeds may settle it: something is undecided, and everything is measured within its limit."""
    undecided = any(e.verdict is Verdict.UNDECIDED for e in found)
    return undecided and all(e.measured <= e.limit for e in found)


def _steady(observed: Sequence[Observed], slos: Sequence[Slo], confidence_frac: float) -> bool:
    """Whether no objective is missed by the second half of the window alone: a growing backlog would show there."""
    for slo in slos:
        late = evidence(slo, sample(observed, slo, second_half=True), confidence_frac=confidence_frac, exact=False)
        if late.low > slo.limit:
            return False
    return True


def _judgement(
    found: Sequence[Evidence],
    slos: Sequence[Slo],
    runs: Sequence[Run],
    observed: Sequence[Observed],
    *,
    seeds: tuple[int, ...],
    workload: str,
    warmup_frac: float,
    cooldown_frac: float,
    steady: bool,
    bodies: Mapping[str, InstancePhysics],
) -> Judgement:
    """Add up the books of all seeds."""
    ledgers = [r.ledger for r in runs]
    spans = [max(1e-9, led.window.end_s - led.window.start_s) for led in ledgers]
    good = [attained(o, slos) for o in observed]
    transfers = max(1, sum(led.transfers for led in ledgers))
    horizon = max(o.trace.duration_s for o in observed)
    return Judgement(
        evidence=tuple(found),
        workload=workload,
        seeds=seeds,
        horizon_s=horizon,
        warmup_s=warmup_frac * horizon,
        cooldown_s=cooldown_frac * horizon,
        **{key: sum(getattr(led, key) for led in ledgers) for key in ("arrived", "finished", "refused", "restarted")},
        unfinished=sum(r.waiting + r.running for r in runs),
        goodput_req_per_s=sum(int(g.sum()) for g in good) / sum(spans),
        attainment_frac=sum(int(g.sum()) for g in good) / max(1, sum(len(g) for g in good)),
        output_tokens_per_s=sum(_tokens(o) for o in observed) / sum(spans),
        good_output_tokens_per_s=_good_tokens(observed, good, "output_tokens") / sum(spans),
        good_prompt_tokens_per_s=_good_tokens(observed, good, "prompt_tokens") / sum(spans),
        steady=steady,
        pools=tuple(_pool_use(name, runs, bodies.get(name)) for name in runs[0].meters),
        link_wait_mean_s=sum(led.link_wait_s for led in ledgers) / transfers,
        transfer_mean_s=sum(led.transfer_s for led in ledgers) / transfers,
        engine=runs[0].engine,
        latency_s=_latencies(observed),
        power=_drawn(runs, bodies),
    )


def _drawn(runs: Sequence[Run], bodies: Mapping[str, InstancePhysics]) -> PowerUse | None:
    """What all pools drew at once; None where one of them is not known."""
    if any(name not in bodies for name in runs[0].meters):
        return None
    return together([(bodies[name].power, [r.meters[name] for r in runs]) for name in runs[0].meters])


def _latencies(observed: Sequence[Observed]) -> dict[str, float]:
    """The described percentiles of every metric, by the name that an objective on it would have."""
    found: dict[str, float] = {}
    for metric in Metric:
        slos = [Slo(metric=metric, percentile=p, limit=1.0) for p in DESCRIBED]
        values = sample(observed, slos[0]).quantiles([p / 100 for p in DESCRIBED])
        found |= {slo.name: value for slo, value in zip(slos, values, strict=True)}
    return found


def _tokens(seed: Observed) -> float:
    """Output tokens of the measured requests that finished."""
    rows = seed.rows()
    return float(seed.trace.output_tokens[rows][np.isfinite(seed.ledger.e2e_s[rows])].sum())


def _good_tokens(observed: Sequence[Observed], good: Sequence[NDArray[np.bool_]], column: str) -> float:
    """Tokens of the measured requests that met every objective jointly: only those are worth what they cost."""
    return sum(float(getattr(o.trace, column)[o.rows()][mine].sum()) for o, mine in zip(observed, good, strict=True))


def _pool_use(name: str, runs: Sequence[Run], body: InstancePhysics | None) -> PoolUse:
    """How busy a pool was, over its instances and all seeds."""
    meters = [m for r in runs for m in r.meters[name]]
    spans = max(1e-9, sum(m.end_s - m.start_s for m in meters))
    steps = sum(m.decode_steps for m in meters)
    blocks = max(1, meters[0].kv_blocks)
    return PoolUse(
        pool=name,
        busy_frac=sum(m.busy_s for m in meters) / spans,
        kv_peak_frac=max(m.kv_peak_blocks for m in meters) / blocks,
        kv_mean_frac=sum(m.kv_block_s for m in meters) / spans / blocks,
        batch_mean=sum(m.decode_tokens for m in meters) / steps if steps else 0.0,
        queue_mean_tokens=sum(m.queue_token_s for m in meters) / spans,
        preemptions=sum(m.preemptions for m in meters),
        power=power_use(body.power, [r.meters[name] for r in runs]) if body else None,
        bubbles=_bubble_use(meters, spans * body.stages.count) if body and body.stages.count > 1 else None,
    )


def _bubble_use(meters: Sequence[Meter], stage_s: float) -> BubbleUse:
    """What of so many seconds of stages were bubbles, kind by kind."""
    prompts, phases, contexts, unfilled = (sum(m.bubble_s[kind] for m in meters) / stage_s for kind in range(4))
    return BubbleUse(prompts_frac=prompts, phases_frac=phases, contexts_frac=contexts, unfilled_frac=unfilled)
