"""Power curves: what a GPU draws while it works, and how its clock changes that.

At full clock and busy, per GPU:

    P = idle + busy + weights·w + compute·sqrt(u_c) + bandwidth·u_b + tokens·sqrt(r)

w is the share of its memory that weights fill, u_c its share of the dense bf16 peak, u_b its share of the memory
bandwidth, r thousands of output tokens per second. u_c counts what is computed, so of a mixture of experts whole tiles:
an expert that a single token is routed to computes as many rows as its kernel's tile has. At clock f (f0 the highest):

    P(f) = idle + B + A·g(f/f0),  g(x) = x·V(x)²,  V = v_min below the knee, then linear to 1 at f0

B is the memory path, memory·sqrt(u_b); A is all the rest. The board never draws more than its limit: where it would,
and on some boards already where much is drawn, its driver runs it below the highest clock. That is its *free* clock;
times and watts were measured at it, so under such a load it is f0.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2, sqrt

from hw_catalog.provenance import Kind, Provenance

SHARPNESS_RATIO = 3.6
"""Exponent p of t = (t_mem^p + (t_comp·f0/f)^p)^(1/p): how abruptly memory-bound turns compute-bound. Derived: shared
by all decode rows of the L40S clock table (benchmarks/power.py)."""

_STEPS = 40
"""Bisections of the clock range: to 1e-12 of it."""

PER_SHARE, SHARE_KNOTS = 32, 65
"""Knots of tables over the share of the room, and how many: up to a share of 2."""

Anchor = tuple[float, float]
"""(decode batch, measured over modelled watts above idle)."""


TILE_TOKENS = 16
"""Token rows of one tile of an expert's kernel: what it computes for a single token as well. Default of vLLM's fused
kernel at small batches (recalled)."""

BLOCK_SCALED_TILE_TOKENS = 64
"""The same for 8-bit weights with a scale per block of them (recalled, from the same defaults)."""


def expert_work(tokens: float, experts: int, used: int, tile_tokens: int) -> tuple[float, float]:
    """What ``tokens`` tokens ask of one layer's experts, each token routed to ``used`` of them, evenly.

    touched = 1 - (1 - used/experts)^tokens,  rows = max(tokens·used / (experts·touched), tile)

    Args:
        tokens: in a step, > 0.
        experts: in the layer.
        used: by one token.
        tile_tokens: rows that a kernel computes at least.

    Returns:
        Share of the experts that at least one token is routed to, and the token rows that each of those computes.
    """
    touched = 1.0 - (1.0 - used / experts) ** tokens
    return touched, max(tokens * used / (experts * touched), float(tile_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilisation:
    """How hard one GPU works, over the time of a step at full clock.

    Attributes:
        weights_frac: share of its memory that weights fill.
        compute_frac: share of its dense bf16 peak, in any number format.
        bandwidth_frac: share of its memory bandwidth.
        output_tokens_per_s: tokens the whole instance puts out, over its GPUs.
    """

    weights_frac: float
    compute_frac: float
    bandwidth_frac: float
    output_tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCurve:
    """Watts of one GPU type over utilisation and clock.

    Attributes:
        busy_w: above idle while any kernel runs.
        weights_w: more where weights fill the memory.
        compute_w: more at the dense bf16 peak.
        bandwidth_w: more at the full memory bandwidth.
        tokens_w: more at 1,000 output tokens/s per GPU (sampling, caches, host traffic).
        memory_w: of all these, what the memory path draws at full bandwidth: no SM clock changes it.
        v_min_ratio: lowest supply voltage over that at the highest clock.
        knee_mhz: clock below which the voltage is already lowest.
        compute_ratio: compute over memory time of a step whose FLOP over bytes stand as peak over bandwidth.
        floor_ratio: the same of a step with hardly any FLOP: what issue and latency leave to the clock.
        clock_step_mhz: between lockable clocks.
        cap_min_w: lowest power limit of the board; the highest is its rating.
        wall_ratio: watts at the wall per watt of a GPU above idle (supplies, fans).
        free_clock: (share of the watts between idle and rating that is drawn, share of the highest clock at which the
            driver runs by itself), ascending; None: at the highest until the rating is reached.
        anchors: ``model/dtype/tpN`` -> correction by decode batch, where this very layout was measured.
        provenance: field name -> source, one entry for every number but the anchors, which come with the surface.
    """

    busy_w: float
    weights_w: float
    compute_w: float
    bandwidth_w: float
    tokens_w: float
    memory_w: float
    v_min_ratio: float
    knee_mhz: float
    compute_ratio: float
    floor_ratio: float
    clock_step_mhz: float
    cap_min_w: float
    wall_ratio: float
    anchors: Mapping[str, tuple[Anchor, ...]]
    provenance: Mapping[str, Provenance]
    free_clock: tuple[tuple[float, float], ...] | None = None

    def split_w(self, load: Utilisation, room_w: float, above_w: float) -> tuple[float, float]:
        """Watts above idle at the free clock: those that follow the clock (A), and the others (B).

        Args:
            load: what the GPU does.
            room_w: the board's rating less its idle power. What the surface says beyond it was never drawn: the board
                lowers its clock, so A is what is left of the room.
            above_w: what the surface says.
        """
        above = min(room_w, above_w)
        other = min(above, self.memory_w * sqrt(load.bandwidth_frac))
        return above - other, other

    def above_w(self, load: Utilisation, correction_ratio: float = 1.0) -> float:
        """Watts above idle that the surface says, the board's rating aside."""
        return correction_ratio * (
            self.busy_w
            + self.weights_w * load.weights_frac
            + self.compute_w * sqrt(load.compute_frac)
            + self.bandwidth_w * load.bandwidth_frac
            + self.tokens_w * sqrt(load.output_tokens_per_s / 1000)
        )

    def free_ratio(self, share: float, clock_max_mhz: float) -> float:
        """The share of the highest clock at which the driver runs the board by itself.

        Args:
            share: watts above idle that the surface says, over the room between idle and the rating. Beyond 1 the clock
                is at most that at which the watts would be cut to the room.
            clock_max_mhz: highest clock.
        """
        ratio = _between(self.free_clock, min(1.0, share)) if self.free_clock else 1.0
        return ratio if share <= 1.0 else min(ratio, self.clock_ratio(1.0 / share, clock_max_mhz))

    def clocked(self, lock_ratio: float, clock_max_mhz: float) -> tuple[float, ...]:
        """The clocked watts under a lock over those at the free clock, at shares of the room 0, 1/32, 2/32, ..., 2.

        Args:
            lock_ratio: the lock over the highest clock; above the free clock it changes nothing.
            clock_max_mhz: highest clock.
        """
        if lock_ratio >= 1.0:
            return (1.0,) * SHARE_KNOTS
        free = (self.free_ratio(i / PER_SHARE, clock_max_mhz) for i in range(SHARE_KNOTS))
        return tuple(self.swing_ratio(min(1.0, lock_ratio / each), clock_max_mhz) for each in free)

    def clock_ratio(self, swing: float, clock_max_mhz: float) -> float:
        """The share of the highest clock at which the clocked watts are ``swing`` of those at it: g inverted."""
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.swing_ratio(middle, clock_max_mhz) <= swing else (low, middle)
        return high

    def swing_ratio(self, clock_ratio: float, clock_max_mhz: float) -> float:
        """g(x) = x·V(x)²: the clocked watts at a share of the free clock, over those at it."""
        knee = self.knee_mhz / clock_max_mhz
        volts = self.v_min_ratio
        if clock_ratio > knee:
            volts += (1 - volts) * (clock_ratio - knee) / (1 - knee)
        return clock_ratio * volts**2

    def correction_ratio(self, key: str, batch: int) -> float:
        """Measured over modelled watts above idle of a layout's decode; 1 where it was not measured.

        Linear in log2(batch) between measured batches, constant beyond them.
        """
        anchors = self.anchors.get(key)
        if not anchors:
            return 1.0
        batches = [a for a, _ in anchors]
        at = bisect_right(batches, batch)
        if at == 0 or at == len(anchors):
            return anchors[min(at, len(anchors) - 1)][1]
        (low, before), (high, after) = anchors[at - 1], anchors[at]
        return before + (after - before) * log2(batch / low) / log2(high / low)


