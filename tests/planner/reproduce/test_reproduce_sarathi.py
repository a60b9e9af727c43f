"""Rules of SARATHI's reproduction: its profiles, closed batches in stages, and the claims."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw_catalog.profile_files import load_profiles, write_profiles
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind
from planner.cli import build
from planner.perf.instance import InstancePhysics
from planner.perf.pipeline import Stages, TraversalTime
from planner.reproduce import sarathi_claims as paper
from planner.reproduce import sarathi_figures as figures
from planner.reproduce.at_once import NEVER_S, Batching, physics_of, served
from planner.reproduce.claims import ClaimVerdict
from planner.reproduce.gpt3_pipeline import LONGEST_TOKENS, PD_RATIO, REQUESTS, SHORTEST_TOKENS, requests
from planner.resolve.case import open_case
from planner.scenario import Scenario
from tests.architecture.sources import ROOT
from tests.planner.closed_forms import pipelined_s

BODY = physics_of(figures.llama_13b(), "a6000-1x")
STEP = BODY.step
some_requests = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 60)), min_size=1, max_size=40)


def staged(pp: int) -> InstancePhysics:
    """LLaMA-13B in stages that take no time to reach."""
    stages = Stages(count=pp)
    return replace(BODY, stages=stages, step=TraversalTime(figures.llama_13b(), stages)) if pp > 1 else BODY


@settings(max_examples=40)
@given(some=some_requests, stages=st.integers(1, 8), how=st.sampled_from(Batching))
def test_every_request_ends_once(some: list[tuple[int, int]], stages: int, how: Batching) -> None:
    """Each request of a closed batch ends, with idle time that is never negative, and never when there is one stage."""
    found = served(staged(stages), some, how, slots=4, tile_tokens=256)
    assert len(found.bubble_s) == len(some)
    assert found.end_s < NEVER_S
    assert found.bubble_s.min() >= 0
    assert stages > 1 or found.bubble_s.max() == 0
    assert found.bubble_s.max() <= stages * found.end_s


@settings(max_examples=40)
@given(some=some_requests, how=st.sampled_from([Batching.SARATHI, Batching.WHOLE]))
def test_one_slot_runs_one_request_after_the_other(some: list[tuple[int, int]], how: Batching) -> None:
    """With one slot and one stage the time is the sum of every prompt's chunks and every decode step alone."""
    total = 0.0
    for prompt, output in some:
        size = 256 if how is Batching.SARATHI else prompt
        total += sum(STEP.prefill_s([(min(size, prompt - past), past)]) for past in range(0, prompt, size))
        total += sum(STEP.decode_s(1, prompt + 1 + k) for k in range(output - 1))
    assert served(BODY, some, how, slots=1, tile_tokens=256).end_s == pytest.approx(total, rel=1e-9)


@settings(max_examples=40)
@given(n=st.integers(1, 60), stages=st.integers(1, 8), prompt=st.integers(1, 4000))
def test_equal_prompts_fill_a_pipeline(n: int, stages: int, prompt: int) -> None:
    """Equal prompts without decodes follow each other through the stages as the closed form says, without a bubble."""
    found = served(staged(stages), [(prompt, 1)] * n, Batching.WHOLE, slots=4)
    assert found.end_s == pytest.approx(pipelined_s([STEP.prefill_s([(prompt, 0)])] * n, stages))


def test_whole_prompts_leave_bubbles_that_chunks_do_not() -> None:
    """In a pipeline, iterations of one size leave less idle time than iterations with and without whole prompts."""
    some = [(1000 + 370 * i % 1500, 80 + 53 * i % 97) for i in range(800)]
    whole, chunked = (
        served(staged(4), some, how, slots=16, tile_tokens=256) for how in (Batching.WHOLE, Batching.SARATHI)
    )
    assert np.mean(whole.bubble_s) > 2 * np.mean(chunked.bubble_s)


def test_prompts_alone_are_batch_after_batch() -> None:
    """Of equal requests the policy that never mixes phases prefills a batch, decodes it to its end, then the next."""
    batch_s = STEP.prefill_s([(1000, 0)] * 6) + sum(STEP.decode_s(6, 1001 + k) for k in range(19))
    early_s = STEP.prefill_s([(1000, 0)]) + STEP.prefill_s([(1000, 0)] * 5) - STEP.prefill_s([(1000, 0)] * 6)
    for batches in (1, 2, 5):
        ours = served(BODY, [(1000, 20)] * 6 * batches, Batching.APART, slots=6).end_s
        assert ours == pytest.approx(batches * batch_s + early_s)  # the first of all begins before the others are there


def test_a_chunk_leaves_room_for_a_full_batch() -> None:
    """A chunk has C - (B - 1) tokens, as published: a prompt of one token more takes a step more."""
    fits, more = (served(BODY, [(n, 1)], Batching.SARATHI, slots=10, tile_tokens=256).end_s for n in (247, 248))
    assert fits == pytest.approx(STEP.prefill_s([(247, 0)]))
    assert more == pytest.approx(STEP.prefill_s([(247, 0)]) + STEP.prefill_s([(1, 247)]))


def test_figures_are_inputs_and_come_out_again() -> None:
    """The profile of LLaMA-13B gives Table 2 and the printed tile step; others say they are carried over."""
    assert STEP.prefill_s([(1024, 0)]) == pytest.approx(0.2348)
    assert STEP.prefill_s([(1021, 0)], 3, 3 * 1024) == pytest.approx(0.2384, rel=0.02)
    assert STEP.decode_s(4, 1024) == pytest.approx(0.04996)
    assert STEP.prefill_s([(257, 0)]) / STEP.prefill_s([(256, 0)]) > 1.3
    assert figures.llama_13b().provenance.kind is Kind.MEASURED
    for carried in (figures.llama_33b(), figures.gpt_3()):
        assert carried.provenance.kind is Kind.TRANSFERRED
        assert carried.prefill_extrapolated.all()
        assert carried.decode_extrapolated.all()
        assert carried.measured_frac == 0


