"""The core, a step at a time, meters what the reference meters; compiled or interpreted it is the same to the bit."""

import importlib.util
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import metered
from hw_catalog.load import load_catalog
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout
from planner.perf.pipeline import Stages, TraversalTime
from planner.perf.power import InstancePower, Unmetered, Watts
from planner.perf.step_time import StepTime
from planner.perf.stream import StreamTime, way
from planner.policies.base import Policy, Recovery
from planner.policies.batching import Chunked, ChunkForm, Continuous
from planner.policies.order import SLACK, Order
from planner.simulator.books import window
from planner.simulator.pools import Events, Failure, Looks, PoolModel, Run, Shift
from planner.simulator.serve import known
from tests.laws.witness_clusters import Asked, questions
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_profile
from workloads.models import load_model
from workloads.requests import RequestClass
from workloads.traces import Trace, classify

if importlib.util.find_spec("numba") is None:
    pytest.skip("Numba is not installed: nothing is compiled", allow_module_level=True)
from planner.simulator.core import run as kernel

CLASSES = (RequestClass(name="short", prompt_max_tokens=200), RequestClass(name="long", prompt_min_tokens=201))


def bodies(draw: st.DrawFn, count: int) -> list[InstancePhysics]:
    """Instances with little or plenty of memory, on fast or slow links, alone or several to a machine."""
    made = [
        replace(
            toy_physics(
                kv_blocks=draw(st.sampled_from([70, 90, 150, 400, 10_000])),
                bandwidth_bytes_per_s=draw(st.sampled_from([1e6, 1e7, 1e9])),
                instances_per_machine=draw(st.integers(1, 3)),
                profile=toy_profile(
                    bend=draw(st.booleans()),
                    context_s=draw(st.sampled_from([0.0, 1e-8, 1e-6])),
                    short=draw(st.booleans()),
                ),
            ),
            request_s=draw(st.sampled_from([0.0, 0.01])),
            lag_steps=draw(st.sampled_from([0.0, 1.5])),
        )
        for _ in range(count)
    ]
    return [replace(body, power=watts(draw, body.step)) for body in made]


def watts(draw: st.DrawFn, step: StepTime) -> Watts:
    """Nobody's, or those of a dense model or a mixture of experts, free, at a clock lock or under a cap."""
    model = draw(st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", None]))
    if model is None:
        return Unmetered()
    free = draw(st.sampled_from([step, StepTime(toy_profile(token_s=5e-5, decode_base_s=0.01, context_s=1e-7))]))
    return InstancePower(
        load_model(model), load_catalog().gpus[draw(st.sampled_from(["h100-sxm", "l40s"]))],
        Layout(tp=draw(st.sampled_from([1, 2]))), free, clock_mhz=draw(st.sampled_from([None, 900.0, 1400.0])),
        cap_w=draw(st.sampled_from([None, 250.0])),
    )  # fmt: skip


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[PoolModel], Policy]:
    """A cluster and its policy: every knob that the compiled replay knows, at values that make it matter."""
    name = draw(st.sampled_from(["colocated", "splitwise"]))
    rules = toy_policy(
        name, max_batch_size=draw(st.sampled_from([2, 7, 64])),
        kv_transfer=draw(st.sampled_from(["auto", "serialized", "layerwise"])),
        max_preemptions=draw(st.sampled_from([0, 1, 4])), mixed_pool=draw(st.booleans()),
        prefill_threshold_tokens=draw(st.sampled_from([0, 500, 3000])),
        decode_threshold_tokens=draw(st.sampled_from([0, 300, 1000])),
        tbt_target_s=draw(st.sampled_from([0.01, 0.035, 0.06, 0.2])),
        chunk_form=draw(st.sampled_from(["stall-free", "decode-maximal", "adaptive"])),
    )  # fmt: skip
    roles = rules.topology.roles()
    every = frozenset({0, 1})
    pools = [
        PoolModel(
            name=f"{role}{n}", role=role, physics=body, instances=draw(st.integers(1, 3)),
            speed=draw(st.sampled_from([0.3, 1.0, 2.5])),
            chunk_tokens=draw(st.sampled_from([None, None, 20, 96, 512, 1 << 40])),
            classes=every if n == 0 else draw(st.sampled_from([every, frozenset({0}), frozenset({1})])),
        )
        for role in roles
        for n, body in enumerate(bodies(draw, draw(st.integers(1, 2))))
    ]  # fmt: skip
    return pools, rules


