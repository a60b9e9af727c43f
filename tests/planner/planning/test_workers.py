"""Plans by one worker and by several."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.executor import use_cores
from planner.executor.ahead import Ahead
from planner.planning.loop import PlanningLoop
from planner.simulator.judge import Judging
from tests.planner.schedules.test_over_time import DAY
from tests.planner.small import TEXT as SMALL

SPLIT = ("policy.name=splitwise", "workload.rate_req_per_s=40")


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two cores, whatever this one is."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


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


@pytest.mark.usefixtures("two_cores")
def test_a_second_worker_looks_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two workers some candidates are simulated beside the planning thread, with one worker none is."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SMALL, encoding="utf-8")
    own, looked = PlanningLoop._looked, list[str]()

    def seen(loop: PlanningLoop, *arguments: object) -> object:
        looked.append(threading.current_thread().name)
        return own(loop, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PlanningLoop, "_looked", seen)
    for workers, ahead in ((1, False), (2, True)):
        looked.clear()
        _planned(scenario, workers, *SPLIT)
        assert any(name != threading.main_thread().name for name in looked) is ahead


def test_what_was_started_is_fetched_once() -> None:
    """An answer that was started is the one that is fetched; what was not is worked out when it is asked for."""
    calls = list[str]()

    def act(name: str) -> Callable[[], str]:
        return lambda: calls.append(name) or name  # type: ignore[func-returns-value]

    ahead = Ahead[str](2)
    ahead.start("a", act("a"))
    assert (ahead.fetch("a", act("again")), ahead.fetch("b", act("b"))) == ("a", "b")
    alone = Ahead[str](1)
    alone.start("c", act("early"))
    assert alone.fetch("c", act("c")) == "c"
    assert calls == ["a", "b", "c"]


def test_an_error_ahead_is_raised_where_the_answer_is_asked_for() -> None:
    """What fails on another thread fails where its answer is fetched, and nowhere else."""
    ahead = Ahead[Judging](2)
    ahead.start("a", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        ahead.fetch("a", Judging)  # type: ignore[arg-type]
