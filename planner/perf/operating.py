"""Operating points: what an instance that does both phases shows at a steady rate, from its step times and watts.

A screen between the envelope, which knows one working point, and the simulator, which knows every step:

    u = rate·p                      share of the time that prefill takes
    b = rate·(o - 1)·d(b)/(1 - u)   requests decoding (Little), each token waiting for the prefills between
    W = idle + u·(Wp - idle) + (1 - u)·(1 - e^-b)·(Wd(b) - idle)

p is the mean prefill time, d(b) the decode step at the mean context. The wait before a prefill is that of M/G/1 on
prefill time, its tail exponential, and of the decode step that is under way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 24
_ROUNDS = 40
_MOST_PREFILL_FRAC = 0.95
_LEAST_RATE_FRAC = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operating:
    """An instance at rates from almost none to saturation; every column has the same length.

    Attributes:
        rate_req_per_s: ascending.
        power_w: mean draw of its GPUs.
        ttft_p50_s: median time to first token.
        ttft_p99_s: its 99th percentile.
        tpot_s: mean time per output token, prefills in between included.
        batch: mean requests decoding.
        idle_w: draw of its GPUs without work.
    """

    rate_req_per_s: Floats
    power_w: Floats
    ttft_p50_s: Floats
    ttft_p99_s: Floats
    tpot_s: Floats
    batch: Floats
    idle_w: float

    @property
    def saturated_req_per_s(self) -> float:
        """The highest steady rate."""
        return float(self.rate_req_per_s[-1])

    def capacity_req_per_s(self, *, ttft_p99_s: float, tpot_s: float) -> float:
        """The highest rate up to which both limits hold; 0 where they do not hold even for a request alone."""
        bad = (self.ttft_p99_s > ttft_p99_s) | (self.tpot_s > tpot_s)
        first = int(np.argmax(bad)) if bad.any() else len(bad)
        return float(self.rate_req_per_s[first - 1]) if first else 0.0

    def watts(self, rate_req_per_s: Floats) -> Floats:
        """Mean draw at rates; beyond saturation that of saturation."""
        return np.interp(rate_req_per_s, self.rate_req_per_s, self.power_w, left=self.idle_w)

    def watts_at(self, rate_req_per_s: float) -> float:
        """Mean draw at one rate."""
        return float(np.interp(rate_req_per_s, self.rate_req_per_s, self.power_w, left=self.idle_w))


def operating(physics: InstancePhysics, prompts: Ints, outputs: Ints, *, max_batch_size: int) -> Operating:
    """The operating points of an instance for requests of these lengths.

    Args:
        physics: its step times, memory and watts.
        prompts: (k,) prompt tokens of a sample.
        outputs: (k,) output tokens of the same requests.
        max_batch_size: most requests in a step.
    """
    step, power = physics.step, physics.power
    alone = np.array([step.prefill_s([(int(p), 0)]) for p in prompts])
    context = float(np.mean((prompts + outputs / 2) * outputs) / np.mean(outputs))
    most = max(1.0, min(max_batch_size, step.max_batch, physics.kv_tokens / context))
    sizes = np.unique(np.geomspace(1, most, 40).astype(int))
    decode = np.array([step.decode_s(int(b), context) for b in sizes])
    decode_w = np.array([power.decode_w(int(b), context) for b in sizes])
    prefill_w = power.prefill_w([(int(np.mean(prompts)), 0)])
    mean_s, later = float(alone.mean()), max(1e-9, float(np.mean(outputs - 1)))

    def batch_at(rate: float) -> float:
        """The fixed point; larger than ``most`` where there is none."""
        room = 1 - rate * mean_s
        b = 1.0
        for _ in range(_ROUNDS):
            b = rate * later * float(np.interp(b, sizes, decode)) / room
            if b > 2 * most:
                break
        return b

    top = _saturation(batch_at, most, _MOST_PREFILL_FRAC / mean_s)
    rates = top * np.concatenate([[_LEAST_RATE_FRAC], np.linspace(0.03, 1.0, POINTS)])
    rows = []
    for rate in rates:
        u, b = rate * mean_s, batch_at(float(rate))
        d, busy = float(np.interp(b, sizes, decode)), 1 - exp(-b)
        watts = power.idle_w + u * (prefill_w - power.idle_w)
        watts += (1 - u) * busy * (float(np.interp(b, sizes, decode_w)) - power.idle_w)
        queue = rate * float(np.mean(alone**2)) / (2 * (1 - u))
        wait, tail = queue + busy * d / 2, queue / max(u, 1e-9) * max(0.0, log(100 * max(u, 1e-9))) + busy * d
        first = float(np.percentile(alone, 99)) + tail
        rows.append((watts, float(np.median(alone)) + wait, first, d / (1 - u), b))
    table = np.array(rows).T
    return Operating(
        rate_req_per_s=rates, power_w=np.maximum.accumulate(table[0]), ttft_p50_s=table[1], ttft_p99_s=table[2],
        tpot_s=table[3], batch=table[4], idle_w=power.idle_w,
    )  # fmt: skip


def _saturation(batch_at: Callable[[float], float], most: float, limit: float) -> float:
    """The highest rate whose batch fits."""
    low, high = 0.0, limit
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if batch_at(middle) <= most else (low, middle)
    return low
