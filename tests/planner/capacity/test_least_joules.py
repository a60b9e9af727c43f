"""Least joules: what no schedule of steps goes below."""

import pytest

from planner.planning.loop import PlanningLoop
from planner.resolve.case import open_case
from tests.planner.small import small

RATES = (0.5, 20.0, 150.0)


@pytest.mark.parametrize("policy", ["colocated", "sarathi", "splitwise"])
@pytest.mark.parametrize("rate", RATES)
def test_no_simulation_draws_less_than_the_least_joules(policy: str, rate: float) -> None:
    """Machines and the least joules of their requests are below the watts planned and below the watts simulated.

    The bound of the objective is below both, so that a gap to either is proven, at loads that leave instances idle and
    at loads that fill their batches.
    """
    case = open_case(
        small(f"policy.name={policy}", f"workload.rate_req_per_s={rate}", "workload.duration_s=60", "objective=energy"),
        policy,
    )
    loop = PlanningLoop(case, lambda _words, _done: None)
    found = loop.propose_and_tighten()
    assert isinstance(found, tuple)
    candidate, seen = found
    least_w = sum(loop.least[p.spec.name].expected_w(p.machines, p.rate_req_per_s) for p in candidate.pools)
    standby_w = sum(p.instances * case.physics[p.spec.name].power.standby_w for p in candidate.pools)
    assert seen.mean_w is not None
    assert loop.bound is not None
    assert standby_w < least_w < min(candidate.totals.expected_power_w, seen.mean_w)
    assert loop.bound <= least_w * (1 + 1e-6)
