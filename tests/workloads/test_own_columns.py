"""Trace files whose columns have names of their own, said one by one."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from planner.scenario import Scenario
from workloads.errors import WorkloadError
from workloads.readers import read_trace

ROWS = [(0, 100, 20), (500, 200, 30), (1500, 50, 7)]
NAMES = {"arrival": "sent_ms", "prompt": "in", "output": "out"}
TYPED = "arrival=sent_ms,prompt=in,output=out"


def table(path: Path, *names: str) -> Path:
    """The requests under these names."""
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in ROWS)]))
    return path


@given(order=st.permutations([0, 1, 2]), named=st.sets(st.sampled_from(sorted(NAMES))))
def test_columns_are_found_by_the_names_given(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], named: set[str]
) -> None:
    """Whatever their order: a kind that is named goes by that name, the others by that of any format; ms by its end."""
    known = dict(zip(NAMES, ("arrival_ms", "num_prefill_tokens", "GeneratedTokens"), strict=True))
    names = [NAMES[kind] if kind in named else known[kind] for kind in NAMES]
    path = tmp_path_factory.mktemp("t") / "t.csv"
    rows = [[str(row[at]) for at in order] for row in (names, *ROWS)]
    path.write_text("\n".join(map(",".join, rows)))
    trace = read_trace(path, columns={kind: NAMES[kind] for kind in named} or {"prompt": known["prompt"]})
    assert trace.arrival_s.tolist() == [0.0, 0.5, 1.5]
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([100, 200, 50], [20, 30, 7])


def test_columns_inside_json_objects_have_dotted_names(tmp_path: Path) -> None:
    """Token counts of chat APIs lie inside `usage`."""
    path = tmp_path / "log.jsonl"
    lines = [{"t": ms / 1e3, "usage": {"in": prompt, "out": output}} for ms, prompt, output in ROWS]
    path.write_text("\n".join(map(json.dumps, lines)))
    trace = read_trace(path, columns={"arrival": "t", "prompt": "usage.in", "output": "usage.out"})
    assert (trace.arrival_s.tolist(), trace.output_tokens.tolist()) == ([0.0, 0.5, 1.5], [20, 30, 7])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({**NAMES, "arrival": "send_ms"}, "columns.arrival: found no column 'send_ms', only sent_ms, in, out"),
        ({**NAMES, "arrival": "send_ms"}, "did you mean 'sent_ms'?"),
        ({"arrival": "sent_ms", "prompt": "in"}, "columns.output: found no column of a known name"),
        ({**NAMES, "output": "in"}, "expected three different columns"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, columns: dict[str, str], words: str) -> None:
    """One line: the key, what was found, the nearest."""
    with pytest.raises(WorkloadError) as caught:
        read_trace(table(tmp_path / "t.csv", *NAMES.values()), columns=columns)
    (line,) = caught.value.problems
    assert words in line


@pytest.mark.parametrize(("name", "tick_s"), [("sentMs", 1e-3), ("sent (s)", 1.0), ("timestamps", 1.0), ("t_us", 1e-6)])
def test_the_end_of_a_name_states_the_unit(tmp_path: Path, name: str, tick_s: float) -> None:
    """A unit is the last word of a name, not its last letter; a name without one means seconds."""
    trace = read_trace(table(tmp_path / "t.csv", name, "in", "out"), columns={**NAMES, "arrival": name})
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 500 * tick_s, 1500 * tick_s])


def _say(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(build(), list(words))
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


def test_every_door_takes_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`new --from`, `check`, `plan --trace --save` and `workload stats` take --columns, which is `workload.columns`."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "m.csv", *NAMES.values())
    assert _say("new", "--from", "m.csv", "--columns", TYPED)[0] == ExitCode.VALIDATED
    assert Scenario.load(Path("m.yaml")).workload.columns.named == NAMES
    plain = Path("m.yaml").read_text().replace("  columns:", "  # columns:")
    Path("plain.yaml").write_text(plain)
    assert _say("check", "plain.yaml", "--columns", TYPED)[0] == ExitCode.VALIDATED
    code, _, said = _say("check", "plain.yaml")
    assert (code, "or say which are which: workload.columns={arrival: NAME" in said) == (ExitCode.BAD_INPUT, True)
    assert "3 requests in 2.25 s" in _say("workload", "stats", "m.csv", "--columns", TYPED)[1]
    asked = ["--model", "llama-3.1-8b", "--ttft", "1", "--machines", "dgx-h100", "--trace", "m.csv"]
    _say("plan", *asked, "--columns", TYPED, "--save", "saved.yaml")
    assert Scenario.load(Path("saved.yaml")).workload.columns.named == NAMES


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["check", "m.yaml", "--columns", "arival=x"], "'arival' is unknown; did you mean 'arrival'?"),
        (["check", "m.yaml", "--columns", "arrival"], "--columns arrival: expected arrival=NAME, prompt=NAME"),
        (["workload", "stats", "m.csv", "--columns", "arrival=a"], "--columns.arrival: found no column 'a'"),
        (["check", "--model", "llama-3.1-8b", "--columns", "arrival=a"], "--columns: found without --trace"),
        (["check", "lengths.yaml", "--columns", "arrival=a"], "workload.columns: found a, but no trace file is read"),
    ],
)
def test_wrong_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str) -> None:
    """Exit 2 and a line that says which word."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "m.csv", "arrival_ms", "prompt_tokens", "output_tokens")
    _say("new", "--from", "m.csv")
    lengths = "lengths: {prompt: {median_tokens: 9, p95_tokens: 9}, output: {median_tokens: 9, p95_tokens: 9}}"
    Path("lengths.yaml").write_text(
        Path("m.yaml").read_text().replace('trace: "m.csv"', f"rate_req_per_s: 1\n  {lengths}")
    )
    code, out, said = _say(*words)
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    assert line in said
