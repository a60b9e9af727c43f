"""What pools drew: from the meters of a simulation to watts at the wall."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.perf.power import Watts
from planner.results.use import PowerUse
from planner.simulator.books import Meter

SEED, READINGS = 20261129, 16
"""How often each second is read, at instants drawn with this seed: percentiles are of all, the peak is the mean of the
highest of each reading of all seconds."""

Runs = Sequence[Sequence[Meter]]
"""The meters of one pool, by run."""


def power_use(power: Watts, runs: Runs, stages: int = 1) -> PowerUse | None:
    """What a pool drew at the wall: standby of all instances, and their watts above idle second by second.

    Args:
        power: of an instance.
        runs: its meters.
        stages: of a pipeline that instances are.

    Returns:
        None where the GPUs' watts are unknown, or the meters of busy instances were not kept.
    """
    return together([(power, runs, stages)])


def together(pools: Sequence[tuple[Watts, Runs, int]]) -> PowerUse | None:
    """What pools drew at the same time, as a meter that is read once a second sees it.

    A second that the window only begins is left out, unless there is no other.

    Args:
        pools: watts of an instance, the meters of the same runs, and the stages of an instance.

    Returns:
        None where one of them is not known.
    """
    if not pools or not all(_kept(power, runs) for power, runs, _ in pools):
        return None
    count, rng = len(pools[0][1]), np.random.default_rng(SEED)
    read_w = np.concatenate(
        [np.sum([_readings_w(power, runs[number], stages, rng) for power, runs, stages in pools], axis=0)
         for number in range(count)],
        axis=1,
    )  # fmt: skip
    spans = max(1e-9, sum(m[0].end_s - m[0].start_s for m in pools[0][1]))
    prefill_w = sum(power.wall_ratio * m.prefill_j for power, runs, _ in pools for each in runs for m in each) / spans
    decode_w = sum(power.wall_ratio * m.decode_j for power, runs, _ in pools for each in runs for m in each) / spans
    standby_w = sum(len(runs[0]) * power.standby_w for power, runs, _ in pools)
    p50, p95, p99 = np.percentile(read_w, (50, 95, 99)).tolist()
    return PowerUse(
        mean_w=standby_w + prefill_w + decode_w, p50_w=p50, p95_w=p95, p99_w=p99,
        peak_w=max(p99, float(read_w.max(axis=1).mean())),
        standby_w=standby_w, prefill_w=prefill_w, decode_w=decode_w,
    )  # fmt: skip


def _kept(power: Watts, runs: Runs) -> bool:
    """Whether the watts are known, and those who were busy kept their joules."""
    busy = any(m.busy_s for meters in runs for m in meters)
    return bool(power.limit_w) and (not busy or any(m.prefill_j or m.decode_j for meters in runs for m in meters))


def _readings_w(
    power: Watts, meters: Sequence[Meter], stages: int, rng: np.random.Generator
) -> NDArray[np.float64]:  # fmt: skip
    """(``READINGS``, seconds) watts at the wall of a pool in an instant of each second of a run.

    In an instant a stage of an instance either computes prompts, at the mean watts b of all such steps, or does not.
    With E joules above idle in a second, of which the share s is prefill's, and k stages of all instances

        n ~ Binomial(2k, φ) / 2,  φ = s·E / (k·b),  above = n·b + (k - n)·(1 - s)·E / (k·(1 - φ))

    whose mean is E again: bursts of prefill inside a second are kept, and average out over many. In a second of more
    than k·b all compute prompts. A meter averages for about as long as a prefill takes, so a reading is the mean of two
    instants (assumed).
    """
    above_j = np.asarray(meters[0].above_j)
    full = above_j[:-1] if len(above_j) > 1 else above_j
    count, prefill_s = len(meters) * stages, sum(m.prefill_s for m in meters)
    prefill_j, decode_j = sum(m.prefill_j for m in meters), sum(m.decode_j for m in meters)
    above_w = np.broadcast_to(full, (READINGS, len(full)))
    if prefill_s > 0 and prefill_j > 0:
        share = prefill_j / (prefill_j + decode_j)
        burst_w = np.maximum(prefill_j / prefill_s, share * full / count)
        often = np.minimum(1.0, share * full / (count * burst_w))  # 1 but for rounding
        others_w = np.maximum(0.0, full - often * count * burst_w) / np.maximum(count * (1.0 - often), 1e-9)
        bursts = rng.binomial(2 * count, often, size=(READINGS, len(full))) / 2
        above_w = bursts * burst_w + (count - bursts) * others_w
    return np.asarray(len(meters) * power.standby_w + power.wall_ratio * above_w)