def _between(points: tuple[tuple[float, float], ...], x: float) -> float:
    """Linear between points, constant beyond their ends."""
    at = bisect_right([each for each, _ in points], x)
    if at == 0 or at == len(points):
        return points[min(at, len(points) - 1)][1]
    (low, before), (high, after) = points[at - 1], points[at]
    return before + (after - before) * (x - low) / (high - low)


def clocked_ratio(knots: Sequence[float], share: float) -> float:
    """The clocked watts under a lock at a share of the room, between the knots of ``PowerCurve.clocked``."""
    at = min(share * PER_SHARE, SHARE_KNOTS - 1.0)
    low = min(int(at), SHARE_KNOTS - 2)
    return knots[low] + (knots[low + 1] - knots[low]) * (at - low)


def assumed_curve(tdp_w: float, idle_w: float, clock_max_mhz: float) -> PowerCurve:
    """A curve for a GPU of which nothing but rating and idle power is known: the shares of an H100.

    Args:
        tdp_w: rated board power.
        idle_w: with a CUDA context and no work.
        clock_max_mhz: highest SM clock.
    """
    source = Provenance(
        kind=Kind.TRANSFERRED, source="power curve of the H100, by the watts between idle and rating", date="2026-11-21"
    )
    span = tdp_w - idle_w
    return PowerCurve(
        busy_w=0.08 * span, weights_w=0.03 * span, compute_w=1.03 * span, bandwidth_w=0.39 * span, tokens_w=0.08 * span,
        memory_w=0.25 * span, v_min_ratio=0.8, knee_mhz=0.5 * clock_max_mhz, compute_ratio=1.7, floor_ratio=0.25,
        clock_step_mhz=15.0, cap_min_w=0.3 * tdp_w, wall_ratio=1.21, anchors={},
        provenance=dict.fromkeys(NUMBERS, source),
    )  # fmt: skip


DRAW = ("busy_w", "weights_w", "compute_w", "bandwidth_w", "tokens_w", "wall_ratio")
"""The numbers that say what a GPU draws at full clock."""

NUMBERS = (
    *DRAW, "memory_w", "v_min_ratio", "knee_mhz", "compute_ratio", "floor_ratio", "clock_step_mhz", "cap_min_w",
)  # fmt: skip
"""All numbers of a curve; each has a source."""
