"""The budget of expected watts holds in simulation, not only on paper."""

from dataclasses import replace
from functools import cache
from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.planning.failings import met
from planner.planning.local_search import descend, evaluations
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan, simulate
from planner.planning.shrink import improve
from planner.planning.tighten import cluster, excess, fewer_watts
from planner.resolve.case import open_case
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.results.use import PowerUse
from tests.planner import plans
from tests.planner.small import small


def quiet(_words: str, _done: float) -> None:
    """Nothing to tell."""


def use(mean_w: float) -> PowerUse:
    """A plan that draws so much on average."""
    return PowerUse(
        mean_w=mean_w, p50_w=mean_w, p95_w=mean_w, p99_w=mean_w, peak_w=mean_w, standby_w=mean_w, prefill_w=0.0,
        decode_w=0.0,
    )  # fmt: skip


FULL_CLOCKS = "catalog.clocks_mhz={dgx-a100: [1410], dgx-h100: [1980]}"
"""No clock that saves watts."""


@cache
def answer(budget_w: float | None, *settings: str) -> ValidatedPlan | NoPlan:
    """The small question over 20 s at full clocks, under a budget of expected watts."""
    limits = () if budget_w is None else (f"budgets.expected_power_w={budget_w}",)
    return plan(small("workload.duration_s=20", FULL_CLOCKS, *limits, *settings), progress=quiet, with_margin=False)


def drawn_w(found: ValidatedPlan) -> float:
    """Mean watts in simulation."""
    assert found.judgement.power is not None
    return found.judgement.power.mean_w


def bought(found: ValidatedPlan | NoPlan) -> dict[str, int]:
    """What a plan buys; nothing where there is none."""
    return {p.spec.name: p.machines for p in found.candidate.pools} if isinstance(found, ValidatedPlan) else {}


def test_watts_beyond_the_budget_are_named() -> None:
    """What is drawn above the budget is told with its share; what keeps it, or is not known, is not told."""
    judgement = replace(plans.judgement(), power=use(3300.0))
    (words,) = excess(judgement, 3000.0)
    assert words == "budgets.expected_power_w: 3,300 W on average in simulation, 10 % above 3,000 W"
    assert judgement.valid
    assert not met(judgement, 3000.0)
    for limit_w in (3300.0, 4000.0, inf, None):
        assert excess(judgement, limit_w) == ()
        assert met(judgement, limit_w)
    assert excess(replace(judgement, power=None), 100.0) == ()


@given(planned_w=st.floats(10, 1e6), paper=st.floats(0.1, 1.0), over=st.floats(1e-6, 10), more=st.floats(0, 10))
def test_the_next_limit_is_below_what_was_planned(planned_w: float, paper: float, over: float, more: float) -> None:
    """A limit falls below the plan that drew too much, stays above nothing, and falls no less the more was drawn."""
    totals = replace(plans.candidate().totals, expected_power_w=paper * planned_w)
    candidate, budget_w = replace(plans.candidate(), totals=totals), planned_w
    limits = [
        fewer_watts(planned_w, budget_w, candidate, replace(plans.judgement(), power=use(budget_w * (1 + each))))
        for each in (over, over + more)
    ]
    assert 0 < limits[1] <= limits[0] <= 0.995 * totals.expected_power_w


@pytest.mark.parametrize("budget_w", [2500.0, 3000.0, 6000.0])
def test_a_plan_that_keeps_its_watts_on_paper_only_is_planned_anew(budget_w: float) -> None:
    """The first candidate keeps the budget as planned and breaks it when simulated; what is validated keeps both."""
    found = answer(budget_w, "objective=throughput")
    assert isinstance(found, ValidatedPlan)
    first = found.rounds[0]
    assert first.candidate.totals.expected_power_w <= budget_w * (1 + 1e-6)
    assert first.judgement.valid
    assert "budgets.expected_power_w" in first.note
    assert found.candidate.totals.expected_power_w <= budget_w
    assert 0.9 * budget_w < drawn_w(found) <= budget_w * (1 + 1e-6)
    assert not any("expected_power_w" in words for words in found.warnings)
    planned = [r.candidate.totals.expected_power_w for r in found.rounds if r.step == "plan"]
    assert planned == sorted(set(planned), reverse=True)


def test_a_refusal_says_which_budget_of_watts_would_do() -> None:
    """Where every plan that meets the objectives draws too much, the budget is named, and raised so far it suffices."""
    free, found = answer(None), answer(2500.0)
    assert isinstance(free, ValidatedPlan)
    assert isinstance(found, NoPlan)
    assert found.reason == "not validated"
    assert found.judgement is not None
    assert found.judgement.valid
    assert "budgets.expected_power_w" in found.explanation[0]
    assert found.raises == {"expected_power": (2500.0, float(ceil(drawn_w(free))))}
    healed = answer(found.raises["expected_power"][1])
    assert isinstance(healed, ValidatedPlan)
    assert bought(healed) == bought(free)


