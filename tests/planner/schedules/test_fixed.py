"""What stands beside a schedule, and in its place where it is cheaper: the fixed fleet for the peak."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from planner.report import schedule_words
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective
from planner.schedules.fixed import fixed_fleets, unchanged
from planner.schedules.peaks import Peak
from planner.schedules.planning import timetable
from planner.schedules.question import Opened, opened
from planner.schedules.rivals import UNDERCUT, against_fixed
from planner.schedules.serving import Serving
from solvers.allocation import Reason
from tests.planner.small import small

DAY = ("schedule={load: [0.4, 1.5, 0.0], epoch_s: 1800, clocks_mhz: [1980], objectives: [cost]}",)


def quiet(_words: str, _done_frac: float) -> None:
    """Progress that is not followed."""


def none(_question: Scenario | Fleet, _objectives: Sequence[Objective]) -> list[Peak]:
    """No plan of one load beside the busiest epoch's pools."""
    return []


@pytest.fixture(scope="module")
def served() -> tuple[Opened, Timetable, Serving]:
    """A question over three epochs, the last without load, its schedule, and what serves it."""
    scenario = small(*DAY)
    found = timetable(scenario, progress=quiet)
    assert found.valid
    asked = opened(scenario, found.policy)
    return asked, found, Serving(asked.case, asked.section, asked.load, asked.options)


def dearer(found: Timetable, times: float) -> Timetable:
    """The same schedule, as if it came to more."""
    made: Schedule | None = found.schedule
    assert made is not None
    assert made.termination.objective is not None
    ended = replace(made.termination, objective=made.termination.objective * times, bound=made.cost_usd * times)
    made = replace(made, cost_usd=made.cost_usd * times, termination=ended)
    return replace(found, schedule=made, termination=ended)


def test_a_cheaper_fixed_fleet_takes_the_place_of_a_schedule(served: tuple[Opened, Timetable, Serving]) -> None:
    """It is served in every epoch, costs what its machines cost around the clock, and undercuts the bound, so has none.

    One that is not served well, or is dearer, leaves the schedule as it is.
    """
    asked, found, serving = served
    assert found.schedule is not None
    (fixed,) = fixed_fleets(asked, found, none)
    assert fixed.valid
    stays = against_fixed(asked, found, [fixed], serving, quiet)
    assert stays == replace(found, fixed=fixed), "no fixed fleet is cheaper than the schedule"
    high, missed = dearer(found, 10), replace(fixed, valid=False)
    assert against_fixed(asked, high, [missed], serving, quiet) == replace(high, fixed=missed)
    still = against_fixed(asked, high, [fixed], serving, quiet)
    assert still.valid
    assert still.schedule is not None
    assert len({str(epoch.machines) for epoch in still.schedule.epochs}) == 1
    assert [len(epoch.runs) for epoch in still.schedule.epochs][-1] == 0, "no load, no pool"
    assert still.schedule.churn_machines == 0
    assert still.schedule.cost_usd == pytest.approx(fixed.spent.cost_usd, rel=0.02), "watts alone are estimates"
    assert (still.termination.bound, still.termination.detail) == (None, UNDERCUT)
    assert still.termination.reason is Reason.FEASIBLE


def test_a_fleet_planned_without_what_is_asked_takes_no_place(served: tuple[Opened, Timetable, Serving]) -> None:
    """The reason stands in its row: no spare machines where availability asks for them, pools that are not on offer."""
    asked, found, serving = served
    assert found.schedule is not None
    (fixed,) = fixed_fleets(asked, found, none)
    assert isinstance(unchanged(asked, found, fixed), Schedule)
    assert "spare machines" in str(unchanged(replace(asked, rule=object()), found, fixed))  # type: ignore[arg-type]
    foreign = tuple(replace(run, spec=replace(run.spec, clock_mhz=210)) for run in fixed.runs)
    strange = against_fixed(asked, found, [replace(fixed, runs=foreign)], serving, quiet).fixed
    assert strange is not None
    assert "which the schedule is not offered" in strange.outside
    assert strange.outside in schedule_words.against_fixed(strange.spent, strange)
    cheap = replace(fixed, runs=foreign, spent=replace(fixed.spent, cost_usd=0.0))
    taken = against_fixed(asked, dearer(found, 10), [cheap, fixed], serving, quiet)
    assert taken.fixed == replace(cheap, outside=strange.outside), "the cheapest stands beside, whatever it is"
    assert taken.schedule is not None
    assert taken.schedule.churn_machines == 0, "one behind it that may takes the place"
