"""Rows and failures, which are no objective and no budget, are asked of plans of a table of alternatives too."""

from dataclasses import replace
from functools import cache

import pytest

from planner.planning.in_rows import prepared
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.planning.whole_question import held_whole
from planner.resolve.case import case_of
from planner.results.choice import Standing
from planner.results.evidence import ValidatedPlan
from tests.planner.small import small

LOAD = ("catalog.machines=[dgx-h100]", "workload.rate_req_per_s=1200", "solver.search_evaluations=4")
ROW = ("power.weeks=1", "power.week_s=120.0", "power.row_limit_w=12000", "power.policy=no-cap", "power.max_ratio=1")


@cache
def alone() -> ValidatedPlan:
    """A plan of a question without rows and failures."""
    found = plan(small(*LOAD), progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    return found


def held(*settings: str) -> tuple[int, Standing]:
    """Machines of the same plan where more is asked of it, and what speaks for it."""
    mine = alone()
    loop = PlanningLoop(prepared(case_of(small(*LOAD, *settings), mine.candidate)), lambda *_: None)
    candidate, judgement, standing = held_whole(loop, mine.candidate, loop.judged(mine.candidate))
    assert judgement.valid
    return candidate.totals.machines, standing


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_a_plan_that_its_rows_do_not_hold_is_not_validated(rows: int) -> None:
    """A row of 12 kW holds one machine of 10.2 kW: so many machines need as many rows."""
    machines = alone().candidate.totals.machines
    assert machines == 3
    fits = Standing.VALIDATED if rows >= machines else Standing.BEYOND
    assert held(*ROW, f"power.rows={rows}") == (machines, fits)


def test_a_plan_that_is_to_be_available_has_spare_machines_or_is_not_validated() -> None:
    """Failures are injected with its spare machines in place; where there are none to be had it is no alternative."""
    machines = alone().candidate.totals.machines
    more, standing = held("availability=0.999")
    assert standing is Standing.VALIDATED
    assert more > machines
    assert held("availability=0.999", f"catalog.available={{dgx-h100: {machines}}}") == (machines, Standing.BEYOND)


def test_what_is_beyond_rows_saves_nothing() -> None:
    """A row of the table counts as simulated only where the question could have it."""
    row = next(each for each in alone().choices if each.standing is Standing.CHOSEN)
    assert row.simulated
    assert not replace(row, standing=Standing.BEYOND).simulated
