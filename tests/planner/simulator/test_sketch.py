"""Rules of the picture of a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.books import window
from planner.simulator.pools import Events, Looks
from planner.simulator.serve import serve
from planner.simulator.sketch import LOOKS, MOMENTS, sketch
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_policy, toy_pools

POLICIES = st.sampled_from(["splitwise", "colocated"])


def drawn(name: str, seed: int = 1, rate_req_per_s: float = 8.0):
    return sketch(
        toy_pools(name), toy_policy(name), random_trace(seed, 300, rate_req_per_s), warmup_frac=0.1, cooldown_frac=0.05
    )


@settings(max_examples=10, deadline=None)
@given(name=POLICIES, seed=st.integers(0, 99), period_s=st.floats(0.01, 3.0))
def test_looking_changes_nothing(name: str, seed: int, period_s: float) -> None:
    """A watched run leaves the same books as one that nobody watches."""
    trace = random_trace(seed, 120, 8.0)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=2)
    looks = Looks(period_s=period_s, count=int(trace.duration_s / period_s))
    alone = run(toy_pools(name), toy_policy(name), trace, measured, cutoff_s=1e4)
    seen = serve(toy_pools(name), toy_policy(name), trace, measured, cutoff_s=1e4, beside=Events(looks=looks))
    for column in ("ttft_s", "e2e_s", "gaps"):
        assert np.array_equal(getattr(seen.ledger, column), getattr(alone.ledger, column))


@pytest.mark.parametrize("name", ["splitwise", "colocated"])
def test_series_have_a_value_per_moment(name: str) -> None:
    """Every series of a picture is as long as its axis of time, at most 300 moments, and every share is one."""
    seen = drawn(name)
    assert 1 <= len(seen.moments_s) <= MOMENTS
    for pool in seen.pools:
        columns = (pool.busy_frac, pool.batch_mean, pool.queue_tokens, pool.kv_frac)
        assert {len(column) for column in columns} == {len(seen.moments_s)}
        assert 0 <= min(pool.busy_frac) <= max(pool.busy_frac) <= 1
        assert 0 <= min(pool.kv_frac) <= max(pool.kv_frac) <= 1
        assert min(pool.queue_tokens) >= 0


@pytest.mark.parametrize("name", ["splitwise", "colocated"])
def test_what_is_seen_is_what_was_measured(name: str) -> None:
    """The mean of the looks agrees with the exact time integrals of the meters, within the error of sampling."""
    trace = random_trace(3, 600, 8.0)
    seen = sketch(toy_pools(name), toy_policy(name), trace, warmup_frac=0.0, cooldown_frac=0.0)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    books = run(toy_pools(name), toy_policy(name), trace, measured, cutoff_s=1e4)
    span_s = measured.end_s - measured.start_s
    for pool in seen.pools:
        busy = np.mean([m.busy_s / span_s for m in books.meters[pool.pool]])
        assert np.mean(pool.busy_frac) == pytest.approx(busy, abs=0.05)  # 1,200 looks: two standard errors are 0.03
        queue = np.mean([m.queue_token_s / span_s for m in books.meters[pool.pool]])
        assert np.mean(pool.queue_tokens) == pytest.approx(queue, rel=0.25, abs=20)


@given(name=POLICIES, seed=st.integers(0, 20))
@settings(max_examples=6, deadline=None)
def test_arrivals_add_up(name: str, seed: int) -> None:
    """The tokens of all moments together are the tokens of the trace."""
    trace = random_trace(seed, 200, 8.0)
    seen = sketch(toy_pools(name), toy_policy(name), trace, warmup_frac=0.1, cooldown_frac=0.1)
    step_s = trace.duration_s / MOMENTS
    assert round(trace.duration_s / (step_s / LOOKS)) == LOOKS * MOMENTS
    assert sum(seen.prompt_tokens_per_s) * step_s == pytest.approx(trace.prompt_tokens.sum(), rel=1e-6)
    assert sum(seen.output_tokens_per_s) * step_s == pytest.approx(trace.output_tokens.sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["splitwise", "colocated"])
def test_curves_never_fall(name: str) -> None:
    """A larger share of all observations needs at least as much time."""
    for curve in drawn(name).curves:
        assert list(curve.share_frac) == sorted(curve.share_frac)
        assert list(curve.latency_s) == sorted(curve.latency_s)
        assert len(curve.latency_s) == len(curve.share_frac) > 0
