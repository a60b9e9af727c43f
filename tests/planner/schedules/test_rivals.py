"""Schedules that turn one knob alone, against the one that may turn all."""

from dataclasses import replace
from typing import Any

import pytest

from planner.results.timetable import Served, Timetable
from planner.scenario import Scenario
from planner.schedules.less import Trial, value
from planner.schedules.planning import _mended, _proposed
from planner.schedules.provision import level
from planner.schedules.question import Opened, opened
from planner.schedules.rivals import Rows, against_rivals, one_knob, told
from tests.planner.schedules.test_over_time import DAY


class Judge:
    """Serves every schedule as it is told to."""

    def __init__(self, *, well: bool) -> None:
        """Every epoch is served well, or none."""
        self.well, self.asked = well, 0

    def all(
        self, schedule: Any, _progress: object, *, brief: bool = True
    ) -> tuple[tuple[Served, ...], tuple[int, ...]]:
        """What it was told to say, of a second look in full too."""
        self.asked += brief
        served = Served(
            epochs=tuple(range(len(schedule.epochs))), rate_req_per_s=1.0, changed=0, evidence=(), seeds=(1,),
            arrived=1000, unfinished=0 if self.well else 500, refused=0, steady=self.well, engine="",
        )  # fmt: skip
        return (served,), ()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Hours of two classes on one machine type."""
    path = tmp_path_factory.mktemp("day") / "day.yaml"
    path.write_text(DAY, encoding="utf-8")
    return opened(Scenario.load(path).changed(["catalog.machines=[dgx-h100]"]), "sarathi")


def _dear(asked: Opened) -> Trial:
    """A schedule that moves machines and clocks, twice as dear as what the program found."""
    provided = level(asked.load.peak_req_per_s, 1.0)
    found = _proposed(asked, provided, 1.0)
    assert found.schedule is not None
    worse = replace(
        found.schedule, cost_usd=2 * found.schedule.cost_usd, energy_j=2 * found.schedule.energy_j,
        carbon_g=2 * found.schedule.carbon_g,
    )  # fmt: skip
    served, _ = Judge(well=True).all(worse, None)
    return Trial(found=replace(found, schedule=worse, served=served), provided_ratio=provided)


def _against(asked: Opened, standing: Trial, judge: Judge) -> tuple[Timetable, Rows]:
    def mended(found: Timetable, wanted: Any) -> Any:
        return _mended(asked, found, wanted, 1.0, None)

    better, rows = against_rivals(asked, standing, judge, mended, lambda *_: None)  # type: ignore[arg-type]
    return better.found, rows


def test_a_plan_is_never_dearer_than_one_knob_alone(day: Opened) -> None:
    """What is cheaper and is served well takes its place; nothing that is left beside it is cheaper."""
    standing = _dear(day)
    rows = one_knob(day, standing.found)
    assert rows
    assert value(rows[0][1]) < value(standing.found.schedule)
    found, left = _against(day, standing, Judge(well=True))
    assert value(found.schedule)[0] <= value(rows[0][1])[0] * (1 + 1e-9)
    assert all(value(found.schedule)[0] <= value(made)[0] * (1 + 1e-9) for _, made in left)
    assert [each.knob for each in told(found, left).knobs] == [name for name, _ in left]


def test_what_misses_takes_no_place(day: Opened) -> None:
    """A cheaper schedule that the simulator refuses is no row either: a note says that it misses."""
    standing, judge = _dear(day), Judge(well=False)
    found, rows = _against(day, standing, judge)
    assert judge.asked
    assert found.schedule == standing.found.schedule
    said = told(found, rows)
    assert said.schedule is not None
    assert any("misses objectives when it is simulated" in note for note in said.schedule.notes)
    assert all(each.spent.cost_usd >= said.schedule.cost_usd for each in said.knobs)
