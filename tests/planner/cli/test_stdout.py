"""Where stdout fails, files that were asked for are there, and the end is a line and exit code 2."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from planner.errors import ExitCode
from tests.planner.small import write_small

FULL = Path("/dev/full")


def planned(folder: Path, *more: str, stdout: int | None, closed: bool = False) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "planner", "plan", str(write_small(folder)), "--quiet", *more]
    command: Sequence[str] = ["sh", "-c", 'exec "$@" >&-', "sh", *words] if closed else words
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_stdout_loses_no_plan(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Where stdout is full the plan file is whole all the same, and one line says what failed."""
    if not FULL.is_char_device():
        pytest.skip("NO /dev/full: a full stdout is not tested")
    with FULL.open("wb") as full:
        done = planned(tmp_path, "--out", str(tmp_path / "p.json"), *more, stdout=full.fileno())
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stderr.decode().splitlines() == [
        "phasewise: 1 problem:",
        "  stdout: cannot be written: No space left on device",
    ]
    assert (tmp_path / "p.json").read_text().endswith("}\n")


def test_a_closed_stdout_loses_no_plan(tmp_path: Path) -> None:
    """Where stdout is closed the plan file is whole all the same, and one line says what failed."""
    done = planned(tmp_path, "--out", str(tmp_path / "p.json"), stdout=None, closed=True)
    assert done.returncode == ExitCode.BAD_INPUT
    assert b"stdout: is closed" in done.stderr
    assert (tmp_path / "p.json").read_text().endswith("}\n")


def test_results_do_not_replace_what_is_read(tmp_path: Path) -> None:
    """The scenario, and a file given twice, are refused as results before any work, and stay as they were."""
    question = write_small(tmp_path)
    before = question.read_bytes()
    for words in (("--out", str(question)), ("--out", str(tmp_path / "a"), "--report", str(tmp_path / "a"))):
        done = planned(tmp_path, *words, stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (ExitCode.BAD_INPUT, b"")
        assert b"of this command too; expected another file; nothing was done" in done.stderr
    assert question.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_a_section_that_is_not_there_leaves_no_report(tmp_path: Path) -> None:
    """A name that no section has is refused before the report is written, of a whole plan and of an edited one."""
    plan, report = tmp_path / "p.json", tmp_path / "r.html"
    planned(tmp_path, "--out", str(plan), stdout=subprocess.DEVNULL)
    for text in (plan.read_text(), plan.read_text().replace('"seeds": 1', '"seeds": 2', 1)):
        plan.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "planner", "show", str(plan), "--report", str(report), "--sections", "evidense"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, report.exists()) == (ExitCode.BAD_INPUT, b"", False)
        assert b"--sections evidense: no such section" in done.stderr


def test_a_dash_is_stdout_for_a_new_scenario_and_no_file(tmp_path: Path) -> None:
    """``new --out -`` can be piped into ``plan -``; a plan is not written into a file of that name."""
    words = [sys.executable, "-m", "planner"]
    made = subprocess.run(
        [*words, "new", "colocated-conv", "--out", "-"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert (made.stdout.startswith("# "), made.stderr, list(tmp_path.iterdir())) == (True, "", [])
    checked = subprocess.run(
        [*words, "check", "-"], input=made.stdout, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert checked.returncode == ExitCode.VALIDATED
    refused = planned(tmp_path, "--out", "-", stdout=subprocess.PIPE)
    assert refused.returncode == ExitCode.BAD_INPUT
    assert b"--out -: is no name of a file; results go to stdout with --json" in refused.stderr
