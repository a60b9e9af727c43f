"""Plans in rows: the expected watts that rows bear are a limit of the program, found with the row simulator as judge.

A row bears ``ratio`` times its limit in expected watts: the mean at the peak rate, as the program counts them, so that
clocks and caps count. How large the ratio is follows from how a plan's watts come and go, which the row study says of a
plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from planner.planning.limits import over_row
from planner.planning.one import worth
from planner.planning.proven import certified
from planner.planning.row_search import Stood, more_rows, standing
from planner.planning.row_study import study
from planner.planning.search import Searched
from planner.planning.tighten import faster
from planner.resolve.case import Case
from planner.resolve.spared import spared
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from planner.scenario.objectives import Objective

Progress = Callable[[str, float], None]
Look = Callable[[Sequence[Case], float | None], Searched]
"""Searches cases for a plan; the second is the mean watts that it may draw in simulation."""

MOST_SLOWER, LEAST_RATE_RATIO = 4, 0.5
"""Lower rates that are tried on machines which the rows do not hold, and the lowest of them."""

HIGHEST_RATIO = 1.1
"""Expected watts over the limit of the rows beyond which no plan of most throughput is looked for: the mean at the peak
alone would pull the brake."""


def prepared(case: Case) -> Case:
    """A case as it is searched: with spare machines, and for most throughput the most that its rows could bear."""
    case, rows = spared(case), case.scenario.power
    if rows.row_limit_w is None or not limited_by_rows(case.scenario):
        return case
    return _within(case, HIGHEST_RATIO * rows.rows * rows.row_limit_w)


def limited_by_rows(scenario: Scenario) -> bool:
    """Whether rows are a limit that a plan is made as large as: of most throughput, with a row."""
    return scenario.objective is Objective.THROUGHPUT and scenario.power.row_limit_w is not None


def _within(case: Case, watts: float) -> Case:
    """The same question within expected watts, besides its own budget of them."""
    budgets = case.scenario.budgets
    own = budgets.expected_power_w
    lower = budgets.model_copy(update={"expected_power_w": watts if own is None else min(own, watts)})
    return replace(case, scenario=case.scenario.model_copy(update={"budgets": lower}))


def in_rows(
    searched: Searched, first: ValidatedPlan, look: Look, progress: Progress, *, own_w: float | None
) -> ValidatedPlan | NoPlan:  # fmt: skip
    """The plan, if its machines stand in the rows that there are; else the best one found that does, or none.

    Args:
        searched: what the plan is the best of.
        first: the plan.
        look: searches other cases.
        progress: told what is happening.
        own_w: mean watts that a plan may draw in simulation, its rows apart; None is unlimited.
    """

    def less(watts: float) -> Stood[ValidatedPlan] | None:
        found = look([_within(case, watts) for case in searched.cases], inf if own_w is None else own_w)
        return None if isinstance(found.answer, NoPlan) else _studied(found, found.answer, progress)

    tried = [_studied(searched, first, progress)]
    held = standing(tried, less, _better)
    if first.objective == Objective.THROUGHPUT and not tried[0].row.fits:
        held = _slower(searched, tried[0], held, progress)
    return _answered(held, first) if held else _refused(tried, first)


def _slower(
    searched: Searched, over: Stood[ValidatedPlan], held: Stood[ValidatedPlan] | None, progress: Progress
) -> Stood[ValidatedPlan] | None:
    """The machines of a plan that is too much for the rows, at a rate that is not, where that serves most.

    Whole machines are held in whole places: more of them that are less busy may serve more than fewer full ones.
    """
    loop = searched.loop_of(over.plan)
    if loop.case.scenario.availability.asked:  # its failures were injected at its own rate
        return held
    low, high = (held.plan.objective_value / over.plan.objective_value if held else LEAST_RATE_RATIO), 1.0
    for _ in range(MOST_SLOWER):
        ratio = (low + high) / 2
        slower = faster(over.plan.candidate, ratio, loop.options)
        judgement = loop.judged(slower)
        row = study(loop.case, slower, progress) if loop.holds(slower, judgement) else None
        if row is None or not row.fits:
            high = ratio
            continue
        low, value = ratio, abs(worth(loop, slower))
        plan = replace(over.plan, candidate=replace(slower, variant=loop.case.variant), judgement=judgement,
                       objective_value=value, margin=None)  # fmt: skip
        held = _stood(plan, row)
    return held


def _studied(searched: Searched, plan: ValidatedPlan, progress: Progress) -> Stood[ValidatedPlan]:
    """A plan with the study of its row."""
    return _stood(plan, study(searched.case_of(plan), plan.candidate, progress))


def _stood(plan: ValidatedPlan, row: RowStudy) -> Stood[ValidatedPlan]:
    """A plan with what its rows hold."""
    return Stood(plan=plan, row=row, expected_w=plan.candidate.totals.expected_power_w)


def _better(held: Stood[ValidatedPlan], other: Stood[ValidatedPlan]) -> Stood[ValidatedPlan]:
    """The better of two plans that the rows hold."""
    more = other.plan.objective_value > held.plan.objective_value
    return other if more is (other.plan.objective == Objective.THROUGHPUT) else held


def _answered(found: Stood[ValidatedPlan], first: ValidatedPlan) -> ValidatedPlan:
    """A plan in its rows; its bound is that of the question, not of the smaller one within fewer watts."""
    value, bound = found.plan.objective_value, first.certificate.known_bound
    certificate = certified(found.plan.certificate, first.objective, value, bound)
    return replace(found.plan, power=found.row, certificate=certificate)


def _refused(tried: Sequence[Stood[ValidatedPlan]], first: ValidatedPlan) -> NoPlan:
    """No plan that was found stands in the rows, and how many rows the one with fewest takes."""
    explanation, raises = more_rows([each.row for each in tried])
    return NoPlan(
        reason="not validated", explanation=explanation, raises=raises, rounds=first.rounds, excuses=first.excuses,
        judgement=replace(first.judgement, over=(over_row(tried[0].row),)),
    )  # fmt: skip
