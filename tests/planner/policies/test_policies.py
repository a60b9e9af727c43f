"""Laws of policies: order kept, limits respected, nothing read that a real scheduler could not know."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.perf.layout import Role
from planner.policies.base import Occupancy, Transfer
from planner.policies.batching import Continuous
from planner.policies.presets import NAMES
from planner.policies.routing import ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit
from planner.simulator.books import window
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools


@dataclass(frozen=True, slots=True)
class View:
    """Exactly what ``RequestView`` shows; to ask for anything else is an AttributeError."""

    prompt_tokens: int
    prefill_tokens: int
    cached_tokens: int = 0
    held_tokens: int = 0
    arrival_s: float = 0.0
    due_s: float = 10.0
    preemptions: int = 0


VIEWS = st.lists(st.integers(1, 3000).map(lambda tokens: View(tokens, tokens)), max_size=12)
BATCHING = st.builds(
    Continuous,
    max_batch_tokens=st.integers(64, 4096),
    max_batch_size=st.integers(1, 16),
    block_tokens=st.sampled_from([1, 16, 64]),
)


@given(batching=BATCHING, waiting=VIEWS, running=st.integers(0, 16), free=st.integers(0, 600))
def test_a_step_respects_every_limit(batching: Continuous, waiting: list[View], running: int, free: int) -> None:
    """Prompts of a step fit its tokens (a longer one runs alone), the decode slots, and the memory left.

    Memory keeps a block in reserve for everyone who is running.
    """
    batch = batching.next_step(waiting, Occupancy(running, running, 100 * running, free))
    taken = waiting[: len(batch.chunk_tokens)]
    assert all(chunk == view.prefill_tokens for chunk, view in zip(batch.chunk_tokens, taken, strict=True))
    assert len(taken) <= 1 or sum(v.prefill_tokens for v in taken) <= batching.max_batch_tokens
    assert not taken or running + len(taken) <= batching.max_batch_size
    assert not taken or sum(batching.needs(v) for v in taken) + running <= free
    assert batch.decode == (running > 0)


@given(batching=BATCHING, waiting=VIEWS, running=st.integers(0, 16), free=st.integers(0, 600))
def test_a_step_takes_all_it_can_from_the_head(
    batching: Continuous, waiting: list[View], running: int, free: int
) -> None:
    """The queue is served from its head, and the first request left behind is one that a limit holds back."""
    count = len(batching.next_step(waiting, Occupancy(running, running, 100 * running, free)).chunk_tokens)
    if count < len(waiting):
        tokens = sum(v.prefill_tokens for v in waiting[: count + 1])
        left = free - sum(batching.needs(v) for v in waiting[:count])
        too_many_tokens = count > 0 and tokens > batching.max_batch_tokens
        assert too_many_tokens or not batching.admits(waiting[count], running + count, left)


@given(
    batching=BATCHING, view=VIEWS.filter(bool).map(lambda v: v[0]), running=st.integers(0, 16), free=st.integers(0, 600)
)
def test_more_room_never_shuts_anyone_out(batching: Continuous, view: View, running: int, free: int) -> None:
    """Whoever is admitted would be with more memory free or with fewer running."""
    if batching.admits(view, running, free):
        assert batching.admits(view, running, free + 1)
        assert running == 0 or batching.admits(view, running - 1, free)


@given(loads=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=30))
def test_the_shortest_queue_is_joined(loads: list[float]) -> None:
    """No queue is shorter than the chosen one, and none before it is as short."""
    chosen = ShortestQueue().choose(loads)
    assert all(loads[chosen] <= load for load in loads)
    assert all(loads[chosen] < load for load in loads[:chosen])


@given(tokens=st.integers(1, 10_000), threshold=st.integers(0, 10_000))
def test_long_prompts_move_layer_by_layer(tokens: int, threshold: int) -> None:
    """Under ``auto`` the prompt's length decides how its KV cache travels; a set mode decides for everyone."""
    view = View(tokens, tokens)
    expected = Transfer.LAYERWISE if tokens >= threshold else Transfer.SERIALIZED
    assert PhaseSplit(layerwise_from_tokens=threshold).transfer(view) is expected
    for mode in Transfer:
        assert PhaseSplit(mode=mode.value, layerwise_from_tokens=threshold).transfer(view) is mode


def test_topologies_lead_somewhere() -> None:
    """Every hop of a topology ends at a role it has: split requests go from prefill to decode, colocated ones stay."""
    assert Colocated().roles() == (Role.MIXED,)
    assert Colocated().next_hop(Role.MIXED) is None
    assert PhaseSplit().roles() == (Role.PREFILL, Role.DECODE)
    assert [PhaseSplit().next_hop(role) for role in PhaseSplit().roles()] == [Role.DECODE, None]


@pytest.mark.parametrize("name", NAMES)
def test_presets_carry_their_name_and_knobs(name: str) -> None:
    """A preset is the sum of its parts under its published name, with the knobs it was given."""
    rules = toy_policy(name, max_batch_size=7)
    assert rules.name == name
    assert rules.batching.max_batch_size == 7
    assert rules.topology.next_hop(rules.topology.roles()[-1]) is None


def test_no_preset_by_another_name() -> None:
    """A name that is no preset is refused."""
    with pytest.raises(KeyError):
        toy_policy("unheard-of")


@pytest.mark.parametrize(
    ("name", "kv_blocks"), [("colocated", 10_000), ("splitwise", 10_000), ("colocated", 90), ("splitwise", 90)]
)
def test_first_come_first_served(name: str, kv_blocks: int) -> None:
    """At one instance first tokens come out in the order of arrival, with memory to spare or without."""
    trace = random_trace(5, 150, 25.0)
    physics = toy_physics(kv_blocks=kv_blocks)
    pools = toy_pools(name, prefills=1, decodes=1 if name == "splitwise" else 0, physics=physics)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    books = run(pools, toy_policy(name), trace, measured, cutoff_s=1e5).ledger
    first_token_s = trace.arrival_s + np.array(books.ttft_s)
    assert books.finished == 150
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(first_token_s))  # those of one step are equal


@pytest.mark.parametrize(("foresee", "home"), [(False, 3), (True, 2)])
def test_an_output_that_is_foreseen_counts_where_it_is_decoded(foresee: bool, home: int) -> None:
    """A decode goes where least is promised: by prompts to three short ones, with outputs foreseen to a long one."""
    policy = toy_policy("splitwise", foresee_output=foresee, output_tokens=500.0)
    trace = random_trace(1, 5, 100.0, prompt_max=10, output_max=10)
    trace.arrival_s[:] = [0.0, 0.001, 0.002, 0.003, 0.004]
    trace.prompt_tokens[:] = [900, 200, 200, 200, 100]
    trace.output_tokens[:] = 400
    pools = toy_pools("splitwise", prefills=2, decodes=2)
    found = run(pools, policy, trace, window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1), cutoff_s=1e6)
    assert found.ledger.served_by[:, 1].tolist() == [2, 3, 3, home, 3]


def test_a_colocated_policy_foresees_nothing() -> None:
    """Where one instance does both phases a request counts by its prompt until that is computed."""
    assert toy_policy("sarathi", foresee_output=True, output_tokens=500.0).routing == ShortestQueue()
