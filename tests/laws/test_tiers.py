"""Tiers of one model on one cluster: what a request of a lower priority may cost one of a higher."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.books import window
from planner.simulator.pools import PoolModel, Run
from planner.simulator.serve import serve
from tests.laws.witness_clusters import Asked, questions
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_trace
from workloads.requests import RequestClass
from workloads.traces import Trace

TIERS = (RequestClass(name="interactive", priority=1), RequestClass(name="batch"))
FIRST = {"interactive": 1}


def of_tiers(arrival_s: list[float], prompts: list[int], outputs: list[int], batch: list[bool]) -> Trace:
    """A trace whose requests are of these tiers, in the order of arrival."""
    order = np.argsort(arrival_s, kind="stable")
    trace = toy_trace(*([column[i] for i in order] for column in (arrival_s, prompts, outputs)))
    return replace(trace, class_index=np.array([batch[i] for i in order], np.int64), classes=TIERS)


def run(trace: Trace, priorities: dict[str, int], kv_blocks: int = 10_000, **knobs: int) -> Run:
    """One colocated instance."""
    (pool,) = toy_pools("colocated", prefills=1, decodes=0, physics=toy_physics(kv_blocks=kv_blocks))
    every = replace(pool, classes=frozenset({0, 1}))
    policy = toy_policy("colocated", priorities=priorities, **knobs)
    return serve([every], policy, trace, window(trace, warmup_frac=0, cooldown_frac=0, slices=1), cutoff_s=1e6)


STEP_TOKENS = 64
request = st.tuples(st.floats(0.0, 2.0), st.integers(STEP_TOKENS // 2 + 1, 900), st.booleans())
"""Arrival, prompt and whether its tier is the lower; no two prompts fit into one step."""


@settings(max_examples=60)
@given(requests=st.lists(request, min_size=2, max_size=40))
def test_a_lower_priority_costs_a_step_in_progress_at_most(requests: list[tuple[float, int, bool]]) -> None:
    """Where steps hold one prompt each, no first token of a higher priority is later for the lower by more than a step.

    That is the step which runs when it arrives, or when the last one of its priority before it was done.
    """
    if all(batch for *_, batch in requests):
        return
    arrival_s, prompts, batch = (list(column) for column in zip(*requests, strict=True))
    alone = [row for row in requests if not row[2]]
    mixed = of_tiers(arrival_s, prompts, [1] * len(prompts), batch)
    own = of_tiers([a for a, _, _ in alone], [p for _, p, _ in alone], [1] * len(alone), [False] * len(alone))
    beside, without = run(mixed, FIRST, max_batch_tokens=STEP_TOKENS), run(own, FIRST, max_batch_tokens=STEP_TOKENS)
    lowest = [p for p, low in zip(prompts, batch, strict=True) if low]
    step_s = max((toy_physics().step.prefill_s([(p, 0)]) for p in lowest), default=0.0)
    later_s = beside.ledger.ttft_s[mixed.class_index == 0] - without.ledger.ttft_s
    assert later_s.max() <= step_s + 1e-9


@settings(max_examples=40)
@given(asked=questions())
def test_classes_of_one_priority_are_served_as_those_of_none(asked: Asked) -> None:
    """What counts is which priority is larger: all at 3 is the same as all at 0."""
    names = [kind.name for kind in asked.trace.classes]

    def served(priority: int) -> Run:
        order = replace(asked.policy.order, priorities=dict.fromkeys(names, priority))
        policy = replace(asked.policy, order=order)
        return serve(asked.pools, policy, asked.trace, asked.measured(), **asked.rest())

    one, other = served(0), served(3)
    np.testing.assert_array_equal(one.ledger.e2e_s, other.ledger.e2e_s)
    np.testing.assert_array_equal(one.ledger.served_by, other.ledger.served_by)


def test_a_higher_priority_passes_all_prompts_that_wait() -> None:
    """Of ten prompts of the lower priority one runs; the higher one that comes then is next, and the rest follow."""
    trace = of_tiers([0.0] * 10 + [0.001], [500] * 11, [1] * 11, [True] * 10 + [False])
    plain, tiers = (
        run(trace, {}, max_batch_tokens=STEP_TOKENS).ledger,
        run(trace, FIRST, max_batch_tokens=STEP_TOKENS).ledger,
    )
    assert np.argsort(plain.ttft_s + trace.arrival_s).tolist() == list(range(11))
    assert np.argsort(tiers.ttft_s + trace.arrival_s).tolist() == [0, 10, *range(1, 10)]


def test_a_prompt_in_chunks_gives_way_between_two_steps() -> None:
    """A long prompt of the lower priority stops after the chunk in progress, and goes on behind the higher one."""
    pool = replace(toy_pools("sarathi", prefills=1, decodes=0)[0], classes=frozenset({0, 1}), chunk_tokens=100)
    trace = of_tiers([0.0, 0.001], [5000, 100], [1, 1], [True, False])

    def ttft_s(priorities: dict[str, int]) -> list[float]:
        policy = toy_policy("sarathi", priorities=priorities)
        span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
        found: list[float] = serve([pool], policy, trace, span, cutoff_s=1e6).ledger.ttft_s.tolist()
        return found

    (low, high), (_, late) = ttft_s(FIRST), ttft_s({})
    step_s = toy_physics().step.prefill_s([(100, 0)])
    assert high < 3 * step_s < late
    assert high + 0.001 < low


def test_the_lower_priority_loses_its_memory_first() -> None:
    """Where two requests that decode do not fit any more the lower one starts over, though it came first."""
    trace = of_tiers([0.0, 0.5], [300, 300], [400, 400], [True, False])
    plain, tiers = run(trace, {}, kv_blocks=70).ledger, run(trace, FIRST, kv_blocks=70).ledger
    assert plain.max_gap_s[1] > 5 * plain.max_gap_s[0]  # the youngest starts over where all are equal
    assert tiers.max_gap_s[0] > 5 * tiers.max_gap_s[1]


def test_memory_for_kv_caches_goes_to_the_higher_priority_first() -> None:
    """Of the caches that wait for the memory of a decode instance the higher one travels first."""
    first, then = toy_pools("splitwise", prefills=1, decodes=1, physics=toy_physics(kv_blocks=70))
    pools: list[PoolModel] = [replace(each, classes=frozenset({0, 1})) for each in (first, then)]
    trace = of_tiers([0.0, 0.01, 0.02, 0.03], [600] * 4, [300] * 4, [True, True, True, False])

    def ends_s(priorities: dict[str, int]) -> list[float]:
        policy = toy_policy("splitwise", priorities=priorities, kv_transfer="serialized")
        span = window(trace, warmup_frac=0, cooldown_frac=0, slices=1)
        ledger = serve(pools, policy, trace, span, cutoff_s=1e6).ledger
        return [float(end) for end in ledger.e2e_s + trace.arrival_s]

    assert ends_s({}) == sorted(ends_s({}))
    assert sorted(range(4), key=ends_s(FIRST).__getitem__) == [0, 3, 1, 2]
