"""Rules of long prompts that stream through stages and groups, chunks that adapt, and layouts for long classes."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.cli import build
from planner.errors import BadInput
from planner.perf.instance import InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout, Role
from planner.perf.stream import way as way_of
from planner.perf.stretches import run_s
from planner.policies.base import Occupancy
from planner.policies.batching import LEAST_TOKENS, Adaptive, Chunked
from planner.policies.cuts import Prompt, cut
from planner.resolve import long_context as long
from planner.resolve.case import open_case
from planner.resolve.warnings import doubts
from planner.results.plan import CandidatePlan, Pool
from planner.scenario import Scenario
from planner.scenario.objectives import Headroom
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from tests.planner.closed_forms import chunk_times_s, pipelined_s
from tests.planner.served import run
from tests.planner.toy import toy_policy, toy_trace
from workloads.lengths import Fixed, Independent, TwoPopulations
from workloads.models import load_model

EXAMPLE = Path(__file__).parents[3] / "planner" / "examples" / "mnemosyne-long.yaml"
LLAMA = load_model("llama-3.1-8b")
MACHINE = load_catalog().machines["dgx-h100"]


@cache
def body(tp: int, pp: int = 1, kvp: int = 1, group: int = 1) -> InstancePhysics:
    found = load_profiles(None, model=LLAMA.name, gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    (profile,) = (p for p in found if p.tp == tp and p.dtype == "bf16")
    return instance_physics(
        LLAMA,
        MACHINE,
        Layout(tp=tp, pp=pp, kvp=kvp),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048 * pp, block_tokens=16),
        streaming=Streaming(group_tokens=group),
    )


def test_one_stage_and_one_group_are_the_plain_instance() -> None:
    """Without stages and groups nothing changes: same steps, nothing to drain."""
    step = body(2).step
    assert type(step).__name__ == "StepTime"
    assert step.drain_s([(512, 1000)]) == 0.0


def flow_shop_s(chunks: list[float], stages: int, hop_s: float) -> float:
    """When the last of these chunks leaves the last stage: each waits for the one before."""
    free_s = [0.0] * stages
    for chunk_s in chunks:
        at_s = free_s[0]
        for stage in range(stages):
            free_s[stage] = max(at_s, free_s[stage]) + chunk_s / stages
            at_s = free_s[stage] + hop_s
    return free_s[-1]


@given(
    stages=st.integers(1, 8), hop_s=st.floats(0.0, 0.01),
    chunks=st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30),
)  # fmt: skip
def test_the_closed_form_is_the_pipeline(stages: int, hop_s: float, chunks: list[float]) -> None:
    """Chunks sent through stages one after the other come out when the closed form says."""
    end_s = flow_shop_s(chunks, stages, hop_s)
    assert end_s == pytest.approx(pipelined_s(chunks, stages, hop_s), rel=1e-9)


@pytest.mark.parametrize(("tp", "pp", "prompt"), [(1, 2, 250_001), (2, 4, 300_000), (4, 2, 100_000)])
def test_a_stream_is_the_pipeline(tp: int, pp: int, prompt: int) -> None:
    """A prompt served by an instance of streams takes what its chunks take stage by stage, to 1 %."""
    physics, chunk = body(tp, pp), 2048
    pool = PoolModel(
        name="long", role=Role.MIXED, physics=physics, instances=1, speed=1.0, classes=frozenset({0}),
        chunk_tokens=chunk * pp,
    )  # fmt: skip
    trace = toy_trace([0.0], [prompt], [2])
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    done = run([pool], toy_policy("mnemosyne"), trace, measured, cutoff_s=1000.0)
    way = way_of(LLAMA, Layout(tp=tp, pp=pp), MACHINE, chunk)
    chunks = [body(tp).step.prefill_s([(min(chunk, prompt - past), past)]) for past in range(0, prompt, chunk)]
    end_s = flow_shop_s(chunks, pp, way.hops_s(chunk) / max(1, pp - 1))
    assert done.ledger.ttft_s[0] == pytest.approx(end_s, rel=0.01)


@pytest.mark.parametrize(("tp", "pp"), [(1, 2), (1, 4), (2, 2), (2, 4), (4, 2)])
@pytest.mark.parametrize("prompt", [200_000, 1_000_000])
def test_a_lone_prompt_takes_what_the_stages_take(tp: int, pp: int, prompt: int) -> None:
    """Steps and drain of an instance add up to its chunks moved stage by stage, to half a per cent."""
    size = 2048
    batching = Chunked(step=body(tp, pp).step, chunk_tokens=size * pp)
    whole = cut(body(tp, pp), batching, np.array([prompt]), 0, 0.0).whole_s()[0]
    stages = pipelined_s(chunk_times_s(body(tp).step, prompt, size), pp)
    assert whole == pytest.approx(stages, rel=0.005)


def test_the_simulator_serves_a_giant_in_that_time() -> None:
    """Simulated alone, a prompt of a million tokens has its first token when the closed form says."""
    physics, policy = body(2, 4), toy_policy("mnemosyne", tbt_target_s=0.05)
    pool = PoolModel(
        name="long", role=Role.MIXED, physics=physics, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=8192
    )
    trace = toy_trace([0.0], [1_000_000], [50])
    done = run([pool], policy, trace, window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1), cutoff_s=1000.0)
    stages = pipelined_s(chunk_times_s(body(2).step, 1_000_000, 2048), 4)
    assert done.ledger.ttft_s[0] == pytest.approx(stages, rel=0.005)


def test_a_step_with_decodes_keeps_the_target() -> None:
    """While others decode, no chunk makes a step longer than the target, as long as 32 tokens are no longer."""
    physics = body(2, 4)
    batching = toy_policy("mnemosyne", tbt_target_s=0.05).batching.at(8192, physics.step)
    now = Occupancy(2, 2, 2_000_000, physics.kv_blocks)
    for past in (0, 100_000, 500_000, 900_000):
        (new,) = batching.next_step([Prompt(1_000_000, 1_000_000, past, past)], now).chunk_tokens
        seconds = physics.step.prefill_s([(new, past)], 2, 2_000_000)
        assert seconds <= 0.05 or new <= LEAST_TOKENS


@settings(deadline=None, max_examples=60)
@given(target=st.floats(0.005, 0.3), looser=st.floats(0.0, 0.3), past=st.integers(0, 900_000), batch=st.integers(0, 8))
def test_the_chunk_follows_the_objective(target: float, looser: float, past: int, batch: int) -> None:
    """A looser target never gives a smaller chunk, and without decodes the chunk is the whole budget."""
    step = body(2, 4).step
    now = Occupancy(batch, batch, 1000 * batch, 10**6)
    view = Prompt(10**6, 10**6, past, past)
    tight, loose = (
        Adaptive(step=step, chunk_tokens=8192, target_s=limit).chunk(view, now, ())
        for limit in (target, target + looser)
    )
    assert LEAST_TOKENS - batch <= tight <= loose <= 8192
    assert batch or tight == loose == 8192


@given(
    kvp=st.sampled_from([1, 2, 4]), context=st.integers(1, 2_000_000), steps=st.integers(1, 300),
    group=st.sampled_from([1, 100, 400_000]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_runs_of_tokens_are_their_steps(kvp: int, context: int, steps: int, group: int) -> None:
    """The steps of a run are all there, and take the time of the steps one by one, also where a group joins."""
    step = body(1, 2, kvp, group).step
    segments = step.decode_segments(3, context, steps)
    assert sum(n for _, _, n in segments) == steps
    alone = sum(step.decode_s(3, context + j) for j in range(steps))
    assert run_s(segments) == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("context", [100_000, 1_000_000, 3_000_000])
def test_groups_shorten_tokens_and_stages_do_not(context: int) -> None:
    """At long contexts two groups decode faster than one, by less than twice; two stages are no faster than one."""
    one, two = body(2).step.decode_s(1, context), body(2, 1, 2).step.decode_s(1, context)
    assert one / 2 < two < one
    assert body(2, 2).step.decode_s(1, context) >= one


GROUP = 300_000


@pytest.mark.parametrize("context", [10_000, 299_000])
def test_a_context_that_fits_one_group_needs_no_other(context: int) -> None:
    """Until one group is full, chunks and tokens of a request take what they take without groups."""
    alone, grown = body(2).step, body(2, 1, 4, GROUP).step
    assert grown.decode_s(1, context) == alone.decode_s(1, context)
    assert grown.prefill_s([(2048, context - 2048)]) == alone.prefill_s([(2048, context - 2048)])


@settings(deadline=None, max_examples=60)
@given(context=st.integers(1, 3_000_000), kvp=st.sampled_from([2, 4]), more=st.integers(0, 100_000))
def test_groups_that_join_late_are_slower_than_groups_from_the_start(context: int, kvp: int, more: int) -> None:
    """A token of a growing context takes no less than with all groups, no more than with one, and never less later.

    Where every group is full, the two are the same.
    """
    one, late, early = body(2).step, body(2, 1, kvp, GROUP).step, body(2, 1, kvp).step
    merge_s = early.decode_s(1, kvp) - one.decode_s(1, 1)
    assert late.decode_s(1, context) <= one.decode_s(1, context) + merge_s + 1e-12
    assert late.decode_s(1, context) + merge_s >= early.decode_s(1, context) - 1e-12
    assert late.decode_s(1, context) <= late.decode_s(1, context + more) + 1e-12
    full = kvp * GROUP + context
    assert late.decode_s(1, full) == pytest.approx(early.decode_s(1, full), rel=1e-6)


def test_other_groups_serve_others_meanwhile() -> None:
    """Beside a request in one of two groups another prompt is computed at no cost, and with a budget of its own."""
    step, even = body(2, 1, 2, GROUP).step, body(2, 1, 2).step
    giant, other = (2048, 100_000), (1024, 0)
    assert step.prefill_s([giant, other]) == pytest.approx(step.prefill_s([giant]), rel=1e-3)
    assert even.prefill_s([giant, other]) > 1.2 * even.prefill_s([giant])
    assert step.beside_tokens([giant], 0) == 0
    assert step.beside_tokens([giant, other], 0) == 2048
    assert even.beside_tokens([giant], 0) == 2048
    assert step.beside_tokens([giant], GROUP) == 2048
    many = step.decode_s(8, 10_000)
    assert many == pytest.approx(body(2).step.decode_s(4, 10_000), rel=1e-9)


@pytest.mark.parametrize("order", ["fifo", "lars"])
def test_groups_that_join_late_serve_more_at_once(order: str) -> None:
    """Prompts that fit one group are served two at a time by two groups, sooner than with both on each of them.

    Whatever the order and the groups, every request ends and all memory comes back.
    """
    rng = np.random.default_rng(3)
    prompts = [*rng.integers(5_000, 40_000, 20).tolist(), 400_000]
    trace = toy_trace([0.0] * 20 + [0.5], prompts, [20] * 21)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    ends_s = {}
    for group in (1, GROUP):
        pool = PoolModel(
            name="long", role=Role.MIXED, physics=body(2, 1, 2, group), instances=1, speed=1.0, classes=frozenset({0}),
            chunk_tokens=2048,
        )  # fmt: skip
        done = run([pool], toy_policy("mnemosyne", tbt_target_s=0.05, order=order), trace, measured, cutoff_s=1e4)
        assert done.ledger.finished == 21
        assert done.kv_free_blocks == done.kv_total_blocks
        ends_s[group] = float(np.mean(done.ledger.ttft_s[:20]))
    assert ends_s[GROUP] < 0.8 * ends_s[1]


def test_layouts_may_fill_several_machines() -> None:
    """Layouts wider than a machine are offered where machines are linked, with all their machines counted and paid."""
    changes = ("catalog.machines=[dgx-h100]", "catalog.tp=[4]", "catalog.pp=[1, 4]", "catalog.kvp=[1, 2]")
    case = open_case(scenario(*changes), "mnemosyne")
    wide = {o.spec.layout.name: o for o in case.options if o.spec.layout.gpus > MACHINE.gpus}
    assert set(wide) == {"tp4pp4", "tp4pp4kvp2"}
    assert {name: o.machines_per_instance for name, o in wide.items()} == {"tp4pp4": 2, "tp4pp4kvp2": 4}
    assert all(o.instances_on(8) == 8 // o.machines_per_instance for o in wide.values())


def test_hops_between_machines_cost_more_than_inside() -> None:
    """A stage boundary between machines, and a merge of groups on two of them, takes the slower link's time."""
    inner, outer = MACHINE.intra_link, MACHINE.inter_link
    for layout, crossing in ((Layout(tp=4, pp=2), 0), (Layout(tp=4, pp=4), 1), (Layout(tp=8, pp=4), 3)):
        way = way_of(LLAMA, layout, MACHINE, 2048)
        speeds = [layout.tp * inner.bandwidth_bytes_per_s, outer.bandwidth_bytes_per_s * layout.tp / 8]
        inside = layout.pp - 1 - crossing
        token_s = 2 * LLAMA.hidden * (inside / speeds[0] + crossing / speeds[1])
        assert way.hops_s(1000) == pytest.approx(
            inside * inner.latency_s + crossing * outer.latency_s + 1000 * token_s, rel=1e-9
        )
    near, far = (way_of(LLAMA, Layout(tp=tp, kvp=2), MACHINE, 2048).merge_s(2, 64) for tp in (4, 8))
    assert far > near


