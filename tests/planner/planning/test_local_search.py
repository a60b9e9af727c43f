"""Rules of descent: a searched plan is a plan, at the same objective or better."""

from planner.planning.plan import plan
from planner.results.evidence import ValidatedPlan
from tests.planner.small import small


def test_a_searched_plan_is_never_worse_and_comes_again() -> None:
    """With judgements to spend, the plan is valid, costs no more, tells every step it took, and is the same again."""
    settings = ("workload.rate_req_per_s=8", "catalog.machines=[dgx-h100, hgx-h200, dgx-a100]")
    before = plan(small(*settings), progress=lambda *_: None)
    one, two = (plan(small(*settings, "solver.search_evaluations=40"), progress=lambda *_: None) for _ in range(2))
    assert isinstance(before, ValidatedPlan)
    assert isinstance(one, ValidatedPlan)
    assert one == two
    assert one.judgement.valid
    assert one.objective_value <= before.objective_value
    searched = [r for r in one.rounds if r.step == "search"]
    costs = [r.candidate.totals.cost_usd_per_h for r in searched]
    assert costs == sorted(costs, reverse=True)
    assert all(r.judgement.valid for r in searched)
    assert one.certificate.bound == before.certificate.bound
