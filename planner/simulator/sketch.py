"""One run, watched: the same simulation as the judge's, looked at while it goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.policies.base import Policy
from planner.results.picture import LatencyCurve, PoolSeries
from planner.simulator.books import Meter, window
from planner.simulator.metrics import Observed, sample
from planner.simulator.pools import Events, Failure, Looks, PoolModel
from planner.simulator.serve import serve
from workloads.slo import Metric, Slo
from workloads.traces import Trace

MOMENTS = 300
"""Points of a series: as many as a chart of a report is wide, in pixels of a small screen."""

LOOKS = 4
"""Looks that a point is the mean of, so that a step that comes and goes between two points leaves a trace."""

SHARES_FRAC = (*(i / 100 for i in range(1, 100)), 0.995, 0.999, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What was seen of one run.

    Attributes:
        start_s: where the measured window begins.
        end_s: where it ends.
        moments_s: times of the series.
        prompt_tokens_per_s: of arrivals since the moment before.
        output_tokens_per_s: that those ask for.
        pools: one series per pool.
        curves: one distribution per metric.
    """

    start_s: float
    end_s: float
    moments_s: tuple[float, ...]
    prompt_tokens_per_s: tuple[float, ...]
    output_tokens_per_s: tuple[float, ...]
    pools: tuple[PoolSeries, ...]
    curves: tuple[LatencyCurve, ...]


def sketch(
    pools: Sequence[PoolModel],
    policy: Policy,
    trace: Trace,
    *,
    warmup_frac: float,
    cooldown_frac: float,
    failures: Sequence[Failure] = (),
) -> Sketch:
    """Serve a trace and watch: looking changes nothing, so what is seen is what the judge judges.

    Args:
        pools: the cluster.
        policy: how it serves.
        trace: what arrives.
        warmup_frac: share of the arrival time before measuring begins.
        cooldown_frac: share of the arrival time after measuring ends.
        failures: machines that fail meanwhile.
    """
    span_s = max(trace.duration_s, 1e-9)
    looks = Looks(period_s=span_s / (MOMENTS * LOOKS), count=MOMENTS * LOOKS)
    measured = window(trace, warmup_frac=warmup_frac, cooldown_frac=cooldown_frac, slices=1)
    beside = Events(failures=failures, looks=looks)
    done = serve(pools, policy, trace, measured, cutoff_s=2 * span_s + 60, beside=beside)
    observed = Observed(trace=trace, ledger=done.ledger)
    table = done.seen if done.seen is not None else np.zeros((0, len(pools), 4))
    moments = len(table) // LOOKS
    seen = table[: moments * LOOKS].reshape(moments, LOOKS, *table.shape[1:]).mean(axis=1)
    edges_s = np.linspace(0.0, span_s * moments / MOMENTS, moments + 1)
    return Sketch(
        start_s=measured.start_s,
        end_s=measured.end_s,
        moments_s=tuple(edges_s[1:].tolist()),
        prompt_tokens_per_s=_per_s(trace, trace.prompt_tokens, edges_s),
        output_tokens_per_s=_per_s(trace, trace.output_tokens, edges_s),
        pools=tuple(
            _series(pools, seen, {pool.name: _drawn_w(pool, done.meters[pool.name], edges_s) for pool in pools})
        ),
        curves=tuple(_curve(observed, metric) for metric in Metric),
    )


def _per_s(trace: Trace, tokens: NDArray[np.int64], edges_s: NDArray[np.float64]) -> tuple[float, ...]:
    """Tokens of the arrivals between two edges, per second."""
    sums, _ = np.histogram(trace.arrival_s, bins=edges_s, weights=tokens)
    return tuple((sums / np.diff(edges_s)).tolist())


def _drawn_w(pool: PoolModel, meters: Sequence[Meter], edges_s: NDArray[np.float64]) -> tuple[float, ...]:
    """Mean watts at the wall between two edges, from the seconds that the meters keep; inf outside the window."""
    power, start_s, end_s = pool.physics.power, meters[0].start_s, meters[0].end_s
    if not power.limit_w:
        return ()
    above_j = meters[0].above_j
    ends_s = np.minimum(start_s + np.arange(len(above_j) + 1), end_s)
    spent_j = np.interp(edges_s, ends_s, np.concatenate([[0.0], np.cumsum(above_j)]))
    drawn_w = len(meters) * power.standby_w + power.wall_ratio * np.diff(spent_j) / np.diff(edges_s)
    inside = (edges_s[:-1] >= start_s) & (edges_s[1:] <= end_s)
    return tuple(np.where(inside, drawn_w, np.inf).tolist())


def _series(
    pools: Sequence[PoolModel], seen: NDArray[np.float64], power_w: Mapping[str, tuple[float, ...]]
) -> list[PoolSeries]:
    """The mean over the instances of each pool; ``seen`` is (moments, pools, 4), summed over them."""
    found = []
    for number, pool in enumerate(pools):
        mean = seen[:, number] / pool.instances
        busy, batch, queue, kv = (tuple(mean[:, column].tolist()) for column in range(4))
        found.append(
            PoolSeries(
                pool=pool.name, busy_frac=busy, batch_mean=batch, queue_tokens=queue, kv_frac=kv,
                power_w=power_w[pool.name],
            )
        )  # fmt: skip
    return found


def _curve(observed: Observed, metric: Metric) -> LatencyCurve:
    """The distribution of a metric; empty where nothing was observed."""
    taken = sample([observed], Slo(metric=metric, percentile=50.0, limit=1.0))
    if not taken.n:
        return LatencyCurve(metric=metric, share_frac=(), latency_s=())
    return LatencyCurve(metric=metric, share_frac=SHARES_FRAC, latency_s=taken.quantiles(SHARES_FRAC))
