"""Conversations of text: lengths that are estimated, and no arrival times."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.resolve.workload import asked
from planner.scenario import Scenario
from workloads.errors import WorkloadError
from workloads.readers import read_trace

SHAREGPT = [
    {"id": "x", "conversations": [
        {"from": "human", "value": "a" * 400}, {"from": "gpt", "value": "b" * 100},
        {"from": "human", "value": "c" * 60}, {"from": "gpt", "value": "d" * 9},
    ]},
    {"id": "y", "conversations": [{"from": "human", "value": "z"}]},
]  # fmt: skip
LMSYS = [{"conversation_id": "x", "conversation": [
    {"role": {"human": "user", "gpt": "assistant"}[m["from"]], "content": m["value"]}
    for m in SHAREGPT[0]["conversations"]  # type: ignore[index,union-attr]
]}]  # fmt: skip
OPENAI = [{"messages": [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in LMSYS[0]["conversation"]]}]  # type: ignore[union-attr,index,dict-item]


def made(path: Path, items: object, *, by_line: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, items)) if by_line else json.dumps(items))  # type: ignore[call-overload]
    return path


@pytest.mark.parametrize("items", [SHAREGPT, LMSYS, OPENAI], ids=["ShareGPT", "LMSYS", "OpenAI"])
@pytest.mark.parametrize("by_line", [False, True])
def test_each_answer_is_a_request(tmp_path: Path, items: object, by_line: bool) -> None:
    """Its prompt is all that was said before; tokens are bytes over the ratio, rounded up, by default four."""
    trace = read_trace(made(tmp_path / "t", items, by_line=by_line))
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([100, 140], [25, 3])
    assert not trace.timed
    assert "4 bytes of it (assumed: workload.bytes_per_token)" in trace.notes[0]
    assert "42 % of the prompt tokens repeat the prompt before" in trace.notes[1]
    halved = read_trace(tmp_path / "t", bytes_per_token=2)
    assert halved.prompt_tokens.tolist() == [200, 280]
    assert "(stated" in halved.notes[0]


def test_bytes_are_counted_not_characters(tmp_path: Path) -> None:
    """A script of three bytes a character has more tokens a character: 40 characters are 30 tokens, not 10."""
    items = [{"conversations": [{"from": "human", "value": "\u4e2d" * 40}, {"from": "gpt", "value": "ok"}]}]
    assert read_trace(made(tmp_path / "t", items)).prompt_tokens.tolist() == [30]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (SHAREGPT[1:], "1 conversations without an answer"),
        ([*SHAREGPT, {"id": 3}], "1 of 3 items list no messages (item 2)"),
    ],
)
def test_what_holds_no_request_is_told(tmp_path: Path, items: object, words: str) -> None:
    """One line, however large the file."""
    with pytest.raises(WorkloadError) as caught:
        read_trace(made(tmp_path / "t", items))
    (line,) = caught.value.problems
    assert words in line
    assert len(line) < 400


def question(path: Path, *sets: str) -> Scenario:
    text = f"""
schema_version: 1
name: chat
model: {{name: llama-3.1-8b}}
workload: {{trace: {path}}}
slo: {{ttft_p99_s: 1}}
catalog: {{machines: [dgx-h100]}}
"""
    path.with_suffix(".yaml").write_text(text)
    return Scenario.load(path.with_suffix(".yaml"), list(sets))


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    """Conversations have no rate; at one that is given requests come one by one, with the lengths of the file."""
    path = made(tmp_path / "t.json", SHAREGPT)
    with pytest.raises(BadInput, match=r"workload\.rate_req_per_s: missing; expected requests/s"):
        asked(question(path))
    with pytest.raises(BadInput, match=r"workload\.arrivals\.process: found replay; expected poisson"):
        asked(question(path, "workload.rate_req_per_s=2", "workload.arrivals.process=replay"))
    found = asked(question(path, "workload.rate_req_per_s=2"))
    (demand,) = found.demand.classes
    assert found.rate_req_per_s == pytest.approx(2)
    assert set(demand.prompt_tokens.tolist()) <= set(range(100, 141))
    assert any("assumed: workload.bytes_per_token" in words for words in found.doubts)


def test_a_scenario_made_for_conversations_asks_the_rate(tmp_path: Path) -> None:
    """`new --from` writes the key with a mark; `workload stats` shows no rate."""
    path = made(tmp_path / "t.json", SHAREGPT)
    out = tmp_path / "made.yaml"
    done = CliRunner().invoke(build(), ["new", "--from", str(path), "--bytes-per-token", "3", "--out", str(out)])
    assert done.exit_code == ExitCode.VALIDATED
    assert "rate_req_per_s: 1              # <- yours" in out.read_text()
    assert Scenario.load(out).workload.bytes_per_token == 3
    shown = CliRunner().invoke(build(), ["workload", "stats", str(path)]).stdout
    assert "2 requests, without arrival times" in shown