def test_groups_add_memory_and_hold_all_weights() -> None:
    """Two KV groups hold twice the tokens of one; two stages more, since each holds half the weights."""
    one = body(2).kv_tokens
    assert body(2, 1, 2).kv_tokens == pytest.approx(2 * one, rel=1e-4)
    assert body(2, 2).kv_tokens > 2 * one


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("policy.chunk_tokens=[0]", "policy.chunk_tokens.0: found 0; expected greater than or equal to 1"),
        ("policy.order=edf", "policy.order: found 'edf'; expected one of: fifo, lars"),
        ("policy.kvp_group_tokens=0", "policy.kvp_group_tokens: found 0; expected"),
        ("catalog.pp=[3]", "catalog.pp: 3 stages do not divide the 32 layers of llama-3.1-8b; expected one of 1, 2, 4"),
        ("catalog.kvp=[0]", "catalog.kvp.0: found 0; expected"),
        ("catalog.kvp=[3] catalog.pp=[1]", "catalog.kvp: 3 KV groups fit no layout: 3 GPUs neither divide"),
        (
            "policy.longer_context=false",
            "the longest that llama-3.1-8b was made for has 131,072; set policy.longer_context",
        ),
    ],
)
def test_bad_input_is_told_on_the_command_line(changes: str, words: str) -> None:
    """What no plan can have ends ``plan`` and ``check`` with exit code 2, the key and what was expected, on stderr."""
    options = [word for change in ("workload.duration_s=300", *changes.split()) for word in ("--set", change)]
    done = CliRunner().invoke(build(), ["check", str(EXAMPLE), *options])
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


