"""Watts of one instance: from what a step does and how long it takes.

FLOP and bytes of a step follow from the model's sizes; over the step's time at full clock they are utilisations, which
the GPU's power curve turns into watts. A locked clock scales the part of them that follows it; a cap cuts them off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hw_catalog.gpus import Gpu
from hw_catalog.power import PowerCurve, Utilisation, assumed_curve, clocked_ratio
from planner.perf.layout import Layout
from planner.perf.step_time import StepTime
from planner.perf.work import Work, decode_attention_work, decode_work, prefill_work, tile_tokens
from workloads.models import ModelSpec

Prompts = list[tuple[int, int]]


def curve_of(gpu: Gpu) -> PowerCurve:
    """The power curve of a GPU: its own, or one assumed from its rating where the catalog has none."""
    return gpu.power or assumed_curve(gpu.tdp_w, gpu.idle_w, gpu.clock_max_mhz)


class Watts(Protocol):
    """What one instance draws, all its GPUs together."""

    @property
    def idle_w(self) -> float:
        """Without a step."""

    @property
    def limit_w(self) -> float:
        """The most."""

    @property
    def standby_w(self) -> float:
        """Its share of what its machine draws at the wall without work."""

    @property
    def wall_ratio(self) -> float:
        """Watts at the wall per watt above idle."""

    @property
    def measured_batches(self) -> Sequence[int]:
        """At which decode-only steps of this very layout were measured."""

    def terms(self, batches: int) -> "WattTerms | None":
        """What its watts are made of, for batches up to so many; None where they are unknown."""

    def decode_w(self, batch: int, mean_context_tokens: float) -> float:
        """In a decode-only step of ``batch`` requests."""

    def prefill_w(self, prompts: Prompts, batch: int = 0, context_tokens: int = 0) -> float:
        """In a step that computes ``prompts`` (new tokens, tokens cached) and advances ``batch`` decodes."""


class Unmetered:
    """An instance whose watts are not asked for."""

    idle_w = limit_w = standby_w = 0.0
    wall_ratio = 1.0
    measured_batches: Sequence[int] = ()

    def terms(self, _batches: int) -> None:
        """Unknown."""

    def decode_w(self, _batch: int, _mean_context_tokens: float) -> float:
        """Nothing."""
        return 0.0

    def prefill_w(self, _prompts: Prompts, _batch: int = 0, _context_tokens: int = 0) -> float:
        """Nothing."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WattTerms:
    """What the watts of an instance above idle are made of, for those who compute them elsewhere.

    With t seconds of the step at full clock, n tokens, r of them put out, c tokens of KV that decodes read, and x pairs
    of a token and one it attends to:

        touched = 1 - (1 - hit)^n,  rows = max(n·hit / touched, tile)
        f = token·n + pair·x + expert·touched·rows,  b = weights + experts·touched + kv·c
        above = min(room, correction·(base + compute·sqrt(f/t) + bandwidth·b/t + output·sqrt(r/t)))
        B = min(above, memory·sqrt(b/t)),  P - idle = gpus·min(most, B + (above - B)·clocked(above/room))

    In the last line above is taken before it is cut at the room where it is the argument of ``clocked``.

    Attributes:
        gpus: of the instance.
        base_w: of a GPU that is busy with such weights.
        compute_w: times sqrt(FLOP/s).
        bandwidth_w: times bytes/s.
        output_w: times sqrt(output tokens/s).
        memory_w: of the memory path, times sqrt(bytes/s).
        room_w: between idle and the rating.
        most_w: between idle and the limit.
        hit_ratio: share of the experts that a token is routed to; 0 where there are none.
        tile_tokens: token rows that an expert computes at least.
        token_flops: of a token on a GPU, attention and experts aside.
        expert_flops: of a token row in all experts on a GPU.
        pair_flops: of a pair on a GPU.
        weight_bytes: on a GPU, that every step reads.
        expert_bytes: of all experts on a GPU.
        kv_bytes: of a token on a GPU.
        correction_ratio: (batches + 1,) of decode-only steps, by batch.
        clocked_ratio: clocked watts at the clock, over those at the free clock, at ``SHARE_KNOTS`` of above/room.
        full_clock: step times without clock lock and cap.
        lanes: parts of the batch of a decode-only step, each in another stage.
        verified: tokens of a request that a decode step computes.
    """

    gpus: int
    base_w: float
    compute_w: float
    bandwidth_w: float
    output_w: float
    memory_w: float
    room_w: float
    most_w: float
    hit_ratio: float
    tile_tokens: int
    token_flops: float
    expert_flops: float
    pair_flops: float
    weight_bytes: float
    expert_bytes: float
    kv_bytes: float
    correction_ratio: NDArray[np.float64]
    clocked_ratio: NDArray[np.float64]
    full_clock: StepTime
    lanes: int = 1
    verified: int = 1


