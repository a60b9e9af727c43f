"""Laws of chunked prefill: the budget is kept, the same tokens are computed, nobody's next token waits for a prompt."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.perf.layout import Role
from planner.policies.base import Occupancy
from planner.policies.batching import Chunked, DecodeMaximal
from planner.resolve.case import open_case
from planner.scenario import Scenario
from planner.simulator.books import window
from planner.simulator.core import instance
from planner.simulator.core.state import World
from planner.simulator.pools import Failure, PoolModel, Run
from tests.architecture.sources import ROOT
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.traces import Trace

NO_END = 10**9
SEEDS = st.integers(0, 10_000)
STEP = toy_physics().step


@dataclass(frozen=True, slots=True)
class View:
    """A request as batching sees it."""

    prefill_tokens: int
    cached_tokens: int = 0
    held_tokens: int = 0
    prompt_tokens: int = 0
    arrival_s: float = 0.0
    preemptions: int = 0


def queue(lengths: list[int], done_frac: float) -> list[View]:
    """A queue whose head may be computed in part."""
    views = [View(tokens) for tokens in lengths]
    if views:
        done = int(lengths[0] * done_frac)
        views[0] = replace(views[0], cached_tokens=done, held_tokens=done)
    return views


QUEUES = st.builds(
    queue, st.lists(st.integers(1, 3000), max_size=8), st.just(0.0) | st.floats(0.0, 1.0, exclude_max=True)
)


CHUNKED = st.builds(
    lambda kind, **knobs: kind(step=STEP, **knobs),
    st.sampled_from([Chunked, DecodeMaximal]),
    chunk_tokens=st.integers(16, 4096),
    max_batch_size=st.integers(1, 16),
    max_batch_tokens=st.sampled_from([512, 2048]),
)
NOW = st.builds(
    lambda batch, more, free: Occupancy(batch + more, batch, 100 * batch, free),
    st.integers(0, 16), st.integers(0, 3), st.integers(0, 600),
)  # fmt: skip


@settings(deadline=None)
@given(batching=CHUNKED, waiting=QUEUES, now=NOW)
def test_a_step_keeps_its_budget(batching: Chunked, waiting: list[View], now: Occupancy) -> None:
    """Decodes and chunks fit the budget, all prompts before the last end in the step, and memory holds what it takes.

    With one fixed chunk a step there is one prompt at most.
    """
    begun = [view for view in waiting if view.held_tokens]
    owed = sum(batching.needs(view) - batching.blocks(view.held_tokens) for view in begun)
    chunks = batching.next_step(waiting, replace(now, owed_blocks=owed)).chunk_tokens
    taken = list(zip(waiting, chunks, strict=False))
    assert all(0 < new <= view.prefill_tokens - view.cached_tokens for view, new in taken)
    assert all(new == view.prefill_tokens - view.cached_tokens for view, new in taken[:-1])
    if isinstance(batching, DecodeMaximal):
        assert len(chunks) <= 1
        assert sum(chunks) <= max(0, batching.chunk_tokens - batching.max_batch_size + 1)
    elif chunks:
        assert sum(chunks) + now.batch <= batching.chunk_tokens
    assert len(chunks) <= 1 or sum(chunks) <= batching.max_batch_tokens
    held = [batching.blocks(v.cached_tokens + new) - batching.blocks(v.held_tokens) for v, new in taken]
    assert sum(held) <= now.free_blocks


def served(
    trace: Trace,
    name: str = "colocated",
    *,
    chunk_tokens: int | None,
    instances: int = 1,
    kv_blocks: int = 10_000,
    failures: tuple[Failure, ...] = (),
    interpreted: bool = False,
    **knobs: Any,
) -> Run:
    """One run of a toy cluster with chunks everywhere."""
    physics = toy_physics(kv_blocks=kv_blocks)
    decodes = instances if name == "splitwise" else 0
    pools = toy_pools(name, prefills=instances, decodes=decodes, physics=physics, chunk_tokens=chunk_tokens)
    rules = toy_policy(name, **knobs)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return run(pools, rules, trace, measured, cutoff_s=1e5, failures=failures, interpreted=interpreted)


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    rate=st.floats(1.0, 200.0),
    name=st.sampled_from(["colocated", "splitwise"]),
    kv_blocks=st.sampled_from([70, 90, 150, 10_000]),
    max_batch_size=st.sampled_from([2, 7, 64]),
    mixed_pool=st.booleans(),
    failures=st.lists(st.builds(Failure, machine=st.integers(0, 1), at_s=st.floats(0.0, 3.0), repair_s=st.just(0.5))),
)
def test_without_an_end_to_the_chunk_it_is_continuous_batching(
    seed: int, rate: float, name: str, kv_blocks: int, max_batch_size: int, mixed_pool: bool, failures: list[Failure]
) -> None:
    """With an infinite budget every request has the very times of continuous batching, to the last bit.

    Decodes then share the steps of whole prompts, as they do there; the next test has none to share.
    """
    trace = random_trace(seed, 60, rate, prompt_max=1100)
    knobs: dict[str, Any] = {"max_batch_size": max_batch_size, "mixed_pool": mixed_pool and name == "splitwise"}
    whole, cut = (
        served(trace, name, chunk_tokens=chunk, kv_blocks=kv_blocks, failures=tuple(failures), **knobs)
        for chunk in (None, NO_END)
    )
    for column in ("ttft_s", "e2e_s", "max_gap_s", "gaps"):
        assert np.array_equal(getattr(whole.ledger, column), getattr(cut.ledger, column))
    assert whole.meters == cut.meters


@pytest.mark.parametrize("form", ["stall-free", "decode-maximal"])
def test_with_nothing_piggybacked_the_chunk_need_not_be_infinite(form: str) -> None:
    """Where no decode shares its steps, a chunk that holds the longest prompt changes nothing about one at a time."""
    trace = toy_trace([10.0 * i for i in range(20)], [37 * i + 1 for i in range(20)], [1] * 20)
    whole, cut = (served(trace, chunk_tokens=chunk, chunk_form=form).ledger for chunk in (None, 37 * 19 + 1 + 63))
    assert np.array_equal(whole.ttft_s, cut.ttft_s)
    assert np.array_equal(whole.e2e_s, cut.e2e_s)


@settings(max_examples=30, deadline=None)
@given(prompt=st.integers(1, 5000), chunk=st.sampled_from([16, 100, 512, 2048]))
def test_chunks_read_the_measured_surface(prompt: int, chunk: int) -> None:
    """A lone prompt takes the sum of its chunks' steps, each with attention measured at (new, past).

    That is what later chunks pay to read the KV of earlier ones again, no more and no less.
    """
    books = served(toy_trace([0.0], [prompt], [1]), chunk_tokens=chunk).ledger
    starts = range(0, prompt, chunk)
    steps = [STEP.prefill_s([(min(chunk, prompt - past), past)]) for past in starts]
    assert books.ttft_s[0] == pytest.approx(sum(steps), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, rate=st.floats(5.0, 60.0), chunk=st.sampled_from([128, 256, 512]))
def test_nobody_waits_for_more_than_a_full_step(seed: int, rate: float, chunk: int) -> None:
    """With memory to spare no token gap exceeds the longest step of the budget, whatever prompts arrive meanwhile.

    Whole prompts make longer ones.
    """
    trace = random_trace(seed, 60, rate, prompt_max=3000, output_max=60)
    longest_s = max(STEP.prefill_s([(chunk - batch, 3000)], batch, batch * 3100) for batch in range(0, 64, 7))
    assert max(served(trace, chunk_tokens=chunk).ledger.max_gap_s) <= longest_s
    burst = toy_trace([0.0, 0.2], [10, 3000], [100, 5])
    gaps = [max(served(burst, chunk_tokens=c).ledger.max_gap_s) for c in (chunk, None)]
    assert gaps[0] < gaps[1]


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    chunk=st.sampled_from([70, 300, 1000]),
    kv_blocks=st.sampled_from([100, 10_000]),
    name=st.sampled_from(["colocated", "splitwise"]),
)
def test_every_prompt_token_is_computed_once(seed: int, chunk: int, kv_blocks: int, name: str) -> None:
    """Chunks add up to the prompts; where memory was short, to more, for what was thrown out is computed again."""
    trace = random_trace(seed, 60, 40.0)
    seen: list[int] = []
    takes = instance.take

    def take(w: World, k: int, count: int) -> tuple[int, float, bool]:
        tokens, attention_s, ends = takes(w, k, count)
        seen.append(tokens)
        return tokens, attention_s, ends

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance, "take", take)
        result = served(trace, name, chunk_tokens=chunk, kv_blocks=kv_blocks, interpreted=True)
    preempted = sum(m.preemptions for meters in result.meters.values() for m in meters)
    assert result.ledger.finished == 60
    if preempted:
        assert sum(seen) > trace.prompt_tokens.sum()
    else:
        assert sum(seen) == trace.prompt_tokens.sum()


@pytest.mark.parametrize("kv_blocks", [10_000, 90])
@pytest.mark.parametrize("form", ["stall-free", "decode-maximal"])
def test_first_come_first_served(form: str, kv_blocks: int) -> None:
    """At one instance first tokens come out in the order of arrival, with memory to spare or without."""
    trace = random_trace(5, 150, 25.0)
    books = served(trace, chunk_tokens=128, chunk_form=form, kv_blocks=kv_blocks).ledger
    first_token_s = trace.arrival_s + np.array(books.ttft_s)
    assert books.finished == 150
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(first_token_s))


def lands_after_s(chunk: int | None, bandwidth_bytes_per_s: float) -> float:
    """Seconds from the end of the prefill of 1,000 tokens until its KV has landed elsewhere, layer by layer."""
    body = toy_physics(bandwidth_bytes_per_s=bandwidth_bytes_per_s)
    pools = toy_pools("splitwise", prefills=1, decodes=1, physics=body, chunk_tokens=chunk)
    trace = toy_trace([0.0], [1000], [3])
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    books = run(pools, toy_policy("splitwise", kv_transfer="layerwise"), trace, measured, cutoff_s=1e5).ledger
    return float(books.max_gap_s[0]) - body.step.decode_s(1, 1001)


@pytest.mark.parametrize("chunk", [None, 100, 333])
@pytest.mark.parametrize("bandwidth_bytes_per_s", [1e6, 1e7, 1e9])
def test_a_layerwise_transfer_ends_after_the_last_chunk(chunk: int | None, bandwidth_bytes_per_s: float) -> None:
    """KV lands no earlier than the last layer of the last chunk can have left, and no earlier than all bytes can.

    On a link fast enough for all but the last chunk to be gone, nothing else is left to wait for.
    """
    body = toy_physics(bandwidth_bytes_per_s=bandwidth_bytes_per_s)
    after_s = lands_after_s(chunk, bandwidth_bytes_per_s)
    step, size = body.step, chunk or 1000
    chunks = [(min(size, 1000 - past), past) for past in range(0, 1000, size)]
    busy_s = [new * body.kv_bytes_per_token / bandwidth_bytes_per_s for new, _ in chunks]
    prefill_s = sum(step.prefill_s([part]) for part in chunks)
    first_s = step.prefill_s([chunks[0]]) / body.layers
    rest_s = body.link.latency_s + body.link.sync_s
    assert after_s >= busy_s[-1] / body.layers + rest_s - 1e-12
    assert after_s >= first_s + sum(busy_s) - prefill_s + rest_s - 1e-12
    if bandwidth_bytes_per_s == 1e9:
        assert after_s == pytest.approx(busy_s[-1] / body.layers + rest_s, rel=1e-9)


@pytest.mark.parametrize("bandwidth_bytes_per_s", [2e6, 1e7, 1e8])
def test_earlier_chunks_travel_while_later_ones_are_computed(bandwidth_bytes_per_s: float) -> None:
    """Cut into chunks a KV cache lands no later after its prefill than whole, where the link keeps up with the chunks.

    Where it does not, its bytes set the end either way.
    """
    whole, cut_up = (lands_after_s(chunk, bandwidth_bytes_per_s) for chunk in (None, 100))
    assert cut_up <= whole + 1e-12


def test_short_memory_sends_what_is_left_with_the_last_chunk() -> None:
    """A cache that the other side has no memory for at first follows with a later chunk; every block comes back."""
    body = toy_physics(kv_blocks=80)
    pools = toy_pools("splitwise", prefills=2, decodes=1, physics=body, chunk_tokens=100)
    trace = toy_trace([0.0, 0.0, 0.01, 0.02], [900, 900, 500, 700], [40, 60, 30, 20])
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    done = run(pools, toy_policy("splitwise", kv_transfer="layerwise"), trace, measured, cutoff_s=1e5)
    assert done.ledger.finished == 4
    assert done.kv_free_blocks == done.kv_total_blocks


def test_a_decode_instance_recomputes_in_chunks() -> None:
    """What a decode instance threw out it computes again without a step beyond its budget; its neighbours keep pace."""
    trace = toy_trace([0.01 * i for i in range(6)], [300] * 6, [150, 400, 250, 250, 250, 250])
    gaps = {}
    for chunk in (None, 64):
        prefill, decode = toy_pools("splitwise", physics=toy_physics(kv_blocks=150), prefills=1, decodes=1)
        pools: list[PoolModel] = [prefill, replace(decode, chunk_tokens=chunk)]
        measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
        result = run(pools, toy_policy("splitwise"), trace, measured, cutoff_s=1e5)
        assert result.ledger.finished == 6
        assert sum(m.preemptions for m in result.meters[decode.name]) > 0
        assert decode.role is Role.DECODE
        gaps[chunk] = result.ledger.max_gap_s[1]
    assert gaps[64] < gaps[None]


def test_steps_of_a_full_tile_are_full() -> None:
    """With a full batch the fixed chunk and its decodes add up to the chunk size, a multiple of the tile with it."""
    rules = DecodeMaximal(chunk_tokens=256, max_batch_size=18, step=toy_physics(profile=toy_profile()).step)
    found = rules.next_step([View(1000)], Occupancy(17, 17, 17_000, 10_000))
    assert found.chunk_tokens == (239,)
    assert found.decode


def test_prefill_machines_offer_every_chunk_size_where_they_may_cut() -> None:
    """With ``chunked_prefill`` a prefill machine comes in every chunk size to choose from; without, in none."""
    path = ROOT / "planner" / "examples" / "splitwise-conv.yaml"
    for cut, sizes in ((True, {512, 2048}), (False, {None})):
        changes = (f"policy.chunked_prefill={str(cut).lower()}", "policy.chunk_tokens=[512, 2048]", "catalog.tp=[8]")
        case = open_case(Scenario.load(path, changes), "splitwise")
        found = {e.option for e in case.excuses if e.bottleneck == "dominated"} | {o.spec.name for o in case.options}
        prefills = {name for name in found if name.startswith("prefill/dgx-h100/tp8")}
        wanted = {f"prefill/dgx-h100/tp8/chunk{size}" if size else "prefill/dgx-h100/tp8" for size in sizes}
        assert prefills == wanted
