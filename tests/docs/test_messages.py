"""The ten messages of docs/stories.md are what a reader gets today."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from tests.docs.examples import ROOT
from tests.planner import plans

TABLE = (ROOT / "docs" / "stories.md").read_text(encoding="utf-8").partition("## Ten messages")[2]
ROWS = [
    [cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in TABLE.splitlines() if line.startswith("| `")
][1:]


def test_there_are_ten() -> None:
    """Each row has what is typed, what it got, and what it gets."""
    assert [len(row) for row in ROWS] == [3] * 10


@pytest.mark.parametrize(("typed", "today"), [(row[0], row[-1]) for row in ROWS], ids=lambda cell: cell[:40])
def test_todays_message_is_the_one_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, today: str
) -> None:
    """What is typed is refused with exit code 2 and these lines, all of them and no other, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text((plans.EXAMPLES / "splitwise-conv.yaml").read_text(encoding="utf-8"))
    Path("note.txt").write_text("hello there")
    Path("empty.yaml").touch()
    Path("some.json").write_text('{"a": 1}')
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(build(), typed.strip("`").split())
    assert (done.exit_code, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert [line.strip() for line in done.stderr.splitlines()[1:]] == today.split("<br>")
    assert sorted(tmp_path.iterdir()) == before
