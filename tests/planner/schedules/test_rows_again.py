"""The row of a plan over time, studied again from its file."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from tests.planner.small import TEXT

pytestmark = pytest.mark.slow

ROW = "power: {row_limit_w: 40000, weeks: 1, week_s: 3600, policy: no-cap}\nschedule: {load: [0.5, 40.0]}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of two epochs whose machines stand in a row, and the plan of it."""
    found = tmp_path_factory.mktemp("row")
    (found / "day.yaml").write_text(TEXT + ROW, encoding="utf-8")
    done = run("plan", found / "day.yaml", "--out", found / "day.json", "--quiet")
    assert done[0] == ExitCode.VALIDATED, done[1]
    return found


def run(*words: object) -> tuple[int, str]:
    """Exit code and what was printed."""
    said = CliRunner().invoke(build(), [str(word) for word in words])
    return said.exit_code, " ".join(said.output.split())


def test_simulate_studies_the_row_again(folder: Path) -> None:
    """A schedule that is served again is held by the row that it was planned in."""
    code, said = run("simulate", folder / "day.json", "--quiet")
    assert code == ExitCode.VALIDATED
    assert "VALIDATED" in said


def test_a_row_that_does_not_hold_it_any_more_is_told(folder: Path) -> None:
    """With a lower limit the same schedule is not validated, and the line says what the row holds."""
    code, said = run("simulate", folder / "day.json", "--set", "power.row_limit_w=12000", "--quiet")
    assert code == ExitCode.NOT_VALIDATED
    assert "NOT VALIDATED" in said
    assert "Exceeded: " in said
