"""Plans by one worker and by several."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.executor import use_cores
from planner.planning.loop import PlanningLoop
from tests.planner.schedules.test_over_time import DAY
from tests.planner.small import TEXT as SMALL

SPLIT = ("policy.name=splitwise", "workload.rate_req_per_s=40")


@pytest.fixture
def two_cores(on_cores: Callable[[int], None]) -> None:
    """A machine of two cores, whatever this one is."""
    on_cores(2)


def _planned(scenario: Path, workers: int, *sets: str) -> str:
    more = [part for each in sets for part in ("--set", each)]
    done = CliRunner().invoke(build(), ["plan", str(scenario), "--json", "--quiet", "--workers", str(workers), *more])
    use_cores(None)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    ("text", "sets"),
    [(SMALL, SPLIT), (SMALL, ("policy.cells=2", "policy.name=splitwise", "workload.rate_req_per_s=80")), (DAY, ())],
    ids=["static", "cells", "schedule"],
)
@pytest.mark.usefixtures("two_cores")
def test_a_plan_is_the_same_by_one_worker_and_by_two(tmp_path: Path, text: str, sets: tuple[str, ...]) -> None:
    """The whole file of a plan, a schedule and a plan in cells, byte by byte, however many threads worked on it."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(text, encoding="utf-8")
    assert _planned(scenario, 1, *sets) == _planned(scenario, 2, *sets)


@pytest.mark.skipif(sys.platform != "linux", reason="copies of a process are made on Linux alone")
@pytest.mark.usefixtures("two_cores")
def test_a_second_worker_looks_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two workers some candidates are simulated beside the planning process, with one worker none is."""
    scenario, looked = tmp_path / "scenario.yaml", tmp_path / "looked"
    scenario.write_text(SMALL, encoding="utf-8")
    own = PlanningLoop._looked

    def seen(loop: PlanningLoop, *arguments: object) -> object:
        with looked.open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        return own(loop, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PlanningLoop, "_looked", seen)
    monkeypatch.setattr("planner.executor.ahead.WORTHWHILE_S", 0.0)
    for workers, several in ((1, False), (2, True)):
        looked.write_text("", encoding="utf-8")
        _planned(scenario, workers, *SPLIT)
        assert (len(set(looked.read_text(encoding="utf-8").split())) > 1) is several