@settings(max_examples=12, deadline=None)
@given(budget_w=st.one_of(st.integers(2460, 2700), st.integers(2700, 10**6)))
def test_a_looser_budget_is_never_refused(budget_w: int) -> None:
    """From what the unlimited plan draws upwards every budget buys that plan; below, and above paper, none does."""
    free, found = answer(None), answer(float(budget_w))
    assert isinstance(free, ValidatedPlan)
    assert bought(found) == (bought(free) if budget_w >= drawn_w(free) else {})


@pytest.mark.parametrize("policy", ["colocated", "splitwise"])
def test_what_keeps_its_watts_in_simulation_alone_is_a_plan(policy: str) -> None:
    """At little load instances idle, and draw less than planned: simulated watts decide, and nothing is "infeasible".

    Below what machines draw without work and the least joules of their requests it is.
    """
    idle = "workload.rate_req_per_s=0.5", "workload.duration_s=400", "catalog.machines=[dgx-h100]"
    idle += ("catalog.clocks_mhz={dgx-h100: [1980]}",)
    free = answer(None, *idle, f"policy.name={policy}")
    assert isinstance(free, ValidatedPlan)
    assert drawn_w(free) < 0.95 * free.candidate.totals.expected_power_w
    found = answer(drawn_w(free) * 1.01, *idle, f"policy.name={policy}")
    assert isinstance(found, ValidatedPlan)
    assert bought(found) == bought(free)
    none = answer(2801.0, *idle, f"policy.name={policy}")
    assert isinstance(none, NoPlan)
    assert none.reason == "infeasible"


@pytest.mark.parametrize(("share", "reason"), [(0.97, "infeasible"), (1.03, "not validated")])
def test_infeasible_is_what_the_bound_in_watts_excludes(share: float, reason: str) -> None:
    """A budget is called infeasible below the proven least watts alone, and those are what it must be raised to.

    They rest on more chunk sizes than plans are made of.
    """
    bound_w = least_w()
    found = answer(share * bound_w, "policy.name=sarathi")
    assert isinstance(found, NoPlan)
    assert found.reason == reason
    assert not any("was not found" in words for words in found.explanation)
    assert found.raises["expected_power"][1] >= bound_w * (1 - 1e-6)


def least_w() -> float:
    """What is proven of the small question under chunked prefill: no plan draws less."""
    found = answer(None, "policy.name=sarathi", "objective=energy")
    assert isinstance(found, ValidatedPlan)
    assert found.certificate.bound is not None
    return found.certificate.bound


def held(loop: PlanningLoop) -> CandidatePlan:
    """Three machines where one would do."""
    rates = {c.request_class.name: c.rate_req_per_s for c in loop.case.asked.demand.classes}
    made = cluster("colocated", {"mixed/dgx-a100/tp8": 3}, rates, loop.options)
    assert isinstance(made, CandidatePlan)
    return made


@pytest.mark.parametrize("drawn_limit_w", [inf, 1.0])
def test_what_is_smaller_must_keep_the_watts_too(drawn_limit_w: float) -> None:
    """Shrinking, swapping and searching end at one machine, unless it draws too much: then each neighbour says so."""
    case = open_case(small("workload.duration_s=20", "solver.search_evaluations=20"), "colocated")
    loop = PlanningLoop(case, quiet, drawn_limit_w)
    start = held(loop), loop.judged(held(loop))
    smaller, neighbours = improve(loop, start)
    searched = descend(loop, start, evaluations(loop, start))
    if drawn_limit_w == inf:
        assert [p.machines for p in smaller[0].pools] == [p.machines for p in searched[0].pools] == [1]
        return
    assert smaller == searched == start
    assert len(neighbours) > 1
    assert all(any("budgets.expected_power_w" in words for words in each.fails) for each in neighbours)


@pytest.mark.parametrize("asked", ["objective=energy", "budgets.expected_power_w=2500", "power.row_limit_w=12000"])
def test_a_plan_keeps_its_clocks_where_joules_count_no_more(asked: str) -> None:
    """Clocks that are tried where watts are limited are served again without the limit; others are not on offer."""
    week = ("power.weeks=1", "power.week_s=120") if "row" in asked else ()
    found = plan(small(asked, *week), progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    slow = found.candidate
    assert any(pool.spec.clock_mhz for pool in slow.pools)
    assert simulate(small(), slow, progress=lambda *_: None).valid
    other = tuple(replace(pool, spec=replace(pool.spec, clock_mhz=1200)) for pool in slow.pools)
    with pytest.raises(BadInput, match="offers no such instance"):
        simulate(small(), replace(slow, pools=other), progress=lambda *_: None)
