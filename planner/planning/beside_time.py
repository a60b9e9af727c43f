"""What a plan over time asks of planning one load: the plan of its peak to compare with, and the row it stands in."""

from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.planning.limits import over_row
from planner.planning.plan import plan
from planner.planning.row_study import study
from planner.resolve.case import Case
from planner.resolve.inputs import Inputs
from planner.results.evidence import ValidatedPlan
from planner.results.fleet import NoFleetPlan
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet


def static_plan(question: Scenario | Inputs | Fleet) -> dict[str, CandidatePlan]:
    """The validated plan of one load, by model (one alone has no name); empty where there is none."""
    if isinstance(question, Fleet):
        found = plan_fleet(read_fleet(question), progress=lambda *_: None, why=False)
        return {} if isinstance(found, NoFleetPlan) else {name: one.candidate for name, one in found.plans.items()}
    answer = plan(question, progress=lambda *_: None, with_margin=False)
    return {"": answer.candidate} if isinstance(answer, ValidatedPlan) else {}


def row_of(case: Case, candidate: CandidatePlan) -> tuple[RowStudy, str]:
    """How many machines like a plan's a row holds, and why they do not stand in it; "" where they do."""
    row = study(case, candidate, lambda *_: None)
    return row, over_row(row)
