"""A plan stands within its budgets and rows, or it is no plan; figures of a run are of that run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.planning import in_rows as rooms
from planner.planning.limits import over_budget, over_row
from planner.planning.oversubscribe import RowLab
from planner.planning.plan import plan, simulate
from planner.report.evidence import failures
from planner.report.figures import figure_lines, figures_of
from planner.report.money import per_million, simulation_data, token_words
from planner.report.plans import simulation_page
from planner.results.billed import billed_frac
from planner.results.evidence import Evidence, Judgement, NoPlan, ValidatedPlan, Verdict
from planner.results.failings import failures as told
from planner.results.row import RowStudy
from planner.scenario import Scenario
from tests.planner import plans
from tests.planner.planning.test_oversubscribe import study
from tests.planner.report.test_html import picture
from tests.planner.small import small


@given(holds=st.integers(0, 60), most=st.integers(1, 70), uncapped=st.integers(0, 70))
def test_the_most_that_holds_is_found_below_what_the_row_is_meant_for_too(holds: int, most: int, uncapped: int) -> None:
    """The search finds the most machines that hold, 0 where none does, wherever it begins; none is tried twice."""
    lab: Any = object.__new__(RowLab)
    lab.question = type("Q", (), {"most_machines": most, "limit_w": 1.0})
    lab.free = [type("R", (), {"peak_w": np.arange(1, most + 1) / max(0.5, uncapped)})]
    tried: list[int] = []

    def try_out(machines: int) -> object:
        tried.append(machines)
        return type("T", (), {"fails": () if machines <= holds else ("x",)})

    lab.try_out = try_out
    assert lab.largest() == min(holds, most)
    assert all(1 <= n <= most for n in tried)
    assert len(set(tried)) == len(tried) <= 14


@pytest.mark.parametrize(("needed", "rows", "fits"), [(1, 1, True), (2, 1, False), (2, 2, True), (0, 9, False)])
def test_a_plan_fits_if_it_takes_no_more_rows_than_there_are(needed: int, rows: int, fits: bool) -> None:
    """Rows that are needed decide, and none that would do is never enough."""
    row = replace(study(), rows=rows, plan_machines=80, needed_rows=needed)
    assert row.fits is fits
    assert bool(over_row(row)) is not fits
    judged = replace(plans.judgement(), over=tuple(filter(None, [over_row(row)])))
    assert judged.valid is fits
    assert bool(failures(judged)) is not fits


@dataclass(frozen=True, kw_only=True)
class Question:
    """As much of a resolved scenario as planning in rows looks at."""

    scenario: Scenario


EACH_W = 1000.0
"""Expected watts of a machine of these plans."""


def of_watts(watts: float) -> ValidatedPlan | None:
    """A plan within so many expected watts: 3 machines for 300 dollars, or 2 for 350; none below."""
    found, (machines, value) = plans.plan(), (3, 300.0) if watts >= 3 * EACH_W else (2, 350.0)
    if watts < 2 * EACH_W:
        return None
    made = plans.candidate(1)
    pools = tuple(replace(pool, machines=machines // 2 + at % 2 * (machines % 2)) for at, pool in enumerate(made.pools))
    totals = replace(made.totals, machines=machines, expected_power_w=machines * EACH_W)
    bounded = replace(found.certificate, bound=250.0)
    return replace(
        found, candidate=replace(made, pools=pools, totals=totals), objective_value=value, certificate=bounded
    )


def in_rows_of(monkeypatch: pytest.MonkeyPatch, holds: int, rows: int = 1) -> ValidatedPlan | NoPlan:
    """What becomes of the plan of 3 machines in rows that hold so many each."""
    none = NoPlan(reason="infeasible", explanation=("no",), raises={}, rounds=(), excuses=(), judgement=None)

    def planned(cases: Sequence[Question], _watts: float | None = None) -> Any:
        budget = cases[0].scenario.budgets.expected_power_w
        answer = of_watts(1e9 if budget is None else budget) or none
        return SimpleNamespace(answer=answer, cases=cases, contenders=(), case_of=lambda _plan: cases[0])

    def studied(_case: object, candidate: Any, _progress: object) -> RowStudy:
        count = sum(pool.machines for pool in candidate.pools)
        needed = -(-count // holds) if holds else 0
        return replace(study(), rows=rows, machines=holds, plan_machines=count, needed_rows=needed)

    monkeypatch.setattr(rooms, "study", studied)
    asks = plans.scenario().changed(["power.row_limit_w=20000", f"power.rows={rows}"])
    searched = planned([Question(scenario=asks)])
    return rooms.in_rows(searched, searched.answer, planned, lambda _words, _frac: None, own_w=None)


def test_a_plan_larger_than_its_row_is_never_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no smaller plan is found the answer is no, and says how many rows would do."""
    answer = in_rows_of(monkeypatch, 1)
    assert isinstance(answer, NoPlan)
    assert answer.reason == "not validated"
    assert answer.raises == {"rows": (1.0, 2.0)}
    assert "need 2 rows, power.rows is 1" in answer.explanation[0]
    assert answer.judgement is not None
    assert not answer.judgement.valid


def test_a_plan_of_fewer_watts_that_fits_the_row_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan made within what the row bears is validated, dearer as it is, and measured by the question's bound."""
    answer = in_rows_of(monkeypatch, 2)
    assert isinstance(answer, ValidatedPlan)
    assert answer.power is not None
    assert answer.power.fits
    assert answer.objective_value == 350.0
    assert answer.certificate.bound == 250.0
    assert answer.certificate.gap_frac == pytest.approx(100 / 350)


