"""Clock locks and power caps as changes of a kernel profile: surfaces in, slower surfaces out.

    t(f) = t(f0)·((1 + s·(f0/f)^p) / (1 + s))^(1/p),  s = (t_comp/t_mem)^p

The share s of each operation comes from its work: FLOP over peak against bytes over bandwidth. Prefill GEMM and prefill
attention are compute-bound and slow as 1/f; decode GEMM is memory-bound until its batch makes it compute-bound; decode
attention stays memory-bound; the engine's own time per step does not depend on the GPU's clock.

A cap is a clock that differs from operation to operation: the highest at which each draws no more than the cap. A board
that cannot hold its highest clock under a load runs it at a lower one of its own, its free clock, at which the profile
was measured: a lock above that changes nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hw_catalog.gpus import Gpu
from hw_catalog.power import SHARPNESS_RATIO, PowerCurve, Utilisation
from hw_catalog.profiles import Floats, KernelProfile
from planner.perf.layout import Layout
from planner.perf.power import curve_of
from planner.perf.work import decode_attention_work, linear_work, prefill_attention_work
from workloads.models import ModelSpec

COMPUTE_BOUND_RATIO = 1e3
"""Intensity of prefill attention: its bytes do not count."""

Slowdown = Callable[[float, float, float, float], float]
"""FLOP, bytes, measured seconds and tokens put out by one operation -> its time over the measured one."""


def at_clock(profile: KernelProfile, gpu: Gpu, model: ModelSpec, layout: Layout, clock_mhz: float) -> KernelProfile:
    """The profile with its GPUs' SM clock locked.

    Args:
        profile: measured at the free clock.
        gpu: what it was measured on.
        model: whose sizes say what each operation computes and reads.
        layout: how it is spread.
        clock_mhz: at most the GPU's highest; there the profile is unchanged.
    """
    return _limited(profile, gpu, model, layout, clock_mhz, None)


def at_cap(
    profile: KernelProfile, gpu: Gpu, model: ModelSpec, layout: Layout, cap_w: float, clock_mhz: float | None = None
) -> KernelProfile:
    """The profile with the power limit of its GPUs set, below a lock of their clock where there is one.

    Args:
        profile: measured at the free clock and the board's own limit.
        gpu: what it was measured on.
        model: whose sizes say what each operation computes and reads.
        layout: how it is spread.
        cap_w: per GPU; the board's own limit leaves the profile as it is.
        clock_mhz: SM clock that is not exceeded; None is the highest.
    """
    return _limited(profile, gpu, model, layout, clock_mhz, cap_w if cap_w < gpu.tdp_w else None)


def _limited(
    profile: KernelProfile, gpu: Gpu, model: ModelSpec, layout: Layout, clock_mhz: float | None, cap_w: float | None
) -> KernelProfile:
    """The profile at the lowest of lock, cap and free clock of each operation; what is above the free clock is idle."""
    top = 1.0 if clock_mhz is None else min(1.0, clock_mhz / gpu.clock_max_mhz)
    if top == 1.0 and cap_w is None:
        return profile
    curve, room_w = curve_of(gpu), gpu.tdp_w - gpu.idle_w
    held = model.nominal_bytes(profile.dtype) / layout.gpus / gpu.hbm_bytes

    def slowdown(flops: float, read: float, seconds: float, output: float) -> float:
        busy_s = seconds / layout.pp
        load = Utilisation(
            weights_frac=held,
            compute_frac=flops / busy_s / gpu.bf16_flops,
            bandwidth_frac=read / busy_s / gpu.hbm_bytes_per_s,
            output_tokens_per_s=output / busy_s / layout.gpus,
        )
        ratio = min(1.0, top / curve.free_ratio(curve.above_w(load) / room_w, gpu.clock_max_mhz))
        if cap_w is not None:
            ratio = min(ratio, capped_clock_ratio(curve, gpu, load, cap_w))
        return slowdown_ratio(curve, intensity_ratio(gpu, profile.dtype, flops, read), ratio)

    return _transformed(profile, model, layout, slowdown)


def intensity_ratio(gpu: Gpu, dtype: str, flops: float, read_bytes: float) -> float:
    """(FLOP/peak)/(bytes/bandwidth): above 1 the peak, that of the number format, takes longer than the memory."""
    if not read_bytes:
        return COMPUTE_BOUND_RATIO
    peak = gpu.fp8_flops if dtype in ("fp8", "fp4") and gpu.fp8_flops else gpu.bf16_flops
    return min(COMPUTE_BOUND_RATIO, (flops / peak) / (read_bytes / gpu.hbm_bytes_per_s))


def slowdown_ratio(curve: PowerCurve, intensity: float, clock_ratio: float) -> float:
    """Time of an operation at a share of its free clock, over that at it."""
    p = SHARPNESS_RATIO
    share = (curve.floor_ratio + curve.compute_ratio * intensity) ** p
    return float(((1 + share * clock_ratio**-p) / (1 + share)) ** (1 / p))


def capped_clock_ratio(curve: PowerCurve, gpu: Gpu, load: Utilisation, cap_w: float) -> float:
    """The highest share of its free clock at which the load draws no more than the cap.

    The lowest clock is the least answer: a cap that even that exceeds is exceeded, as on the board.
    """
    room_w, top_mhz, above_w = gpu.tdp_w - gpu.idle_w, gpu.clock_max_mhz, curve.above_w(load)
    clocked, other = curve.split_w(load, room_w, above_w)
    if gpu.idle_w + other + clocked <= cap_w:
        return 1.0
    least = gpu.clock_min_mhz / (top_mhz * curve.free_ratio(above_w / room_w, top_mhz))
    return min(1.0, max(least, curve.clock_ratio((cap_w - gpu.idle_w - other) / clocked, top_mhz)))


def _transformed(profile: KernelProfile, model: ModelSpec, layout: Layout, slowdown: Slowdown) -> KernelProfile:
    """Every surface slowed point by point."""
    prefill = [
        t * slowdown(*linear_work(model, layout, profile, n), t, 1.0)
        for n, t in zip(profile.tokens.tolist(), profile.linear_prefill_s.tolist(), strict=True)
    ]
    decode = [
        t * slowdown(*linear_work(model, layout, profile, n), t, n)
        for n, t in zip(profile.batch.tolist(), profile.linear_decode_s.tolist(), strict=True)
    ]

    def attend(i: int, j: int, t: float) -> float:
        flops = prefill_attention_work(model, layout, profile.new_tokens[i], profile.past_tokens[j])
        return t * slowdown(flops, 0.0, t, 0.0)

    def read(i: int, j: int, t: float) -> float:
        batch, context = int(profile.attention_batch[i]), float(profile.context_tokens[j])
        return t * slowdown(*decode_attention_work(model, layout, profile, batch, context), t, 0.0)

    return replace(
        profile,
        linear_prefill_s=np.array(prefill),
        linear_decode_s=np.array(decode),
        prefill_attention_s=_each(profile.prefill_attention_s, attend),
        decode_attention_s=_each(profile.decode_attention_s, read),
    )


def _each(table: Floats, change: Callable[[int, int, float], float]) -> Floats:
    """A table with every positive cell changed."""
    return np.array(
        [[change(i, j, t) if t > 0 else t for j, t in enumerate(row)] for i, row in enumerate(table.tolist())]
    )
