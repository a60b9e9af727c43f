"""Plans of a table asked what a question asks of machines besides objectives and budgets: rows, and failures."""

from planner.planning.loop import PlanningLoop
from planner.planning.row_study import study
from planner.planning.survived import struck
from planner.results.choice import Standing
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan


def held_whole(
    loop: PlanningLoop, candidate: CandidatePlan, judgement: Judgement, *, injected: bool = False
) -> tuple[CandidatePlan, Judgement, Standing]:  # fmt: skip
    """A plan that holds alone with the spare machines that its failures ask for, and whether it is one of the question.

    No other is looked for where it is none: one of fewer watts may stand in the rows, one of more machines may survive.

    Args:
        loop: that it was planned in.
        candidate: the machines that the objectives need.
        judgement: of them.
        injected: failures were, and the candidate has its spare machines.
    """
    scenario = loop.case.scenario
    if scenario.availability.asked and not injected:
        found = struck(loop, candidate)
        if found.fails or found.judgement is None:
            return candidate, judgement, Standing.BEYOND
        candidate, judgement = found.standing, found.judgement
    if scenario.power.row_limit_w is not None and not study(loop.case, candidate, loop.progress, held_only=True).fits:
        return candidate, judgement, Standing.BEYOND
    return candidate, judgement, Standing.VALIDATED
