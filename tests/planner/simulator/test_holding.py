"""Prompts that could be computed and are not yet: a step was planned before they came, or attention ranks wait."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.perf.instance import InstancePhysics
from planner.perf.ranks import of_instance
from planner.policies.dealing import enough_prompts, prompts_at_once
from planner.simulator.books import Books, window
from planner.simulator.pools import Events, Run
from planner.simulator.serve import serve, stepwise
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile, toy_trace

Requests = list[tuple[float, int, int]]


def body(*, ranks: int = 1, ahead_steps: int = 0, hold_steps: int = 0, kv_blocks: int = 5000) -> InstancePhysics:
    """An instance with a decode step of 20 ms."""
    profile = of_instance(replace(toy_profile(bend=False), dp=ranks))
    found = toy_physics(profile=profile, kv_blocks=kv_blocks)
    return replace(found, ranks=ranks, ahead_steps=ahead_steps, hold_steps=hold_steps)


def run(physics: InstancePhysics, requests: Requests, *, clients: int | None = None, by_steps: bool = False) -> Run:
    """One instance serves requests (arrival, prompt, output)."""
    trace = toy_trace(*(list(column) for column in zip(*sorted(requests), strict=True)))
    pools = toy_pools("colocated", prefills=1, decodes=0, physics=physics)
    policy = replace(toy_policy("colocated", max_batch_tokens=1000, max_batch_size=8))
    span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
    way = stepwise if by_steps else serve
    return way(pools, policy, trace, span, cutoff_s=1e4, beside=Events(clients=clients))


def served(physics: InstancePhysics, requests: Requests) -> Books:
    """The books of a run."""
    return run(physics, requests).ledger


def test_who_comes_after_a_step_was_planned_waits_one_more() -> None:
    """Where steps are planned one ahead, a prompt that comes amid a decode step waits that step out and another."""
    requests = [(0.0, 10, 200), (1.0, 100, 1)]
    now, ahead = (served(body(ahead_steps=steps), requests) for steps in (0, 1))
    step_s = body().step.decode_s(1, 60)
    assert ahead.ttft_s[1] - now.ttft_s[1] == pytest.approx(step_s, rel=0.01)
    assert ahead.ttft_s[0] == now.ttft_s[0]


def test_an_idle_instance_has_planned_nothing() -> None:
    """A prompt that finds no request at work is computed at once."""
    requests = [(0.0, 100, 5), (5.0, 100, 5)]
    assert list(served(body(ahead_steps=1), requests).ttft_s) == list(served(body(), requests).ttft_s)


def test_a_prompt_is_held_until_its_steps_are_over() -> None:
    """While both ranks decode, a third prompt waits as many decode steps as it may be held, counted from the last."""
    requests = [(0.0, 10, 400), (0.0, 10, 400), (0.1, 100, 1)]
    free, held = (served(body(ranks=2, hold_steps=steps), requests) for steps in (0, 50))
    step_s = body(ranks=2).step.decode_s(2, 40)
    assert 40 * step_s < held.ttft_s[2] - free.ttft_s[2] < 50 * step_s


def test_enough_prompts_end_the_hold() -> None:
    """As soon as so many wait that every rank has one, on average, they are computed."""
    first = [(0.0, 10, 400), (0.0, 10, 400)]
    few, many = ([*first, *[(0.1 + i / 100, 10, 2) for i in range(n)]] for n in (1, enough_prompts(2)))
    hold = body(ranks=2, hold_steps=50)
    assert max(served(hold, many).ttft_s[2:]) < min(served(hold, few).ttft_s[2:])


@given(waiting=st.integers(1, 300), ranks=st.integers(2, 64), rounds=st.integers(1, 40))
def test_prompts_at_once_are_what_waits_and_fits(waiting: int, ranks: int, rounds: int) -> None:
    """One at least, never more than wait or fit, and not fewer where more wait or more fit."""
    here = prompts_at_once(waiting, ranks, rounds)
    assert 1 <= here <= min(waiting, ranks * rounds)
    assert prompts_at_once(waiting + 1, ranks, rounds) >= here
    assert prompts_at_once(waiting, ranks, rounds + 1) >= here
    assert prompts_at_once(waiting, ranks, waiting) == waiting


def test_ranks_that_draw_by_chance_leave_some_without() -> None:
    """Of eight prompts on eight ranks five have a rank of their own; 22 give every rank one."""
    assert prompts_at_once(8, 8, 1) == 5
    assert enough_prompts(8) == 22
    assert enough_prompts(1) == 1


@settings(deadline=None, max_examples=30)
@given(
    ranks=st.sampled_from((1, 2, 3)), ahead_steps=st.sampled_from((0, 1)), hold_steps=st.sampled_from((0, 3, 20)),
    requests=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 400), st.integers(1, 200)), min_size=1, max_size=25),
    clients=st.sampled_from((None, 4)), kv_blocks=st.sampled_from((130, 5000)),
)  # fmt: skip
def test_core_and_reference_hold_the_same_prompts(
    ranks: int, ahead_steps: int, hold_steps: int, requests: Requests, clients: int | None, kv_blocks: int
) -> None:
    """Planned ahead, held for other ranks, or both: the same first and last tokens in both engines."""
    physics = body(ranks=ranks, ahead_steps=ahead_steps, hold_steps=hold_steps if ranks > 1 else 0, kv_blocks=kv_blocks)
    ours, theirs = (run(physics, requests, clients=clients, by_steps=way).ledger for way in (False, True))
    np.testing.assert_allclose(ours.ttft_s, theirs.ttft_s, rtol=1e-9)
    np.testing.assert_allclose(ours.e2e_s, theirs.e2e_s, rtol=1e-9)
