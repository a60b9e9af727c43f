"""The row of POLCA (ASPLOS'24): DGX-A100 servers with BLOOM-176B, three services, two priorities.

What was published of it is thin: 40 servers behind a breaker, the delays, the thresholds. The watts stand in from the
published table of Splitwise, which was measured on the same machine with the same model.
"""

from dataclasses import dataclass

import numpy as np

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout
from planner.perf.response import TOKEN_KNOTS, InstanceResponse, instance_response
from planner.simulator.rows.load import WeeklyLoad, interleaved
from planner.simulator.rows.rows import Floor
from planner.simulator.rows.servers import Kind
from workloads.lengths import Independent, Uniform
from workloads.models import load_model

MACHINE, MODEL = "dgx-a100", "bloom-176b"
CLOCK_MAX_MHZ, BRAKE_MHZ = 1410.0, 288.0
TDP_W, IDLE_W, GPUS = 400.0, 80.0, 8

WALL_BASE_W, WALL_RATIO = 1360.0, 1.21
"""P_wall = 1.36 kW + 1.21 · ΣP_gpu. Derived from capped H200 machines in MLPerf v4.1, transferred to DGX-A100."""

PREFILL_TDP_RATIO = {128: 0.69, 512: 0.88, 2048: 1.02, 8192: 1.03}
"""Peak GPU power over TDP by prompt tokens. Source: Splitwise's table, BLOOM-176B on DGX-A100 (measured)."""

DECODE_TDP_RATIO = {1: 0.635, 2: 0.630, 4: 0.632, 8: 0.643, 16: 0.656}
"""Average GPU power over TDP by batch. Source: the same table; beyond 16 it has no watts and the last value holds."""

KNEE_RATIO, V_MIN_RATIO = 2100 / 2520, 0.93
"""Below the knee, as a share of the highest clock, voltage no longer falls. Transferred from an L40S sweep."""

DECODE_CONSTANT_FRAC = 0.28
"""Share of decode's dynamic watts that no clock changes (the memory path). Transferred: 55-83 W of 195-298 W there."""

COMPUTE_EXPONENT = {1: 0.07, 16: 0.16, 64: 0.17, 128: 0.52, 256: 0.69}
"""-d ln t / d ln f of a decode step at the highest clock, by batch. Transferred from the same sweep."""

P_NORM = 3.6
MAX_BATCH = 64
SAMPLES = 4096

SERVICES = (
    ("summarize low", 0.25, True, Uniform(min_tokens=2048, max_tokens=8192), Uniform(min_tokens=256, max_tokens=512)),
    ("search high", 0.25, False, Uniform(min_tokens=512, max_tokens=2048), Uniform(min_tokens=1024, max_tokens=2048)),
    ("chat low", 0.25, True, Uniform(min_tokens=2048, max_tokens=4096), Uniform(min_tokens=128, max_tokens=2048)),
    ("chat high", 0.25, False, Uniform(min_tokens=2048, max_tokens=4096), Uniform(min_tokens=128, max_tokens=2048)),
)
"""Service and priority, share of the servers, low priority or not, prompt and output tokens. Recalled, unverified;
uniform lengths within the ranges are assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BloomPower:
    """Watts and slowdowns of a DGX-A100 that serves BLOOM-176B, the whole machine."""

    def idle_w(self, clock_mhz: float) -> float:
        """GPUs at their context floor."""
        del clock_mhz
        return _wall_w(IDLE_W)

    def prefill_w(self, tokens: int, clock_mhz: float) -> float:
        """All of its dynamic power moves with the clock."""
        full = TDP_W * float(np.interp(tokens, list(PREFILL_TDP_RATIO), list(PREFILL_TDP_RATIO.values())))
        return _wall_w(_clocked_w(full, 0.0, clock_mhz))

    def decode_w(self, batch: int, clock_mhz: float) -> float:
        """Part of it is the memory's."""
        full = TDP_W * float(np.interp(batch, list(DECODE_TDP_RATIO), list(DECODE_TDP_RATIO.values())))
        return _wall_w(_clocked_w(full, DECODE_CONSTANT_FRAC, clock_mhz))

    def prefill_slowdown_ratio(self, clock_mhz: float) -> float:
        """Compute-bound: inversely with the clock."""
        return CLOCK_MAX_MHZ / clock_mhz

    def decode_slowdown_ratio(self, batch: int, clock_mhz: float) -> float:
        """t(f)/t(f0) = ((1 - e) + e·(f0/f)^p)^(1/p), e the exponent at f0."""
        knots = np.log2(list(COMPUTE_EXPONENT))
        e = float(np.interp(np.log2(batch), knots, list(COMPUTE_EXPONENT.values())))
        return float(((1 - e) + e * (CLOCK_MAX_MHZ / clock_mhz) ** P_NORM) ** (1 / P_NORM))


