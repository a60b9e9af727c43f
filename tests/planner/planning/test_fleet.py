"""Several models on one fleet: each planned as alone where there is enough, and within what they share where not."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from planner.compare.diff import diff
from planner.errors import BadInput
from planner.files.fleet_file import fleet_text, read_fleet_file
from planner.planning import loop as loop_module
from planner.planning.choices import Depth
from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import exceeded, read_fleet, within
from planner.planning.fleet_serve import check_fleet, simulate_fleet
from planner.planning.plan import plan
from planner.report.fleets import fleet_page
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.fleet import FleetPlan, NoFleetPlan, machines_of
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet, FleetModel
from planner.scenario.reading import Document
from solvers.allocation import Limit, Solution
from solvers.problem import Problem
from tests.planner.small import small
from tests.planner.two_models import data, two


def quiet(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


@cache
def planned(*settings: str) -> FleetPlan | NoFleetPlan:
    """The answer to the small question, changed."""
    return plan_fleet(read_fleet(two(*settings)), progress=quiet)


def found(*settings: str) -> FleetPlan:
    """The same where there are plans."""
    answer = planned(*settings)
    assert isinstance(answer, FleetPlan)
    return answer


def bought(answer: FleetPlan) -> dict[str, int]:
    """Machines of each type."""
    return dict(machines_of(each.plan.candidate for each in answer.models))


def alone(name: str, *settings: str) -> ValidatedPlan:
    """The plan of one model on the whole fleet."""
    answer = plan(two(*settings).parts()[name], progress=quiet)
    assert isinstance(answer, ValidatedPlan)
    return answer


def test_models_that_share_enough_are_planned_as_alone() -> None:
    """Where the plans of each alone fit together they are the answer, machine by machine, and so are their bounds."""
    answer = found()
    for name, each in answer.plans.items():
        own = alone(name)
        assert each.candidate == own.candidate
        assert each.judgement == own.judgement
    assert answer.shared == ()
    assert answer.objective_value == pytest.approx(sum(each.objective_value for each in answer.plans.values()))
    assert answer.bound == pytest.approx(sum(each.certificate.bound or 0 for each in answer.plans.values()))


def test_owned_machines_go_where_they_save_most_and_all_models_stay_validated() -> None:
    """With one machine of the type that each alone would take, one takes another; no fixed split is better."""
    settings = ("catalog.price_usd_per_h={dgx-h100: power}", "energy.usd_per_kwh=0.1")
    free = bought(found(*settings))
    assert free == {"dgx-h100": 2}
    short = (*settings, "catalog.available={dgx-h100: 1}")
    answer = found(*short)
    assert bought(answer) == {"dgx-h100": 1, "dgx-a100": 1}
    assert all(each.judgement.valid for each in answer.plans.values())
    assert "catalog.available dgx-h100" in answer.shared[0]
    splits = []
    for one, other in ((0, 1), (1, 0)):
        first = plan(two(*settings, f"catalog.available={{dgx-h100: {one}}}").parts()["chat"], progress=quiet)
        then = plan(two(*settings, f"catalog.available={{dgx-h100: {other}}}").parts()["code"], progress=quiet)
        if isinstance(first, ValidatedPlan) and isinstance(then, ValidatedPlan):
            splits.append(first.objective_value + then.objective_value)
    assert answer.objective_value == pytest.approx(min(splits))


@pytest.mark.parametrize("budget", ["machines=1", "cost_usd_per_h=15", "power_w=8000", "rack_units=10"])
def test_budgets_too_small_for_all_together_are_named(budget: str) -> None:
    """Each model alone keeps the budget, both do not: the refusal names what to raise, and to how much."""
    answer = planned(f"budgets.{budget}")
    assert isinstance(answer, NoFleetPlan)
    key, _, limit = budget.partition("=")
    assert any(f"raise budgets.{key} from {limit} to at least" in line for line in answer.answer.explanation)


def test_a_budget_that_both_keep_together_is_kept() -> None:
    """Machines of both count: with one that allows two there are plans, and the sum keeps it."""
    assert found("budgets.machines=2").totals.machines == 2


def test_a_model_without_any_plan_is_named() -> None:
    """One that has no plan even alone within what there is ends it, with what it takes beside the others."""
    answer = planned("models.1.workload.rate_req_per_s=1000", "budgets.machines=3")
    assert isinstance(answer, NoFleetPlan)
    (short,) = answer.shortfalls
    assert short.least["code"] > 3
    assert short.admits == short.least["code"] + short.least["chat"]


def test_what_others_leave_is_what_a_model_may_take() -> None:
    """Stock, budgets and types are those of the fleet less what the plans of the others take of them."""
    question = read_fleet(two("budgets.machines=5", "budgets.cost_usd_per_h=100", "catalog.available={dgx-h100: 3}"))
    others = {name: each.candidate for name, each in found().plans.items() if name == "chat"}
    spent = others["chat"].spent()
    left = within(question, "code", others).scenario
    kinds = machines_of(others.values())
    assert left.budgets.machines == 5 - spent["machines"]
    assert left.budgets.cost_usd_per_h == pytest.approx(100 - spent["cost_usd_per_h"])
    assert left.catalog.available == {"dgx-h100": 3 - kinds["dgx-h100"]}


def test_plans_serve_other_workloads_model_by_model() -> None:
    """At forty times the load of one model that one misses its objectives, and the other does not notice."""
    answer = found()
    candidates = {name: each.candidate for name, each in answer.plans.items()}
    asked = two("models.0.workload.rate_scale=40")
    seen = simulate_fleet(read_fleet(asked), candidates, progress=quiet)
    assert not seen.valid
    assert not seen.judgements["chat"].valid
    assert seen.judgements["code"].evidence == answer.plans["code"].judgement.evidence
    same = simulate_fleet(read_fleet(two()), candidates, progress=quiet)
    assert same.valid


def test_simulated_plans_beyond_a_shared_budget_are_not_met() -> None:
    """What all take together is held against the budgets, too."""
    candidates = {name: each.candidate for name, each in found().plans.items()}
    asked = two("budgets.machines=1")
    seen = simulate_fleet(read_fleet(asked), candidates, progress=quiet)
    assert not seen.valid
    assert seen.over == ("budgets.machines is 1, all models take 2",)
    assert exceeded(read_fleet(asked), candidates, {}) == {"budgets.machines": (1.0, 2.0)}


def test_check_tells_whose_options_and_rates_there_are() -> None:
    """Every line of the report names its model."""
    report = check_fleet(read_fleet(two()))
    assert set(report.rate_req_per_s) == {"chat: all", "code: all"}
    assert {option.split(": ")[0] for option in report.options} == {"chat", "code"}


def refused(change: object, *path: object) -> tuple[str, ...]:
    """What is wrong with the small question after a change at a path."""
    found = data()
    around: object = found
    for step in path[:-1]:
        around = around[step]  # type: ignore[index]
    around[path[-1]] = change  # type: ignore[index]
    with pytest.raises(BadInput) as wrong:
        read_fleet(Fleet.parse(Document(data=found, places={(): "two"})))
    return wrong.value.problems


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"name": "llama-3.1-8b"}, ("model",), "model: found beside models; belongs to each of models"),
        ({"ttft_p99_s": 1.0}, ("slo",), "slo: found beside models"),
        ({"epoch": 3600}, ("schedule",), "schedule.epoch: unknown key"),
        ([1.0, 2.0], ("models", 0, "load"), "models.0.load: found one; expected schedule beside models"),
        ("throughput", ("objective",), "objective: found 'throughput'; expected a budget (cost_usd_per_h"),
        ("chat", ("models", 1, "name"), "models: found the name 'chat' 2 times"),
        ({"machines": ["dgx-h100"]}, ("models", 0, "catalog"), "expected it once beside models"),
        ({"name": "no-such"}, ("models", 0, "model"), "models, chat: "),
        (1, ("models", 0, "worklod"), "models.0.worklod: unknown key; did you mean 'workload'?"),
        (1, ("budgts",), "budgts: unknown key; did you mean 'budgets'?"),
        ([], ("models",), "models: found []; expected a list of models"),
        ({"failures": [{"pool": "mixed", "at_s": 1}]}, ("validation",), "validation.failures: found some"),
    ],
)  # fmt: skip
def test_bad_questions_are_refused(change: object, path: tuple[object, ...], words: str) -> None:
    """A key that several models cannot share, a name twice, a model that is none or has no machine: each is named."""
    assert any(words in problem for problem in refused(change, *path))


@pytest.mark.parametrize("impossible", ["models.1.slo={ttft_p99_s: 0.0001}", "catalog.tp=[16]"])
def test_what_no_machine_can_serve_ends_as_with_one_model(impossible: str) -> None:
    """An objective or layout that nothing meets is infeasible, by `plan` and `check`, of several models as of one."""
    answer = planned(impossible)
    assert isinstance(answer, NoFleetPlan)
    assert answer.answer.reason == "infeasible"
    own = plan(two(impossible).parts()["code"], progress=quiet)
    assert isinstance(own, NoPlan)
    assert own.reason == "infeasible"
    assert any(line.startswith("code: ") for line in check_fleet(read_fleet(two(impossible))).unserved)


def test_everything_wrong_is_said_at_once() -> None:
    """Problems of shared keys and of each model are in one refusal, each with the model that it is of."""
    wrong = data()
    wrong["objective"] = "throughput"
    wrong["models"][0]["workload"]["rate_req_per_s"] = -1
    wrong["models"][1]["slo"] = {"ttft_p99": 1}
    with pytest.raises(BadInput) as refusal:
        Fleet.parse(Document(data=wrong, places={(): "two"}))
    problems = refusal.value.problems
    assert len(problems) == 3
    assert any("models.0" in p and "rate_req_per_s" in p for p in problems)
    assert any("models.1" in p and "ttft_p99" in p for p in problems)


def test_one_model_in_a_list_is_that_model_alone() -> None:
    """A list of one has the plan of the scenario that says the same."""
    asked = data()
    asked["models"] = asked["models"][:1]
    fleet = Fleet.parse(Document(data=asked, places={(): "one"}))
    answer = plan_fleet(read_fleet(fleet), progress=quiet)
    assert isinstance(answer, FleetPlan)
    own = plan(small("solver.search_evaluations=4"), progress=quiet)
    assert isinstance(own, ValidatedPlan)
    assert answer.plans["chat"].candidate == own.candidate


def test_verbs_that_know_one_model_say_so(tmp_path: Path) -> None:
    """A scenario of several models is refused where one is expected, with the verbs that take it."""
    from tests.planner.two_models import TEXT

    path = tmp_path / "two.yaml"
    path.write_text(TEXT, encoding="utf-8")
    with pytest.raises(BadInput, match="found several models; expected one: only check, plan"):
        Scenario.load(path)


def test_every_key_of_a_scenario_has_a_place_beside_models() -> None:
    """A key is shared, each model's own, or refused by name: none is dropped."""
    # Failures and load are validation.failures and schedule.load of a model alone.
    own = set(FleetModel.model_fields) - {"name", "failures", "load"}
    assert set(Scenario.model_fields) == (set(Fleet.model_fields) - {"models"}) | own | {"uncertainty"}


