"""What is proven of a value bounds what is simulated, too."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.planning.proven import proven
from planner.report.words import is_best
from planner.results.use import PowerUse
from planner.scenario.objectives import IN_JOULES, Objective
from tests.planner import plans

watts = st.floats(1.0, 1e7)


@given(st.sampled_from(sorted(IN_JOULES)), watts, watts)
def test_a_bound_of_watts_is_above_neither_the_planned_nor_the_proven_least(
    objective: Objective, planned_w: float, least_w: float
) -> None:
    """Planned joules may lie below the least of simulated ones: the bound that is told is the smaller of both."""
    bound, gap_frac = proven(objective, planned_w, least_w)
    assert bound == min(planned_w, least_w)
    assert gap_frac is not None
    assert 0 <= gap_frac <= 1


@given(watts, watts)
def test_other_bounds_are_told_as_they_are(value: float, bound: float) -> None:
    """A bound of money is compared with the money of the plan, which is the same planned and simulated."""
    assert proven(Objective.COST, value, bound) == (bound, abs(value - bound) / value)
    assert proven(Objective.COST, value, None) == (None, None)


@pytest.mark.parametrize(("more_frac", "best"), [(0.0, True), (0.1, False)])
def test_watts_are_best_only_if_simulated_ones_reach_the_bound(more_frac: float, best: bool) -> None:
    """A plan whose simulated watts lie above a bound that its planned watts reach is not called optimal."""
    made = plans.plan()
    mean_w = 1000.0 * (1 + more_frac)
    power = PowerUse(
        mean_w=mean_w, p50_w=mean_w, p95_w=mean_w, p99_w=mean_w, peak_w=mean_w, standby_w=mean_w, prefill_w=0.0,
        decode_w=0.0,
    )  # fmt: skip
    candidate = replace(made.candidate, totals=replace(made.candidate.totals, expected_power_w=1000.0))
    plan = replace(
        made, objective="energy", objective_value=1000.0, candidate=candidate,
        judgement=replace(made.judgement, power=power),
        certificate=replace(made.certificate, bound=1000.0, gap_frac=0.0),
    )  # fmt: skip
    assert is_best(plan) is best
