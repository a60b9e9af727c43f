"""What a simulated row says: latencies and what control added to them, rises, excursions."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from planner.simulator.rows.rows import Floor, RowRun
from planner.simulator.rows.state import LATENCY_BIN_RATIO, LATENCY_MIN_S

Floats = NDArray[np.floating]
Counts = NDArray[np.integer]


def quantile_s(bins: Counts, q: float) -> float:
    """A percentile of binned latencies, interpolated within its bin; 0 where nothing was counted."""
    counts = np.cumsum(bins)
    if not counts[-1]:
        return 0.0
    wanted = q * float(counts[-1])
    at = int(np.searchsorted(counts, wanted))
    below = float(counts[at - 1]) if at else 0.0
    inside = (wanted - below) / max(1.0, float(counts[at]) - below)
    return float(LATENCY_MIN_S * LATENCY_BIN_RATIO ** (at + inside))


def latencies(run: RowRun, floor: Floor, machines: int) -> dict[int, Counts]:
    """Kind -> bins of the latencies of the first ``machines`` of a row."""
    kind_of = np.repeat(np.array(floor.kind_of[:machines]), floor.cut(machines))
    found = run.latencies[: len(kind_of)]
    return {k: found[kind_of == k].sum(axis=0) for k in range(len(floor.kinds)) if (kind_of == k).any()}


def losses(capped: list[RowRun], free: list[RowRun], floor: Floor) -> Mapping[str, float]:
    """What control added to latency, per priority and percentile: the kind of request that lost most.

    Args:
        capped: one run per week, all of as many machines.
        free: the same weeks without control, at least as many machines.
        floor: what stands in them.

    Returns:
        ``low_p50``, ``low_p99``, ``high_p50``, ``high_p99`` -> share of the latency without control.
    """
    n = capped[0].case.machines
    with_control, without = [
        {k: np.sum([w[k] for w in weeks], axis=0) for k in weeks[0]}
        for weeks in ([latencies(r, floor, n) for r in capped], [latencies(r, floor, n) for r in free])
    ]
    found = dict.fromkeys(("low_p50", "low_p99", "high_p50", "high_p99"), 0.0)
    for k, bins in with_control.items():
        for name, q in (("p50", 0.5), ("p99", 0.99)):
            key = f"{'low' if floor.kinds[k].low_priority else 'high'}_{name}"
            usual = quantile_s(without[k], q)
            if usual:
                found[key] = max(found[key], quantile_s(bins, q) / usual - 1.0)
    return found


def throughput_loss_frac(capped: list[RowRun], free: list[RowRun], floor: Floor) -> Mapping[str, float]:
    """Requests not finished for control, over those that the same machines finish without it.

    Returns:
        ``low``, ``high`` -> share; below 0 where the backlog of the end fell differently.
    """
    n, found = capped[0].case.machines, {}
    for name, low in (("low", True), ("high", False)):
        done = [
            sum(int(bins.sum()) for r in runs for k, bins in latencies(r, floor, n).items() if _is(floor, k, low))
            for runs in (capped, free)
        ]
        found[name] = 1.0 - done[0] / done[1] if done[1] else 0.0
    return found


def _is(floor: Floor, kind: int, low: bool) -> bool:
    return floor.kinds[kind].low_priority is low


def largest_rise_w(row_w: Floats, tick_s: float, window_s: float) -> float:
    """The most that power rose within a window."""
    lags = range(1, min(len(row_w) - 1, max(1, round(window_s / tick_s))) + 1)
    return max((float((row_w[k:] - row_w[:-k]).max()) for k in lags), default=0.0)
