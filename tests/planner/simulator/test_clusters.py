"""Clusters as they are run: attention ranks, slots of a pool of its own, first tokens from the decode side."""

from dataclasses import replace

import numpy as np
import pytest

from planner.errors import BadInput
from planner.perf.layout import Role
from planner.policies.topology import PhaseSplit
from planner.simulator.books import window
from planner.simulator.pools import PoolModel, Run
from planner.simulator.serve import serve, stepwise
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile, toy_trace

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


def test_the_reference_refuses_what_it_does_not_know() -> None:
    """The step-by-step reference says so instead of serving a cluster of ranks as if it had none."""
    trace = toy_trace([0.0], [100], [2])
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    policy = toy_policy("splitwise")
    with pytest.raises(BadInput, match="attention ranks"):
        stepwise(split(ranks=2), policy, trace, span, cutoff_s=1e3)
    late = replace(policy, topology=PhaseSplit(answered_by=Role.DECODE))
    with pytest.raises(BadInput, match="first tokens"):
        stepwise(split(), late, trace, span, cutoff_s=1e3)