def test_prompts_beyond_the_measured_are_flagged() -> None:
    """A plan says where attention is extrapolated, by what each pool serves: prompts, chunks, contexts."""
    changes = ("catalog.machines=[dgx-h100]", "catalog.tp=[4]", "catalog.pp=[1, 2]", "catalog.kvp=[1]")
    case = open_case(scenario(*changes, "workload.lengths.prompt.p95_tokens=1500"), "mnemosyne")
    for offered in case.options:
        pool = Pool(
            spec=offered.spec, instances=1, machines=1, rate_req_per_s=dict.fromkeys(offered.envelopes, 1.0),
            load_frac=0.5, kv_load_frac=0.5,
        )  # fmt: skip
        plan = CandidatePlan(
            policy="mnemosyne", pools=(pool,), totals=None, headroom=Headroom(), rate_scale=1.0,  # type: ignore[arg-type]
            termination=None,  # type: ignore[arg-type]
        )  # fmt: skip
        for phase in ("prefill", "decode"):
            flagged = any(f"{phase} attention beyond that is extrapolated" in doubt for doubt in doubts(case, plan))
            assert flagged == ("long" in offered.envelopes)
        assert not re.search(r"\d{4,} tokens", " ".join(doubts(case, plan)))  # thousands are separated, as everywhere


