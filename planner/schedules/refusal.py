"""Why there is no schedule: the fewest budgets to raise for the busiest epoch, proven by least work or estimated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.formulate import EPOCH_BUDGET_FAMILIES, EpochQuestion, epoch_problem
from planner.resolve.epoch_options import epoch_options
from planner.scenario.sections import HeadroomSection
from planner.schedules.joint import joined
from planner.schedules.question import Opened, alone, question_of
from solvers.allocation import Solution
from solvers.elastic import NotProven, StillInfeasible, smallest_raise
from solvers.problem import Problem
from solvers.solve import solve
from workloads.counts import rounded_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no schedule was found.

    Attributes:
        proven: no batching serves the busiest epoch within the budgets, by the least work of its requests.
        lines: full sentences that name budgets and what they must be at least.
    """

    proven: bool
    lines: tuple[str, ...]


def refusal(asked: Opened) -> Refusal:
    """What of the budgets the busiest epoch alone passes; its moves and the other epochs are not looked at."""
    # What requests draw is a fit, not a bound: watts are left to the estimate.
    bounded = tuple(family for family in EPOCH_BUDGET_FAMILIES if family != "epoch_watts")
    lacking = _lacking(_full(asked, least=True), bounded)
    if lacking:
        return Refusal(proven=True, lines=lacking)
    estimated = _lacking(_full(asked, least=False), tuple(EPOCH_BUDGET_FAMILIES))
    doubt = "not proven: no schedule fits by estimated capacities; by the least work of requests one might"
    return Refusal(proven=False, lines=(*estimated, doubt))


def _full(asked: Opened, *, least: bool) -> Opened:
    """The question with instances filled to the brim, or with the least work that its requests can take."""
    if asked.parts:
        return joined({name: _full(part, least=least) for name, part in asked.parts.items()})
    bare = asked.case.scenario.model_copy(update={"headroom": HeadroomSection(mixed_frac=1.0, kv_frac=1.0)})
    case = replace(asked.case, scenario=bare)
    return replace(asked, case=case, options=epoch_options(replace(case, options=case.least) if least else case))


def _lacking(asked: Opened, families: Sequence[str]) -> tuple[str, ...]:
    """What keeps the busiest epoch from these options, in full sentences; nothing where they serve it."""
    question, limits = _busiest(asked), asked.case.scenario.solver
    program, most = epoch_problem(question), sum(float(rates[0]) for rates in question.load.peak_req_per_s.values())
    # No option serves more than is asked for: a raise is bounded only where every column of its row is.
    columns = tuple(
        replace(column, upper=min(column.upper, most)) if column.name.startswith("rate[") else column
        for column in program.columns
    )
    others = [row for row in program.rows if row.family not in EPOCH_BUDGET_FAMILIES or row.family in families]

    def solver(part: Problem) -> Solution:
        return solve(part, backend=limits.backend, time_limit_s=limits.time_limit_s)

    try:
        found = smallest_raise(replace(program, columns=columns, rows=tuple(others)), families=families, solve=solver)
    except StillInfeasible:
        return ("no budget helps: catalog.available or schedule.base_machines leave too few machines",)
    except NotProven:
        return ()
    return tuple(
        f"raise budgets.{EPOCH_BUDGET_FAMILIES[each.family]} from {each.limit:g} "
        f"to at least {rounded_up(each.needed):g}"
        for each in found
    )


def _busiest(asked: Opened) -> EpochQuestion:
    """The epoch of the highest rate as a question of its own."""
    peaks = question_of(asked).load.peak_req_per_s
    return alone(asked, int(np.argmax(np.sum(list(peaks.values()), axis=0))))
