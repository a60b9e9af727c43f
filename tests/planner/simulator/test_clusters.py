"""Clusters as they are run: attention ranks, slots of a pool of its own, first tokens from the decode side."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.perf.ranks import of_instance
from planner.policies.topology import PhaseSplit
from planner.simulator.books import window
from planner.simulator.pools import PoolModel, Run
from planner.simulator.serve import serve, stepwise
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.prefixes import prefixes_of

FLAT = toy_profile(bend=False)
PLAIN = toy_physics(profile=FLAT)


def served(pools: list[PoolModel], prompts: list[int], outputs: list[int], *, late: bool = False) -> Run:
    """All at once."""
    policy = toy_policy("splitwise", max_batch_tokens=1000)
    if late:
        policy = replace(policy, topology=replace(PhaseSplit(mode="serialized"), answered_by=Role.DECODE))
    trace = toy_trace([0.0] * len(prompts), prompts, outputs)
    return serve(pools, policy, trace, window(trace, warmup_frac=0, cooldown_frac=0, slices=1), cutoff_s=1e4)


def split(*, ranks: int = 1, slots: int | None = None, tokens: int | None = None) -> list[PoolModel]:
    """One prefill and one decode instance."""
    first, then = toy_pools("splitwise", prefills=1, decodes=1, physics=PLAIN)
    ranked = replace(first, physics=replace(PLAIN, ranks=ranks), max_batch_tokens=tokens)
    return [ranked, replace(then, max_batch_size=slots)]


def behind(pools: list[PoolModel], *prompts: int) -> list[float]:
    """Seconds from the end of a first step until each of ``prompts``, which came during it, is computed."""
    ttft = served(pools, [10, *prompts], [1] * (1 + len(prompts))).ledger.ttft_s
    return (np.asarray(ttft)[1:] - ttft[0]).tolist()


def test_ranks_compute_a_prompt_each_in_the_time_of_one() -> None:
    """Four equal prompts on four ranks are computed together as fast as one; a fifth needs a step of its own."""
    (alone,) = behind(split(), 800)
    together = behind(split(ranks=4), 800, 800, 800, 800, 800)
    assert together[:4] == pytest.approx([alone] * 4)
    assert together[4] == pytest.approx(2 * alone)


def test_a_step_of_ranks_waits_for_the_longest_prompt() -> None:
    """Of two prompts on two ranks both are out when the longer one is."""
    (alone,) = behind(split(), 900)
    assert behind(split(ranks=2), 900, 100) == pytest.approx([alone, alone])


def test_a_pool_has_limits_of_its_own() -> None:
    """A pool's token limit cuts its steps, whatever the policy's is: two prompts of 400 need two steps under 500."""
    wide, narrow = behind(split(), 400, 400), behind(split(tokens=500), 400, 400)
    assert wide[0] == wide[1]
    assert narrow[0] < narrow[1]


def test_a_first_token_of_the_decode_side_waits_for_a_slot() -> None:
    """With one slot the second request has its first token when the first is done; else when it is computed."""
    early = served(split(slots=1), [100, 100], [50, 50]).ledger
    late = served(split(slots=1), [100, 100], [50, 50], late=True).ledger
    assert early.ttft_s[1] < late.e2e_s[0] <= late.ttft_s[1]
    assert late.e2e_s[1] == pytest.approx(early.e2e_s[1], rel=0.05)


def ranked(ranks: int, kv_blocks: int) -> InstancePhysics:
    """A toy instance of attention ranks."""
    profile = of_instance(replace(toy_profile(), dp=ranks))
    return replace(toy_physics(profile=profile, kv_blocks=kv_blocks), ranks=ranks)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(("colocated", "splitwise")), ranks=st.sampled_from((1, 2, 3, 8)),
    requests=st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 900), st.integers(1, 60)), min_size=1, max_size=25
    ),
    slots=st.sampled_from((None, 3)), tokens=st.sampled_from((None, 500)), kv_blocks=st.sampled_from((130, 5000)),
)  # fmt: skip
def test_core_and_reference_serve_attention_ranks_alike(
    name: str, ranks: int, requests: list[tuple[float, int, int]], slots: int | None, tokens: int | None, kv_blocks: int
) -> None:
    """Both deal prompts to ranks in rounds, wait for the fullest rank and keep a pool's limits: the same times."""
    policy = toy_policy(name, max_batch_tokens=1000, max_batch_size=4)
    pools = [
        replace(pool, max_batch_size=slots, max_batch_tokens=tokens)
        for pool in toy_pools(name, prefills=1, decodes=1, physics=ranked(ranks, kv_blocks))
    ]
    trace = toy_trace(*(list(column) for column in zip(*sorted(requests), strict=True)))
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    ours, theirs = (run(pools, policy, trace, span, cutoff_s=1e4).ledger for run in (serve, stepwise))
    np.testing.assert_allclose(ours.ttft_s, theirs.ttft_s, rtol=1e-9)
    np.testing.assert_allclose(ours.e2e_s, theirs.e2e_s, rtol=1e-9)