def scenario(*changes: str) -> Scenario:
    return Scenario.load(EXAMPLE, ["workload.duration_s=600", *changes])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "catalog.kvp=[3] catalog.pp=[1]",
            "3 KV groups fit no layout: 3 GPUs neither divide a machine of 8 nor fill whole ones",
        ),
        ("policy.longer_context=false", "the longest that llama-3.1-8b was made for has 131,072"),
    ],
)
def test_what_cannot_be_is_refused(change: str, words: str) -> None:
    """Groups no machine holds and contexts beyond the model: named, with the key."""
    with pytest.raises(BadInput, match=r"catalog\.|workload") as raised:
        open_case(scenario(*change.split()), "mnemosyne")
    assert words in str(raised.value)


def test_groups_on_one_gpu_are_refused() -> None:
    """KV groups on machines of one GPU are no layout, and the message says what they need."""
    from dataclasses import replace

    single = replace(MACHINE, gpus=1)
    asked = scenario("catalog.pp=[1]")
    demand = open_case(scenario("catalog.machines=[dgx-h100]", "catalog.tp=[4]"), "mnemosyne").asked.demand
    (problem,) = long.problems(asked.catalog, LLAMA, [single], demand, asked.policy)
    assert "2 KV groups need 2 GPUs; dgx-h100 has 1" in problem


