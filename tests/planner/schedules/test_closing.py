"""The gap of small schedules: what the whole program proves, of one model and of several."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.formulate import epoch_problem
from planner.resolve.several import read_models
from planner.results.timetable import Timetable
from planner.scenario.fleet import Fleet
from planner.schedules.closing import WHOLE, closed
from planner.schedules.fleet import fleet_timetable
from planner.schedules.joint import joint_ways
from planner.schedules.question import Opened, question_of
from solvers.direct import solve_direct
from tests.planner.schedules.test_several_over_time import asked, silent


def _planned(fleet: Fleet) -> tuple[Opened, Timetable]:
    """The question in its only way, and its schedule."""
    (question, *_), _left_out = joint_ways(fleet, read_models(fleet))
    return question, fleet_timetable(fleet, read_models(fleet), progress=silent)


@pytest.fixture(scope="module")
def few() -> tuple[Opened, Timetable]:
    """Hours of two models with a few instances each, of which whole machines are most of the cost."""
    chat = (3.06, 4.71, 0.27, 0.56, 1.61, 7.65, 1.73, 6.09)
    code = (7.45, 7.55, 2.89, 2.97, 4.29, 6.25, 1.04, 6.04)
    return _planned(asked(loads=(chat, code)))


def test_the_gap_of_whole_machines_is_closed(few: tuple[Opened, Timetable]) -> None:
    """Machines that epochs share in fractions leave a gap of 7 % where they are few; the whole program leaves none."""
    question, found = few
    assert found.valid
    assert found.termination.gap_frac is not None
    assert found.termination.gap_frac <= question.section.gap_frac
    assert found.termination.detail == WHOLE


def test_a_bound_that_passes_the_answer_is_not_told(few: tuple[Opened, Timetable]) -> None:
    """A schedule that comes to less than its program's bound has not met the program: no gap of it is closed."""
    question, found = few
    ended = replace(found.termination, objective=(found.termination.objective or 0.0) / 2, bound=1.0)
    assert closed(question, replace(found, termination=ended), 1.0)[0].termination == ended


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hours=st.lists(st.tuples(st.floats(0.1, 6), st.floats(0.1, 6)), min_size=5, max_size=6))
def test_a_bound_is_below_every_schedule_of_its_rates(hours: list[tuple[float, float]]) -> None:
    """What a longer search of the same program finds is no less than the stated bound, nor is the answer."""
    loads = zip(*hours, strict=True)
    question, found = _planned(asked(loads=tuple(tuple(round(each, 2) for each in load) for load in loads)))
    if not found.valid or found.termination.bound is None:
        return
    provided = {name: np.array(ratios) for name, ratios in found.provided_ratio.items()}
    program = epoch_problem(question_of(question, provided))
    best = solve_direct(program, time_limit_s=60, gap_frac=1e-4)
    assert best is not None
    assert found.schedule is not None
    assert found.termination.bound <= program.objective(best.values) * (1 + 1e-6)
    assert found.termination.bound <= found.schedule.cost_usd * (1 + 1e-6)
