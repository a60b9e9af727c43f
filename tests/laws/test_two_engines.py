"""One semantics, two engines: the compiled replay does to every request what the event engine does."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout
from planner.perf.power import InstancePower, Unmetered, Watts
from planner.perf.step_time import StepTime
from planner.policies.base import Policy
from planner.policies.batching import Chunked, Continuous
from planner.policies.lending import Apart
from planner.simulator import engine
from planner.simulator.core.run import COMPILED
from planner.simulator.engine import PoolModel, Run
from planner.simulator.failures import Failure
from planner.simulator.records import window
from planner.simulator.serve import EVENTS, always_open, serve, unsupported
from planner.simulator.shifts import Shift
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_profile
from workloads.models import load_model
from workloads.requests import RequestClass
from workloads.traces import Trace, classify

if importlib.util.find_spec("numba") is None:
    pytest.skip("Numba is not installed: there is one engine only", allow_module_level=True)

from planner.simulator.core import run as kernel

CLASSES = (
    RequestClass(name="short", prompt_max_tokens=200),
    RequestClass(name="long", prompt_min_tokens=201),
)  # fmt: skip


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


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Arrivals from idle to overload, alone or several at the same moment, in two classes, some cached in part."""
    trace = random_trace(
        draw(st.integers(0, 10_000)), draw(st.integers(1, 80)), draw(st.floats(1.0, 200.0)), prompt_max=1400
    )
    if draw(st.booleans()):
        trace.arrival_s[:] = np.round(trace.arrival_s, 1)
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
) -> tuple[Run, Run]:
    """The same run by either engine."""
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=3)
    return (
        kernel.run(pools, rules, trace, measured, cutoff_s=cutoff_s, shifts=shifts, clients=clients),
        engine.run(pools, rules, trace, measured, cutoff_s=cutoff_s, shifts=shifts, clients=clients),
    )


@st.composite
def moving(draw: st.DrawFn) -> tuple[list[PoolModel], Policy, list[Shift]]:
    """A cluster whose instances come and go, but for the first of each pool, and change their clocks."""
    pools, rules = draw(clusters().filter(lambda found: type(found[1].lending) is Apart))
    shifts, first = list[Shift](), 0
    for pool in pools:
        slower = replace(pool.physics, step=StepTime(toy_profile(bend=True, context_s=3e-6)), request_s=0.02)
        for i in range(pool.instances):
            for at_s in draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.25, 3.0, 4.0]), max_size=4)):
                opens = draw(st.sampled_from([None, True, False])) if i else None
                body = draw(st.sampled_from([None, slower, pool.physics]))
                shifts.append(Shift(at_s=at_s, instance=first + i, opens=opens, physics=body))
        first += pool.instances
    return pools, rules, shifts


def assert_equal(fast: Run, slow: Run) -> None:
    """Every time and joule within 1e-9, every count the same."""
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    for count in ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens"):
        assert getattr(fast.ledger, count) == getattr(slow.ledger, count), count
    for seconds in ("transfer_s", "link_wait_s"):
        assert getattr(fast.ledger, seconds) == pytest.approx(getattr(slow.ledger, seconds), rel=1e-9, abs=1e-9)
    np.testing.assert_array_equal(fast.ledger.gaps, slow.ledger.gaps)
    np.testing.assert_array_equal(fast.ledger.served_by, slow.ledger.served_by)
    for left in ("waiting", "running", "end_s", "kv_free_blocks", "kv_total_blocks", "lent"):
        assert getattr(fast, left) == getattr(slow, left), left
    for name, meters in slow.meters.items():
        for mine, other in zip(fast.meters[name], meters, strict=True):
            for field in type(other).__dataclass_fields__:
                assert getattr(mine, field) == pytest.approx(getattr(other, field), rel=1e-9, abs=1e-9), field


@settings(max_examples=60, deadline=None)
@given(cluster=clusters(), trace=traces(), cut=st.sampled_from([1e5, 1e5, 3.0]))
def test_both_engines_tell_the_same_story(cluster: tuple[list[PoolModel], Policy], trace: Trace, cut: float) -> None:
    """On any cluster and trace both engines give every request the same times (1e-9) and every meter the same sums.

    Joules are among them: of each phase, of each instance, and of each second of the window.
    """
    fast, slow = both(*cluster, trace, cut)
    assert_equal(fast, slow)
    assert (fast.engine, slow.engine) == (COMPILED, EVENTS)


@settings(max_examples=30, deadline=None)
@given(cluster=clusters(), trace=traces(), clients=st.integers(1, 40), together=st.booleans())
def test_both_engines_wait_for_clients(
    cluster: tuple[list[PoolModel], Policy], trace: Trace, clients: int, together: bool
) -> None:
    """In a closed loop too, with all requests ready at once or coming as they may, both engines tell the same."""
    if together:
        trace = replace(trace, arrival_s=np.zeros(len(trace)))
    assert_equal(*both(*cluster, trace, 1e5, clients=clients))