def spread(draw: st.DrawFn, body: InstancePhysics) -> InstancePhysics:
    """An instance as it is, in pipeline stages, or with stages that prompts stream through and KV groups."""
    kind = draw(st.sampled_from(["plain", "piped", "streams"]))
    profile = toy_profile(bend=draw(st.booleans()), context_s=draw(st.sampled_from([0.0, 1e-8, 1e-6])))
    if kind == "piped":
        stages = Stages(
            count=draw(st.integers(2, 4)), hop_latency_s=draw(st.sampled_from([0.0, 1e-3])), hop_token_s=1e-7
        )
        step = TraversalTime(profile, stages)
        return replace(body, stages=stages, step=step, power=watts(draw, step))
    if kind == "streams":
        pp, kvp = draw(st.sampled_from([(2, 1), (3, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]))
        layout = Layout(tp=1, pp=pp, kvp=kvp)
        between = way(
            load_model("llama-3.1-8b"), layout, load_catalog().machines["dgx-h100"], 2048,
            draw(st.sampled_from([1, 300, 5000])),
        )  # fmt: skip
        plain = StepTime(profile)
        power = InstancePower(
            load_model("llama-3.1-8b"), load_catalog().gpus["h100-sxm"], layout, plain, streams=True,
            clock_mhz=draw(st.sampled_from([None, 900.0])),
        )  # fmt: skip
        return replace(body, step=StreamTime(profile, between), power=power)
    return body


@st.composite
def wide(draw: st.DrawFn) -> tuple[list[PoolModel], Policy]:
    """The same, with stages, streams, groups, every form of chunks, both orders and both recoveries."""
    pools, rules = draw(clusters())
    limits_s = draw(st.sampled_from([{}, {"": 0.5}, {"short": 0.2}, {"long": 3.0, "short": 1.0}]))
    order = draw(st.sampled_from([Order(), Order(rule=SLACK, limits_s=limits_s)]))
    rules = replace(
        rules, batching=replace(rules.batching, form=draw(st.sampled_from(list(ChunkForm)))), order=order,
        recovery=draw(st.sampled_from(list(Recovery))),
    )  # fmt: skip
    return [replace(pool, physics=spread(draw, pool.physics)) for pool in pools], rules


@st.composite
def outages(draw: st.DrawFn, pools: list[PoolModel]) -> list[Failure]:
    """Machines that fail once or more, some for good, some while they are away already."""
    machines = sum(pool.machines for pool in pools)
    times = st.sampled_from([0.0, 0.111, 0.333, 0.777, 1.234, 2.345])
    return [
        Failure(
            machine=draw(st.integers(0, machines - 1)), at_s=draw(times),
            repair_s=draw(st.sampled_from([None, 0.05, 0.5, 3.0])),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]  # fmt: skip


BESIDE_ENDS = 2**0.5 / 1.4142
"""Irrational and near 1: nothing arrives just as a step ends, where rounding decides which of the two comes first."""


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Arrivals from idle to overload, alone or several at the same moment, in two classes, some cached in part."""
    trace = random_trace(
        draw(st.integers(0, 10_000)), draw(st.integers(1, 80)), draw(st.floats(1.0, 200.0)), prompt_max=1400
    )
    if draw(st.booleans()):
        trace.arrival_s[:] = np.round(trace.arrival_s, 1) * BESIDE_ENDS
    trace = classify(trace, CLASSES)
    if draw(st.booleans()):
        return trace
    share = np.random.default_rng(len(trace)).uniform(-0.5, 1.0, len(trace)).clip(0.0)
    return replace(trace, cached_tokens=(share * trace.prompt_tokens).astype(np.int64))


def both(
    pools: list[PoolModel],
    rules: Policy,
    trace: Trace,
    cutoff_s: float,
    shifts: Sequence[Shift] = (),
    clients: int | None = None,
    failures: Sequence[Failure] = (),
) -> tuple[Run, Run]:
    """The same run by either engine."""
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=3)
    beside = Events(shifts=shifts, clients=clients, failures=failures)
    return (
        kernel.run(pools, rules, trace, measured, cutoff_s=cutoff_s, max_run_steps=1, beside=beside),
        metered.serve(pools, rules, trace, measured, cutoff_s=cutoff_s, beside=beside),
    )


def assert_alike(pools: list[PoolModel], rules: Policy, trace: Trace, cutoff_s: float, **beside: Any) -> None:
    """Both engines tell the same; where two things happen at one moment, they do once requests come a little apart.

    Instances in step end their steps at times that are equal but for rounding, and whose prompt gets a port of the
    network first is then no rule of either engine.
    """
    try:
        assert_equal(*both(pools, rules, trace, cutoff_s, **beside))
    except AssertionError:
        apart_s = np.random.default_rng(len(trace)).uniform(0.0, 1e-7, len(trace))
        apart = replace(trace, arrival_s=np.sort(trace.arrival_s + apart_s))
        assert_equal(*both(pools, rules, apart, cutoff_s, **beside))


@st.composite
def moving(draw: st.DrawFn) -> tuple[list[PoolModel], Policy, list[Shift]]:
    """A cluster whose instances come and go, all of them, and change their clocks where steps are plain."""
    pools, rules = draw(wide())
    shifts, first = list[Shift](), 0
    for pool in pools:
        slower = replace(pool.physics, step=StepTime(toy_profile(bend=True, context_s=3e-6)), request_s=0.02)
        plain = type(pool.physics.step) is StepTime
        for i in range(pool.instances):
            for at_s in draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.25, 3.0, 4.0]), max_size=4)):
                opens = draw(st.sampled_from([None, True, False]))
                body = draw(st.sampled_from([None, slower if plain else None, pool.physics]))
                shifts.append(Shift(at_s=at_s, instance=first + i, opens=opens, physics=body))
        first += pool.instances
    return pools, rules, shifts


METERED = (
    "preemptions", "busy_s", "queue_tokens", "decode_steps", "decode_tokens", "prefill_j", "decode_j",
    "prefill_s", "above_j",
)  # fmt: skip
"""What both meter alike, so not blocks: of one instant and of one step they take and free them in different order."""


def assert_equal(fast: Run, slow: Run) -> None:
    """Every time and joule within 1e-9, every count the same; of those cut off as far as steps had ended."""
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    for count in ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens"):
        assert getattr(fast.ledger, count) == getattr(slow.ledger, count), count
    for seconds in ("transfer_s", "link_wait_s"):
        assert getattr(fast.ledger, seconds) == pytest.approx(getattr(slow.ledger, seconds), rel=1e-9, abs=1e-9)
    np.testing.assert_array_equal(fast.ledger.served_by, slow.ledger.served_by)
    for left in ("waiting", "running", "end_s", "kv_total_blocks", "borrowed"):
        assert getattr(fast, left) == getattr(slow, left), left
    if fast.running:
        return
    assert fast.kv_free_blocks == slow.kv_free_blocks
    for name, meters in slow.meters.items():
        for mine, other in zip(fast.meters[name], meters, strict=True):
            for field in METERED:
                assert getattr(mine, field) == pytest.approx(getattr(other, field), rel=1e-9, abs=1e-9), field


@settings(max_examples=15, deadline=None)
@given(cluster=clusters(), trace=traces(), cut=st.sampled_from([1e5, 1e5, 3.0]))
def test_both_engines_tell_the_same_story(cluster: tuple[list[PoolModel], Policy], trace: Trace, cut: float) -> None:
    """On any cluster and trace both engines give every request the same times (1e-9) and every meter the same sums.

    Joules are among them: of each phase, of each instance, and of each second of the window.
    """
    fast, slow = both(*cluster, trace, cut)
    assert_equal(fast, slow)
    assert fast.interpreted == ""


@settings(max_examples=20, deadline=None)
@given(cluster=wide(), trace=traces(), cut=st.sampled_from([1e5, 3.0]))
def test_every_policy_and_layout_is_served_alike(
    cluster: tuple[list[PoolModel], Policy], trace: Trace, cut: float
) -> None:
    """Stages, streams, KV groups, prompts before decodes, and prompts by relative slack: both engines tell the same."""
    assert_alike(*cluster, trace, cut)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), cluster=wide(), trace=traces(), clients=st.sampled_from([None, None, 5]))
def test_failures_strike_both_alike(
    data: st.DataObject, cluster: tuple[list[PoolModel], Policy], trace: Trace, clients: int | None
) -> None:
    """Machines that fail cost both engines the same requests, which start over at the same places and times."""
    failures = data.draw(outages(cluster[0]))
    assert_alike(*cluster, trace, 1e3, clients=clients, failures=failures)


@settings(max_examples=15, deadline=None)
@given(cluster=clusters(), trace=traces(), clients=st.integers(1, 40), together=st.booleans())
def test_both_engines_wait_for_clients(
    cluster: tuple[list[PoolModel], Policy], trace: Trace, clients: int, together: bool
) -> None:
    """In a closed loop too, with all requests ready at once or coming as they may, both engines tell the same."""
    if together:
        trace = replace(trace, arrival_s=np.zeros(len(trace)))
    assert_alike(*cluster, trace, 1e5, clients=clients)


@settings(max_examples=100, deadline=None)
@given(asked=questions())
def test_compiled_or_interpreted_is_the_same(asked: Asked) -> None:
    """Compiled or interpreted, all times and joules are the same: every policy and layout, failures and shifts too."""
    start = asked.pools, asked.policy, asked.trace, asked.measured()
    fast, slow = (kernel.run(*start, **asked.rest(), interpreted=own) for own in (False, True))
    assert (fast.interpreted, slow.interpreted) == ("", kernel.ASKED)
    for column in ("ttft_s", "e2e_s", "max_gap_s", "gaps", "served_by"):
        assert np.array_equal(getattr(fast.ledger, column), getattr(slow.ledger, column)), column
    for mine, other in zip(fast.meters.values(), slow.meters.values(), strict=True):
        for one, two in zip(mine, other, strict=True):
            for field in type(one).__dataclass_fields__:
                assert np.array_equal(getattr(one, field), getattr(two, field)), field
    for left in ("waiting", "running", "end_s", "kv_free_blocks", "kv_total_blocks", "borrowed"):
        assert getattr(fast, left) == getattr(slow, left), left


@settings(max_examples=15, deadline=None)
@given(cluster=moving(), trace=traces())
def test_both_engines_move_alike(cluster: tuple[list[PoolModel], Policy, list[Shift]], trace: Trace) -> None:
    """Instances that come, go and change their clock on the way give every request the same times in both engines."""
    pools, rules, shifts = cluster
    assert_alike(pools, rules, trace, 1e5, shifts=shifts)


@settings(max_examples=20, deadline=None)
@given(cluster=wide(), trace=traces(), period_s=st.floats(0.01, 1.0))
def test_both_are_seen_to_do_the_same(cluster: tuple[list[PoolModel], Policy], trace: Trace, period_s: float) -> None:
    """Looked at at the same times, the instances of a pool are as busy, as full and as long queued in both engines."""
    pools, rules = cluster
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=3)
    count = max(1, int(trace.duration_s / period_s))
    seen = kernel.run(
        pools, rules, trace, measured, cutoff_s=1e4, beside=Events(looks=Looks(period_s=period_s, count=count))
    ).seen
    cluster = metered.MeteredCluster(pools, rules, trace, measured, Events())
    rows: list[list[list[float]]] = []

    def look() -> Generator[simpy.Event, None, None]:
        for _ in range(count):
            yield cluster.env.timeout(period_s * (len(rows) + 1) - cluster.env.now)
            rows.append([
                [
                    float(any(lane.stages_s for lane in i.lanes)), i.running(), i.queued_tokens(),
                    1 - i.free / max(1, i.body.kv_blocks),
                ]
                for i in cluster.instances
            ])  # fmt: skip

    cluster.env.process(look())
    cluster.env.run(until=1e4)
    first = np.cumsum([0, *(pool.instances for pool in pools[:-1])])
    np.testing.assert_allclose(seen, np.add.reduceat(np.array(rows), first, axis=1), rtol=1e-9, atol=1e-9)


def test_nobody_is_sent_to_a_closed_instance() -> None:
    """What closes ends what it has and takes nothing more; it shares the work again once it opens."""
    pools, trace = toy_pools("colocated", prefills=1, decodes=1), random_trace(1, 400, 40.0)
    shifts = [Shift(at_s=2.0, instance=1, opens=False), Shift(at_s=8.0, instance=1, opens=True)]
    for run in both(pools, toy_policy("colocated"), trace, 1e5, shifts):
        assert run.ledger.finished == len(trace)
        first, second = run.meters[pools[0].name]
        assert 0 < second.decode_tokens < first.decode_tokens


def test_where_all_are_closed_requests_wait() -> None:
    """Without an instance that takes them, requests wait until one opens."""
    pools, rules = toy_pools("colocated", prefills=1, decodes=0), toy_policy("colocated")
    trace = random_trace(1, 9, 5.0)
    shifts = [Shift(at_s=0.0, instance=0, opens=False), Shift(at_s=30.0, instance=0, opens=True)]
    fast, slow = both(pools, rules, trace, 1e4, shifts)
    assert_equal(fast, slow)
    assert (trace.arrival_s + fast.ledger.ttft_s > 30.0).all()
    assert fast.ledger.finished == len(trace)


@pytest.mark.parametrize("name", ["colocated", "splitwise"])
def test_room_is_made_for_any_number_in_flight(name: str) -> None:
    """More requests in flight than there were rows for at first change nothing: 3,000 arrive at once."""
    trace = random_trace(1, 3000, 1e6, prompt_max=100, output_max=20)
    assert_equal(*both(toy_pools(name), toy_policy(name), trace, 1e6))


def test_long_lives_keep_their_longest_gap() -> None:
    """A request that outlives hundreds of neighbours has the longest gap of its whole life, as in the reference."""
    trace = random_trace(3, 600, 40.0, prompt_max=600, output_max=4)
    trace.output_tokens[:3] = 900
    fast, slow = both(
        toy_pools("colocated", prefills=1, decodes=0), toy_policy("colocated", max_batch_size=4), trace, 1e5
    )
    assert_equal(fast, slow)


def test_what_only_resembles_a_known_part_is_refused() -> None:
    """A batching that inherits from a known one may do otherwise, so it is not served as if it were that one."""
    rules, pools = toy_policy("colocated"), toy_pools("colocated")
    batching = rules.batching
    assert isinstance(batching, Continuous)
    chunked = Chunked(
        max_batch_tokens=batching.max_batch_tokens, max_batch_size=batching.max_batch_size,
        block_tokens=batching.block_tokens, chunk_tokens=512, step=pools[0].physics.step,
    )  # fmt: skip
    known(pools, rules)
    with pytest.raises(TypeError, match="batching: the simulator knows Continuous, not Chunked"):
        known(pools, replace(rules, batching=chunked))
