"""What a plan over time asks of planning one load: the plan of its peak to compare with, and the row it stands in."""

from collections.abc import Iterator, Sequence

from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import FleetInputs, read_fleet
from planner.planning.limits import over_row
from planner.planning.plan import plan
from planner.planning.row_study import study
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs, inputs_of
from planner.results.evidence import ValidatedPlan
from planner.results.fleet import NoFleetPlan
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective


def static_plans(
    question: Scenario | Fleet, objectives: Sequence[Objective]
) -> Iterator[dict[str, tuple[Inputs, CandidatePlan]]]:  # fmt: skip
    """For each objective the validated plan of one load, with its question; empty where there is none.

    By model; one alone has no name. The question is read, and its instances opened, once.
    """
    if isinstance(question, Fleet):
        models = read_fleet(question)
        yield from (_of_models(models.for_objective(objective)) for objective in objectives)
        return
    inputs = inputs_of(question)
    for objective in objectives:
        mine = inputs.for_objective(objective)
        answer = plan(mine, progress=lambda *_: None, with_margin=False)
        yield {"": (mine, answer.candidate)} if isinstance(answer, ValidatedPlan) else {}


def _of_models(question: FleetInputs) -> dict[str, tuple[Inputs, CandidatePlan]]:
    found = plan_fleet(question, progress=lambda *_: None, why=False)
    if isinstance(found, NoFleetPlan):
        return {}
    return {name: (question.models[name], one.candidate) for name, one in found.plans.items()}


def row_of(case: Case, candidate: CandidatePlan) -> tuple[RowStudy, str]:
    """How many machines like a plan's a row holds, and why they do not stand in it; "" where they do."""
    row = study(case, candidate, lambda *_: None)
    return row, over_row(row)
