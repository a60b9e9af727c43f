"""Busy shares and memory use are properties of what happened, not of how it was computed."""

import pytest

from planner.simulator.books import window
from planner.simulator.pools import UNLIMITED
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_policy, toy_pools


@pytest.mark.parametrize("name", ["colocated", "splitwise"])
@pytest.mark.parametrize("rate_req_per_s", [3.0, 40.0])
def test_time_integrals_do_not_depend_on_the_step_size(name: str, rate_req_per_s: float) -> None:
    """Decode runs in closed form leave the busy time, the KV memory held and its peak that single steps leave.

    Memory held is within 1 %: a run counts the blocks it takes as if they came evenly.
    """
    trace = random_trace(3, 200, rate_req_per_s, output_max=600)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.05, slices=5)
    fast, slow = (
        run(toy_pools(name), toy_policy(name), trace, measured, cutoff_s=1e5, max_run_steps=steps).meters
        for steps in (UNLIMITED, 1)
    )
    for pool, meters in fast.items():
        for one, other in zip(meters, slow[pool], strict=True):
            assert one.busy_s == pytest.approx(other.busy_s, rel=1e-9)
            assert one.kv_block_s == pytest.approx(other.kv_block_s, rel=0.01)
            assert one.kv_peak_blocks == other.kv_peak_blocks
            assert one.queue_token_s == pytest.approx(other.queue_token_s, rel=1e-9)