def test_a_rank_has_the_slots_of_the_policy() -> None:
    """A policy's limit holds for each attention rank, one of the pool for the whole instance."""
    pool = replace(toy_pools("colocated", prefills=1, decodes=0)[0], physics=ranked(8, 5000))
    assert pool.slots(256) == 8 * 256
    assert replace(pool, max_batch_size=20).slots(256) == 20


def test_an_instance_of_ranks_computes_as_many_prompts_at_once_and_each_as_fast() -> None:
    """A step of as many equal prompts as there are ranks takes as long as one prompt; one more takes another's time."""
    step = ranked(4, 5000).step
    alone = step.prefill_s([(300, 0)])
    assert step.prefill_s([(300, 0)] * 4) == alone
    assert step.prefill_s([(300, 0)] * 5) == pytest.approx(step.prefill_s([(300, 0), (300, 0)] * 4))
    assert step.prefill_s([(300, 0), (100, 0)]) == alone
    several = step.each_s(np.array([300, 100]), np.array([0, 0]), 3, 300)
    assert several[0] == step.prefill_s([(300, 0)], 3, 300)


def test_the_reference_refuses_what_it_does_not_know() -> None:
    """The step-by-step reference says so instead of sending first tokens from another side than is asked."""
    trace = toy_trace([0.0], [100], [2])
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    late = replace(toy_policy("splitwise"), topology=PhaseSplit(answered_by=Role.DECODE))
    with pytest.raises(BadInput, match="first tokens"):
        stepwise(split(), late, trace, span, cutoff_s=1e3)


@pytest.mark.parametrize("room_tokens", [0.0, 400.0, inf])
def test_core_and_reference_find_the_same_prefixes(room_tokens: float) -> None:
    """Prompts of one beginning are out sooner the more is kept of it, in the core as in the reference."""
    body = replace(PLAIN, prefix_tokens=room_tokens)
    pools = toy_pools("colocated", prefills=1, decodes=0, physics=body)
    bare = toy_trace([0.0, 5.0, 10.0], [400, 400, 800], [1, 1, 1])
    trace = replace(bare, prefixes=prefixes_of([[1, 2, 3, 4], [1, 2, 3, 9], [1, 2, 3, 4, 5, 6, 7, 8]]))
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    policy = toy_policy("colocated", max_batch_tokens=1000)
    ours, theirs = (
        np.asarray(run(pools, policy, trace, span, cutoff_s=1e3).ledger.ttft_s) for run in (serve, stepwise)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    token_s = 1e-4  # of a prompt, in the toy
    found = {0.0: (0, 0), 400.0: (300, 300), inf: (300, 400)}[room_tokens]
    whole = 0.01 + token_s * np.array([400, 800])
    assert ours[1:] == pytest.approx(whole - token_s * np.array(found))