def test_only_the_table_is_called_measured() -> None:
    """Of LLaMA-13B's attention, a prompt of 1,024 tokens and contexts up to 1,024 are measured, the rest flagged."""
    profile = figures.llama_13b()
    measured = np.argwhere(~profile.prefill_extrapolated)
    assert [(profile.new_tokens[i], profile.past_tokens[j]) for i, j in measured] == [(1024, 0)]
    assert STEP.max_context_tokens == 1024


@given(length=st.integers(100, 4096), ratio=st.floats(1, 300))
def test_a_sequence_is_split_whole(length: int, ratio: float) -> None:
    """Prompt and output of a sequence add up to it, and the output is at least one token."""
    prompt, output = paper.split(length, ratio)
    assert prompt + output == length
    assert output >= 1


def test_the_workload_of_the_pipeline_is_the_published_one() -> None:
    """10,000 requests of 1K to 4K tokens, ten prompt tokens for one of output, short ones the more frequent."""
    drawn = np.array(requests())
    lengths = drawn.sum(axis=1)
    assert len(drawn) == REQUESTS
    assert lengths.min() >= SHORTEST_TOKENS
    assert lengths.max() <= LONGEST_TOKENS
    assert drawn[:, 0].sum() / drawn[:, 1].sum() == pytest.approx(PD_RATIO, rel=0.01)
    assert np.median(lengths) < (SHORTEST_TOKENS + LONGEST_TOKENS) / 2


def test_the_headline_comes_out_of_the_drawn_figures() -> None:
    """With Fig. 7 as drawn, LLaMA-13B gains 1.33 times within 4 %; with Table 2's prefill it does not, and says so."""
    found = {}
    for linear_ms in (240.0, 224.8):
        small, _ = paper.models(linear_ms)
        found[linear_ms] = next(iter(paper.table_4(small, "r")))
    assert found[240.0].verdict is ClaimVerdict.REPRODUCED
    assert found[224.8].verdict is ClaimVerdict.DIFFERS
    assert found[224.8].paper == found[240.0].paper == 1.33


@pytest.mark.slow
def test_the_command_prints_every_claim() -> None:
    """``reproduce sarathi --json`` gives the rows of every reproduction, in three readings, each with a source."""
    done = CliRunner().invoke(build(), ["reproduce", "sarathi", "--json"])
    rows = json.loads(done.stdout)["claims"]
    assert done.exit_code == 0
    assert {row["reading"] for row in rows} == {"as-printed", "as-drawn", "current"}
    assert all(row["source"] for row in rows)
    gains = [r for r in rows if r["reading"] == "as-drawn" and r["name"].endswith("throughput gain")]
    assert len(gains) == 6
    assert {r["name"] for r in gains if r["verdict"] != "reproduced"} == {
        "LLaMA-33B on A100, 1K, batch 10, P:D 28: throughput gain"
    }


@pytest.mark.parametrize("made", [figures.llama_13b(), figures.llama_33b(), figures.gpt_3()], ids=lambda p: p.model)
def test_the_catalog_holds_what_the_figures_say(made: KernelProfile) -> None:
    """The set ``sarathi-2023`` of the catalog is made of the figures, to the rounding of a file, flags and all."""
    path = ROOT / "hw_catalog" / "data" / "profiles" / made.profile_set / made.gpu / f"{made.model}.json"
    if os.environ.get("REFRESH_GOLDEN"):
        write_profiles(path, [made])
    (kept,) = load_profiles(None, model=made.model, gpu=made.gpu, profile_set=made.profile_set)
    for name in ("linear_prefill_s", "linear_decode_s", "prefill_attention_s", "decode_attention_s"):
        assert np.allclose(getattr(kept, name), getattr(made, name), rtol=1e-3), name
    assert kept.mixed_s == pytest.approx(made.mixed_s, rel=1e-3)
    for name in ("tokens", "batch", "new_tokens", "past_tokens", "prefill_extrapolated", "decode_extrapolated"):
        assert np.array_equal(getattr(kept, name), getattr(made, name)), name
    assert kept.provenance == made.provenance
    assert (kept.tp, kept.dtype, kept.kv_dtype) == (made.tp, made.dtype, made.kv_dtype)


def test_a_scenario_may_use_the_figures() -> None:
    """LLaMA-33B on A100s is planned from SARATHI's figures, and the plan says that they are transferred."""
    changes = (
        "model.name=llama-33b", "model.dtype=fp16", "model.kv_dtype=fp16", "model.profile_set=sarathi-2023",
        "catalog.machines=[dgx-a100]", "catalog.tp=[1]", "workload.trace=null", "workload.rate_req_per_s=1",
        "workload.lengths={prompt: {median_tokens: 900, p95_tokens: 900}, output: {median_tokens: 40, p95_tokens: 40}}",
        "slo={ttft_p90_s: 5.0}", "slo_by_class={}",
    )  # fmt: skip
    case = open_case(Scenario.load(ROOT / "planner" / "examples" / "sarathi-conv.yaml", changes), "sarathi")
    assert case.options
    assert {p.provenance.kind for p in case.profiles.values()} == {Kind.TRANSFERRED}