@settings(max_examples=100, deadline=None)
@given(cluster=clusters(), trace=traces(), cut=st.sampled_from([1e5, 3.0]))
def test_compiled_or_interpreted_is_the_same(cluster: tuple[list[PoolModel], Policy], trace: Trace, cut: float) -> None:
    """The engine's source gives the same bits whether it is compiled or read by Python: times, gaps, joules, books."""
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=3)
    fast, slow = (kernel.run(*cluster, trace, measured, cutoff_s=cut, interpreted=own) for own in (False, True))
    assert (fast.engine, slow.engine) == (COMPILED, kernel.INTERPRETED)
    for column in ("ttft_s", "e2e_s", "max_gap_s", "gaps", "served_by"):
        assert np.array_equal(getattr(fast.ledger, column), getattr(slow.ledger, column)), column
    for mine, other in zip(fast.meters.values(), slow.meters.values(), strict=True):
        for one, two in zip(mine, other, strict=True):
            for field in type(one).__dataclass_fields__:
                assert np.array_equal(getattr(one, field), getattr(two, field)), field
    for left in ("waiting", "running", "end_s", "kv_free_blocks", "kv_total_blocks", "lent"):
        assert getattr(fast, left) == getattr(slow, left), left


@settings(max_examples=60, deadline=None)
@given(cluster=moving(), trace=traces())
def test_both_engines_move_alike(cluster: tuple[list[PoolModel], Policy, list[Shift]], trace: Trace) -> None:
    """Instances that come, go and change their clock on the way give every request the same times in both engines."""
    pools, rules, shifts = cluster
    assert always_open(pools, rules, trace, shifts)
    assert_equal(*both(pools, rules, trace, 1e5, shifts))


def test_nobody_is_sent_to_a_closed_instance() -> None:
    """What closes ends what it has and takes nothing more; it shares the work again once it opens."""
    pools, trace = toy_pools("colocated", prefills=1, decodes=1), random_trace(1, 400, 40.0)
    shifts = [Shift(at_s=2.0, instance=1, opens=False), Shift(at_s=8.0, instance=1, opens=True)]
    for run in both(pools, toy_policy("colocated"), trace, 1e5, shifts):
        assert run.ledger.finished == len(trace)
        first, second = run.meters[pools[0].name]
        assert 0 < second.decode_tokens < first.decode_tokens


def test_where_all_are_closed_requests_wait() -> None:
    """Without an instance that takes them, the event engine lets requests wait until one opens."""
    pools, rules, trace = (
        toy_pools("colocated", prefills=1, decodes=0),
        toy_policy("colocated"),
        random_trace(1, 9, 5.0),
    )
    shifts = [Shift(at_s=0.0, instance=0, opens=False), Shift(at_s=30.0, instance=0, opens=True)]
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    run = serve(pools, rules, trace, measured, cutoff_s=1e4, shifts=shifts)
    assert run.engine == f"{EVENTS}: instances that come and go"
    assert (trace.arrival_s + run.ledger.ttft_s > 30.0).all()
    assert run.ledger.finished == len(trace)


@pytest.mark.parametrize("name", ["colocated", "splitwise"])
def test_room_is_made_for_any_number_in_flight(name: str) -> None:
    """More requests in flight than there were rows for at first change nothing: 3,000 arrive at once."""
    trace = random_trace(1, 3000, 1e6, prompt_max=100, output_max=20)
    assert_equal(*both(toy_pools(name), toy_policy(name), trace, 1e6))


def test_long_lives_keep_their_longest_gap() -> None:
    """A request that outlives hundreds of neighbours has the longest gap of its whole life, as in the event engine."""
    trace = random_trace(3, 600, 40.0, prompt_max=600, output_max=4)
    trace.output_tokens[:3] = 900
    fast, slow = both(
        toy_pools("colocated", prefills=1, decodes=0), toy_policy("colocated", max_batch_size=4), trace, 1e5
    )
    assert_equal(fast, slow)


def test_what_the_replay_does_not_know_is_said() -> None:
    """Machines that fail are left to the event engine, and the run says why."""
    pools, rules = toy_pools("colocated"), toy_policy("colocated")
    trace = random_trace(1, 20, 5.0)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    failing = serve(pools, rules, trace, measured, cutoff_s=1e4, failures=(Failure(machine=0, at_s=1.0, repair_s=1.0),))
    assert failing.engine == f"{EVENTS}: machines fail"
    assert serve(pools, rules, trace, measured, cutoff_s=1e4).engine == COMPILED


def test_what_only_resembles_a_known_policy_is_left_to_the_event_engine() -> None:
    """A batching that inherits from a known one may do otherwise, so it is not taken for it."""
    rules, pools = toy_policy("colocated"), toy_pools("colocated")
    batching = rules.batching
    assert isinstance(batching, Continuous)
    chunked = Chunked(
        max_batch_tokens=batching.max_batch_tokens, max_batch_size=batching.max_batch_size,
        block_tokens=batching.block_tokens, chunk_tokens=512, step=pools[0].physics.step,
    )  # fmt: skip
    assert not unsupported(pools, rules)
    assert unsupported(pools, replace(rules, batching=chunked)) == "a batching of its own"
