"""The gap of a small schedule closed: its program solved whole, which bounds what blocks solved apart do not.

Blocks that are solved apart, epoch by epoch, share machines between epochs in fractions. With few whole machines that
is most of a gap: of small schedules the answer is mostly the best there is, and the bound is what is loose.
"""

from dataclasses import replace

import numpy as np

from planner.formulate import epoch_problem, lift_schedule
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.schedules.question import Opened, question_of
from solvers.allocation import Limit, Reason, Termination, answered
from solvers.direct import solve_direct

MOST_COLUMNS = 2000
"""Columns of a program up to which it is solved whole: two models over a day in some layouts."""

MOST_NODES = 300
"""Nodes of its tree, a limit that is the same under any load: some seconds."""

EQUAL_FRAC = 1e-6
"""A bound is as dear as what it bounds within this."""

WHOLE = "bound by the whole program"


def closed(asked: Opened, found: Timetable, watts_ratio: float) -> tuple[Timetable, Schedule | None]:
    """A schedule with the bound of its program solved whole, where its gap is wider than what is enough.

    Args:
        asked: the question.
        found: a validated schedule.
        watts_ratio: share of the budget of expected watts that was planned on.

    Returns:
        The schedule, and what the whole program came to, not served; None where it was not solved.
    """
    ended, section = found.termination, asked.section
    if found.schedule is None or found.schedule.method != "decomposed" or ended.objective is None:
        return found, None
    if ended.gap_frac is None or ended.gap_frac <= section.gap_frac:
        return found, None
    provided = {name: np.array(ratios) for name, ratios in found.provided_ratio.items()}
    question = question_of(asked, provided, watts_ratio)
    program = epoch_problem(question)
    if len(program.columns) > MOST_COLUMNS or question.parted:
        return found, None
    whole = solve_direct(
        program, time_limit_s=asked.case.scenario.solver.time_limit_s, gap_frac=section.gap_frac / 2,
        most_nodes=MOST_NODES,
    )  # fmt: skip
    if whole is None:
        return found, None
    if (ended.bound or 0.0) < whole.bound <= ended.objective * (1 + EQUAL_FRAC):
        ended = _bounded(ended, whole.bound, section.gap_frac)
        found = replace(found, termination=ended, schedule=replace(found.schedule, termination=ended))
    made = answered(program, whole.values, reason=Reason.FEASIBLE, bound=whole.bound, backend=whole.backend)
    if made.allocation is None:
        return found, None
    ended = _bounded(made.termination, whole.bound, section.gap_frac)
    return found, lift_schedule(question, made.allocation.values, ended, method="decomposed")


def _bounded(ended: Termination, bound: float, gap_frac: float) -> Termination:
    """How a solve ended, with a better bound."""
    assert ended.objective is not None, "only what was found is bounded"
    ended = replace(ended, bound=min(bound, ended.objective), detail=WHOLE)
    if ended.gap_frac is not None and ended.gap_frac <= gap_frac:
        ended = replace(ended, reason=Reason.OPTIMAL, limit=Limit.NONE)
    return ended
