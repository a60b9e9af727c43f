"""A request needs only the roles it gets to."""

import pytest

from planner.simulator.books import window
from tests.planner.served import run
from tests.planner.toy import toy_policy, toy_pools, toy_trace


@pytest.mark.parametrize("kv_transfer", ["serialized", "layerwise"])
def test_single_tokens_need_no_decode_instance(kv_transfer: str) -> None:
    """Without a decode pool requests that end with their first token are served, and all others are refused."""
    trace = toy_trace([0.0, 0.1, 0.2, 0.3], [500, 500, 500, 500], [1, 2, 1, 9])
    prefill_only = toy_pools("splitwise")[:1]
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    result = run(prefill_only, toy_policy("splitwise", kv_transfer=kv_transfer), trace, measured, cutoff_s=100.0)
    assert (result.ledger.finished, result.ledger.refused) == (2, 2)
    assert result.ledger.transfers == 0
    assert result.kv_free_blocks == result.kv_total_blocks


def test_without_prefill_instances_nobody_is_served() -> None:
    """A class that no instance of the first role serves is refused, not served by another role."""
    trace = toy_trace([0.0, 0.1], [500, 500], [1, 5])
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    result = run(toy_pools("splitwise")[1:], toy_policy("splitwise"), trace, measured, cutoff_s=100.0)
    assert (result.ledger.finished, result.ledger.refused) == (0, 2)
