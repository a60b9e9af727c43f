"""Laws of the choice of a chunk: claims follow the cut, sizes follow the objective, and the simulator agrees."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option, Unfit, envelope, option
from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.policies.cuts import Cutter, cut
from planner.resolve.case import open_case
from planner.resolve.dominance import undominated
from planner.scenario import Scenario
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from tests.architecture.sources import ROOT
from tests.planner.capacity.test_envelope import conversation, h100, part
from tests.planner.options import machine
from tests.planner.served import run
from tests.planner.small import small
from tests.planner.toy import toy_physics, toy_policy, toy_profile
from workloads.demand import ClassDemand, Demand, demand
from workloads.slo import Metric, Slo

SIZES = (256, 512, 1024, 2048)
NO_END = 10**9
STRAIGHT = toy_physics(profile=toy_profile(bend=False, decode_base_s=0.01))
RULES = toy_policy("sarathi", max_batch_size=256)
LENGTHS = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 300)), min_size=1, max_size=20)


def tbt(limit_s: float) -> Slo:
    """A bound on the longest gap of a hundred."""
    return Slo(metric=Metric.TBT, percentile=99.0, limit=limit_s)


def cheapest(body: InstancePhysics, asked: ClassDemand, limit_s: float) -> int | None:
    """The size with the lowest claim of those offered under an objective; None where none keeps it."""
    offers = []
    for size in SIZES:
        spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=1), chunk_tokens=size)
        found, _ = option(spec, machine("m"), 3.0, body, RULES, Demand(classes=(asked,)), [tbt(limit_s)])
        offers += [found] if found else []
    busy = {
        o.spec.chunk_tokens: sum(e.prefill_s + e.decode_s for e in o.envelopes.values()) for o in undominated(offers)[0]
    }
    return min(busy, key=lambda size: busy[size]) if busy else None


@settings(max_examples=40, deadline=None)
@given(tight_s=st.floats(0.03, 0.3), looser_s=st.floats(0.0, 0.2), prompt=st.integers(400, 6000))
@example(tight_s=0.1113, looser_s=0.0039, prompt=843)  # the two largest sizes cost the same
def test_a_looser_objective_never_takes_a_smaller_chunk(tight_s: float, looser_s: float, prompt: int) -> None:
    """On straight surfaces the chunk that costs least grows, if it changes, as the bound on token gaps does."""
    asked = part([(prompt, 200), (prompt // 2, 100)])
    tight = cheapest(STRAIGHT, asked, tight_s)
    loose = cheapest(STRAIGHT, asked, tight_s + looser_s)
    assert tight is None or (loose is not None and loose >= tight)


def test_the_chunk_follows_the_objective_on_measured_surfaces() -> None:
    """On Llama-3.1-70B and H100s the chunk grows with the bound from 30 ms to 300 ms, and does grow."""
    asked = demand(conversation(10.0, 400, 0)).classes[0]
    chosen = [cheapest(h100(4), asked, limit_s) for limit_s in (0.03, 0.045, 0.06, 0.1, 0.2, 0.3)]
    assert None not in chosen
    assert chosen == sorted(chosen)  # type: ignore[type-var]
    assert len(set(chosen)) >= 3


@settings(deadline=None)
@given(lengths=LENGTHS)
def test_without_an_end_to_the_chunk_claims_are_those_of_whole_prompts(lengths: list[tuple[int, int]]) -> None:
    """An infinite chunk costs what whole prompts cost, to the last bit, in every role."""
    for role, name in ((Role.MIXED, "sarathi"), (Role.PREFILL, "splitwise"), (Role.DECODE, "splitwise")):
        whole, cut_up = (
            envelope(role, toy_physics(), toy_policy(name), part(lengths), [], chunk_tokens=size)
            for size in (None, NO_END)
        )
        assert whole == cut_up


@settings(deadline=None)
@given(lengths=LENGTHS, size=st.integers(20, 2000), batch=st.integers(0, 16))
def test_a_cut_is_every_chunk_at_its_own_past(lengths: list[tuple[int, int]], size: int, batch: int) -> None:
    """The steps of a prompt add up to those of its chunks, each measured at (new, past) beside the batch."""
    body = toy_physics()
    prompts = np.array([p for p, _ in lengths])
    found = cut(body, RULES.batching.at(size, body.step), prompts, batch, 500.0)
    room = size - batch
    for prompt, seconds in zip(prompts.tolist(), found.whole_s(), strict=True):
        pasts = range(0, prompt, room)
        steps = [body.step.prefill_s([(min(room, prompt - past), past)], batch, 500 * batch) for past in pasts]
        assert seconds == pytest.approx(sum(steps), rel=1e-12)


@settings(deadline=None)
@given(lengths=LENGTHS, limit_s=st.floats(0.02, 0.3), size=st.sampled_from(SIZES))
def test_no_full_step_breaks_the_objective(lengths: list[tuple[int, int]], limit_s: float, size: int) -> None:
    """At the working batch of a chunked instance at most one step with a chunk in a hundred outlasts the bound."""
    try:
        found = envelope(Role.MIXED, toy_physics(), RULES, part(lengths), [tbt(limit_s)], chunk_tokens=size)
    except Unfit:
        return
    if found.batch:
        body, batch = toy_physics(), int(found.batch)
        prompts = np.array([p for p, _ in lengths])
        outputs = np.array([o for _, o in lengths])
        context = float(np.mean((prompts + outputs / 2) * outputs) / np.mean(outputs))
        steps = cut(body, RULES.batching.at(size, body.step), prompts, batch, context)
        assert steps.beyond_frac(limit_s) <= 0.01
        assert batch == 1 or prompts.mean() / (size - batch) * batch <= outputs.mean()


@pytest.mark.parametrize("body", [toy_physics(), h100(8)], ids=["toy", "h100"])
@pytest.mark.parametrize("size", [256, 1024])
def test_a_chunked_instance_carries_what_its_envelope_claims(body: InstancePhysics, size: int) -> None:
    """At 70 % of its claimed capacity a chunked instance keeps up with Poisson arrivals; above 125 % it does not."""
    claim = envelope(
        Role.MIXED, body, RULES, demand(conversation(10.0, 2000, 0)).classes[0], [tbt(0.2)], chunk_tokens=size
    )
    pool = PoolModel(
        name="p", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=size
    )
    waits = {}
    for load_frac in (0.7, 1.25):
        trace = conversation(load_frac / (claim.prefill_s + claim.decode_s), 700, 1)
        measured = window(trace, warmup_frac=0.2, cooldown_frac=0.0, slices=1)
        books = run([pool], RULES, trace, measured, cutoff_s=1e6).ledger
        waits[load_frac] = float(np.mean(books.ttft_s[-100:])) / claim.ttft_s
    assert waits[0.7] < 10
    assert waits[1.25] > 2 * waits[0.7]


def test_a_cut_costs_what_its_steps_add() -> None:
    """On straight surfaces two chunks add what one does, at whatever part of a token the mean context is."""
    prompts = np.array([843])
    for context in (500.0, 613.59, 613.995):
        decode_s = STRAIGHT.step.decode_s(191, context)
        one, two = (
            cut(STRAIGHT, RULES.batching.at(size, STRAIGHT.step), prompts, 191, context) for size in (2048, 1024)
        )
        assert two.added_s(decode_s) - one.added_s(decode_s) == pytest.approx(0.0, abs=1e-12)


@cache
def offered(size: int, limit_s: float) -> list[Option]:
    """One chunk size as an option, or none."""
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=1), chunk_tokens=size)
    classes = Demand(classes=(part([(1000, 200)] * 5),))
    found, _ = option(spec, machine("m"), 3.0, toy_physics(), RULES, classes, [tbt(limit_s)])
    return [found] if found else []


def test_what_another_size_beats_is_excused() -> None:
    """Of sizes that serve the same, one that takes 5 % more time goes, with the name of the better one."""
    options = [o for size in SIZES for o in offered(size, 0.5)]
    kept, excuses = undominated(options)
    busy = {o.spec.name: o.envelopes["all"].prefill_s + o.envelopes["all"].decode_s for o in options}
    best = min(busy.values())
    assert best in [busy[o.spec.name] for o in kept]
    assert len(kept) + len(excuses) == len(options)
    assert excuses
    assert all(busy[e.option] >= 1.05 * best for e in excuses)
    assert all(e.reason.split()[0] in busy for e in excuses)
    alone, none = undominated([replace(options[0], envelopes={})])
    assert (len(alone), none) == (1, ())


@settings(max_examples=8)
@given(late=st.sets(st.sampled_from(SIZES)))
def test_a_size_whose_step_is_too_long_beats_none_that_keeps_the_limit(late: set[int]) -> None:
    """The best of the sizes that keep an objective on token gaps stays, however little time longer steps take."""
    options = [o for size in SIZES for o in offered(size, 0.5)]
    names = {o.spec.name for o in options if o.spec.chunk_tokens in late}
    kept = {o.spec.name for o in undominated(options, names)[0]}
    in_time = [o for o in options if o.spec.name not in names]
    assert {o.spec.name for o in undominated(in_time)[0]} <= kept
    assert {o.spec.name for o in undominated(options)[0]} <= kept


def test_chunks_that_keep_the_token_gaps_are_on_offer() -> None:
    """On an L40S a step of 2,048 tokens takes longer than 0.1 s: the best size below is offered beside it."""
    asked = ("catalog.machines=[aws-g6e.xlarge]", "catalog.tp=[1]", "policy.name=sarathi")
    loose, tight = (open_case(small(*asked, f"slo={{ttft_p99_s: 2, tbt_p99_s: {gap}}}"), "sarathi") for gap in (1, 0.1))
    assert {o.spec.chunk_tokens for o in loose.options} == {2048}
    assert {o.spec.chunk_tokens for o in tight.options} == {1024, 2048}


def test_bad_chunks_are_named() -> None:
    """A chunk of nothing, no chunk at all, and one too small for its form are findings about their keys."""
    base = ["model.name=llama-3.1-70b"]
    path = "planner/examples/sarathi-conv.yaml"
    for words, finding in [
        ("policy.chunk_tokens=[0]", "policy.chunk_tokens"),
        ("policy.chunk_tokens=[-256]", "policy.chunk_tokens"),
        ("policy.chunk_tokens=[]", "policy.chunk_tokens"),
        ("policy.chunk_form=diagonal", "one of: decode-maximal, stall-free"),
    ]:
        with pytest.raises(BadInput, match=finding):
            load(path, [*base, words])
    with pytest.raises(BadInput, match=r"at least max_batch_size \(300\).* not 256"):
        load(path, [*base, "policy.chunk_form=decode-maximal", "policy.max_batch_size=300"])


def load(path: str, words: list[str]) -> Scenario:
    """A scenario of the examples with words."""
    return Scenario.load(ROOT / path, words)


def test_the_room_beside_a_batch_is_known_without_cutting_the_prompt() -> None:
    """The first chunk of a prompt is the same, whether the rest of it is cut or not."""
    physics = toy_physics()
    batching = toy_policy("mnemosyne", tbt_target_s=0.5).batching.at(512, physics.step)
    prompts = np.array([100, 5000])
    for batch in (0, 1, 8, 64):
        assert (
            Cutter(physics, batching, 100.0).room_tokens(prompts, batch)
            == cut(physics, batching, prompts, batch, 100.0).room_tokens
        )
