"""Operating points: what an instance that does both phases draws at a steady rate, from its step times and watts.

A screen between the envelope, which knows one working point, and the simulator, which knows every step:

    u = rate·p(b)                     share of the time that steps with a prompt take
    t = 1 / ((1 - u)/d(b) + rate)     time per token: steps of decodes only and those with a prompt yield one each
    b = rate·(o - 1)·t                requests decoding (Little)
    W = idle + u·(Wp(b) - idle) + (1 - u)·(1 - e^-b)·(Wd(b) - idle)

p(b) is the mean step that computes a prompt beside b decodes, d(b) the decode step at the mean context.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import exp

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
        batch: mean requests decoding.
        idle_w: draw of its GPUs without work.
    """

    rate_req_per_s: Floats
    power_w: Floats
    batch: Floats
    idle_w: float

    @property
    def saturated_req_per_s(self) -> float:
        """The highest steady rate."""
        return float(self.rate_req_per_s[-1])

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
    sizes, usual = np.unique(np.geomspace(1, most, 40).astype(int)), [(int(np.mean(prompts)), 0)]
    decode = np.array([step.decode_s(int(b), context) for b in sizes])
    decode_w = np.array([power.decode_w(int(b), context) for b in sizes])
    beside = np.array([step.prefill_s(usual, int(b), round(b * context)) for b in sizes]) - step.prefill_s(usual)
    prefill_w = np.array([power.prefill_w(usual, int(b), round(b * context)) for b in sizes])
    mean_s, later = float(alone.mean()), max(1e-9, float(np.mean(outputs - 1)))

    more_s, each_s = _Table(sizes, beside), _Table(sizes, decode)

    def batch_at(rate: float) -> float:
        """The fixed point; larger than ``most`` where there is none."""
        b = 1.0
        for _ in range(_ROUNDS):
            u = rate * (mean_s + more_s.at(b))
            if u >= 1 or b > 2 * most:
                return 2 * most
            b = rate * later / ((1 - u) / each_s.at(b) + rate)
        return b

    top = _saturation(batch_at, most, _MOST_PREFILL_FRAC / mean_s)
    rates = top * np.concatenate([[_LEAST_RATE_FRAC], np.linspace(0.03, 1.0, POINTS)])
    rows = []
    for rate in rates:
        b = batch_at(float(rate))
        steps = alone + float(np.interp(b, sizes, beside))
        u, busy = rate * float(steps.mean()), 1 - exp(-b)
        watts = power.idle_w + u * (float(np.interp(b, sizes, prefill_w)) - power.idle_w)
        rows.append((watts + (1 - u) * busy * (float(np.interp(b, sizes, decode_w)) - power.idle_w), b))
    table = np.maximum.accumulate(np.array(rows), axis=0).T
    return Operating(
        rate_req_per_s=rates, power_w=table[0], batch=table[1], idle_w=power.idle_w
    )  # fmt: skip


class _Table:
    """Values at knots, read between them one at a time; thousands of times for each operating point."""

    __slots__ = ("_knots", "_values")

    def __init__(self, knots: Ints, values: Floats) -> None:
        """Knots are ascending."""
        self._knots, self._values = list[int](knots.tolist()), list[float](values.tolist())

    def at(self, x: float) -> float:
        """What ``np.interp`` reads, to the last bit."""
        knots, values = self._knots, self._values
        i = bisect_right(knots, x) - 1
        if i < 0 or i == len(knots) - 1:
            return values[max(0, i)]
        return (values[i + 1] - values[i]) / (knots[i + 1] - knots[i]) * (x - knots[i]) + values[i]


def _saturation(batch_at: Callable[[float], float], most: float, limit: float) -> float:
    """The highest rate whose batch fits."""
    low, high = 0.0, limit
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if batch_at(middle) <= most else (low, middle)
    return low
