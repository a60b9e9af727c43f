"""GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass

from hw_catalog.power import PowerCurve
from hw_catalog.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as it can be bought.

    Attributes:
        name: catalog id, for example ``h100-sxm``.
        hbm_bytes: memory the driver reports as total.
        hbm_bytes_per_s: memory bandwidth.
        bf16_flops: dense bf16 peak, FLOP/s.
        fp8_flops: dense fp8 peak, FLOP/s; 0 where the GPU has none.
        tdp_w: rated board power; under a power cap, the cap.
        idle_w: power with a CUDA context and no work.
        clock_min_mhz: lowest lockable SM clock.
        clock_max_mhz: highest SM clock.
        profile_gpu: catalog id of the GPU whose kernel profiles apply (itself unless this is a capped variant).
        prefill_slowdown_ratio: factor on prefill step time against ``profile_gpu`` (1 unless capped).
        decode_slowdown_ratio: factor on decode step time against ``profile_gpu`` (1 unless capped).
        provenance: field name -> source, one entry for every numeric field.
        power: watts over utilisation and clock, that of ``profile_gpu`` for a capped variant; None where unknown.
    """

    name: str
    hbm_bytes: float
    hbm_bytes_per_s: float
    bf16_flops: float
    fp8_flops: float
    tdp_w: float
    idle_w: float
    clock_min_mhz: float
    clock_max_mhz: float
    profile_gpu: str
    prefill_slowdown_ratio: float
    decode_slowdown_ratio: float
    provenance: Mapping[str, Provenance]
    power: PowerCurve | None = None