def _wall_w(gpu_w: float) -> float:
    return WALL_BASE_W + WALL_RATIO * GPUS * gpu_w


def _clocked_w(full_w: float, constant_frac: float, clock_mhz: float) -> float:
    """P = idle + B + A·(f/f0)·V(f)²."""
    share = clock_mhz / CLOCK_MAX_MHZ
    voltage = max(V_MIN_RATIO, 1 - (1 - V_MIN_RATIO) * (1 - share) / (1 - KNEE_RATIO))
    dynamic = full_w - IDLE_W
    return IDLE_W + dynamic * (constant_frac + (1 - constant_frac) * share * voltage**2)


def bloom_physics() -> InstancePhysics:
    """BLOOM-176B over the eight GPUs of a DGX-A100, step times as Splitwise measured them."""
    machine = load_catalog().machines[MACHINE]
    profile = next(
        p for p in load_profiles(None, model=MODEL, profile_set="splitwise-2023") if p.gpu == machine.gpu.profile_gpu
    )
    return instance_physics(
        load_model(MODEL),
        machine,
        Layout(tp=GPUS),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048, block_tokens=16),
    )


def bloom_response(clocks_mhz: tuple[float, ...]) -> InstanceResponse:
    """Its tables at some clocks, the highest first, the brake's last."""
    return instance_response(
        bloom_physics(), BloomPower(), clocks_mhz, max_batch=MAX_BATCH, context_tokens=(500.0, 9000.0)
    )


def saturation_req_per_s(response: InstanceResponse, prompt_tokens: float, output_tokens: float) -> float:
    """Highest rate an instance can keep up with: prefills, and decodes at the largest batch that memory holds.

    1/rate = prefill + output · step(n) / n, with n = KV tokens / (prompt + output/2)
    """
    context = prompt_tokens + output_tokens / 2
    n = int(min(response.max_batch, response.kv_tokens // context))
    prefill_s = float(np.interp(prompt_tokens, TOKEN_KNOTS, response.prefill_s))
    step_s = float(response.decode_base_s[n] + response.decode_token_s[n] * context)
    return 1.0 / (prefill_s + output_tokens * step_s / n)


def polca_floor(clocks_mhz: tuple[float, ...], machines: int, load: WeeklyLoad, peak_load_frac: float) -> Floor:
    """The row, with the first ``machines`` of its positions."""
    response = bloom_response(clocks_mhz)
    kinds, peaks = [], []
    for position, (name, _, low, prompt, output) in enumerate(SERVICES):
        lengths = Independent(prompt=prompt, output=output).sample(SAMPLES, np.random.default_rng([20230621, position]))
        kinds.append(
            Kind(name=name, low_priority=low, response=response, prompt_tokens=lengths[0], output_tokens=lengths[1])
        )
        peaks.append(peak_load_frac * saturation_req_per_s(response, lengths[0].mean(), lengths[1].mean()))
    return Floor(
        kinds=tuple(kinds), kind_of=tuple(interleaved([s[1] for s in SERVICES], machines)),
        instances_per_machine=(1,) * len(kinds), peak_req_per_s=tuple(peaks), load=load,
    )  # fmt: skip
