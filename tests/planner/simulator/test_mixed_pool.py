"""Laws of the mixed pool: a borrowed instance helps, keeps its own requests, and is returned; no request starves."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.policies.base import Policy
from planner.policies.borrowing import MixedPool
from planner.simulator.books import window
from planner.simulator.core import batch
from planner.simulator.core.state import World
from planner.simulator.pools import UNLIMITED, Run
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_trace
from workloads.traces import Trace


def served(
    trace: Trace,
    rules: Policy,
    *,
    kv_blocks: int = 10_000,
    prefills: int = 2,
    decodes: int = 2,
    max_run_steps: int = UNLIMITED,
    chunk_tokens: int | None = None,
    cutoff_s: float = 1e5,
) -> Run:
    """One run of a toy cluster."""
    physics = toy_physics(kv_blocks=kv_blocks)
    pools = toy_pools(rules.name, prefills=prefills, decodes=decodes, physics=physics, chunk_tokens=chunk_tokens)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=4)
    return run(pools, rules, trace, measured, cutoff_s=cutoff_s, max_run_steps=max_run_steps)


def borrowing(prefill_tokens: int = 8192, decode_tokens: int = 2048, **knobs: object) -> Policy:
    """The split policy with a mixed pool."""
    return toy_policy(
        "splitwise", mixed_pool=True, prefill_threshold_tokens=prefill_tokens, decode_threshold_tokens=decode_tokens,
        **knobs,
    )  # fmt: skip


POLICIES = st.builds(
    borrowing,
    st.sampled_from([0, 300, 2000]),
    st.sampled_from([0, 300, 2000]),
    kv_transfer=st.sampled_from(["auto", "serialized", "layerwise"]),
    max_batch_size=st.sampled_from([2, 7, 64]),
)
CLUSTERS = st.fixed_dictionaries(
    {
        "kv_blocks": st.sampled_from([70, 90, 150, 400, 10_000]),
        "prefills": st.integers(1, 3),
        "decodes": st.integers(1, 3),
        "chunk_tokens": st.sampled_from([None, 80, 300]),
    }
)
SEEDS = st.integers(0, 10_000)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rate=st.floats(1.0, 150.0), rules=POLICIES, cluster=CLUSTERS)
def test_decode_runs_equal_single_steps(seed: int, rate: float, rules: Policy, cluster: dict[str, int | None]) -> None:
    """With machines lent, closed form and single steps still give every request the same times (1e-9)."""
    trace = random_trace(seed, 60, rate)
    fast = served(trace, rules, **cluster)
    slow = served(trace, rules, **cluster, max_run_steps=1)
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    assert sum(map(sum, fast.ledger.gaps)) == sum(map(sum, slow.ledger.gaps))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rate=st.floats(1.0, 200.0), cut=st.floats(0.01, 30.0), rules=POLICIES, cluster=CLUSTERS)
def test_requests_are_conserved(
    seed: int, rate: float, cut: float, rules: Policy, cluster: dict[str, int | None]
) -> None:
    """Whenever a run is cut off: arrived = finished + running + waiting + refused."""
    result = served(random_trace(seed, 80, rate, prompt_max=1400), rules, **cluster, cutoff_s=cut)
    books = result.ledger
    assert books.arrived == books.finished + result.running + result.waiting + books.refused


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rate=st.floats(1.0, 200.0), rules=POLICIES, cluster=CLUSTERS)
def test_everyone_goes_home(seed: int, rate: float, rules: Policy, cluster: dict[str, int | None]) -> None:
    """When the work is done every request has ended, every KV block is free, and no machine is lent."""
    result = served(random_trace(seed, 80, rate), rules, **cluster)
    assert result.ledger.finished + result.ledger.refused == 80
    assert result.kv_free_blocks == result.kv_total_blocks
    assert result.borrowed == 0


def test_a_thresholds_length_decides() -> None:
    """A phase borrows beyond its threshold, not at it; a role without a threshold never does."""
    pool = MixedPool()
    for role, limit in pool.threshold_tokens.items():
        assert not pool.borrows(role, limit)
        assert pool.borrows(role, limit + 1)
    assert not MixedPool(threshold_tokens={}).borrows(next(iter(pool.threshold_tokens)), 10**9)


def test_a_guest_moves_nothing() -> None:
    """A request that one machine takes for both phases has no transfer; its second token comes one step later."""
    trace = toy_trace([0.0, 0.0], [500, 200], [3, 3])
    books = served(trace, borrowing(prefill_tokens=0, kv_transfer="serialized"), prefills=1, decodes=1).ledger
    step = toy_physics().step
    assert books.transfers == 1
    assert books.ttft_s[1] == pytest.approx(step.prefill_s([(200, 0)]), rel=1e-9)
    assert books.max_gap_s[1] == pytest.approx(step.decode_s(1, 202), rel=0.01)


@pytest.mark.parametrize("kv_transfer", ["serialized", "layerwise"])
def test_a_burst_of_prompts_ends_sooner(kv_transfer: str) -> None:
    """A burst beyond the prefill pool's threshold has its first tokens sooner where decode machines help."""
    trace = toy_trace([i * 1e-3 for i in range(60)], [900] * 60, [5] * 60)
    alone = served(trace, toy_policy("splitwise", kv_transfer=kv_transfer), prefills=1, decodes=3).ledger
    helped = served(trace, borrowing(kv_transfer=kv_transfer), prefills=1, decodes=3).ledger
    assert max(helped.ttft_s) < 0.6 * max(alone.ttft_s)
    assert max(helped.e2e_s) < 0.7 * max(alone.e2e_s)


