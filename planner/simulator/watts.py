"""What pools drew: from the meters of a simulation to watts at the plugs."""

from collections.abc import Sequence

import numpy as np

from planner.evidence import PowerUse
from planner.perf.power import Watts
from planner.simulator.meter import Meter


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
        above_j = np.asarray(meters[0].above_j)
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
