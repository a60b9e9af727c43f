"""The reference serves step by step what the simulator in production serves by runs: both tell the same."""

import numpy as np
from hypothesis import given, settings

from planner.simulator import reference
from planner.simulator.pools import Run
from planner.simulator.serve import serve
from tests.laws.witness_clusters import Asked, questions


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
    for left in ("waiting", "running", "end_s", "kv_total_blocks", "lent"):
        assert getattr(fast, left) == getattr(slow, left), left
    if not slow.running:  # production books a run of steps, its gaps and its blocks, when it ends
        assert fast.kv_free_blocks == slow.kv_free_blocks
        np.testing.assert_array_equal(fast.ledger.gaps.sum(axis=1), slow.ledger.gaps.sum(axis=1))


@settings(max_examples=100)
@given(asked=questions())
def test_production_and_reference_tell_the_same_story(asked: Asked) -> None:
    """Whatever cluster, policy, failure or shift: every request's times are those of the reference, to 1e-9."""
    assert_same_times(*both(asked))
