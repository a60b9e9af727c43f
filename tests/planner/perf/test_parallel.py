"""Rules of pipeline stages, KV groups, adaptive chunks, slack and floors."""

from inspect import getfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.layout import Layout
from planner.perf.parallel import (
    adaptive_chunk_tokens,
    kv_groups,
    longest_share_tokens,
    merge_s,
    prefill_flops,
    relative_slack_frac,
    token_floor_s,
)  # fmt: skip
from planner.perf.step_time import StepTime
from tests.architecture.sources import ROOT
from tests.planner.closed_forms import chunk_times_s, hop_s, pipelined_s
from workloads.models import load_model

times = st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=30)
stages = st.integers(1, 16)
PHYSICS = ("parallel", "pipeline", "stream")
LLAMA = load_model("llama-3.1-8b")
STEPS = {
    p.tp: StepTime(p)
    for p in load_profiles(None, model="llama-3.1-8b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    if p.dtype == "bf16"
}


def stage_by_stage_s(chunk_s: list[float], p: int, hop: float) -> float:
    """The same pipeline, one chunk in one stage at a time."""
    free_s = [0.0] * p
    for whole_s in chunk_s:
        at_s = 0.0
        for stage in range(p):
            at_s = max(at_s, free_s[stage]) + whole_s / p
            free_s[stage] = at_s
            at_s += hop
    return free_s[-1]


@given(chunk_s=times, p=stages, hop=st.floats(0, 0.1))
def test_the_closed_form_is_the_pipeline(chunk_s: list[float], p: int, hop: float) -> None:
    """The time in closed form is what moving every chunk through every stage gives, whatever their order."""
    assert pipelined_s(chunk_s, p, hop) == pytest.approx(stage_by_stage_s(chunk_s, p, hop), rel=1e-9)


@given(chunk_s=times, p=stages)
def test_stages_help_between_nothing_and_p_times(chunk_s: list[float], p: int) -> None:
    """One stage takes the sum; p stages take at least a p-th of it, and one more never slows it."""
    alone = pipelined_s(chunk_s, 1)
    assert alone == pytest.approx(sum(chunk_s))
    assert alone / p <= pipelined_s(chunk_s, p) * (1 + 1e-12)
    assert pipelined_s(chunk_s, p + 1) <= pipelined_s(chunk_s, p) * (1 + 1e-12)


@given(n=st.integers(1, 200), p=stages, t=st.floats(1e-3, 1.0))
def test_equal_chunks_speed_up_by_fill_and_drain(n: int, p: int, t: float) -> None:
    """N equal chunks in p stages are p·N/(N + p - 1) times as fast as in one; a single chunk gains nothing."""
    ratio = pipelined_s([t] * n, 1) / pipelined_s([t] * n, p)
    assert ratio == pytest.approx(p * n / (n + p - 1))


@given(context=st.integers(0, 10**8), limit=st.integers(1, 10**7), kvp=st.integers(1, 16), more=st.integers(0, 10**7))
def test_groups_join_as_the_context_grows(context: int, limit: int, kvp: int, more: int) -> None:
    """There is always a group, never more than the layout has, and a longer context never needs fewer."""
    groups = kv_groups(context, limit, kvp)
    assert 1 <= groups <= kvp
    assert groups <= kv_groups(context + more, limit, kvp)
    assert groups == kvp or groups * limit >= context


@given(context=st.integers(0, 10**8), limit=st.integers(1, 10**7), kvp=st.integers(1, 16), more=st.integers(0, 10**7))
def test_the_longest_share_is_between_all_and_even(context: int, limit: int, kvp: int, more: int) -> None:
    """A group never holds more than the whole context nor less than an even share, and all groups hold it together."""
    share = longest_share_tokens(context, limit, kvp)
    assert context <= share * kvp
    assert share <= context
    assert share <= longest_share_tokens(context + more, limit, kvp)
    assert share * kv_groups(context, limit, kvp) >= context
    assert longest_share_tokens(context, 1, kvp) == -(-context // kvp)


def test_a_merge_costs_more_with_more_groups() -> None:
    """Merging is free for one group; further groups and requests add bytes."""
    link = {"latency_s": 1e-5, "bandwidth_bytes_per_s": 4e11}
    costs = [merge_s(LLAMA, groups, 1, **link) for groups in (1, 2, 4, 8)]
    assert costs[0] == 0
    assert costs == sorted(costs)
    assert merge_s(LLAMA, 2, 64, **link) > costs[1]
    assert hop_s(LLAMA, 2048, **link) > hop_s(LLAMA, 1, **link) > 1e-5


steps = st.lists(st.floats(1e-3, 1.0), min_size=33, max_size=33).map(sorted)


@given(table=steps, target=st.floats(1e-3, 1.0), looser=st.floats(0, 1.0), decodes=st.integers(0, 127))
def test_the_chunk_moves_with_the_target(table: list[float], target: float, looser: float, decodes: int) -> None:
    """A chunk meets the target, fills whole tiles with its decodes, and never shrinks as the target loosens."""

    def step_s(chunk: int) -> float:
        return table[(chunk + decodes) // 128]

    chunk = adaptive_chunk_tokens(step_s, target_s=target, decodes=decodes, most_tokens=4096)
    assert chunk == 0 or (step_s(chunk) <= target and (chunk + decodes) % 128 == 0)
    assert chunk <= adaptive_chunk_tokens(step_s, target_s=target + looser, decodes=decodes, most_tokens=4096)


@settings(deadline=None, max_examples=30)
@given(target=st.floats(0.02, 0.4), past=st.integers(0, 4_000_000))
def test_long_pasts_get_small_chunks(target: float, past: int) -> None:
    """On measured surfaces, a chunk on a longer past is never the larger one."""
    step = STEPS[8]

    def chunk(at: int) -> int:
        return adaptive_chunk_tokens(
            lambda c: step.prefill_s([(c, at)]), target_s=target, decodes=0, most_tokens=4096, tile_tokens=256
        )

    assert chunk(past + 200_000) <= chunk(past)


@given(
    deadline=st.floats(0, 100), now=st.floats(0, 100), remaining=st.floats(0, 50), total=st.floats(1, 50),
    scale=st.floats(0.1, 100),
)  # fmt: skip
def test_slack_is_relative(deadline: float, now: float, remaining: float, total: float, scale: float) -> None:
    """Slack does not depend on the unit of time, falls as time passes, and is a smaller share of a larger work."""
    slack = relative_slack_frac(deadline, now, remaining, total)
    scaled = relative_slack_frac(deadline * scale, now * scale, remaining * scale, total * scale)
    assert scaled == pytest.approx(slack, abs=1e-6)
    assert relative_slack_frac(deadline, now + 1, remaining, total) < slack
    assert abs(relative_slack_frac(deadline, now, remaining, total * 2)) <= abs(slack)


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
@pytest.mark.parametrize("context", [1024, 131072, 1_000_000, 10_000_000])
def test_no_step_beats_its_floor(tp: int, context: int) -> None:
    """A decode step on H100 takes no less than reading weights and KV at full bandwidth."""
    bandwidth = load_catalog().gpus["h100-sxm"].hbm_bytes_per_s
    floor = token_floor_s(LLAMA, Layout(tp=tp), context, dtype="bf16", kv_dtype="bf16", hbm_bytes_per_s=bandwidth)
    assert STEPS[tp].decode_s(1, context) > floor


def test_groups_lower_the_floor_and_stages_do_not() -> None:
    """KV groups divide the cache that a token waits for; pipeline stages are passed one after the other."""

    def floor(layout: Layout) -> float:
        return token_floor_s(LLAMA, layout, 10**7, dtype="bf16", kv_dtype="bf16", hbm_bytes_per_s=0.9 * 3.35e12)

    assert [round(floor(Layout(tp=8, kvp=g)) * 1e3) for g in (1, 2, 4)] == [55, 28, 14]
    assert floor(Layout(tp=8, pp=4)) == floor(Layout(tp=8))


def test_a_million_tokens_are_3_exaflops() -> None:
    """Llama-3-70B at 1M tokens: 2.8e18 operations as published, which counts the masked half of attention too."""
    model = load_model("llama-3.1-70b")
    assert prefill_flops(model, 10**6, causal=False) == pytest.approx(2.8e18, rel=0.02)
    assert prefill_flops(model, 10**6, causal=True) == pytest.approx(1.45e18, rel=0.02)


def test_chunks_add_up_to_the_prompt() -> None:
    """Chunks of a prompt cover it: one chunk is the whole prefill, and the last may be short."""
    step = STEPS[8]
    assert chunk_times_s(step, 1000, 4096) == [step.prefill_s([(1000, 0)])]
    assert chunk_times_s(step, 1000, 512) == [step.prefill_s([(512, 0)]), step.prefill_s([(488, 512)])]


def test_the_manual_has_the_formulas_of_the_code() -> None:
    """Every indented formula under "Steps over many GPUs" in docs/maths.md stands in a docstring of the physics."""
    manual = (ROOT / "docs" / "maths.md").read_text(encoding="utf-8")
    section = manual.split("## Steps over many GPUs")[1].split("\n## ")[0]
    formulas = [" ".join(line.split()) for line in section.splitlines() if line.startswith("    ")]
    code = [Path(getfile(StepTime)).with_name(f"{name}.py").read_text(encoding="utf-8") for name in PHYSICS]
    words = " ".join(" ".join(code).split())
    assert len(formulas) >= 9
    assert [f for f in formulas if f not in words] == []
