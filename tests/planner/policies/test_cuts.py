"""Rules of cuts: runs of chunks say what every chunk by itself says."""

from dataclasses import replace
from functools import cache
from time import process_time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout
from planner.perf.step_time import StepTime
from planner.policies.base import Batching, Occupancy
from planner.policies.batching import ChunkForm
from planner.policies.cuts import Prompt, cut
from tests.planner.toy import toy_policy, toy_profile
from workloads.models import load_model

LLAMA = load_model("llama-3.1-8b")
MACHINE = load_catalog().machines["dgx-h100"]
BODIES = [(1, 1, 1), (8, 1, 1), (2, 4, 1), (8, 1, 8), (4, 1, 2), (2, 2, 4)]


@cache
def body(tp: int, pp: int, kvp: int, group: int) -> InstancePhysics:
    """Llama-3.1-8B in stages and groups."""
    found = load_profiles(None, model=LLAMA.name, gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    (profile,) = (p for p in found if p.tp == tp and p.dtype == "bf16")
    return instance_physics(
        LLAMA, MACHINE, Layout(tp=tp, pp=pp, kvp=kvp), profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=4096, block_tokens=16),
        streaming=Streaming(group_tokens=group),
    )  # fmt: skip


def batching_of(form: str, step: StepTime, size: int, target_s: float) -> Batching:
    """Prompts cut so at an instance."""
    if form == "adaptive":
        return toy_policy("mnemosyne", tbt_target_s=target_s).batching.at(size, step)
    return toy_policy("sarathi", chunk_form=form, max_batch_size=32).batching.at(size, step)


def one_by_one(
    physics: InstancePhysics, batching: Batching, prompt: int, longest: int, batch: int, context: float
) -> list[float]:
    """Seconds of every step of one prompt, cut as the longest is, with no short cut."""
    now, past, steps = Occupancy(batch, batch, int(batch * context), physics.kv_blocks), 0, []
    while past < prompt:
        new = batching.chunk(Prompt(longest, longest, past, past), now, ())
        parts = [(min(new, prompt - past), past)]
        steps.append(physics.step.prefill_s(parts, batch, batch * context))
        if past + new >= prompt:
            steps[-1] += physics.step.drain_s(parts, batch, batch * context)
        past += new
    return steps