def test_machines_of_one_model_may_fail() -> None:
    """A failure strikes the pools of the model that it stands with, in planning and in simulation; others have none."""
    plain = found()
    struck = found("models.0.failures=[{pool: mixed, at_s: 1.0, repair_s: 0.5}]")
    seen = simulate_fleet(
        read_fleet(two("models.0.failures=[{pool: mixed, at_s: 1.0, repair_s: 0.5}]")),
        {name: each.candidate for name, each in plain.plans.items()}, progress=quiet,
    )  # fmt: skip
    assert seen.judgements["chat"].restarted > 0
    assert seen.judgements["code"].restarted == 0
    assert struck.plans["chat"].judgement.restarted > 0
    assert struck.plans["code"].candidate == plain.plans["code"].candidate
    with pytest.raises(BadInput, match=r"validation.failures: found some beside models; expected them in models\[\]"):
        two("validation.failures=[{pool: mixed, at_s: 1.0}]")
    with pytest.raises(BadInput, match=r"models\.1"):
        two("models.1.failures=[{pool: mixed, at_s: -1.0}]")


def test_each_model_has_its_table_of_alternatives() -> None:
    """With a depth every model's plan says what other ways of serving it would come to, as that of one model does."""
    answer = plan_fleet(read_fleet(two(), Depth.SHORT), progress=quiet)
    assert isinstance(answer, FleetPlan)
    assert all(len(each.choices) > 1 for each in answer.plans.values())


