"""The account of a judgement: the books of all seeds added up, percentile by percentile and pool by pool."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.results.evidence import Evidence, Judgement
from planner.results.use import BubbleUse, PoolUse, PowerUse
from planner.simulator.books import Meter
from planner.simulator.metrics import Observed, attained, percentiles
from planner.simulator.pools import PoolModel, Run
from planner.simulator.traffic import Judging
from planner.simulator.watts import power_use, together
from workloads.slo import Metric, Slo

Meters = Mapping[str, Sequence[Meter]]
"""Pool name -> one meter per instance, of a run."""

DESCRIBED = (50.0, 90.0, 99.0)
"""Percentiles of every metric that are told of every judgement, promised or not."""


def left(run: Run) -> int:
    """Requests that had not ended when a run was given up."""
    return run.waiting + run.running


def account(
    found: Sequence[Evidence], slos: Sequence[Slo], runs: Sequence[Run], observed: Sequence[Observed], *,
    pools: Sequence[PoolModel], judging: Judging, first_seed: int, workload: str,
) -> Judgement:  # fmt: skip
    """Add up the books of all seeds; whether the load was steady is another's to say.

    Args:
        found: what was seen of each objective.
        slos: the objectives.
        runs: one of each seed, in their order.
        observed: the same, as objectives are measured on it.
        pools: the candidate.
        judging: what of a run was measured.
        first_seed: its number; the others follow.
        workload: the traces in words.
    """
    bodies = {pool.name: pool.physics for pool in pools}
    warmup_frac, cooldown_frac = judging.warmup_frac, judging.cooldown_frac
    ledgers, meters = [r.ledger for r in runs], [r.meters for r in runs]
    spans = [_span_s(o, warmup_frac, cooldown_frac) for o in observed]
    good = [attained(o, slos) for o in observed]
    transfers = max(1, sum(led.transfers for led in ledgers))
    horizon = max(o.trace.duration_s for o in observed)
    uses = tuple(pool_use(name, meters, bodies.get(name)) for name in meters[0])
    return Judgement(
        evidence=tuple(found),
        workload=workload,
        seeds=tuple(range(first_seed, first_seed + len(runs))),
        horizon_s=horizon,
        warmup_s=warmup_frac * horizon,
        cooldown_s=cooldown_frac * horizon,
        **{key: sum(getattr(led, key) for led in ledgers) for key in ("arrived", "finished", "refused", "restarted")},
        unfinished=sum(map(left, runs)),
        goodput_req_per_s=sum(int(g.sum()) for g in good) / sum(spans),
        attainment_frac=sum(int(g.sum()) for g in good) / max(1, sum(len(g) for g in good)),
        output_tokens_per_s=sum(_tokens(o, "output_tokens") for o in observed) / sum(spans),
        prompt_tokens_per_s=sum(_tokens(o, "prompt_tokens") for o in observed) / sum(spans),
        good_output_tokens_per_s=_good_tokens(observed, good, "output_tokens") / sum(spans),
        good_prompt_tokens_per_s=_good_tokens(observed, good, "prompt_tokens") / sum(spans),
        steady=True,
        pools=uses,
        link_wait_mean_s=sum(led.link_wait_s for led in ledgers) / transfers,
        transfer_mean_s=sum(led.transfer_s for led in ledgers) / transfers,
        engine=runs[0].engine,
        latency_s=_latencies(observed),
        power=uses[0].power if len(uses) == 1 else drawn(meters, bodies),  # one pool is all pools
    )


def _span_s(seen: Observed, warmup_frac: float, cooldown_frac: float) -> float:
    """How long was measured: the window's time, not that between its first and last request, which may be one."""
    whole = seen.count == len(seen.trace)  # nothing came in the window, so all of it is measured
    return seen.trace.duration_s * (1.0 if whole else 1.0 - warmup_frac - cooldown_frac)


def drawn(runs: Sequence[Meters], bodies: Mapping[str, InstancePhysics]) -> PowerUse | None:
    """What all pools drew at once, of the meters of each run; None where one of them is not known."""
    if any(name not in bodies for name in runs[0]):
        return None
    pools = [(bodies[name], [meters[name] for meters in runs]) for name in runs[0]]
    return together([(body.power, each, body.stages.count) for body, each in pools])


def _latencies(observed: Sequence[Observed]) -> dict[str, float]:
    """The described percentiles of every metric, by the name that an objective on it would have."""
    found: dict[str, float] = {}
    for metric in Metric:
        slos = [Slo(metric=metric, percentile=p, limit=1.0) for p in DESCRIBED]
        values = percentiles(observed, slos[0], [p / 100 for p in DESCRIBED])
        found |= {slo.name: value for slo, value in zip(slos, values, strict=True)}
    return found


def _tokens(seed: Observed, column: str) -> float:
    """Tokens of the measured requests that finished."""
    rows = seed.rows()
    return float(getattr(seed.trace, column)[rows][np.isfinite(seed.ledger.e2e_s[rows])].sum())


def _good_tokens(observed: Sequence[Observed], good: Sequence[NDArray[np.bool_]], column: str) -> float:
    """Tokens of the measured requests that met every objective jointly: only those are worth what they cost."""
    return sum(float(getattr(o.trace, column)[o.rows()][mine].sum()) for o, mine in zip(observed, good, strict=True))


def pool_use(name: str, runs: Sequence[Meters], body: InstancePhysics | None) -> PoolUse:
    """How busy a pool was, over its instances and all runs."""
    meters = [m for each in runs for m in each[name]]
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
        decode_tokens_per_s=sum(m.decode_tokens for m in meters) / spans,
        power=power_use(body.power, [each[name] for each in runs], body.stages.count) if body else None,
        bubbles=_bubble_use(meters, spans * body.stages.count) if body and body.stages.count > 1 else None,
    )


def _bubble_use(meters: Sequence[Meter], stage_s: float) -> BubbleUse:
    """What of so many seconds of stages were bubbles, kind by kind."""
    prompts, phases, contexts, unfilled = (sum(m.bubble_s[kind] for m in meters) / stage_s for kind in range(4))
    return BubbleUse(prompts_frac=prompts, phases_frac=phases, contexts_frac=contexts, unfilled_frac=unfilled)
