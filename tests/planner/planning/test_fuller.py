"""Machines filled further than a first proposal allows, and the cheapest of plans that are equally good."""

from itertools import pairwise

import pytest

from planner.planning.fuller import limits
from planner.planning.headroom import NO_HEADROOM
from planner.planning.loop import PlanningLoop
from planner.planning.one import finished, first
from planner.planning.plan import cases_of, plan
from planner.resolve.inputs import inputs_of
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from planner.scenario.objectives import Headroom
from tests.planner.small import small

MIXED = (
    "model.name=llama-3.1-70b", "catalog.machines=[dgx-a100, dgx-h100, hgx-h200]", "catalog.tp=null",
    "workload.lengths.prompt={median_tokens: 1000, p95_tokens: 4000}", "slo={ttft_p99_s: 3, tpot_p99_s: 0.1}",
    "workload.lengths.output={median_tokens: 200, p95_tokens: 600}", "policy.name=sarathi", "workload.duration_s=null",
)  # fmt: skip


def _planned(scenario: Scenario) -> ValidatedPlan:
    answer = plan(scenario, progress=lambda _words, _done: None, with_margin=False)
    assert isinstance(answer, ValidatedPlan)
    return answer


def test_no_load_limit_of_the_program_gives_a_better_plan() -> None:
    """What the program offers at any load limit, and the simulator confirms, is no cheaper than the plan.

    One A100 and two H200 cost $57.80/h, three H100 $62.09/h: the first is no single step away.
    """
    (case,) = cases_of(inputs_of(small(*MIXED, "workload.rate_req_per_s=40")))
    loop = PlanningLoop(case, lambda _words, _done: None)
    answer = finished(loop, first(loop))
    assert isinstance(answer, ValidatedPlan)
    for headroom in limits(case.scenario.headroom_limits()):
        solution = loop.canonical(loop.problem(headroom))
        if solution.allocation is None:
            continue
        offered = loop.lifted(solution, headroom)
        if loop.within_budgets(offered) and loop.holds(offered, loop.judged(offered)):
            assert answer.candidate.totals.cost_usd_per_h <= offered.totals.cost_usd_per_h * (1 + 1e-9)


def test_limits_lead_from_those_of_the_scenario_to_none() -> None:
    """Each load limit is looser than the one before; the last leaves no headroom."""
    found = [Headroom(), *limits(Headroom())]
    assert found[-1] == NO_HEADROOM
    for tighter, looser in pairwise(found):
        assert tighter.mixed_frac < looser.mixed_frac
        assert tighter.decode_frac < looser.decode_frac


@pytest.mark.parametrize(("objective", "budget"), [("machines", "machines"), ("power", "power_w")])
def test_of_plans_that_are_equally_good_the_cheapest_is_given(objective: str, budget: str) -> None:
    """No more is paid than the least that is found for as many machines, or for as much rated power."""
    asked = small(*MIXED, "workload.rate_req_per_s=40", f"objective={objective}")
    answer = _planned(asked)
    assert answer.objective == objective
    assert answer.objective_value == getattr(answer.candidate.totals, budget)
    assert answer.certificate.bound is not None
    assert answer.certificate.bound <= answer.objective_value
    value = int(answer.objective_value) if budget == "machines" else answer.objective_value
    least = _planned(asked.changed(("objective=cost", f"budgets.{budget}={value}")))
    assert answer.candidate.totals.cost_usd_per_h <= least.candidate.totals.cost_usd_per_h * (1 + 1e-9)