MOST = ("objective=throughput", "budgets.machines=3")


def test_the_most_throughput_is_one_factor_on_the_rates_of_all() -> None:
    """All models serve the same factor, within the budgets; no program has more, and 1 % more is refused with why."""
    answer = found(*MOST)
    (factor,) = {each.candidate.rate_scale for each in answer.plans.values()}
    assert factor > 1
    assert answer.objective_value == pytest.approx(60 * factor)
    assert answer.totals.machines <= 3
    assert answer.bound is not None
    assert answer.objective_value <= answer.bound
    candidates = {name: each.candidate for name, each in answer.plans.items()}
    seen = simulate_fleet(read_fleet(two(*MOST)), candidates, progress=quiet)
    assert seen.valid
    assert {name: each.evidence for name, each in seen.judgements.items()} == {
        name: each.judgement.evidence for name, each in answer.plans.items()
    }
    assert "at 1.01 times that on the same machines" in answer.shared[0]
    assert any(each.certificate.neighbours[0].judgement is not None for each in answer.plans.values())


def test_what_serves_most_costs_what_that_many_requests_cost() -> None:
    """Planned for least machines at the factor that was found, the models take no more than the budget of them."""
    factor = next(iter(found(*MOST).plans.values())).candidate.rate_scale
    settings = tuple(f"models.{place}.workload.rate_scale={factor * 0.98}" for place in range(2))
    assert found("objective=machines", *settings).totals.machines <= 3