@settings(deadline=None, max_examples=60)
@given(
    shape=st.sampled_from(BODIES),
    group=st.sampled_from([1, 20_000, 131_072]),
    form=st.sampled_from([form.value for form in ChunkForm]),
    prompts=st.lists(st.integers(1, 400_000), min_size=1, max_size=4),
    size=st.sampled_from([512, 1000, 4096]),
    batch=st.integers(0, 20),
    context=st.floats(1.0, 300_000.0),
    target_s=st.floats(0.002, 0.1),
    level_s=st.floats(0.002, 0.1),
)
def test_runs_of_chunks_say_what_every_chunk_says(
    shape: tuple[int, int, int], group: int, form: str, prompts: list[int], size: int, batch: int, context: float,
    target_s: float, level_s: float,
) -> None:  # fmt: skip
    """Seconds of prompts, what they add, how many steps are late and the longest step are those of a plain loop."""
    physics = body(*shape, group)
    batching = batching_of(form, physics.step, size, target_s)
    found = cut(physics, batching, np.array(prompts), batch, context)
    steps = [one_by_one(physics, batching, p, max(prompts), batch, context) for p in prompts]
    # A share of a KV cache is a whole number of tokens: a run reads it as a straight line, at most one token off.
    rel = 1e-9 if shape[2] == 1 else 1e-5
    assert [n + 1 for n in found.full_chunks] == [len(each) for each in steps]
    assert found.whole_s() == pytest.approx([sum(each) for each in steps], rel=rel)
    added = np.mean([sum(max(0.0, s - level_s) for s in each) for each in steps])
    assert found.added_s(level_s) == pytest.approx(added, rel=rel, abs=1e-9 if shape[2] == 1 else 1e-4)
    count = sum(map(len, steps))
    near = 0 if shape[2] == 1 else sum(abs(s / level_s - 1) < 1e-5 for each in steps for s in each)
    late = sum(s > level_s for each in steps for s in each)
    assert found.beyond_frac(level_s) * count == pytest.approx(late, abs=near + 1e-6)
    assert found.longest_s() == pytest.approx(max(map(max, steps)), rel=rel)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.sampled_from(BODIES), group=st.sampled_from([1, 20_000, 131_072]), size=st.sampled_from([512, 1000, 4096]),
    batch=st.integers(0, 200), context=st.floats(1.0, 30_000.0), target_s=st.floats(0.002, 0.1),
    pasts=st.lists(st.integers(0, 390_000), min_size=2, max_size=2),
)  # fmt: skip
@example(shape=(1, 1, 1), group=1, size=4096, batch=96, context=4000.0, target_s=0.002, pasts=[0, 390_000])
@example(shape=(1, 1, 1), group=1, size=4096, batch=40, context=4000.0, target_s=0.011, pasts=[0, 60_000])
def test_a_chunk_is_still_the_same_where_asking_says_so(
    shape: tuple[int, int, int], group: int, size: int, batch: int, context: float, target_s: float, pasts: list[int]
) -> None:  # fmt: skip
    """Be it in whole tiles, in parts of one or the least that there is: a longer past is asked of what fitted alone."""
    step = body(*shape, group).step
    batching, now = batching_of("adaptive", step, size, target_s), Occupancy(batch, batch, int(batch * context), 10**6)
    less, more = (Prompt(400_000, 400_000, past, past) for past in sorted(pasts))
    new = batching.chunk(less, now, ())
    assert step.slows_with_past
    assert batching.still(more, now, new) == (batching.chunk(more, now, ()) == new)


def dipping(heights_s: list[float]) -> StepTime:
    """Attention that rises and falls with the past, every 400 tokens."""
    pasts = 400 * np.arange(len(heights_s))
    table = np.array([np.zeros(len(pasts)), heights_s]) + 1e-6
    return StepTime(
        replace(
            toy_profile(),
            past_tokens=pasts,
            prefill_attention_s=table,
            prefill_extrapolated=np.zeros(table.shape, bool),
        )
    )


@settings(deadline=None, max_examples=60)
@given(
    prompt=st.integers(1, 6_000), batch=st.integers(1, 8), target_s=st.floats(0.02, 0.1),
    heights_s=st.lists(st.floats(0.0, 2.0), min_size=2, max_size=12),
)  # fmt: skip
@example(prompt=4_000, batch=4, target_s=0.06, heights_s=[0.0, 2.0] * 6)
def test_surfaces_that_dip_are_cut_chunk_by_chunk(
    prompt: int, batch: int, target_s: float, heights_s: list[float]
) -> None:
    """Where a longer past is measured to be faster, sizes may grow again, and they do so in the cut, too."""
    step = dipping(heights_s)
    physics = replace(body(1, 1, 1, 1), step=step)
    batching = batching_of("adaptive", step, 512, target_s)
    found = cut(physics, batching, np.array([prompt]), batch, 100.0)
    steps = one_by_one(physics, batching, prompt, prompt, batch, 100.0)
    assert found.full_chunks.tolist() == [len(steps) - 1]
    assert found.whole_s()[0] == pytest.approx(sum(steps), rel=1e-9)


def test_ten_million_tokens_are_cut_in_a_moment() -> None:
    """Chunks that adapt over ten million tokens take runs, not hundreds of thousands of predictions."""
    physics = body(8, 1, 8, 131_072)
    batching = batching_of("adaptive", physics.step, 4096, 0.03)
    began_s = process_time()
    found = cut(physics, batching, np.array([10_000_000]), 4, 5e6)
    assert process_time() - began_s < 5
    assert found.full_chunks[0] > 2_000
    assert len(found.full_s) < 500
