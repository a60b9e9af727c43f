"""Watts of one instance: from what a step does and how long it takes.

FLOP and bytes of a step follow from the model's sizes; over the step's time at full clock they are utilisations, which
the GPU's power curve turns into watts. A locked clock scales the part of them that follows it; a cap cuts them off.
"""

from math import inf
from typing import Protocol

from hw_catalog.gpus import Gpu
from hw_catalog.machines import Machine
from hw_catalog.power import PowerCurve, Utilisation, assumed_curve
from planner.perf.step_time import StepTime
from planner.perf.work import Work, decode_work, prefill_work
from planner.plan import Layout
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
        """Its share of what its machine draws at the plug without work."""

    @property
    def wall_ratio(self) -> float:
        """Watts at the plug per watt above idle."""

    def decode_w(self, batch: int, mean_context_tokens: float) -> float:
        """In a decode-only step of ``batch`` requests."""

    def prefill_w(self, prompts: Prompts, batch: int = 0, context_tokens: int = 0) -> float:
        """In a step that computes ``prompts`` (new tokens, tokens cached) and advances ``batch`` decodes."""


class Unmetered:
    """An instance whose watts nobody asks for."""

    idle_w = limit_w = standby_w = 0.0
    wall_ratio = 1.0

    def decode_w(self, _batch: int, _mean_context_tokens: float) -> float:
        """Nothing."""
        return 0.0

    def prefill_w(self, _prompts: Prompts, _batch: int = 0, _context_tokens: int = 0) -> float:
        """Nothing."""
        return 0.0


class InstancePower:
    """What the GPUs of one instance draw together.

    Args:
        model: sizes.
        gpu: each of its GPUs.
        layout: how many.
        full_clock: step times without clock lock and cap, which utilisations are taken over.
        clock_mhz: SM clock they are locked at; None leaves it to the driver.
        cap_w: power limit of each; None is the board's own.
        standby_w: its share of what its machine draws at the plug without work; None counts its GPUs alone.
    """

    __slots__ = (
        "_corrections", "_full_clock", "_gpu", "_key", "_limit_w", "_model", "_swing", "curve", "gpus", "layout",
        "standby_w",
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
    ) -> None:
        """Nothing is computed before it is asked for."""
        self.curve, self.layout, self.gpus = curve_of(gpu), layout, layout.gpus
        self._model, self._gpu, self._full_clock = model, gpu, full_clock
        self._limit_w = min(gpu.tdp_w, inf if cap_w is None else cap_w)
        ratio = 1.0 if clock_mhz is None else min(1.0, clock_mhz / gpu.clock_max_mhz)
        self._swing = self.curve.swing_ratio(ratio, gpu.clock_max_mhz)
        self._key = f"{model.name}/{full_clock.profile.dtype}/tp{layout.tp}"
        self._corrections: dict[int, float] = {}
        self.standby_w = self.idle_w * self.wall_ratio if standby_w is None else standby_w

    @property
    def wall_ratio(self) -> float:
        """Watts at the plug per watt above idle: supplies and fans."""
        return self.curve.wall_ratio

    @property
    def idle_w(self) -> float:
        """What its GPUs draw with the model loaded and no work."""
        return self.gpus * self._gpu.idle_w

    @property
    def limit_w(self) -> float:
        """The most that its GPUs draw together, spikes shorter than a step aside."""
        return self.gpus * self._limit_w

    def decode_w(self, batch: int, mean_context_tokens: float) -> float:
        """Watts of a decode-only step of ``batch`` requests."""
        correction = self._corrections.get(batch)
        if correction is None:
            correction = self._corrections[batch] = self.curve.correction_ratio(self._key, batch)
        work = decode_work(self._model, self.layout, self._full_clock.profile, batch, mean_context_tokens)
        return self._watts(work, self._full_clock.decode_s(batch, mean_context_tokens), correction)

    def prefill_w(self, prompts: Prompts, batch: int = 0, context_tokens: int = 0) -> float:
        """Watts of a step that computes ``prompts`` (new tokens, tokens cached) and advances ``batch`` decodes."""
        profile = self._full_clock.profile
        work = prefill_work(self._model, self.layout, profile, prompts, batch, context_tokens)
        return self._watts(work, self._full_clock.prefill_s(prompts, batch, context_tokens), 1.0)

    def _watts(self, work: Work, full_clock_s: float, correction_ratio: float) -> float:
        """P = idle + B + A·g(x), no more than the limit, on every GPU while its pipeline stage works."""
        gpu, busy_s = self._gpu, full_clock_s / self.layout.pp
        load = Utilisation(
            weights_frac=work.weight_bytes / gpu.hbm_bytes,
            compute_frac=work.flops / (busy_s * gpu.bf16_flops),
            bandwidth_frac=work.bytes / (busy_s * gpu.hbm_bytes_per_s),
            output_tokens_per_s=work.output_tokens / busy_s / self.gpus,
        )
        clocked, other = self.curve.split_w(load, gpu.tdp_w - gpu.idle_w, correction_ratio)
        return self.gpus * min(self._limit_w, gpu.idle_w + other + clocked * self._swing)


def wall_w(machine: Machine, gpus_w: float) -> float:
    """Watts at the plug of a machine whose GPUs draw ``gpus_w`` together.

    P_wall = idle + slope·(GPU watts above idle); the machine's idle power holds host, fans and losses.
    """
    idle_w = machine.gpus * machine.gpu.idle_w
    return machine.idle_w + curve_of(machine.gpu).wall_ratio * max(0.0, gpus_w - idle_w)
