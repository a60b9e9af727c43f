"""Operating points: what an instance that does both phases shows at a steady rate, from its step times and watts.

A screen between the envelope, which knows one working point, and the simulator, which knows every step:

    u = rate·p(b)                     share of the time that steps with a prompt take
    t = 1 / ((1 - u)/d(b) + rate)     time per token: steps of decodes only and those with a prompt yield one each
    b = rate·(o - 1)·t                requests decoding (Little)
    W = idle + u·(Wp(b) - idle) + (1 - u)·(1 - e^-b)·(Wd(b) - idle)
    w = r/(1 - m·u)                   mean wait of a prompt that finds another computed, r the rest of that step

p(b) is the mean step that computes a prompt beside b decodes, d(b) the decode step at the mean context, m what a second
prompt adds to a step over what the first takes (m = 1: M/G/1). Percentiles are of prompts and waits drawn apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 24
DRAWS = 10
"""Waits that are drawn for every prompt of the sample."""
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
    sizes, usual = np.unique(np.geomspace(1, most, 40).astype(int)), [(int(np.mean(prompts)), 0)]
    decode = np.array([step.decode_s(int(b), context) for b in sizes])
    decode_w = np.array([power.decode_w(int(b), context) for b in sizes])
    beside = np.array([step.prefill_s(usual, int(b), round(b * context)) for b in sizes]) - step.prefill_s(usual)
    prefill_w = np.array([power.prefill_w(usual, int(b), round(b * context)) for b in sizes])
    mean_s, later = float(alone.mean()), max(1e-9, float(np.mean(outputs - 1)))

    def batch_at(rate: float) -> float:
        """The fixed point; larger than ``most`` where there is none."""
        b = 1.0
        for _ in range(_ROUNDS):
            u = rate * (mean_s + float(np.interp(b, sizes, beside)))
            if u >= 1 or b > 2 * most:
                return 2 * most
            b = rate * later / ((1 - u) / float(np.interp(b, sizes, decode)) + rate)
        return b

    top = _saturation(batch_at, most, _MOST_PREFILL_FRAC / mean_s)
    rates = top * np.concatenate([[_LEAST_RATE_FRAC], np.linspace(0.03, 1.0, POINTS)])
    more_frac = (step.prefill_s(usual * 2) - step.prefill_s(usual)) / step.prefill_s(usual)
    chance, rows = _chance(len(alone)), []
    for rate in rates:
        b = batch_at(float(rate))
        steps = alone + float(np.interp(b, sizes, beside))
        u, d, busy = rate * float(steps.mean()), float(np.interp(b, sizes, decode)), 1 - exp(-b)
        watts = power.idle_w + u * (float(np.interp(b, sizes, prefill_w)) - power.idle_w)
        watts += (1 - u) * busy * (float(np.interp(b, sizes, decode_w)) - power.idle_w)
        p50, p99 = _first_s(steps, chance, u=u, more=more_frac * u, decode_s=d, busy=busy)
        rows.append((watts, p50, p99, 1 / ((1 - u) / d + rate), b))
    table = np.maximum.accumulate(np.array(rows), axis=0).T
    return Operating(
        rate_req_per_s=rates, power_w=table[0], ttft_p50_s=table[1], ttft_p99_s=table[2], tpot_s=table[3],
        batch=table[4], idle_w=power.idle_w,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chance:
    """What waits are made of, the same for every option.

    Attributes:
        position_frac: uniform; where in a cycle of prompts and decode steps a prompt arrives.
        step_frac: uniform; which step that is.
        left_frac: uniform; how much of it is left.
        queue_frac: uniform; whether there is a queue behind it.
        queue_ratio: exponential; how long that is, over the mean.
    """

    position_frac: Floats
    step_frac: Floats
    left_frac: Floats
    queue_frac: Floats
    queue_ratio: Floats


def _chance(prompts: int) -> _Chance:
    rng, size = np.random.default_rng(0), DRAWS * prompts
    return _Chance(
        position_frac=rng.random(size), step_frac=rng.random(size), left_frac=rng.random(size),
        queue_frac=rng.random(size), queue_ratio=rng.exponential(size=size),
    )  # fmt: skip


def _first_s(
    steps: Floats, chance: _Chance, *, u: float, more: float, decode_s: float, busy: float
) -> tuple[float, float]:
    """Median and 99th percentile of the time to first token: wait, and the step that computes the prompt.

    Args:
        steps: (k,) seconds of the step of each prompt of the sample.
        chance: what is drawn.
        u: share of the time that such steps take.
        more: the same, of what prompts add to a step that others are computed in.
        decode_s: a step of decodes only.
        busy: chance that one is running where no prompt is computed.
    """
    position, left_frac = chance.position_frac, chance.left_frac
    found = np.searchsorted(np.cumsum(steps) / steps.sum(), chance.step_frac).clip(max=len(steps) - 1)
    rest_s = float(np.mean(steps**2) / np.mean(steps)) / 2
    queued = np.where(chance.queue_frac < more, chance.queue_ratio * rest_s / (1 - more), 0.0)
    wait = np.where(position < u, left_frac * steps[found] + queued, 0.0)
    wait += np.where((position >= u) & (position < u + (1 - u) * busy), left_frac * decode_s, 0.0)
    p50, p99 = np.quantile(np.tile(steps, DRAWS) + wait, (0.5, 0.99))
    return float(p50), float(p99)


def _saturation(batch_at: Callable[[float], float], most: float, limit: float) -> float:
    """The highest rate whose batch fits."""
    low, high = 0.0, limit
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if batch_at(middle) <= most else (low, middle)
    return low
