"""Of plans that are equally good by what is asked for, the cheapest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil

from planner.planning.proven import certified
from planner.planning.search import FUZZ_FRAC, Searched, key_of
from planner.planning.tighten import price
from planner.resolve.case import Case
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario.objectives import Objective

COUNTED: Mapping[Objective, str] = {Objective.POWER: "power_w", Objective.MACHINES: "machines"}
"""Objectives of whole machines, which many plans share the least value of -> the budget that holds it."""


def cheapest(searched: Searched, look: Callable[[Sequence[Case]], Searched]) -> Searched:
    """The search with the cheapest plan that is found among those as good as its answer.

    Three machines are three machines, but one type may cost twice what another does. The bound stays that of the
    objective; money is not proven.

    Args:
        searched: by the objective of the scenario.
        look: searches other cases.
    """
    best, goal = searched.answer, searched.cases[0].scenario.objective
    if isinstance(best, NoPlan) or goal not in COUNTED:
        return searched
    found = look([_within(case, COUNTED[goal], best.objective_value) for case in searched.cases]).answer
    if isinstance(found, NoPlan):
        return searched
    value, most = price(goal, found.candidate.totals), best.objective_value * (1 + FUZZ_FRAC)
    saved = found.candidate.totals.cost_usd_per_h < best.candidate.totals.cost_usd_per_h * (1 - FUZZ_FRAC)
    return _with(searched, _as_asked(found, best, value)) if saved and value <= most else searched


def _within(case: Case, budget: str, value: float) -> Case:
    """The question for the least cost, with no more of what was asked for than the best plan takes."""
    budgets = case.scenario.budgets
    own = getattr(budgets, budget)
    whole = ceil(value) if budget == COUNTED[Objective.MACHINES] else value
    lower = budgets.model_copy(update={budget: whole if own is None else min(own, whole)})
    changed = {"budgets": lower, "objective": Objective.COST}
    return replace(case, scenario=case.scenario.model_copy(update=changed))


def _as_asked(found: ValidatedPlan, best: ValidatedPlan, value: float) -> ValidatedPlan:
    """A plan of least cost as one of the objective, with what is proven of that."""
    certificate = certified(best.certificate, best.objective, value, best.certificate.known_bound)
    certificate = replace(certificate, neighbours=found.certificate.neighbours)
    return replace(
        found, objective=best.objective, objective_value=value, certificate=certificate,
        rounds=(*best.rounds, *found.rounds), alternatives=best.alternatives,
    )  # fmt: skip


def _with(searched: Searched, plan: ValidatedPlan) -> Searched:
    """The search with another answer, of which one of the contenders is."""
    contenders = tuple(replace(c, answer=plan) if c.key == key_of(plan) else c for c in searched.contenders)
    return replace(searched, answer=plan, contenders=contenders)
