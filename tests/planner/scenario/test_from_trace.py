"""A scenario made for a trace is one that plans, and its comments are the trace's own figures."""

from pathlib import Path

from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from planner.scenario import Scenario
from workloads.readers import read_trace
from workloads.stats import stats

ROWS = "arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{0.5 * k},{100 + k},{10 + k % 7}\n" for k in range(2000))


def test_a_trace_becomes_a_scenario(tmp_path: Path) -> None:
    """`new --from` names the trace from where the file lies, prints its figures, and asks what `check` understands."""
    trace, made = tmp_path / "mine.csv", tmp_path / "made.yaml"
    trace.write_text(ROWS)
    done = CliRunner().invoke(build(), ["new", "--from", str(trace), "--out", str(made)])
    assert (done.exit_code, done.stdout) == (ExitCode.VALIDATED, "")
    question, seen = Scenario.load(made), stats(read_trace(trace))
    assert (question.name, question.workload.trace) == ("mine", str(trace))
    text = made.read_text()
    assert 'trace: "mine.csv"' in text
    assert f"2,000 requests in {seen.duration_s:,.0f} s" in text
    assert f"mean {seen.prompt.mean_tokens:,.0f} tokens" in text
    assert CliRunner().invoke(build(), ["check", str(made)]).exit_code == ExitCode.VALIDATED


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that exists, a trace that does not and an example beside a trace are refused, nothing written."""
    (tmp_path / "mine.csv").write_text(ROWS)
    (tmp_path / "made.yaml").write_text("old")
    for words, line in (
        (["--from", "mine.csv", "--out", "made.yaml"], "exists already"),
        (["--from", "none.csv", "--out", "new.yaml"], "cannot be read"),
        (["splitwise-conv", "--from", "mine.csv"], "expected one of them"),
    ):
        paths = [str(tmp_path / word) if "." in word else word for word in words]
        done = CliRunner().invoke(build(), ["new", *paths])
        assert (done.exit_code, done.stdout) == (ExitCode.BAD_INPUT, "")
        assert line in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.yaml", "mine.csv"]
    assert (tmp_path / "made.yaml").read_text() == "old"
