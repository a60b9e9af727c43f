"""Watts, clocks and caps: laws of the physics, on real profiles."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.gpus import Gpu
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.clock import at_cap, at_clock
from planner.perf.layout import Layout
from planner.perf.power import InstancePower, curve_of
from planner.perf.step_time import StepTime
from workloads.models import ModelSpec, load_model

GPUS = ("a100-sxm", "h100-sxm", "h200-sxm", "b200-sxm", "gb200", "l40s")
TP = 4
LAYOUT = Layout(tp=TP)


@cache
def subject(gpu: str) -> tuple[Gpu, ModelSpec, KernelProfile]:
    """A GPU, and Llama-3.1-8B on four of them."""
    found = load_profiles(None, model="llama-3.1-8b", gpu=gpu)
    profile = next(p for p in found if (p.tp, p.dtype, p.kv_dtype) == (TP, "bf16", "bf16"))
    return load_catalog().gpus[gpu], load_model("llama-3.1-8b"), profile


def locked(gpu: str, ratio: float) -> tuple[StepTime, InstancePower]:
    """Step times and watts at a share of the clock range."""
    which, model, profile = subject(gpu)
    mhz = ratio * which.clock_max_mhz
    step = StepTime(at_clock(profile, which, model, LAYOUT, mhz))
    return step, InstancePower(model, which, LAYOUT, StepTime(profile), clock_mhz=mhz)


def capped(gpu: str, cap_w: float) -> tuple[StepTime, InstancePower]:
    """Step times and watts under a power limit."""
    which, model, profile = subject(gpu)
    step = StepTime(at_cap(profile, which, model, LAYOUT, cap_w))
    return step, InstancePower(model, which, LAYOUT, StepTime(profile), cap_w=cap_w)


gpus = st.sampled_from(GPUS)
ratios = st.floats(0.3, 1.0)
batches = st.integers(1, 256)
prompts = st.integers(16, 8192)


@settings(max_examples=60, deadline=None)
@given(gpus, ratios, ratios, batches, prompts)
def test_watts_never_fall_when_the_clock_rises(gpu: str, one: float, other: float, batch: int, prompt: int) -> None:
    """At fixed work, a higher clock never draws less and never takes longer."""
    (slow, cool), (fast, warm) = locked(gpu, min(one, other)), locked(gpu, max(one, other))
    assert cool.decode_w(batch, 1000) <= warm.decode_w(batch, 1000) * (1 + 1e-12)
    assert cool.prefill_w([(prompt, 0)]) <= warm.prefill_w([(prompt, 0)]) * (1 + 1e-12)
    assert fast.decode_s(batch, 1000) <= slow.decode_s(batch, 1000) * (1 + 1e-12)
    assert fast.prefill_s([(prompt, 0)]) <= slow.prefill_s([(prompt, 0)]) * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(gpus, st.floats(0.35, 1.0), st.floats(0.35, 1.0), batches, prompts)
def test_removing_a_cap_never_slows(gpu: str, one: float, other: float, batch: int, prompt: int) -> None:
    """A higher power limit, or none, never makes a step longer; watts stay within each limit."""
    tdp_w = subject(gpu)[0].tdp_w
    (low, cool), (high, _) = capped(gpu, min(one, other) * tdp_w), capped(gpu, max(one, other) * tdp_w)
    free = StepTime(subject(gpu)[2])
    for slower, faster in ((low, high), (high, free)):
        assert faster.decode_s(batch, 1000) <= slower.decode_s(batch, 1000) * (1 + 1e-9)
        assert faster.prefill_s([(prompt, 0)], batch, 1000 * batch) <= slower.prefill_s(
            [(prompt, 0)], batch, 1000 * batch
        ) * (1 + 1e-9)
    assert cool.decode_w(batch, 1000) <= TP * min(one, other) * tdp_w * (1 + 1e-12)


@pytest.mark.parametrize("gpu", GPUS)
def test_energy_over_the_clock_has_its_minimum_inside(gpu: str) -> None:
    """Joules of a compute-bound prefill are least between the ends of the clock range, and rise to either side."""
    which = subject(gpu)[0]
    grid = np.linspace(0.2, 1.0, 33)
    joules = []
    for ratio in grid:
        step, power = locked(gpu, float(ratio))
        joules.append(step.prefill_s([(4096, 0)]) * power.prefill_w([(4096, 0)]))
    least = int(np.argmin(joules))
    assert 0 < least < len(grid) - 1
    assert all(a >= b for a, b in pairwise(joules[: least + 1]))
    # a step's operations have free clocks of their own, so that its joules may fall by a hair towards the highest
    assert all(a <= b * (1 + 5e-3) for a, b in pairwise(joules[least:]))
    knee = curve_of(which).knee_mhz / which.clock_max_mhz
    assert grid[least] >= 0.6 * knee


@pytest.mark.parametrize("gpu", GPUS)
def test_prefill_follows_the_clock_and_small_decodes_do_not(gpu: str) -> None:
    """Below the free clock a long prefill takes longer in proportion, a token alone hardly."""
    below = 0.4 if gpu in ("b200-sxm", "gb200") else 0.6
    full, _ = locked(gpu, below / 0.75)
    slow, _ = locked(gpu, below)
    assert slow.prefill_s([(8192, 0)]) / full.prefill_s([(8192, 0)]) == pytest.approx(4 / 3, rel=0.03)
    assert slow.decode_s(1, 1000) / full.decode_s(1, 1000) < 1.05
    assert slow.decode_s(256, 1000) / full.decode_s(256, 1000) > slow.decode_s(16, 1000) / full.decode_s(16, 1000)


@settings(max_examples=60, deadline=None)
@given(gpus, st.floats(0.3, 1.0), batches, prompts)
def test_a_lock_above_the_free_clock_costs_and_gains_nothing(gpu: str, ratio: float, batch: int, prompt: int) -> None:
    """Where a lock saves no watts it takes no time, and where it takes no time it saves none."""
    (_, free), (_, held) = locked(gpu, 1.0), locked(gpu, ratio)
    full, slow = locked(gpu, 1.0)[0], locked(gpu, ratio)[0]
    for cooler, warmer, slower, faster in (
        (held.decode_w(batch, 1000), free.decode_w(batch, 1000), slow.decode_s(batch, 1), full.decode_s(batch, 1)),
        (held.prefill_w([(prompt, 0)]), free.prefill_w([(prompt, 0)]), slow.prefill_s([(prompt, 0)]),
         full.prefill_s([(prompt, 0)])),
    ):  # fmt: skip
        if slower == pytest.approx(faster, rel=1e-12):
            assert cooler == pytest.approx(warmer, rel=1e-2)


@pytest.mark.parametrize(("gpu", "mhz"), [("h200-sxm", 1830), ("b200-sxm", 1590)])
def test_boards_run_below_their_highest_clock_by_themselves(gpu: str, mhz: int) -> None:
    """A lock at the clock that a loaded board has anyway changes neither its watts nor its time; one below does."""
    which = subject(gpu)[0]
    (full, free), (slow, held), (slower, less) = (
        locked(gpu, ratio) for ratio in (1.0, mhz / which.clock_max_mhz, 0.9 * mhz / which.clock_max_mhz)
    )
    prompt, batch = [(8192, 0)], 128
    assert slow.prefill_s(prompt) == pytest.approx(full.prefill_s(prompt), rel=5e-3)
    assert held.prefill_w(prompt) == pytest.approx(free.prefill_w(prompt), rel=1e-9)
    assert held.prefill_w(prompt, batch, 1000 * batch) == free.prefill_w(prompt, batch, 1000 * batch)
    if gpu == "h200-sxm":
        assert slower.prefill_s(prompt) > full.prefill_s(prompt)
        assert less.prefill_w(prompt) < free.prefill_w(prompt)


@pytest.mark.parametrize("gpu", GPUS)
def test_a_lock_above_what_a_cap_permits_changes_nothing(gpu: str) -> None:
    """Under a cap the slower of the two limits counts, operation by operation."""
    which, model, profile = subject(gpu)
    cap_w = 0.6 * which.tdp_w
    alone = StepTime(at_cap(profile, which, model, LAYOUT, cap_w))
    both = StepTime(at_cap(profile, which, model, LAYOUT, cap_w, 0.97 * which.clock_max_mhz))
    assert both.prefill_s([(8192, 0)]) == pytest.approx(alone.prefill_s([(8192, 0)]), rel=1e-3)


@pytest.mark.parametrize("gpu", GPUS)
def test_the_highest_clock_and_the_boards_own_limit_change_nothing(gpu: str) -> None:
    """A lock at the highest clock, or a cap at the rating, leaves the profile as it was measured."""
    which, model, profile = subject(gpu)
    assert at_clock(profile, which, model, LAYOUT, which.clock_max_mhz) is profile
    assert at_cap(profile, which, model, LAYOUT, which.tdp_w) is profile


@pytest.mark.parametrize("gpu", GPUS)
def test_a_cap_binds_from_the_operating_point(gpu: str) -> None:
    """A cap between a small decode's watts and a prefill's leaves the one alone and slows the other."""
    which, model, profile = subject(gpu)
    power = InstancePower(model, which, LAYOUT, StepTime(profile))
    small, large = power.decode_w(1, 500) / TP, power.prefill_w([(8192, 0)]) / TP
    step, _ = capped(gpu, (small + large) / 2)
    free = StepTime(profile)
    assert step.decode_s(1, 500) == pytest.approx(free.decode_s(1, 500), rel=1e-3)
    assert step.prefill_s([(8192, 0)]) > 1.02 * free.prefill_s([(8192, 0)])


@settings(max_examples=30, deadline=None)
@given(gpus, batches)
def test_watts_lie_between_idle_and_rating(gpu: str, batch: int) -> None:
    """Whatever the step, an instance draws at least its idle power and at most its boards' rating."""
    which = subject(gpu)[0]
    _, power = locked(gpu, 1.0)
    for watts in (power.decode_w(batch, 2000), power.prefill_w([(64, 0)], batch, 2000 * batch)):
        assert power.idle_w < watts <= TP * which.tdp_w
