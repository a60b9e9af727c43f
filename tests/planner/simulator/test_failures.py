"""Laws of failures: nothing is lost but time, and what is on a dead machine is on no machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.books import window
from planner.simulator.pools import UNLIMITED, Failure, Run
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_trace
from workloads.traces import Trace


def served(
    trace: Trace,
    name: str,
    failures: list[Failure],
    *,
    recovery: str = "restart",
    mixed_pool: bool = False,
    kv_transfer: str = "auto",
    kv_blocks: int = 10_000,
    instances_per_machine: int = 1,
    prefills: int = 2,
    decodes: int = 2,
    bandwidth_bytes_per_s: float = 1e9,
    max_run_steps: int = UNLIMITED,
    chunk_tokens: int | None = None,
    cutoff_s: float = 1e5,
) -> Run:
    """One run of a toy cluster some of whose machines fail."""
    physics = toy_physics(
        kv_blocks=kv_blocks, instances_per_machine=instances_per_machine, bandwidth_bytes_per_s=bandwidth_bytes_per_s
    )
    rules = toy_policy(
        name, kv_transfer=kv_transfer, recovery=recovery, mixed_pool=mixed_pool and name == "splitwise",
        prefill_threshold_tokens=300, decode_threshold_tokens=300,
    )  # fmt: skip
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=4)
    return run(
        toy_pools(name, prefills=prefills, decodes=decodes, physics=physics, chunk_tokens=chunk_tokens), rules, trace,
        measured, cutoff_s=cutoff_s, max_run_steps=max_run_steps, failures=failures,
    )  # fmt: skip


CLUSTERS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["colocated", "splitwise"]),
        "recovery": st.sampled_from(["restart", "checkpoint"]),
        "mixed_pool": st.booleans(),
        "kv_transfer": st.sampled_from(["auto", "serialized", "layerwise"]),
        "kv_blocks": st.sampled_from([70, 90, 150, 10_000]),
        "instances_per_machine": st.integers(1, 2),
        "prefills": st.integers(1, 3),
        "decodes": st.integers(1, 3),
        "bandwidth_bytes_per_s": st.sampled_from([1e6, 1e9]),
        "chunk_tokens": st.sampled_from([None, 80, 300]),
    }
)
MOMENTS = st.floats(0.001, 4.0)
REPAIRED = st.lists(
    st.builds(Failure, machine=st.integers(0, 5), at_s=MOMENTS, repair_s=st.floats(0.001, 5.0)), max_size=4
)
SOME_FOR_GOOD = st.lists(
    st.builds(Failure, machine=st.integers(0, 5), at_s=MOMENTS, repair_s=st.none() | st.floats(0.001, 5.0)), max_size=4
)
SEEDS = st.integers(0, 10_000)


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, rate=st.floats(5.0, 150.0), failures=REPAIRED, cluster=CLUSTERS)
def test_everything_repaired_everything_served(
    seed: int, rate: float, failures: list[Failure], cluster: dict[str, object]
) -> None:
    """When all machines come back every request ends, every KV block is free, and no machine is lent."""
    result = served(random_trace(seed, 80, rate), failures=failures, **cluster)  # type: ignore[arg-type]
    books = result.ledger
    assert books.finished + books.refused == books.arrived == 80
    assert result.kv_free_blocks == result.kv_total_blocks
    assert result.borrowed == result.waiting == result.running == 0
    assert np.isfinite(books.e2e_s).sum() == books.finished


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, rate=st.floats(5.0, 150.0), cut=st.floats(0.01, 20.0), failures=SOME_FOR_GOOD, cluster=CLUSTERS)
def test_requests_are_conserved(
    seed: int, rate: float, cut: float, failures: list[Failure], cluster: dict[str, object]
) -> None:
    """Whatever fails, whenever it is cut off: arrived = finished + running + waiting + refused."""
    result = served(random_trace(seed, 80, rate), failures=failures, cutoff_s=cut, **cluster)  # type: ignore[arg-type]
    books = result.ledger
    assert books.arrived == books.finished + result.running + result.waiting + books.refused
    for meters in result.meters.values():
        assert all(0 <= m.kv_peak_blocks <= m.kv_blocks for m in meters)


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS, rate=st.floats(5.0, 100.0), failures=REPAIRED, cluster=CLUSTERS)
def test_decode_runs_equal_single_steps(
    seed: int, rate: float, failures: list[Failure], cluster: dict[str, object]
) -> None:
    """A failure amid a run in closed form loses what it loses amid single steps (times to 1e-9)."""
    trace = random_trace(seed, 60, rate)
    fast, slow = (
        served(trace, failures=failures, max_run_steps=steps, **cluster)  # type: ignore[arg-type]
        for steps in (UNLIMITED, 1)
    )
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    assert sum(map(sum, fast.ledger.gaps)) == sum(map(sum, slow.ledger.gaps))
    assert fast.ledger.restarted == slow.ledger.restarted


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, failures=SOME_FOR_GOOD, cluster=CLUSTERS)
def test_runs_are_deterministic(seed: int, failures: list[Failure], cluster: dict[str, object]) -> None:
    """The same failures on the same cluster give the same books to the last bit."""
    trace = random_trace(seed, 60, 60.0)
    first, second = (
        served(trace, failures=failures, cutoff_s=50.0, **cluster).ledger  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert np.array_equal(first.e2e_s, second.e2e_s)
    assert np.array_equal(first.gaps, second.gaps)


def test_a_failure_nothing_is_on_changes_nothing() -> None:
    """A machine that fails after the last request has ended, or is back before the first, costs nobody anything."""
    trace = random_trace(3, 60, 20.0)
    calm = served(trace, "splitwise", []).ledger
    for failure in (Failure(machine=0, at_s=1e4), Failure(machine=3, at_s=0.0, repair_s=1e-9)):
        struck = served(trace, "splitwise", [failure]).ledger
        assert np.array_equal(struck.e2e_s, calm.e2e_s)
        assert struck.restarted == 0


def test_a_restart_counts_from_the_arrival() -> None:
    """A request that is lost at once and starts over when the machine is back waits from its own arrival on."""
    alone = served(toy_trace([1.0], [200], [5]), "colocated", [], prefills=1, decodes=0).ledger
    struck = served(
        toy_trace([1.0], [200], [5]), "colocated", [Failure(machine=0, at_s=1.06, repair_s=2.0)], prefills=1, decodes=0
    ).ledger
    assert alone.e2e_s[0] > 0.06
    assert struck.restarted == 1
    assert struck.ttft_s[0] == pytest.approx(2.06 + alone.ttft_s[0], rel=1e-9)
    assert struck.e2e_s[0] == pytest.approx(2.06 + alone.e2e_s[0], rel=1e-9)


def test_a_checkpoint_saves_the_prompt() -> None:
    """A decoding request that resumes keeps its first token; its gap is the fetch and the recomputed tokens."""
    trace, body = toy_trace([0.0], [800], [60]), toy_physics()
    failures = [Failure(machine=2, at_s=0.9)]  # the decode machine that ties are given to
    restarted, resumed = (
        served(trace, "splitwise", failures, recovery=recovery, prefills=2, decodes=2).ledger
        for recovery in ("restart", "checkpoint")
    )
    assert restarted.restarted == resumed.restarted == 1
    assert resumed.ttft_s[0] == pytest.approx(body.step.prefill_s([(800, 0)]), rel=1e-9)
    assert restarted.ttft_s[0] == pytest.approx(0.9 + body.step.prefill_s([(800, 0)]), rel=1e-9)
    fetch_s = body.link.latency_s + 800 * body.kv_bytes_per_token / body.link.bandwidth_bytes_per_s
    least_s = fetch_s + body.step.prefill_s([(1, 800)])
    assert least_s < resumed.max_gap_s[0] < least_s + body.step.decode_s(1, 860) + body.step.prefill_s([(60, 800)])
    assert resumed.e2e_s[0] < restarted.e2e_s[0]


@pytest.mark.parametrize("role", ["prefill", "decode"])
def test_a_phase_without_machines_waits(role: str) -> None:
    """While no machine of a phase is up nobody is refused: requests wait, unfinished unless it is repaired."""
    trace = random_trace(1, 40, 20.0)
    machine = {"prefill": 0, "decode": 1}[role]
    for repair_s in (None, 30.0):
        failure = Failure(machine=machine, at_s=0.5, repair_s=repair_s)
        result = served(trace, "splitwise", [failure], prefills=1, decodes=1, cutoff_s=1000.0)
        assert result.ledger.refused == 0
        assert (result.waiting > 0) is (repair_s is None)
        assert (result.ledger.finished == 40) is (repair_s is not None)


def test_a_mixed_pool_survives_the_loss_of_a_phase() -> None:
    """With machines to lend, the loss of the only prefill machine leaves no request unserved."""
    trace = random_trace(1, 40, 20.0)
    failure = [Failure(machine=0, at_s=0.5)]
    apart, mixed = (
        served(trace, "splitwise", failure, mixed_pool=lent, prefills=1, decodes=2, cutoff_s=1000.0)
        for lent in (False, True)
    )
    assert apart.ledger.finished < 40
    assert mixed.ledger.finished == 40
