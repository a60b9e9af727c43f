"""Attention ranks: batches, memory and drafting of an instance whose ranks step together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.engine_memory import engine_memory
from planner.perf.drafting import Drafting, drafting
from planner.perf.kv import EngineSettings, kv_tokens
from planner.perf.layout import Layout
from planner.perf.ranks import fullest, of_instance
from planner.perf.step_time import StepTime
from tests.planner.toy import toy_profile
from workloads.models import load_model

SETTINGS = EngineSettings(memory_frac=0.9, max_batch_tokens=2048)
FP8 = {"hbm_bytes": 198e9, "dtype": "fp8", "kv_dtype": "fp8"}


@given(batch=st.integers(1, 10_000), ranks=st.integers(1, 64), spread=st.floats(0, 3))
def test_the_fullest_rank_holds_its_share_or_more_and_never_more_than_all(
    batch: int, ranks: int, spread: float
) -> None:
    """The fullest rank holds an even share, rounded up, or more, and at most all; no more where the deal is even."""
    (found,) = fullest(np.array([float(batch)]), ranks, spread)
    assert -(-batch // ranks) <= found <= batch or found == batch
    assert fullest(np.array([float(batch)]), ranks)[0] == -(-batch // ranks)


@given(each=st.integers(1, 64), ranks=st.sampled_from((2, 4, 8, 32)), context=st.integers(1, 4000))
def test_a_step_of_ranks_takes_as_long_as_its_fullest(each: int, ranks: int, context: int) -> None:
    """With as many requests on every rank a step is that of a rank; with few, one more counts in full."""
    rank = StepTime(toy_profile())
    instance = StepTime(of_instance(replace(toy_profile(), dp=ranks)))
    assert instance.decode_s(each * ranks, context) == pytest.approx(rank.decode_s(each, context), rel=1e-9)
    if each <= 3:
        assert instance.decode_s(each * ranks + 1, context) == pytest.approx(rank.decode_s(each + 1, context), rel=1e-9)


def test_one_rank_is_left_as_it_is() -> None:
    """Without attention data parallelism nothing changes."""
    profile = toy_profile()
    assert of_instance(profile) is profile


def test_ranks_hold_latent_caches_of_their_own_and_share_experts_alone() -> None:
    """A latent cache is copied to every GPU of a tensor-parallel group; eight ranks hold more than seven times as much.

    Each rank has all weights but the experts, so its GPU has a little less room.
    """
    model, engine = load_model("deepseek-v3"), engine_memory("trtllm", "1.3.0")
    one, ranks = (
        kv_tokens(model, engine, SETTINGS, layout=layout, **FP8)  # type: ignore[arg-type]
        for layout in (Layout(tp=8, ep=8), Layout(tp=1, dp=8, ep=8))
    )
    assert 5 * one < ranks < 8 * one
    assert model.gpu_weight_bytes("fp8", 1, 1, 8) > model.gpu_weight_bytes("fp8", 8)
    dense = load_model("llama-3.1-70b")
    assert dense.gpu_weight_bytes("bf16", 2, 1, 4) == dense.gpu_weight_bytes("bf16", 2)


def test_a_layout_of_ranks_counts_and_names_its_gpus() -> None:
    """GPUs are those of all ranks; the name says how many ranks there are, and nothing where there is one."""
    assert Layout(tp=1, dp=32, ep=32).gpus == 32
    assert Layout(tp=2, dp=4, ep=8).name == "tp2dp4ep8"
    assert Layout(tp=8, ep=8).name == "tp8ep8"


@given(draft=st.integers(1, 3), batch=st.integers(1, 64), context=st.integers(1, 3000))
def test_drafting_costs_more_a_step_and_more_for_every_token(draft: int, batch: int, context: int) -> None:
    """A step that verifies drafts takes longer than one that does not, the longer the more it verifies."""
    plain = toy_profile(bend=False)
    times = [StepTime(plain).decode_s(batch, context)] + [
        StepTime(drafting(plain, Drafting(draft_tokens=n, step_tokens=2.0), layers=61, ahead_tokens=0.0)).decode_s(
            batch, context
        )
        for n in range(1, draft + 1)
    ]
    assert times == sorted(times)
    assert times[0] < times[-1]
