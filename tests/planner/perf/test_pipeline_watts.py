"""Watts of pipelines: a stage at work draws its share, a stage that waits stands idle, and the joules add up."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.draw import decoding_w
from planner.perf.instance import GpuLimits, InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout
from planner.perf.pipeline import Stages, TraversalTime
from planner.perf.power import InstancePower, WattTerms
from planner.simulator.books import Meter, window
from tests.planner.served import run
from tests.planner.toy import flat_terms, random_trace, toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.models import load_model
from workloads.traces import Trace

IDLE_W, ABOVE_W = 400.0, 1000.0


@dataclass(frozen=True)
class Flat:
    """GPUs that draw the same in every step."""

    idle_w: float = IDLE_W
    limit_w: float = IDLE_W + ABOVE_W
    standby_w: float = IDLE_W
    wall_ratio: float = 1.0

    def terms(self, batches: int) -> WattTerms:
        """The same, as numbers."""
        return flat_terms(ABOVE_W, [ABOVE_W] * (batches + 1))

    def decode_w(self, _batch: int, _mean_context_tokens: float) -> float:
        """While every stage decodes."""
        return IDLE_W + ABOVE_W

    def prefill_w(self, _prompts: list[tuple[int, int]], _batch: int = 0, _context_tokens: int = 0) -> float:
        """While every stage computes prompts."""
        return IDLE_W + ABOVE_W


def metered(trace: Trace, count: int, *, hop_s: float = 1e-3) -> Meter:
    """One replica in stages serves a trace to its end."""
    stages = Stages(count=count, hop_latency_s=hop_s)
    body = replace(toy_physics(), power=Flat())
    if count > 1:
        body = replace(body, stages=stages, step=TraversalTime(toy_profile(), stages))
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    whole = replace(measured, start_s=0.0, end_s=500.0)
    pools = toy_pools("colocated", prefills=1, decodes=0, physics=body, chunk_tokens=None)
    (meters,) = run(pools, toy_policy("colocated"), trace, whole, cutoff_s=1e5).meters.values()
    return meters[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(0.5, 80.0), count=st.integers(1, 5))
def test_joules_of_the_stages_add_up(seed: int, rate: float, count: int) -> None:
    """Above idle, a replica spends the watts of all its stages for as long as one works: bubbles cost nothing."""
    meter = metered(random_trace(seed, 40, rate), count)
    assert sum(meter.above_j) == pytest.approx(ABOVE_W * meter.busy_s, rel=1e-9)
    assert meter.prefill_j + meter.decode_j == pytest.approx(sum(meter.above_j), rel=1e-9)
    assert max(meter.above_j) <= ABOVE_W * (1 + 1e-9)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_lone_request_keeps_one_stage_at_a_time_at_work(count: int) -> None:
    """A request alone spends the same joules in any number of stages, at the watts of one of them."""
    meter = metered(toy_trace([1.0], [4000], [200]), count, hop_s=0.0)
    alone = metered(toy_trace([1.0], [4000], [200]), 1)
    assert sum(meter.above_j) == pytest.approx(sum(alone.above_j) / count, rel=1e-9)
    assert max(meter.above_j) == pytest.approx(ABOVE_W / count, rel=1e-9)


def replica(pp: int, *, streams: bool = False, clock_mhz: int | None = None) -> InstancePhysics:
    """Llama-3.1-8B in stages of one L40S each, whose watts do not depend on the weights it holds."""
    catalog, model = load_catalog(), load_model("llama-3.1-8b")
    machine = next(m for m in catalog.machines.values() if m.gpu.name == "h100-sxm")
    machine = replace(machine, gpu=catalog.gpus["l40s"], gpus=8)
    found = load_profiles(None, model="llama-3.1-8b", gpu="l40s")
    profile = next(p for p in found if (p.tp, p.dtype, p.kv_dtype) == (1, "bf16", "bf16"))
    return instance_physics(
        model,
        machine,
        Layout(tp=1, pp=pp),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048, block_tokens=16),
        limits=GpuLimits(clock_mhz=clock_mhz),
        streaming=Streaming() if streams else None,
    )


@pytest.mark.parametrize("clock_mhz", [None, 1500])
@pytest.mark.parametrize("pp", [2, 4])
def test_a_batch_costs_the_same_joules_in_any_number_of_stages(pp: int, clock_mhz: int | None) -> None:
    """Its work is the same, and a GPU works as hard on a part of the layers for a part of the time."""
    whole, parts = replica(1, clock_mhz=clock_mhz), replica(pp, clock_mhz=clock_mhz)
    for batch in (1, 16, 64):
        for tokens in (0, 1000):
            spent = []
            for body in (whole, parts):
                prompts, n = [(tokens, 0)] if tokens else [], batch
                watts = body.power.prefill_w(prompts, n, 500 * n) if tokens else body.power.decode_w(n, 500)
                seconds = body.step.prefill_s(prompts, n, 500 * n) if tokens else body.step.decode_s(n, 500)
                seconds -= body.step.way_s(tokens + n)
                spent.append((watts - body.power.idle_w) * seconds / body.stages.count)
            assert spent[1] == pytest.approx(spent[0], rel=1e-6)


@pytest.mark.parametrize("pp", [2, 4])
def test_the_floor_of_a_pipeline_is_a_request_in_every_stage(pp: int) -> None:
    """A few requests keep all stages at work; a full pipeline draws floor and work, all stages together."""
    body, prompts = replica(pp), np.array([1000, 2000])
    prefill_w, decode_w, floor_w = decoding_w(body, prompts, 32, 500.0, mixed=True)
    assert floor_w == pytest.approx(body.power.decode_w(1, 500.0) - body.power.idle_w)
    assert floor_w + decode_w == pytest.approx(body.power.decode_w(32, 500.0) - body.power.idle_w)
    assert prefill_w > 0


def test_stages_that_share_a_step_wait_where_the_batch_is_smaller_than_they_are_many() -> None:
    """One token in four stages draws a quarter of what four do, and a fuller batch no less than a smaller one."""
    power = replica(4, streams=True).power
    assert isinstance(power, InstancePower)
    above = [power.decode_w(n, 500) - power.idle_w for n in (1, 2, 4, 8, 64)]
    assert above[0] == pytest.approx(above[2] / 4)
    assert above == sorted(above)