def test_a_fleet_too_small_at_any_factor_says_down_to_which() -> None:
    """One machine cannot hold two models: the refusal is that of the least factor that was tried."""
    answer = planned("objective=throughput", "budgets.machines=1")
    assert isinstance(answer, NoFleetPlan)
    assert any("raise budgets.machines from 1 to at least 2" in line for line in answer.answer.explanation)


def test_the_most_throughput_stands_where_it_stands(tmp_path: Path) -> None:
    """Plans as full as can be are within their own limits, with the nine digits of a file too, and migrate nowhere."""
    path = tmp_path / "two.json"
    path.write_text(fleet_text(two(*MOST), found(*MOST), {}), encoding="utf-8")
    file = read_fleet_file(path)
    assert file is not None
    for name in file.fleet.plans:
        assert diff(file.one(name), file.one(name), quick=True, power_limit_w=None, progress=quiet).safe


def test_a_table_of_alternatives_of_the_most_throughput_is_refused() -> None:
    """Plans of most throughput are made for another objective, so a table of them would compare other things."""
    with pytest.raises(BadInput, match="--alternatives: found objective throughput of several models"):
        read_fleet(two(*MOST), Depth.FULL)


def test_programs_over_all_models_that_the_clock_ended_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares found under a load of the machine may be others under another: plans and refusals say so."""
    real = loop_module.solve

    def hurried(program: Problem, **how: Any) -> Solution:
        solution = real(program, **how)
        over = "questions" in program.name
        return replace(solution, termination=replace(solution.termination, limit=Limit.TIME)) if over else solution

    monkeypatch.setattr(loop_module, "solve", hurried)
    owned = ("catalog.price_usd_per_h={dgx-h100: power}", "energy.usd_per_kwh=0.1", "catalog.available={dgx-h100: 1}")
    answer = plan_fleet(read_fleet(two(*owned)), progress=quiet)
    assert isinstance(answer, FleetPlan)
    words = "the clock ended solves of least cost, 2 questions"
    assert any(words in line for line in answer.warnings)
    assert any(words in line for line in fleet_page(answer, two(*owned)).warnings)
    none = plan_fleet(read_fleet(two("budgets.machines=1")), progress=quiet)
    assert isinstance(none, NoFleetPlan)
    assert any(words in line for line in none.answer.explanation)


def test_one_model_under_two_names_is_told() -> None:
    """Two names are two deployments: a warning says so where they serve one model, and how they would share."""
    (told,) = found("models.1.model={name: llama-3.1-8b, engine: vllm}").warnings
    assert told.startswith("chat, code are llama-3.1-8b, each on instances of its own")
    assert found().warnings == ()
