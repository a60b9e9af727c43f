"""What pools drew: from the meters of a simulation to watts at the plugs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.perf.power import Watts
from planner.results.evidence import PowerUse
from planner.simulator.meter import Meter

Runs = Sequence[Sequence[Meter]]
"""The meters of one pool, by run."""


def power_use(power: Watts, runs: Runs) -> PowerUse | None:
    """What a pool drew at the plugs: standby of all instances, and their watts above idle second by second.

    Returns:
        None where the GPUs' watts are unknown, or the meters of busy instances were not kept.
    """
    return together([(power, runs)])


def together(pools: Sequence[tuple[Watts, Runs]]) -> PowerUse | None:
    """What pools drew at the same time, second by second.

    A second that the window only begins is left out, unless there is no other.

    Args:
        pools: watts of an instance, and the meters of the same runs.

    Returns:
        None where one of them is not known.
    """
    if not pools or not all(_kept(power, runs) for power, runs in pools):
        return None
    count = len(pools[0][1])
    seconds = np.concatenate(
        [np.sum([_seconds_w(power, runs[number]) for power, runs in pools], axis=0) for number in range(count)]
    )
    spans = max(1e-9, sum(m[0].end_s - m[0].start_s for m in pools[0][1]))
    prefill_w = sum(power.wall_ratio * m.prefill_j for power, runs in pools for each in runs for m in each) / spans
    decode_w = sum(power.wall_ratio * m.decode_j for power, runs in pools for each in runs for m in each) / spans
    standby_w = sum(len(runs[0]) * power.standby_w for power, runs in pools)
    p50, p95, p99 = (float(np.percentile(seconds, q)) for q in (50, 95, 99))
    return PowerUse(
        mean_w=standby_w + prefill_w + decode_w, p50_w=p50, p95_w=p95, p99_w=p99, peak_w=float(seconds.max()),
        standby_w=standby_w, prefill_w=prefill_w, decode_w=decode_w,
    )  # fmt: skip


def _kept(power: Watts, runs: Runs) -> bool:
    """Whether the watts are known, and those who were busy kept their joules."""
    busy = any(m.busy_s for meters in runs for m in meters)
    return bool(power.limit_w) and (not busy or any(m.prefill_j or m.decode_j for meters in runs for m in meters))


def _seconds_w(power: Watts, meters: Sequence[Meter]) -> NDArray[np.float64]:
    """Watts at the plugs of a pool in each second of a run."""
    above_j = np.asarray(meters[0].above_j)
    full = above_j[:-1] if len(above_j) > 1 else above_j
    return np.asarray(len(meters) * power.standby_w + power.wall_ratio * full)
