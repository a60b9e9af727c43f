"""How verbs end where nothing can be planned or drawn."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import ExitCode
from tests.planner import plans


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(build(), [str(word) for word in words])


def test_a_trace_too_long_to_draw_is_not_generated(run: Callable[..., Result], tmp_path: Path) -> None:
    """A slip of nine zeros is bad input that names the options; nothing is written."""
    done = run("workload", "generate", "--builtin", "azure-conv-2023", "--rate", "1e9", "--out", "t.csv")
    assert (done.exit_code, (tmp_path / "t.csv").exists()) == (ExitCode.BAD_INPUT, False)
    assert "--rate or --duration" in done.stderr


def test_check_ends_as_plan_where_nothing_can_be_bought(run: Callable[..., Result]) -> None:
    """A scenario that no option can serve ends `check` as it ends `plan`."""
    ends = [run(verb, plans.EXAMPLES / "splitwise-conv.yaml", "--set", "catalog.tp=[3]") for verb in ("check", "plan")]
    assert ends[0].stdout.startswith("NOTHING TO BUY")
    assert [end.exit_code for end in ends] == [ExitCode.INFEASIBLE] * 2


def test_check_refuses_as_plan_where_no_epoch_can_be_served(run: Callable[..., Result]) -> None:
    """A schedule without a single option is refused by `check` and `plan` in the same words."""
    ends = [run(verb, plans.EXAMPLES / "dynamollm-nine.yaml", "--set", "catalog.tp=[3]") for verb in ("check", "plan")]
    assert [end.exit_code for end in ends] == [ExitCode.BAD_INPUT] * 2
    assert ends[0].stderr.splitlines()[-1] == ends[1].stderr.splitlines()[-1]