class InstancePower:
    """What the GPUs of one instance draw together.

    Args:
        model: sizes.
        gpu: each of its GPUs.
        layout: how many.
        full_clock: step times without clock lock and cap, which utilisations are taken over.
        clock_mhz: SM clock they are locked at; None leaves it to the driver.
        cap_w: power limit of each; None is the board's own.
        standby_w: its share of what its machine draws at the wall without work; None counts its GPUs alone.
        streams: whether its stages share a step, each with a part of the batch; else a step passes one after the other.
    """

    __slots__ = (
        "_clocked", "_corrections", "_gpu", "_key", "_limit_w", "_model", "_streams", "_terms", "curve", "full_clock",
        "gpus", "layout", "standby_w",
    )  # fmt: skip

    def __init__(
        self,
        model: ModelSpec,
        gpu: Gpu,
        layout: Layout,
        full_clock: StepTime,
        *,
        clock_mhz: float | None = None,
        cap_w: float | None = None,
        standby_w: float | None = None,
        streams: bool = False,
    ) -> None:
        """Nothing is computed before it is asked for."""
        self.curve, self.layout, self.gpus = curve_of(gpu), layout, layout.gpus
        self._model, self._gpu, self.full_clock = model, gpu, full_clock
        self._streams = layout.pp if streams else 1
        self._limit_w = min(gpu.tdp_w, inf if cap_w is None else cap_w)
        ratio = 1.0 if clock_mhz is None else min(1.0, clock_mhz / gpu.clock_max_mhz)
        self._clocked = self.curve.clocked(ratio, gpu.clock_max_mhz)
        self._key = f"{full_clock.profile.model}/{full_clock.profile.dtype}/tp{layout.tp}"
        self._corrections: dict[int, float] = {}
        self._terms: dict[int, WattTerms] = {}
        self.standby_w = self.idle_w * self.wall_ratio if standby_w is None else standby_w

    @property
    def wall_ratio(self) -> float:
        """Watts at the wall per watt above idle: supplies and fans."""
        return self.curve.wall_ratio

    @property
    def idle_w(self) -> float:
        """What its GPUs draw with the model loaded and no work."""
        return self.gpus * self._gpu.idle_w

    @property
    def limit_w(self) -> float:
        """The most that its GPUs draw together, spikes shorter than a step aside."""
        return self.gpus * self._limit_w

    @property
    def measured_batches(self) -> Sequence[int]:
        """At which decode-only steps of this very layout were measured."""
        return [int(batch) for batch, _ in self.curve.anchors.get(self._key, ())]

    def decode_w(self, batch: int, mean_context_tokens: float) -> float:
        """Watts of a decode-only step of ``batch`` requests."""
        correction = self._corrections.get(batch)
        if correction is None:
            correction = self._corrections[batch] = self.curve.correction_ratio(self._key, batch)
        part = -(-batch // self._streams)
        work = decode_work(self._model, self.layout, self.full_clock.profile, part, mean_context_tokens)
        busy_s = self.full_clock.decode_s(part, mean_context_tokens) - self.full_clock.way_s(part)
        watts = self._watts(work, busy_s, correction)
        if batch >= self._streams:
            return watts
        return self.idle_w + (watts - self.idle_w) * batch / self._streams  # the other stages wait

    def prefill_w(self, prompts: Prompts, batch: int = 0, context_tokens: int = 0) -> float:
        """Watts of a step that computes ``prompts`` (new tokens, tokens cached) and advances ``batch`` decodes."""
        profile = self.full_clock.profile
        work = prefill_work(self._model, self.layout, profile, prompts, batch, context_tokens)
        busy_s = self.full_clock.prefill_s(prompts, batch, context_tokens)
        busy_s -= self.full_clock.way_s(batch + sum(new for new, _ in prompts))
        return self._watts(work, busy_s, 1.0)

    def terms(self, batches: int) -> WattTerms:
        """The numbers that its watts are computed from, for batches up to so many."""
        if batches not in self._terms:
            self._terms[batches] = self._made_terms(batches)
        return self._terms[batches]

    def _made_terms(self, batches: int) -> WattTerms:
        """The same, made."""
        model, gpu, curve, layout, profile = self._model, self._gpu, self.curve, self.layout, self.full_clock.profile
        held = model.nominal_bytes(profile.dtype) / self.gpus
        routed_ratio, per_byte = model.routed_params / model.params, layout.pp / gpu.hbm_bytes_per_s
        pair_flops, kv_bytes = decode_attention_work(model, layout, profile, 1, 1.0)
        return WattTerms(
            gpus=self.gpus, base_w=curve.busy_w + curve.weights_w * held / gpu.hbm_bytes,
            compute_w=curve.compute_w * sqrt(layout.pp / gpu.bf16_flops), bandwidth_w=curve.bandwidth_w * per_byte,
            output_w=curve.tokens_w * sqrt(layout.pp / self.gpus / 1000), memory_w=curve.memory_w * sqrt(per_byte),
            room_w=gpu.tdp_w - gpu.idle_w, most_w=self._limit_w - gpu.idle_w,
            hit_ratio=model.experts_used / model.experts if model.routed_params else 0.0,
            tile_tokens=tile_tokens(model, profile),
            token_flops=2 * (model.params - model.routed_params) / self.gpus,
            expert_flops=2 * model.routed_params / self.gpus, pair_flops=pair_flops,
            weight_bytes=held * (1 - routed_ratio), expert_bytes=held * routed_ratio, kv_bytes=kv_bytes,
            correction_ratio=np.array([curve.correction_ratio(self._key, max(1, b)) for b in range(batches + 1)]),
            clocked_ratio=np.array(self._clocked), full_clock=self.full_clock,
            lanes=self._streams, verified=1 + profile.draft_tokens,
        )  # fmt: skip

    def _watts(self, work: Work, model_s: float, correction_ratio: float) -> float:
        """P = idle + B + A·g(f)/g(free clock), no more than the limit, on every GPU while its pipeline stage works."""
        gpu, busy_s = self._gpu, model_s / self.layout.pp
        load = Utilisation(
            weights_frac=work.weight_bytes / gpu.hbm_bytes,
            compute_frac=work.flops / (busy_s * gpu.bf16_flops),
            bandwidth_frac=work.bytes / (busy_s * gpu.hbm_bytes_per_s),
            output_tokens_per_s=work.output_tokens / busy_s / self.gpus,
        )
        room_w, above_w = gpu.tdp_w - gpu.idle_w, self.curve.above_w(load, correction_ratio)
        clocked, other = self.curve.split_w(load, room_w, above_w)
        clocked *= clocked_ratio(self._clocked, above_w / room_w)
        return self.gpus * min(self._limit_w, gpu.idle_w + other + clocked)
