"""What is proven of a value is proven of what is told: watts as simulated."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.files.plan_file import write_plan
from planner.planning.opened import open_plan
from planner.planning.plan import digests, plan
from planner.planning.proven import certified, proven
from planner.report import certificates
from planner.report.words import is_best, valued
from planner.results.drawn import as_drawn
from planner.results.evidence import ValidatedPlan
from planner.results.plan import Totals
from planner.scenario.objectives import IN_JOULES, Objective
from tests.planner import plans
from tests.planner.small import small

watts = st.floats(1.0, 1e7)


@given(st.sampled_from(sorted(Objective)), watts, watts)
def test_a_told_value_is_never_better_than_a_told_bound(objective: Objective, value: float, least: float) -> None:
    """Of watts that are fewer than the bound nothing is proven: they are not said to be the least there are."""
    bound, gap_frac = proven(objective, value, least)
    if objective in IN_JOULES and value < least / (1 + 1e-6):
        assert (bound, gap_frac) == (None, None)
        return
    assert bound is not None
    assert gap_frac == abs(value - bound) / value
    assert bound == (min(value, least) if objective in IN_JOULES else least)
    assert proven(objective, value, None) == (None, None)


@given(st.sampled_from(sorted(Objective)), watts, st.none() | watts)
def test_a_bound_that_a_sample_undercuts_is_told_as_one_of_expected_watts(
    objective: Objective, value: float, bound: float | None
) -> None:
    """What is proven is told, of the plan or of endless traffic, and outlasts another value."""
    plan = plans.plan()
    told = certified(plan.certificate, objective, value, bound)
    assert told.known_bound == (bound if told.bound is None else min(bound or 0.0, told.bound))
    assert certified(told, objective, value, told.known_bound) == told
    words = certificates.certified(replace(plan, objective=objective.value, objective_value=value, certificate=told))
    assert ("proved no bound" in words) is (bound is None)
    assert ("endless traffic" in words) is (told.expected_bound is not None)


@given(watts, watts, watts)
def test_watts_and_their_carbon_are_told_as_drawn(planned_w: float, mean_w: float, grams: float) -> None:
    """Mean watts are those of the simulation, CO2 is in proportion to them; all else is what the totals say."""
    totals = Totals(
        cost_usd_per_h=1.0, power_w=1.0, rack_units=1.0, machines=1, gpus=1, expected_power_w=planned_w,
        carbon_g_per_h=grams,
    )  # fmt: skip
    assert as_drawn(Objective.ENERGY, planned_w, totals, mean_w) == pytest.approx(mean_w)
    assert as_drawn(Objective.CARBON, grams, totals, mean_w) == pytest.approx(grams * mean_w / planned_w)
    assert as_drawn(Objective.ENERGY, planned_w, totals, None) == planned_w
    assert as_drawn(Objective.POWER, planned_w, totals, mean_w) == planned_w


@pytest.mark.parametrize(("gap_frac", "best"), [(0.0, True), (0.1, False)])
def test_a_plan_is_best_only_where_it_reaches_its_bound(gap_frac: float, best: bool) -> None:
    """No gap, no better plan."""
    made = plans.plan()
    assert is_best(replace(made, certificate=replace(made.certificate, bound=1000.0, gap_frac=gap_frac))) is best


@pytest.mark.parametrize("policy", ["colocated", "splitwise"])
@pytest.mark.parametrize("objective", sorted(Objective))
def test_every_door_tells_one_value_and_its_gap(objective: Objective, policy: str, tmp_path: Path) -> None:
    """Value, bound and gap of a plan are those of its file, its row among the choices and its certificate in words.

    The value of mean watts is what the machines drew in simulation, never what the program expected.
    """
    most = ("budgets.cost_usd_per_h=45",) if objective is Objective.THROUGHPUT else ()
    asked = small(f"objective={objective}", f"policy.name={policy}", "workload.rate_req_per_s=150", *most)
    found = plan(asked, progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    value, sign = found.objective_value, -1 if objective is Objective.THROUGHPUT else 1
    assert found.certificate.bound is not None
    assert sign * found.certificate.bound <= sign * value * (1 + sign * 1e-9)
    assert found.certificate.gap_frac == pytest.approx(abs(value - found.certificate.bound) / value)
    assert found.choices[0].objective_value == value
    if objective is Objective.ENERGY:
        assert value == pytest.approx(found.judgement.mean_w)
        assert value != pytest.approx(found.candidate.totals.expected_power_w, rel=1e-3)
    assert f"is {valued(objective, value)}" in certificates.certified(found)
    write_plan(tmp_path / "plan.json", asked, found, digests(asked))
    again = open_plan(tmp_path / "plan.json")
    assert not again.edited
    assert again.plan.objective_value == pytest.approx(value)
