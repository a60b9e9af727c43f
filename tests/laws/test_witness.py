"""The reference serves step by step what the simulator in production serves by runs: both tell the same."""

import numpy as np
import pytest
from hypothesis import given, settings

from planner.perf.layout import Role
from planner.simulator import reference
from planner.simulator.books import window
from planner.simulator.judge import judge
from planner.simulator.pools import PoolModel, Run
from planner.simulator.reference import REFERENCE
from planner.simulator.serve import serve
from planner.simulator.traffic import Judging, Traffic
from tests.laws.witness_clusters import Asked, questions
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_trace
from workloads.slo import Metric, Slo


def both(asked: Asked) -> tuple[Run, Run]:
    """The simulator in production, and the reference."""
    start = asked.pools, asked.policy, asked.trace, asked.measured()
    return serve(*start, **asked.rest()), reference.serve(*start, **asked.rest())


def assert_same_times(fast: Run, slow: Run) -> None:
    """Times of every request within 1e-9, every count the same."""
    for column in ("ttft_s", "e2e_s", "max_gap_s"):
        np.testing.assert_allclose(getattr(fast.ledger, column), getattr(slow.ledger, column), rtol=1e-9, atol=1e-12)
    for count in ("arrived", "finished", "refused", "restarted", "transfers", "output_tokens"):
        assert getattr(fast.ledger, count) == getattr(slow.ledger, count), count
    np.testing.assert_array_equal(fast.ledger.served_by, slow.ledger.served_by)
    for left in ("waiting", "running", "end_s", "kv_total_blocks", "borrowed"):
        assert getattr(fast, left) == getattr(slow, left), left
    if not slow.running:  # production books a run of steps, its gaps and its blocks, when it ends
        assert fast.kv_free_blocks == slow.kv_free_blocks
        np.testing.assert_array_equal(fast.ledger.gaps.sum(axis=1), slow.ledger.gaps.sum(axis=1))


@settings(max_examples=100)
@given(asked=questions())
def test_production_and_reference_tell_the_same_story(asked: Asked) -> None:
    """Whatever cluster, policy, failure or shift: every request's times are those of the reference, to 1e-9."""
    assert_same_times(*both(asked))


@pytest.mark.parametrize("speed", [0.3, 1.0, 2.5])
def test_an_idle_cluster_sends_to_the_first_instance(speed: float) -> None:
    """Where nothing is pending all instances are equal, whatever has passed through: the first takes the next one."""
    trace = toy_trace([10.0 * i for i in range(9)], [3, 5, 7] * 3, [4] * 9)
    trace.arrival_s[3:6] = 30.0  # two others take part once
    pool = PoolModel(
        name="mixed", role=Role.MIXED, physics=toy_physics(), instances=3, speed=speed, classes=frozenset({0})
    )
    run = serve(
        [pool],
        toy_policy("colocated"),
        trace,
        window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1),
        cutoff_s=1e4,
    )
    assert run.ledger.served_by[[0, 1, 2, 6, 7, 8], 0].tolist() == [0] * 6
    assert run.ledger.served_by[3:6, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["colocated", "splitwise"])
def test_the_reference_judges_alike(name: str) -> None:
    """Served step by step by the reference a plan has the same evidence, goodput and counts."""
    found = [
        judge(
            toy_pools(name), toy_policy(name),
            Traffic(draw=lambda seed: random_trace(seed, 150, 8.0), seeds=[1, 2], workload="", exact=False),
            [Slo(metric=Metric.TTFT, percentile=99.0, limit=1.0), Slo(metric=Metric.TBT, percentile=90.0, limit=0.2)],
            Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95, stepwise=stepwise),
        )
        for stepwise in (False, True)
    ]  # fmt: skip
    core, reference = found
    assert reference.engine == REFERENCE != core.engine
    assert core.goodput_req_per_s == pytest.approx(reference.goodput_req_per_s, rel=1e-9)
    assert (core.finished, core.arrived) == (reference.finished, reference.arrived)
    for mine, other in zip(core.evidence, reference.evidence, strict=True):
        assert (mine.verdict, mine.n) == (other.verdict, other.n)
        assert (mine.measured, mine.low) == pytest.approx((other.measured, other.low), rel=1e-9)
