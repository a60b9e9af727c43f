"""A plan over time that was interrupted goes on with what it simulated, to the same answer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from planner import api
from planner.cli import build
from planner.compare.epochs import kept_epochs
from planner.compare.journal import Journal
from planner.errors import BadInput, ExitCode
from planner.schedules import judged, serving
from tests.docs.examples import ROOT
from tests.planner import plans
from tests.planner.small import TEXT, small

DAY = "schedule: {load: [0.5, 40.0, 20.0, 40.0]}\n"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A question of four epochs."""
    path = tmp_path / "day.yaml"
    path.write_text(TEXT + DAY, encoding="utf-8")
    return path


def planned(day: Path, name: str, journal: str) -> Result:
    words = ["plan", str(day), "--quiet", "--out", str(day.with_name(name)), "--journal", str(day.with_name(journal))]
    return CliRunner().invoke(build(), words)


def test_python_goes_on_from_its_journal(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call simulates no epoch that it kept, only the fixed fleet; a plan of one load has nothing to keep."""
    looked = list[int]()

    def counting(look: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            looked.append(1)
            return look(*args, **named)

        return counted

    for name in ("judge", "judge_longer"):
        monkeypatch.setattr(judged, name, counting(getattr(judged, name)))
    journal = day.with_name("day.jsonl")
    first = api.plan(day, journal=journal)
    total, kept = len(looked), journal.read_bytes().count(b"\n")
    again = api.plan(day, journal=journal)
    assert kept > 0
    assert len(looked) - total == total - kept
    assert isinstance(first, api.Scheduled)
    assert isinstance(again, api.Scheduled)
    assert again.found == first.found
    with pytest.raises(BadInput, match="journal kept: a plan of one load"):
        api.plan(small(), journal="kept")


def test_nothing_is_simulated_twice(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between looks, brief ones too, the same command takes the others alone and writes the same bytes."""
    monkeypatch.setattr(serving, "BRIEF_FROM", 0)
    looked = list[int]()

    def counting(look: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            if len(looked) == stop:
                raise KeyboardInterrupt
            looked.append(1)
            return look(*args, **named)

        return counted

    for name in ("judge", "judge_longer"):
        monkeypatch.setattr(judged, name, counting(getattr(judged, name)))
    stop = 10_000
    assert planned(day, "whole.json", "whole.jsonl").exit_code == ExitCode.VALIDATED
    total = len(looked)
    assert total > 2
    looked.clear()
    half = stop = total // 2
    done = planned(day, "stopped.json", "half.jsonl")
    assert done.exit_code == ExitCode.INTERRUPTED
    assert f"the same command goes on from {day.with_name('half.jsonl')}" in done.stderr
    looked.clear()
    stop = 10_000
    assert planned(day, "again.json", "half.jsonl").exit_code == ExitCode.VALIDATED
    assert len(looked) == total - half
    assert day.with_name("again.json").read_bytes() == day.with_name("whole.json").read_bytes()


def test_what_is_kept_is_what_was_said(tmp_path: Path) -> None:
    """A judgement comes back bit for bit, infinities too, under its own question alone."""
    said = replace(plans.judgement(), horizon_s=0.1 + 0.2, latency_s={"ttft_p99_s": inf})
    with Journal(tmp_path / "j.jsonl") as journal:
        kept_epochs(journal, small()).note("this", said)
    with Journal(tmp_path / "j.jsonl") as journal:
        assert kept_epochs(journal, small()).known("this") == said
        assert kept_epochs(journal, small()).known("that") is None
        assert kept_epochs(journal, small("workload.rate_req_per_s=41")).known("this") is None


def test_a_plan_of_one_load_keeps_no_journal(tmp_path: Path) -> None:
    """It is refused, and nothing is written."""
    path = tmp_path / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    done = CliRunner().invoke(build(), ["plan", str(path), "--journal", str(tmp_path / "j.jsonl")])
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "expected a plan over time" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with(day: Path) -> None:
    """SIGKILL at any moment leaves a journal that the next run reads, to the same bytes."""
    journal = day.with_name("killed.jsonl")
    words = [sys.executable, "-m", "planner", "plan", str(day), "--quiet", "--journal", str(journal)]
    started = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while time.monotonic() < until and not (journal.exists() and journal.read_bytes().count(b"\n")):
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    left = journal.read_bytes()
    assert left.count(b"\n") >= 1
    assert planned(day, "again.json", "killed.jsonl").exit_code == ExitCode.VALIDATED
    assert journal.read_bytes().startswith(left[: left.rindex(b"\n") + 1])
    assert planned(day, "whole.json", "other.jsonl").exit_code == ExitCode.VALIDATED
    assert day.with_name("again.json").read_bytes() == day.with_name("whole.json").read_bytes()