@given(holds=st.integers(0, 3), rows=st.integers(1, 3))
def test_what_stands_in_rows_is_held_and_more_room_never_costs_more(holds: int, rows: int) -> None:
    """No answer takes more rows than there are; a larger row, or one more, never makes it dearer."""
    values = []
    for more_holds, more_rows in ((holds, rows), (holds + 1, rows), (holds, rows + 1)):
        with pytest.MonkeyPatch.context() as patch:
            answer = in_rows_of(patch, more_holds, more_rows)
        if isinstance(answer, ValidatedPlan):
            assert answer.power is not None
            assert answer.power.needed_rows <= more_rows
        values.append(answer.objective_value if isinstance(answer, ValidatedPlan) else float("inf"))
    assert max(values[1:]) <= values[0]


def test_a_row_that_holds_nothing_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even one machine holds, no number of rows is offered."""
    answer = in_rows_of(monkeypatch, 0)
    assert isinstance(answer, NoPlan)
    assert answer.raises == {}
    assert "no number of rows" in answer.explanation[0]


def test_budgets_of_the_question_are_held_against_what_stands() -> None:
    """Every budget that the machines exceed is named, those that they keep are not."""
    asks = plans.scenario().changed(["budgets.machines=2", "budgets.power_w=1e9", "budgets.cost_usd_per_h=1"])
    found = list(over_budget(asks, plans.candidate(), plans.judgement()))
    assert [words.partition(" ")[0] for words in found] == ["budgets.cost_usd_per_h", "budgets.machines"]


@given(cost=st.floats(0.1, 1e5), tokens=st.one_of(st.just(0.0), st.floats(1e-3, 1e7)))
def test_money_per_token_times_tokens_is_the_cost(cost: float, tokens: float) -> None:
    """Dollars times tokens give the cost back; without tokens there is no price."""
    price = per_million(cost, tokens)
    if tokens == 0:
        assert price is None
    else:
        assert price is not None
        assert price * tokens * 3600 / 1e6 == pytest.approx(cost)


@given(good=st.floats(1e-3, 1), verdict=st.sampled_from(Verdict), steady=st.booleans())
def test_a_fleet_gets_no_cheaper_by_being_late(good: float, verdict: Verdict, steady: bool) -> None:
    """All tokens share the bill where no objective is missed; where one is, those of good requests alone do."""
    seen = replace(
        plans.judgement(0.35, verdict), steady=steady, attainment_frac=good, output_tokens_per_s=4000.0,
        good_output_tokens_per_s=4000.0 * good, prompt_tokens_per_s=9000.0, good_prompt_tokens_per_s=4500.0 * good,
    )  # fmt: skip
    late = verdict is Verdict.MISSED or not steady
    assert billed_frac(seen) == pytest.approx((good / 2, good) if late else (1.0, 1.0))
    told = dict(figure_lines(figures_of(plans.candidate(), seen, None)))["Cost"]
    assert ("of requests that met every objective" in told) == late


def nothing_good() -> Judgement:
    """A run in which no request met every objective."""
    return replace(
        plans.overloaded(), goodput_req_per_s=0.0, attainment_frac=0.0, good_output_tokens_per_s=0.0,
        good_prompt_tokens_per_s=0.0,
    )  # fmt: skip


def test_no_goodput_has_no_price() -> None:
    """Text, page and data say n/a where every token missed an objective, whatever was put out."""
    judged, run = nothing_good(), plans.candidate()
    assert "n/a" in next(token_words(run, judged))
    assert simulation_data(judged, run)["usd_per_million_good_output_tokens"] is None
    page = simulation_page(judged, run, plans.scenario(), picture())
    (tile,) = (t for t in page.tiles if t.label.startswith("Per million"))
    assert tile.value == "n/a"
    (balance,) = (s for s in page.sections if s.name == "balance")
    shares = next(b for b in balance.blocks if hasattr(b, "rows"))
    assert all(row[2] == "n/a" for row in shares.rows)


@pytest.mark.parametrize(("high", "words"), [(2.0, "(interval 1.3 to 2)"), (float("inf"), "(interval 1.3 or more)")])
def test_an_interval_without_an_end_is_told_in_words(high: float, words: str) -> None:
    """Where a backlog leaves no upper end, none is printed as inf."""
    judgement = plans.judgement()
    first = judgement.evidence[0]
    late = Evidence(slo=first.slo, measured=1.5, low=1.3, high=high, verdict=Verdict.MISSED, n=9)
    (said,) = told(replace(judgement, evidence=(late,)))
    assert words in said


def test_machines_that_the_planner_refuses_are_not_confirmed_by_a_simulation() -> None:
    """Fewer machines than carry the load at most: a window too short to see their backlog does not make them a plan."""
    asked = small("catalog.machines=[hgx-h200]", "catalog.tp=[1]", "workload.rate_req_per_s=3000")
    found = plan(asked, progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    (neighbour,) = found.certificate.neighbours
    (pool,) = found.candidate.pools
    assert (neighbour.machines, pool.machines) == (2, 3)
    less = replace(pool, machines=2, instances=16)
    judgement = simulate(asked, replace(found.candidate, pools=(less,)), progress=lambda *_: None)
    assert judgement.over == neighbour.fails
    assert not judgement.valid
    assert simulate(asked, found.candidate, progress=lambda *_: None).valid
