"""Laws of pipelines: stages serve in order, batches in flight fill them, and idle stages are bubbles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.capacity.envelope import envelope
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout, Role
from planner.perf.pipeline import Stages, TraversalTime, stages_of
from planner.simulator.books import NO_BUBBLE, window
from planner.simulator.pools import Failure, PoolModel, Run
from tests.planner.capacity.test_envelope import part
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.traces import Trace

SEEDS = st.integers(0, 10_000)


def piped(count: int, *, kv_blocks: int = 10_000, hop_s: float = 1e-4, token_s: float = 1e-7) -> InstancePhysics:
    """A toy replica in stages, twice as much of it on a machine as it has."""
    stages = Stages(count=count, hop_latency_s=hop_s, hop_token_s=token_s)
    body = toy_physics(kv_blocks=kv_blocks)
    return replace(body, stages=stages, step=TraversalTime(toy_profile(), stages) if count > 1 else body.step)


def served(
    trace: Trace,
    physics: InstancePhysics,
    name: str = "colocated",
    *,
    instances: int = 1,
    chunk_tokens: int | None = None,
    failures: tuple[Failure, ...] = (),
    cutoff_s: float = 1e5,
    **knobs: Any,
) -> Run:
    """One run of a toy cluster of pipelines."""
    decodes = instances if name == "splitwise" else 0
    pools = toy_pools(name, prefills=instances, decodes=decodes, physics=physics, chunk_tokens=chunk_tokens)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return run(pools, toy_policy(name, **knobs), trace, measured, cutoff_s=cutoff_s, failures=failures)


@settings(deadline=None, max_examples=40)
@given(
    prompts=st.lists(st.tuples(st.integers(1100, 2000), st.floats(0.0, 0.5)), min_size=1, max_size=12),
    count=st.integers(2, 5), hop_s=st.sampled_from([0.0, 0.01]),
)  # fmt: skip
def test_stages_serve_in_order(prompts: list[tuple[int, float]], count: int, hop_s: float) -> None:
    """A batch passes every stage once, none before the batch ahead has left it; as many are in flight as stages.

    Worked out stage by stage with the recurrence of a flow shop. A bubble is what a stage waited, all of the kind of
    prompts behind prompts, but for the time in which there was no batch to send; an empty pipeline has none.
    """
    arrivals = np.cumsum([wait_s for _, wait_s in prompts]).tolist()
    tokens = [size for size, _ in prompts]
    done = served(
        toy_trace([*arrivals, 1e3], [*tokens, 1], [1] * (len(tokens) + 1)), piped(count, hop_s=hop_s, token_s=0.0)
    )
    free, ends, idle_s, unfilled_s = [0.0] * count, list[float](), 0.0, 0.0
    for n, (arrival_s, size) in enumerate(zip(arrivals, tokens, strict=True)):
        ready_s = ends[n - count] if n >= count else 0.0
        now = at = max(arrival_s, free[0], ready_s)
        flowing, wanting_s = n > 0 and now < ends[-1], max(0.0, now - max(free[0], ready_s))
        stage_s = toy_physics().step.prefill_s([(size, 0)]) / count
        for stage in range(count):
            start_s = max(at, free[stage])
            unfilled = min(start_s - free[stage], wanting_s)
            idle_s += (start_s - free[stage] - unfilled) * flowing
            unfilled_s += unfilled * flowing
            free[stage], at = start_s + stage_s, start_s + stage_s + hop_s
        ends.append(free[-1])
    assert done.ledger.ttft_s[:-1] == pytest.approx(np.subtract(ends, arrivals))
    ((meter,),) = done.meters.values()
    assert meter.bubble_s == pytest.approx([idle_s, 0.0, 0.0, unfilled_s])


def test_equal_batches_leave_no_bubble() -> None:
    """Equal batches without hops keep every stage busy; a long one between short ones makes the next stage wait."""
    for tokens, waits in (([1500] * 10, False), ([1100, 2000] * 5, True)):
        done = served(toy_trace([0.0] * 10 + [1e3], [*tokens, 1], [1] * 11), piped(4, hop_s=0.0, token_s=0.0))
        ((meter,),) = done.meters.values()
        assert (sum(meter.bubble_s) > 0.01) is waits


def test_a_lone_request_crosses_every_stage() -> None:
    """TTFT of a request alone is its step and the hops between stages, and so is every token after it."""
    body = piped(4)
    books = served(toy_trace([1.0], [200], [5]), body).ledger
    step = toy_physics().step
    prefill = step.prefill_s([(200, 0)]) + 3 * (1e-4 + 200e-7)
    decodes = sum(step.decode_s(1, 201 + j) + 3 * (1e-4 + 1e-7) for j in range(4))
    assert books.ttft_s[0] == pytest.approx(prefill, rel=1e-12)
    assert books.e2e_s[0] == pytest.approx(prefill + decodes, rel=1e-12)
    assert books.bubbles == {}


def test_batches_in_flight_fill_the_stages() -> None:
    """Prompts that come all at once leave a pipeline of four stages a stage time apart, not a traversal."""
    count, prompts = 4, 40
    body = piped(count, hop_s=0.0, token_s=0.0)
    trace = toy_trace([0.0] * prompts, [2000] * prompts, [1] * prompts)
    last_s = max(served(trace, body).ledger.ttft_s)
    traversal_s = toy_physics().step.prefill_s([(2000, 0)])
    assert last_s == pytest.approx(traversal_s * (prompts + count - 1) / count, rel=1e-9)


CLUSTERS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["colocated", "splitwise"]),
        "instances": st.integers(1, 2),
        "chunk_tokens": st.sampled_from([None, 90, 400]),
        "max_batch_size": st.sampled_from([2, 7, 64]),
        "kv_transfer": st.sampled_from(["auto", "serialized", "layerwise"]),
    }
)
FAILURES = st.lists(
    st.builds(Failure, machine=st.integers(0, 3), at_s=st.floats(0.01, 3.0), repair_s=st.floats(0.01, 2.0)), max_size=2
)


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    rate=st.floats(1.0, 150.0),
    count=st.integers(2, 4),
    kv_blocks=st.sampled_from([70, 90, 150, 10_000]),
    failures=FAILURES,
    cluster=CLUSTERS,
)
def test_everything_is_served_and_given_back(
    seed: int, rate: float, count: int, kv_blocks: int, failures: list[Failure], cluster: dict[str, Any]
) -> None:
    """With several batches in flight, chunks, short memory and failures, every request ends and blocks are free."""
    result = served(
        random_trace(seed, 50, rate), piped(count, kv_blocks=kv_blocks), failures=tuple(failures), **cluster
    )
    books = result.ledger
    assert books.finished + books.refused == books.arrived == 50
    assert result.kv_free_blocks == result.kv_total_blocks
    for meters in result.meters.values():
        assert all(0 <= m.kv_peak_blocks <= m.kv_blocks for m in meters)
    assert all(g <= e + 1e-9 for g, e in zip(books.max_gap_s, books.e2e_s, strict=True) if np.isfinite(e))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, rate=st.floats(1.0, 200.0), cut=st.floats(0.01, 20.0), count=st.integers(2, 4), cluster=CLUSTERS)
def test_requests_are_conserved(seed: int, rate: float, cut: float, count: int, cluster: dict[str, Any]) -> None:
    """Whenever a run is cut off: arrived = finished + running + waiting + refused."""
    result = served(random_trace(seed, 60, rate), piped(count, kv_blocks=150), cutoff_s=cut, **cluster)
    books = result.ledger
    assert books.arrived == books.finished + result.running + result.waiting + books.refused


def test_chunks_of_one_size_leave_fewer_bubbles() -> None:
    """Long and short prompts in turn make bubbles in a pipeline; cut into chunks they make less than half of them."""
    prompts = [3000 if i % 2 else 300 for i in range(40)]
    trace = toy_trace([0.0] * 40, prompts, [40] * 40)
    bubbles = {}
    for chunk in (None, 256):
        books = served(trace, piped(4), chunk_tokens=chunk, max_batch_size=10).ledger
        assert books.finished == 40
        bubbles[chunk] = float(np.median([books.bubbles.get(i, NO_BUBBLE).total_s for i in range(40)]))
    assert bubbles[256] < bubbles[None] / 2


def kinds(arrivals: list[float], prompts: list[int], outputs: list[int], **knobs: Any) -> list[float]:
    """Shares of all bubbles of one pipeline, by kind; a last request, long after, ends what is measured."""
    result = served(toy_trace([*arrivals, 1000.0], [*prompts, 1], [*outputs, 1]), piped(4), max_batch_size=4, **knobs)
    ((meter,),) = result.meters.values()
    total = sum(meter.bubble_s[:3])
    return [seconds / total if total else 0.0 for seconds in meter.bubble_s[:3]]


def test_bubbles_are_told_apart() -> None:
    """Prompts alone make bubbles of the first kind, whole prompts beside decodes the second, decodes the third."""
    n = 24
    lengths = [2000 if i % 2 else 200 for i in range(n)]
    assert kinds([0.0] * n, lengths, [1] * n) == pytest.approx([1.0, 0.0, 0.0])
    beside = kinds([0.01 * i for i in range(n)], [2000] * n, [40] * n)
    assert beside[1] > 0.3
    late = kinds([0.0] * 4, [100, 8000, 100, 8000], [400] * 4)
    assert late[2] > 0
    assert kinds([0.0] * n, [500] * n, [1] * n)[1:] == [0.0, 0.0]


def test_bubbles_of_requests_are_those_of_their_batches() -> None:
    """What every request of a batch waits for a stage is no less than what its stages stood idle once."""
    result = served(random_trace(5, 60, 60.0), piped(4), chunk_tokens=200, max_batch_size=8)
    ((meter,),) = result.meters.values()
    for kind in range(3):
        assert sum(found[kind] for found in result.ledger.bubbles.values()) >= meter.bubble_s[kind] - 1e-9


def test_a_pipeline_of_one_stage_is_none() -> None:
    """One stage serves as an instance without a pipeline does, to the last bit."""
    trace = random_trace(3, 80, 20.0)
    one, none = (served(trace, body).ledger for body in (piped(1), toy_physics()))
    assert np.array_equal(one.e2e_s, none.e2e_s)
    assert np.array_equal(one.gaps, none.gaps)


def test_hops_cross_the_links_that_lie_between() -> None:
    """Stages on one machine are joined by its own links; every boundary between machines crosses the slower one."""
    machine = load_catalog().machines["dgx-h100"]
    inside = stages_of(Layout(tp=4, pp=2), machine, 8192)
    outside = stages_of(Layout(tp=8, pp=2), machine, 8192)
    both = stages_of(Layout(tp=4, pp=4), machine, 8192)
    assert inside.hop_token_s == pytest.approx(8192 * 2 / machine.intra_link.bandwidth_bytes_per_s)
    assert outside.hop_token_s == pytest.approx(8192 * 2 / machine.inter_link.bandwidth_bytes_per_s)
    assert both.hop_token_s == pytest.approx((2 * inside.hop_token_s + outside.hop_token_s) / 3)
    assert stages_of(Layout(tp=8), machine, 8192) == Stages()


def test_a_claimed_pipeline_carries_its_claim() -> None:
    """At 60 % of what its envelope claims a pipeline keeps up; two stages claim twice of one."""
    asked = part([(800, 100)] * 20)
    rules = toy_policy("colocated")
    claims = {}
    for count in (1, 2):
        body = piped(count, hop_s=1e-5, token_s=0.0)
        claim = envelope(Role.MIXED, body, rules, asked, [])
        claims[count] = claim.prefill_s + claim.decode_s
        rate = 0.6 / claims[count]
        n = 500
        arrival = np.cumsum(np.random.default_rng(1).exponential(1 / rate, n)).tolist()
        pool = PoolModel(name="p", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}))
        trace = toy_trace(arrival, [800] * n, [100] * n)
        measured = window(trace, warmup_frac=0.2, cooldown_frac=0.0, slices=1)
        books = run([pool], rules, trace, measured, cutoff_s=1e6).ledger
        assert np.mean(books.ttft_s[-100:]) < 10 * claim.ttft_s
    assert claims[2] == pytest.approx(claims[1] / 2, rel=0.05)


def test_an_instance_over_two_machines_dies_with_either() -> None:
    """A replica that spans machines is lost with any of them, and back when that one is."""
    body = replace(piped(2), machines_per_instance=2)
    trace = toy_trace([0.0, 0.1], [800, 800], [200, 200])
    whole = served(trace, body).ledger
    for machine in (0, 1):
        hit = served(trace, body, failures=(Failure(machine=machine, at_s=1.0, repair_s=1.0),)).ledger
        assert hit.restarted == 2
        assert min(hit.e2e_s) > max(whole.e2e_s)
    assert toy_pools("colocated", prefills=2, decodes=0, physics=body)[0].machines == 4
