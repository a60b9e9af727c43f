"""Questions that differ in objective and limits alone come to the same cases, and candidates are looked at once."""

from dataclasses import replace
from typing import Any

import pytest

from planner.planning.beside_time import static_plans
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.resolve.inputs import Inputs, read_inputs
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario.objectives import Objective
from planner.simulator.judge import Bench
from planner.simulator.recovery import Stage, struck_and_seen
from tests.planner.small import small


def changed(inputs: Inputs, *sets: str) -> Inputs:
    """What was read, asked with some keys changed."""
    return replace(inputs, scenario=inputs.scenario.changed(sets))


def test_other_limits_open_the_same_case() -> None:
    """Budgets and stock are the question's own; options, physics and looks are those that were opened before."""
    inputs = read_inputs(small())
    first = open_case(inputs, "colocated")
    other = open_case(changed(inputs, "budgets.cost_usd_per_h=77", "catalog.available={dgx-h100: 3}"), "colocated")
    assert other.options is first.options
    assert other.looks is first.looks
    assert (other.scenario.budgets.cost_usd_per_h, other.available["dgx-h100"]) == (77, 3)
    assert first.scenario.budgets.cost_usd_per_h is None


def test_another_objective_opens_the_same_case() -> None:
    """What instances carry is no matter of what is minimised; where only joules bring clocks in, they are others."""
    inputs = read_inputs(small())
    first = open_case(inputs, "colocated")
    other = open_case(inputs.for_objective(Objective.POWER), "colocated")
    assert other.options is first.options
    assert other.looks is first.looks
    assert other.scenario.objective is Objective.POWER
    clocked = open_case(inputs.for_objective(Objective.ENERGY), "colocated")
    assert len(clocked.options) > len(first.options)


def test_objectives_asked_one_after_the_other_are_answered_as_if_alone() -> None:
    """What was opened and seen for one objective changes no plan for another: the fixed fleets of a schedule."""
    asked, goals = small(), (Objective.ENERGY, Objective.COST, Objective.POWER)
    together = list(static_plans(asked, goals))
    for objective, found in zip(goals, together, strict=True):
        alone = plan(asked.model_copy(update={"objective": objective}), progress=lambda *_: None, with_margin=False)
        assert isinstance(alone, ValidatedPlan)
        inputs, candidate = found[""]
        assert inputs.scenario.objective is objective
        assert (candidate.pools, candidate.totals) == (alone.candidate.pools, alone.candidate.totals)


@pytest.mark.parametrize(
    "sets", ["catalog.tp=[4]", "slo.ttft_p90_s=0.5", "validation.seeds=2", "policy.max_batch_tokens=512"]
)
def test_anything_else_opens_another_case(sets: str) -> None:
    """What is not a limit may change what instances carry, or what is seen of them."""
    inputs = read_inputs(small())
    first = open_case(inputs, "colocated")
    assert open_case(changed(inputs, sets), "colocated").looks is not first.looks


def test_a_candidate_is_simulated_once_within_all_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another budget plans the same machines without a simulation; failures that are injected ask for their own."""
    own, served = Bench.serve, list[int]()

    def counted(bench: Bench, *arguments: object, **more: bool) -> object:
        served.append(1)
        return own(bench, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Bench, "serve", counted)
    inputs = read_inputs(small())
    case = open_case(inputs, "colocated")
    failing = case.scenario.changed(["validation.failures=[{pool: mixed, machine: 0, at_s: 1, repair_s: 1}]"])
    found, looks = [], []
    for each in (case, open_case(changed(inputs, "budgets.machines=50"), "colocated"), replace(case, scenario=failing)):
        loop = PlanningLoop(each, lambda *_: None)
        held = loop.propose_and_tighten()
        assert not isinstance(held, NoPlan)
        found.append(held[0].totals.machines)
        looks.append(len(served))
    assert found[0] == found[1]
    assert 0 < looks[0] == looks[1] < looks[2]


def test_failures_are_injected_once_within_all_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of the same machines within another budget is told what failures did to them."""
    injected = list[str]()

    def counted(stage: Stage, words: str, *arguments: Any, **more: Any) -> Any:
        injected.append(words)
        return struck_and_seen(stage, words, *arguments, **more)

    monkeypatch.setattr("planner.planning.available.struck_and_seen", counted)
    inputs = read_inputs(small("availability=0.99999", "workload.rate_req_per_s=400"))
    first = plan(inputs, progress=lambda *_: None, with_margin=False)
    assert isinstance(first, ValidatedPlan)
    assert first.availability
    assert injected
    injected.clear()
    other = plan(changed(inputs, "budgets.machines=50"), progress=lambda *_: None, with_margin=False)
    assert isinstance(other, ValidatedPlan)
    assert other.availability
    assert (other.availability.outages, injected) == (first.availability.outages, [])
