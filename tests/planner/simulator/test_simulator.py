"""Laws of the simulator: conservation, causality, one semantics whatever the step size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.books import window
from planner.simulator.pools import UNLIMITED, Run
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_trace
from workloads.traces import Trace

POLICIES = st.sampled_from(["colocated", "splitwise"])
TRANSFERS = st.sampled_from(["auto", "serialized", "layerwise"])


def served(
    trace: Trace,
    name: str,
    *,
    kv_blocks: int = 10_000,
    max_run_steps: int = UNLIMITED,
    cutoff_s: float = 1e5,
    kv_transfer: str = "auto",
    prefills: int = 2,
    decodes: int = 2,
    max_batch_size: int = 64,
    chunk_tokens: int | None = None,
    chunk_form: str = "stall-free",
) -> Run:
    """One run of a toy cluster."""
    physics = toy_physics(kv_blocks=kv_blocks)
    pools = toy_pools(name, prefills=prefills, decodes=decodes, physics=physics, chunk_tokens=chunk_tokens)
    rules = toy_policy(name, kv_transfer=kv_transfer, max_batch_size=max_batch_size, chunk_form=chunk_form)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=4)
    return run(pools, rules, trace, measured, cutoff_s=cutoff_s, max_run_steps=max_run_steps)


scenarios = st.fixed_dictionaries(
    {
        "name": POLICIES,
        "kv_transfer": TRANSFERS,
        "kv_blocks": st.sampled_from([70, 90, 150, 400, 10_000]),
        "max_batch_size": st.sampled_from([2, 7, 64]),
        "prefills": st.integers(1, 3),
        "decodes": st.integers(1, 3),
        "chunk_tokens": st.sampled_from([None, None, 70, 200, 512]),
        "chunk_form": st.sampled_from(["stall-free", "decode-maximal", "prefill-first"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(1.0, 100.0), knobs=scenarios)
def test_decode_runs_equal_single_steps(seed: int, rate: float, knobs: dict[str, object]) -> None:
    """Advancing a decode batch in closed form gives every request the times of a step-by-step simulation (1e-9)."""
    trace = random_trace(seed, 60, rate)
    fast = served(trace, **knobs)  # type: ignore[arg-type]
    slow = served(trace, **knobs, max_run_steps=1)  # type: ignore[arg-type]
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    assert sum(map(sum, fast.ledger.gaps)) == sum(map(sum, slow.ledger.gaps))
    # a gap on the very edge of a 0.2 % bin may fall to either side
    difference = np.cumsum(fast.ledger.gaps, axis=1) - np.cumsum(slow.ledger.gaps, axis=1)
    assert np.abs(difference).sum() <= 0.01 * sum(map(sum, slow.ledger.gaps))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(1.0, 200.0), cut=st.floats(0.01, 30.0), knobs=scenarios)
def test_requests_are_conserved(seed: int, rate: float, cut: float, knobs: dict[str, object]) -> None:
    """Whenever a run is cut off: arrived = finished + running + waiting + refused."""
    result = served(random_trace(seed, 80, rate, prompt_max=1400), **knobs, cutoff_s=cut)  # type: ignore[arg-type]
    books = result.ledger
    assert books.arrived == books.finished + result.running + result.waiting + books.refused


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(1.0, 200.0), knobs=scenarios)
def test_memory_is_conserved(seed: int, rate: float, knobs: dict[str, object]) -> None:
    """When every request has left, every KV block is free again; none was ever used twice."""
    result = served(random_trace(seed, 80, rate), **knobs)  # type: ignore[arg-type]
    assert result.ledger.finished + result.ledger.refused == 80
    assert result.kv_free_blocks == result.kv_total_blocks
    for meters in result.meters.values():
        assert all(0 <= m.kv_peak_blocks <= m.kv_blocks for m in meters)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(1.0, 200.0), knobs=scenarios)
def test_time_runs_forward(seed: int, rate: float, knobs: dict[str, object]) -> None:
    """No first token before its prefill could be done, no last token before the first, no gap beyond the whole."""
    trace = random_trace(seed, 80, rate)
    books = served(trace, **knobs).ledger  # type: ignore[arg-type]
    step = toy_physics().step
    for i in range(len(trace)):
        if np.isfinite(books.e2e_s[i]):
            alone = step.prefill_s([(int(trace.prompt_tokens[i]), 0)])
            assert books.ttft_s[i] >= alone - 1e-9
            assert books.e2e_s[i] >= books.ttft_s[i] - 1e-12
            assert books.max_gap_s[i] <= books.e2e_s[i] - books.ttft_s[i] + 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), knobs=scenarios)
def test_runs_are_deterministic(seed: int, knobs: dict[str, object]) -> None:
    """The same trace on the same cluster gives the same books to the last bit."""
    trace = random_trace(seed, 60, 30.0)
    first, second = (served(trace, **knobs).ledger for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(first.e2e_s, second.e2e_s)
    assert np.array_equal(first.gaps, second.gaps)


def test_a_lone_request_takes_the_sum_of_its_steps() -> None:
    """TTFT of a request alone is its prefill, and E2E adds one decode step per further token at its own context."""
    books = served(toy_trace([1.0], [200], [5]), "colocated").ledger
    step = toy_physics().step
    prefill = step.prefill_s([(200, 0)])
    decodes = sum(step.decode_s(1, 201 + j) for j in range(4))
    assert books.ttft_s[0] == pytest.approx(prefill, rel=1e-12)
    assert books.e2e_s[0] == pytest.approx(prefill + decodes, rel=1e-12)


@pytest.mark.parametrize(("mode", "tokens"), [("serialized", 200), ("layerwise", 200)])
def test_a_transfer_shows_in_the_second_token(mode: str, tokens: int) -> None:
    """The first gap after a split is the visible part of the transfer plus one decode step, as the link model says."""
    books = served(toy_trace([0.0], [tokens], [3]), "splitwise", kv_transfer=mode).ledger
    body = toy_physics()
    busy = tokens * body.kv_bytes_per_token / body.link.bandwidth_bytes_per_s
    prefill = body.step.prefill_s([(tokens, 0)])
    visible = {
        "serialized": body.link.latency_s + busy,
        "layerwise": max(prefill / body.layers + busy - prefill, busy / body.layers)
        + body.link.latency_s
        + body.link.sync_s,
    }[mode]
    first_step = body.step.decode_s(1, tokens + 1)
    assert books.max_gap_s[0] == pytest.approx(visible + first_step, rel=1e-9)


def test_transfers_share_the_link() -> None:
    """Of two KV caches that leave one machine, the later waits until the earlier is through.

    The second is ready one prefill after the first, but the first holds the port for half a second (500 tokens of
    1,000 bytes at 1e6 bytes/s), so it loses the rest.
    """
    physics = toy_physics(bandwidth_bytes_per_s=1e6)
    trace = toy_trace([0.0, 0.0], [500, 500], [2, 2])
    pools = toy_pools("splitwise", prefills=1, decodes=2, physics=physics)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    books = run(pools, toy_policy("splitwise", kv_transfer="serialized"), trace, measured, cutoff_s=100.0).ledger
    first, second = sorted(books.max_gap_s)
    assert second - first == pytest.approx(0.5 - physics.step.prefill_s([(500, 0)]), rel=1e-6)


def test_a_request_too_long_for_any_memory_is_refused() -> None:
    """A request that alone overflows the KV memory is counted as refused and never finishes."""
    result = served(toy_trace([0.0, 1.0], [2000, 100], [10, 10]), "colocated", kv_blocks=100)
    assert (result.ledger.refused, result.ledger.finished) == (1, 1)
    assert np.isinf(result.ledger.e2e_s[0])


def test_computed_prompts_keep_nobody_waiting() -> None:
    """Of two colocated instances that decode one request each, a long prompt behind one makes it no less welcome."""
    trace = toy_trace([0.0, 1.0, 2.0], [1500, 10, 600], [400, 400, 5])
    gaps = served(trace, "colocated", prefills=1, decodes=1).ledger.max_gap_s
    assert gaps[0] > 2 * gaps[1]  # the third was computed beside the first, not beside the second