def test_giants_and_short_requests_never_share() -> None:
    """Layouts of stages or groups serve the long class, others the short one; contexts beyond the model are doubted."""
    case = open_case(scenario("catalog.machines=[dgx-h100]", "catalog.tp=[2, 4]"), "mnemosyne")
    assert {name for o in case.options for name in o.envelopes} == {"short", "long"}
    for offered in case.options:
        wide = offered.spec.layout.pp * offered.spec.layout.kvp > 1
        assert set(offered.envelopes) == ({"long"} if wide else {"short"})
    nothing = CandidatePlan(
        policy="mnemosyne",
        pools=(),
        totals=None,
        headroom=Headroom(),
        rate_scale=1.0,
        termination=None,  # type: ignore[arg-type]
    )
    assert any("was made for" in doubt for doubt in doubts(case, nothing))


def test_what_memory_forbids_is_said_with_how_much() -> None:
    """An objective below the time of reading weights and cache is out of reach, by a stated factor."""
    case = open_case(scenario("catalog.machines=[dgx-h100]", "catalog.tp=[2]", "slo.tbt_p99_s=0.01"), "mnemosyne")
    reasons = [e.reason for e in case.excuses if "out of reach" in e.reason]
    assert reasons
    assert any("2.2 times the limit of 0.01 s" in reason for reason in reasons)


def test_two_populations_are_drawn_in_their_shares() -> None:
    """Of many requests the share of the second population is of the second kind, with its lengths."""
    kinds = [Independent(prompt=Fixed(tokens=n), output=Fixed(tokens=n // 10)) for n in (1000, 1_000_000)]
    mixed = TwoPopulations(first=kinds[0], second=kinds[1], second_frac=0.05)
    prompt, output = mixed.sample(20_000, np.random.default_rng(1))
    assert np.mean(prompt == 1_000_000) == pytest.approx(0.05, abs=0.005)
    assert np.array_equal(output, prompt // 10)
