"""Plans that fit their budgets, where the loop that plans within them found none."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from planner.formulate import BUDGETS
from planner.planning.local_search import descend, evaluations
from planner.planning.loop import PlanningLoop
from planner.planning.refusals import raise_words, raised
from planner.planning.shrink import improve
from planner.results.evidence import Judgement, NoPlan
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective

_FREE = dict.fromkeys(budget.key for budget in BUDGETS.values())

Held = tuple[CandidatePlan, Judgement]


def fit(loop: PlanningLoop, refusal: NoPlan) -> Held | NoPlan:
    """A plan within the budgets, found by planning without: for the objective, and for the least of what is limited.

    A loop within hard limits sees only candidates that its load estimates allow. Without limits the machines step down
    as far as the simulator lets them.

    Args:
        loop: that ended with nothing.
        refusal: how.

    Returns:
        A plan that keeps every budget; else the refusal, with what the smallest plan that was found needs of them.
    """
    if loop.case.scenario.objective is Objective.THROUGHPUT or refusal.reason == "no plan in time":
        return refusal
    if not (_limited(loop) or loop.case.available or loop.drawn_w is not None):
        return refusal  # without budgets the question is the same one
    over: list[dict[str, tuple[float, float]]] = []
    for candidate, judgement in _smallest(loop):
        loop.note("without budgets", candidate, judgement)
        exceeded = loop.exceeded(candidate, mean_w=judgement.mean_w)
        if not exceeded and loop.holds(candidate, judgement):
            return candidate, judgement
        over += [_whole_watts(exceeded)] if exceeded else []
    if not over:
        return refusal
    least = min(over, key=raised)
    words = "the smallest plan that was found needs more than the budgets"
    lines = (*refusal.explanation[:1], words, *raise_words(least))
    return replace(refusal, explanation=lines, raises=least, rounds=tuple(loop.rounds))


def _whole_watts(exceeded: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Budgets that are exceeded, simulated watts rounded up: raised so far, the same plan keeps them."""
    return {
        name: (limit, float(ceil(needed)) if name == "expected_power" else needed)
        for name, (limit, needed) in exceeded.items()
    }


def _limited(loop: PlanningLoop) -> list[Objective]:
    """What the scenario has budgets of, as objectives."""
    section = loop.case.scenario.budgets
    return [budget.objective for budget in BUDGETS.values() if getattr(section, budget.key) is not None]


def _smallest(loop: PlanningLoop) -> Iterator[Held]:
    """The best plan, and the plan with the least of each budgeted quantity, as if nothing were limited."""
    case, section = loop.case, loop.case.scenario.budgets
    goals = dict.fromkeys((case.scenario.objective, *_limited(loop), *([Objective.MACHINES] if case.available else [])))
    free = section.model_copy(update=_FREE)
    markets = [case.available] if not case.available else [case.available, {}]
    for goal in goals:
        for available in markets:
            scenario = case.scenario.model_copy(update={"budgets": free, "objective": goal})
            alone = PlanningLoop(replace(case, scenario=scenario, available=available), loop.progress)
            found = alone.propose_and_tighten()
            if not isinstance(found, NoPlan):
                held = improve(alone, found)[0]
                yield descend(alone, held, evaluations(alone, held))
                break
