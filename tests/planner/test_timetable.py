"""A scenario that asks for a plan over time."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput
from planner.export import dumps
from planner.formulate import epoch_problem, lift_schedule
from planner.report.schedule import sparkline
from planner.scenario import Scenario
from planner.timetable import read_schedule, schedule_csv, timetable
from solvers.solve import solve
from tests.planner.epochs import question

EXAMPLE = Path(__file__).parents[2] / "planner" / "examples" / "dynamollm-week.yaml"
SMALL = ("catalog.machines=[dgx-h100]", "schedule.clocks_mhz=[1410]", "schedule.epoch_s=21600",
         "workload.rate_req_per_s=20", "workload.duration_s=20", "schedule.objectives=[cost]")  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("schedule.start_s=4000", "a start may not outlast an epoch"),
        ("schedule.carbon_g_per_kwh=[1, 2, 3]", "24 or 168 hours of carbon_g_per_kwh, not 3"),
        ("schedule.load=[1, 2]", "24 or 168 hours of load, not 2"),
        ("schedule.epochs=3", "epochs only with load: trace"),
        ("schedule.objectives=[cost, cost]", "every objective once"),
        (f"schedule.carbon_g_per_kwh={[-1.0] * 24}", "greater than or equal to 0"),
        ("schedule.forecast_sigma=1", "unknown key"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(word: str, expected: str) -> None:
    """Each fault of the section is named with what was expected."""
    with pytest.raises(BadInput, match=expected):
        Scenario.load(EXAMPLE, [word])


@pytest.mark.parametrize(
    ("word", "expected"), [("policy.name=splitwise", "both phases"), ("schedule.load=trace", "needs a workload")]
)
def test_what_a_schedule_cannot_be_made_for_is_refused(word: str, expected: str) -> None:
    """A policy that splits phases, and a trace that is none, are refused before anything is solved."""
    with pytest.raises(BadInput, match=expected):
        timetable(Scenario.load(EXAMPLE, [*SMALL, word]), progress=lambda *_: None)


@pytest.mark.slow
def test_the_example_comes_out_validated() -> None:
    """The shipped week, made small, has a schedule with a proven gap whose peak the simulator confirms."""
    found = timetable(Scenario.load(EXAMPLE, SMALL), progress=lambda *_: None)
    assert found.valid
    assert found.schedule is not None
    assert len(found.schedule.epochs) == 28
    assert found.served


def test_an_autoscaler_reads_every_pool_of_every_epoch() -> None:
    """The CSV has one line per pool and epoch; instances and machines are those of the schedule."""
    asked = question({"short": [3.0, 9.0], "long": [1.0, 2.0]})
    solution = solve(epoch_problem(asked))
    assert solution.allocation is not None
    schedule = lift_schedule(asked, solution.allocation.values, solution.termination, method="monolithic")
    lines = schedule_csv(schedule).splitlines()
    assert len(lines) == 1 + sum(len(epoch.runs) for epoch in schedule.epochs)
    assert lines[0].startswith("epoch,start_s,machine,layout,clock_mhz")
    total = sum(int(line.split(",")[6]) for line in lines[1:])
    assert total == sum(run.instances for epoch in schedule.epochs for run in epoch.runs)
    assert schedule_csv(replace(schedule, epochs=())) == lines[0] + "\n"


def test_a_schedule_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """A file of a plan over time gives the CSV it was made with; one without a schedule is left to other readers."""
    asked = question({"short": [3.0, 9.0]})
    solution = solve(epoch_problem(asked))
    assert solution.allocation is not None
    schedule = lift_schedule(asked, solution.allocation.values, solution.termination, method="monolithic")
    path = tmp_path / "week.json"
    path.write_text(dumps({"timetable": {"schedule": schedule}}), encoding="utf-8")
    found = read_schedule(path)
    assert found is not None
    assert schedule_csv(found) == schedule_csv(schedule)
    path.write_text("{}", encoding="utf-8")
    assert read_schedule(path) is None
    path.write_text('{"timetable": {}}', encoding="utf-8")
    with pytest.raises(BadInput, match="no schedule"):
        read_schedule(path)


def test_a_timeline_is_as_long_as_its_epochs() -> None:
    """One bar per epoch, empty at nothing and full at the most."""
    assert sparkline([0, 4, 8], 8) == " ▄█"
    assert sparkline([0, 0], 0) == "  "


def test_a_week_writes_its_page_and_is_told_from_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``plan --report`` of a schedule draws it; what reads the plan of one load says what it found instead."""
    monkeypatch.chdir(tmp_path)
    words = ["plan", str(EXAMPLE), "--out", "week.json", "--report", "week.html", "--quiet"]
    made = CliRunner().invoke(build(), [*words, *(word for setting in SMALL for word in ("--set", setting))])
    assert made.exit_code == 0, made.output
    assert "Timetable" in (tmp_path / "week.html").read_text(encoding="utf-8")
    refused = CliRunner().invoke(build(), ["show", "week.json"])
    assert refused.exit_code == 2
    assert "found a plan over time" in refused.stderr
