"""What pools drew: from the meters of a simulation to watts at the plugs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.evidence import Judgement, PowerUse
from planner.perf.power import Watts
from planner.policies.base import Policy
from planner.simulator import engine
from planner.simulator.engine import PoolModel
from planner.simulator.meter import Meter
from planner.simulator.records import window
from workloads.traces import Trace

METERED_REQUESTS = 3000
"""Requests of the run that meters watts where the judgement's own runs did not: a minute or two of a busy cluster."""


def metered(judgement: Judgement, pools: Sequence[PoolModel], policy: Policy, trace: Trace) -> Judgement:
    """The judgement with what each pool drew, from one run of the event engine where its own runs kept no joules.

    Args:
        judgement: of these pools.
        pools: the candidate.
        policy: how it serves.
        trace: of the first seed; its first ``METERED_REQUESTS`` requests are served.
    """
    known = {pool.name: pool.physics.power for pool in pools}
    missing = [use for use in judgement.pools if use.power is None and known[use.pool].limit_w]
    if not missing or not len(trace):
        return judgement
    part = _first(trace, METERED_REQUESTS)
    spread = min(0.4, judgement.warmup_s / max(1e-9, judgement.horizon_s))
    measured = window(part, warmup_frac=spread, cooldown_frac=spread / 2, slices=1)
    done = engine.run(pools, policy, part, measured, cutoff_s=4 * part.duration_s + 600)
    drawn = {name: power_use(known[name], [meters]) for name, meters in done.meters.items()}
    return replace(judgement, pools=tuple(replace(use, power=use.power or drawn[use.pool]) for use in judgement.pools))


def _first(trace: Trace, count: int) -> Trace:
    """The first requests of a trace, as long as they last."""
    if len(trace) <= count:
        return trace
    return replace(
        trace, arrival_s=trace.arrival_s[:count], prompt_tokens=trace.prompt_tokens[:count],
        output_tokens=trace.output_tokens[:count], class_index=trace.class_index[:count],
        duration_s=float(trace.arrival_s[count]),
    )  # fmt: skip


def power_use(power: Watts, runs: Sequence[Sequence[Meter]]) -> PowerUse | None:
    """What a pool drew at the plugs: standby of all instances, and their watts above idle second by second.

    A second that the window only begins is left out, unless there is no other.

    Returns:
        None where the GPUs' watts are unknown, or the meters of busy instances were not kept.
    """
    busy = any(m.busy_s for meters in runs for m in meters)
    joules = any(m.prefill_j or m.decode_j for meters in runs for m in meters)
    if not power.limit_w or (busy and not joules):
        return None
    ratio, whole = power.wall_ratio, []
    for meters in runs:
        above_j = np.sum([m.above_j for m in meters], axis=0)
        full = above_j[:-1] if len(above_j) > 1 else above_j
        whole.append(len(meters) * power.standby_w + ratio * full)
    seconds = np.concatenate(whole)
    spans = max(1e-9, sum(m[0].end_s - m[0].start_s for m in runs))
    prefill_w = ratio * sum(m.prefill_j for meters in runs for m in meters) / spans
    decode_w = ratio * sum(m.decode_j for meters in runs for m in meters) / spans
    standby_w = len(runs[0]) * power.standby_w
    p50, p95, p99 = (float(np.percentile(seconds, q)) for q in (50, 95, 99))
    return PowerUse(
        mean_w=standby_w + prefill_w + decode_w, p50_w=p50, p95_w=p95, p99_w=p99, peak_w=float(seconds.max()),
        standby_w=standby_w, prefill_w=prefill_w, decode_w=decode_w,
    )  # fmt: skip
