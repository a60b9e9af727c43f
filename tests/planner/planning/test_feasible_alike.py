"""Whether there is a plan does not depend on what is minimised, and neither does what a refusal asks for."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.planning.plan import plan
from planner.resolve.inputs import read_inputs
from planner.results.evidence import NoPlan, ValidatedPlan
from tests.planner.small import small

OBJECTIVES = ("cost", "power", "machines", "energy", "carbon")
LIMITS = ("budgets.expected_power_w=30000", "power.row_limit_w=60000")


def _answer(*words: str) -> ValidatedPlan | NoPlan:
    """The answer to a small question."""
    return plan(small("catalog.machines=[dgx-h100]", *words), progress=lambda *_: None, with_margin=False)


@pytest.mark.parametrize("limit", LIMITS)
def test_the_same_clocks_are_tried_for_every_objective_where_watts_are_limited(limit: str) -> None:
    """A limit of watts that slower clocks meet is met whatever is minimised; without one only joules ask for them."""
    each = ("catalog.machines=[dgx-h100, dgx-a100]", "catalog.caps_w={dgx-a100: [300]}")
    free = {goal: read_inputs(small(*each, f"objective={goal}")).limits for goal in OBJECTIVES}
    held = [read_inputs(small(*each, limit, f"objective={goal}")).limits for goal in OBJECTIVES]
    assert len(free["cost"]["dgx-h100"]) == 1
    assert all(limits == free["energy"] for limits in held)
    hours = ("schedule.load=[1.0, 0.5]", limit)
    aims = [read_inputs(small(*each, *hours, f"objective={aim}")).limits for aim in ("cost", "energy")]
    assert aims[0] == aims[1] == free["energy"]


@pytest.mark.parametrize("goal", ["cost", "energy"])
def test_watts_that_one_objective_meets_another_meets(goal: str) -> None:
    """Below what any layout at the driver's own clock draws, and above what it draws at slower ones."""
    found = _answer("workload.rate_scale=60", "catalog.tp=[2]", "budgets.expected_power_w=21000", f"objective={goal}")
    assert isinstance(found, ValidatedPlan)
    assert found.judgement.power is not None
    assert found.judgement.power.mean_w <= 21000


@pytest.mark.slow
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    rate=st.sampled_from([5, 20, 60, 90]), tp=st.sampled_from(["[2]", "[8]", "[1, 2, 4]"]),
    key=st.sampled_from(["cost_usd_per_h", "power_w", "expected_power_w", "machines"]),
    ratio=st.sampled_from([1.0, 0.97, 0.9, 0.8]),
)  # fmt: skip
def test_there_is_a_plan_for_each_objective_or_for_none(rate: int, tp: str, key: str, ratio: float) -> None:
    """Under any budget, at and below what the cheapest plan takes of it."""
    asked = (f"workload.rate_scale={rate}", f"catalog.tp={tp}")
    free = _answer(*asked)
    assert isinstance(free, ValidatedPlan)
    taken = free.candidate.spent(free.judgement.mean_w)[key] * ratio
    limit = f"budgets.{key}={max(1, round(taken)) if key == 'machines' else round(taken, 3)}"
    kinds = {goal: type(_answer(*asked, limit, f"objective={goal}")) for goal in OBJECTIVES}
    assert len(set(kinds.values())) == 1, kinds