def test_a_burst_of_decodes_ends_sooner() -> None:
    """Where the decode pool's memory is full, prefill machines that are idle take whole requests."""
    trace = toy_trace([i * 0.05 for i in range(100)], [400] * 100, [200] * 100)
    alone, helped = (
        served(trace, rules, kv_blocks=150, prefills=3, decodes=1).ledger
        for rules in (toy_policy("splitwise"), borrowing(decode_tokens=400))
    )
    assert np.mean(helped.e2e_s) < 0.7 * np.mean(alone.e2e_s)


def test_below_its_thresholds_a_mixed_pool_changes_nothing() -> None:
    """As long as no queue exceeds its threshold, every request is served as without a mixed pool."""
    trace = random_trace(4, 200, 20.0)
    apart, mixed = (served(trace, rules).ledger for rules in (toy_policy("splitwise"), borrowing(10**9, 10**9)))
    assert np.array_equal(apart.e2e_s, mixed.e2e_s)
    assert np.array_equal(apart.gaps, mixed.gaps)


@pytest.mark.parametrize("rules", [toy_policy("splitwise"), borrowing(2000, 500)], ids=["apart", "mixed"])
@pytest.mark.parametrize(("prefills", "decodes"), [(2, 3), (3, 2)])
def test_a_machine_less_is_no_better(rules: Policy, prefills: int, decodes: int) -> None:
    """Without one of its machines a cluster's P99 of E2E does not fall (95 % interval of the mean over ten seeds)."""
    change = []
    for seed in range(10):
        trace = random_trace(seed, 400, 35.0)
        whole, less = (
            np.quantile(served(trace, rules, kv_blocks=600, prefills=p, decodes=d).ledger.e2e_s, 0.99)
            for p, d in ((3, 3), (prefills, decodes))
        )
        change.append(less / whole - 1)
    half_width = 2.262 * np.std(change, ddof=1) / len(change) ** 0.5  # Student's t, 9 degrees, 95 %
    assert np.mean(change) + half_width >= 0.0


def most_preemptions(max_preemptions: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often one request lost its memory at most, in an overloaded, then drained, run with little of it."""
    hits = Counter[int]()
    leaves = batch.leave

    def leave(w: World, k: int, slot: int) -> None:
        leaves(w, k, slot)
        hits[int(w.requests[slot].index)] = int(w.requests[slot].preemptions)

    monkeypatch.setattr(batch, "leave", leave)  # as ``preempt`` sees it
    trace = random_trace(2, 400, 60.0, output_max=500)
    pools = toy_pools("colocated", prefills=1, decodes=0, physics=toy_physics(kv_blocks=110))
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    rules = toy_policy("colocated", max_preemptions=max_preemptions)
    result = run(pools, rules, trace, measured, cutoff_s=1e5, interpreted=True)
    assert result.ledger.finished == 400
    return max(hits.values())


def test_nobody_starves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under overload every request ends, and a bound on preemptions keeps the unluckiest from being hit more often."""
    assert most_preemptions(1, monkeypatch) < most_preemptions(10**9, monkeypatch)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, rules=POLICIES, cluster=CLUSTERS)
def test_runs_are_deterministic(seed: int, rules: Policy, cluster: dict[str, int | None]) -> None:
    """The same trace on the same cluster gives the same books to the last bit."""
    trace = random_trace(seed, 60, 60.0)
    first, second = (served(trace, rules, **cluster).ledger for _ in range(2))
    assert np.array_equal(first.e2e_s, second.e2e_s)
    assert np.array_equal(first.gaps, second.gaps)
