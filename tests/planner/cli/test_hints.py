"""Wrong inputs that users try, and the one line that helps: what was found, what was meant, what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from tests.planner import plans

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text((plans.EXAMPLES / "splitwise-conv.yaml").read_text())
    (tmp_path / "note.txt").write_text("hello there")
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "some.json").write_text('{"a": 1}')
    return lambda *words: CliRunner().invoke(build(), list(words))


@pytest.mark.parametrize(
    ("words", "help_"),
    [
        ("check mine.yam", "did you mean mine.yaml?"),
        ("check note.txt", "found the text 'hello there'; expected keys and values of a scenario"),
        ("check empty.yaml", "empty.yaml: is empty; expected a scenario: `phasewise new splitwise-conv` writes one"),
        ("check mine.yaml --set rate=3", "did you mean workload.rate_req_per_s"),
        ("check mine.yaml --set slo={}", "expected at least one limit on latency, for example slo: {ttft_p99_s: 1.0}"),
        ("check mine.yaml --set workload.trace=null", "either trace (a file or azure-conv-2023) or lengths"),
        ("check mine.yaml --set model.name=llama3-70b", "did you mean 'llama-3"),
        ("check mine.yaml --set model.name=meta-llama/Llama-3.1-70B-Instruct", "did you mean 'llama-3.1-70b'"),
        ("check mine.yaml --set catalog.availability=3", "did you mean catalog.available or availability?"),
        ("check mine.yaml --set catalog.availabilty=3", "did you mean catalog.available or availability?"),
        ("check mine.yaml --set catalog.rate_req_per_s=3", "unknown key; did you mean workload.rate_req_per_s?"),
        ("check mine.yaml --set catalog.machines=dgx-h10,hgx-h20", "a list, for example [dgx-h100, hgx-h200]"),
        ("check mine.yaml --set catalog.machines=[dgx-h10] --set catalog.available=3", "for example {dgx-h100: 3}"),
        (
            "calibrate --measurements some.json --profile-set aiconfigurator-0.1",
            "set; did you mean 'aiconfigurator-0.12'?",
        ),
        ("accuracy --data some.json --profile-set x", "no such set; expected one of: aiconfigurator-0.12, "),
        ("show mine.yaml", "mine.yaml: is no plan; expected a plan.json: `phasewise plan SCENARIO --out plan.json`"),
        ("simulate some.json", "some.json: is no plan; expected a plan.json"),
    ],
)
def test_a_wrong_input_gets_one_line_that_helps(run: Run, words: str, help_: str) -> None:
    """Each is refused with exit code 2 and a line that names what was found and what to do."""
    found = run(*words.split())
    assert found.exit_code == ExitCode.BAD_INPUT
    assert help_ in found.stderr
    assert max(map(len, found.stderr.splitlines())) < 260


def test_names_are_looked_up_though_words_are_missing(run: Run) -> None:
    """Wrong names are told with the words that lack and with those that cannot be read, all at once."""
    words = "check --model llama-3.1-70 --machines dgx-h10 --prompt 1k --trace no.csv"
    found = run(*words.split())
    assert found.exit_code == ExitCode.BAD_INPUT
    for words in (
        "--ttft, --tpot, --e2e: missing", "--prompt 1k: expected tokens", "did you mean 'llama-3.1-70b'",
        "no machine 'dgx-h10'; did you mean 'dgx-h100'?", "workload.trace: no file 'no.csv'",
    ):  # fmt: skip
        assert found.stderr.count(words) == 1, words


def test_what_a_set_gives_is_not_missing(run: Run) -> None:
    """Limits, machines and lengths may come from --set: only what neither gives is told as missing."""
    lengths = (
        "workload.lengths={prompt: {median_tokens: 9, p95_tokens: 9}, output: {median_tokens: 9, p95_tokens: 9}}",
    )
    given = ("slo.ttft_p99_s=1", "catalog.machines=[dgx-h10]", "workload.rate_req_per_s=4", *lengths)
    found = run("check", "--model", "llama-3.1-8b", *(word for each in given for word in ("--set", each)))
    assert "1 problem:" in found.stderr
    assert "no machine 'dgx-h10'" in found.stderr
    lacking = run("check", "--model", "llama-3.1-8b", *(word for each in given[1:] for word in ("--set", each)))
    assert "--ttft, --tpot, --e2e: missing" in lacking.stderr
    assert lacking.stderr.count("missing") == 1


def test_names_do_not_wait_behind_files(run: Run) -> None:
    """A file that cannot be written and a machine that does not exist are told in one go."""
    found = run("plan", "mine.yaml", "--set", "catalog.machines=[dgx-h10]", "--out", "/nowhere/plan.json")
    assert found.exit_code == ExitCode.BAD_INPUT
    assert "2 problems:" in found.stderr
    assert "no directory /nowhere" in found.stderr
    assert "did you mean 'dgx-h100'?" in found.stderr


def test_refused_configs_are_the_same_data_as_others(run: Run) -> None:
    """`models --json` is a list with the same keys of each, also where every config is refused."""
    Path("bad.json").write_text('{"model_type": "weird"}')
    refused = run("models", "bad.json", "--json")
    assert refused.exit_code == ExitCode.BAD_INPUT
    (row,) = json.loads(refused.stdout)
    assert row.keys() == json.loads(run("models", "--json").stdout)[0].keys()
    assert "'weird' is unknown" in row["refused"][0]
    assert "'weird' is unknown" in refused.stderr


@pytest.mark.parametrize(
    ("words", "lacks"),
    [
        ("calibrate", {"--measurements"}), ("diff", {"BEFORE", "AFTER"}), ("diff mine.yaml", {"AFTER"}),
        ("catalog bake --gpu h100-sxm", {"--model", "--out"}), ("workload stats", {"TRACE"}),
        ("export", {"PLAN", "--format"}), ("workload generate", {"--builtin", "--out"}),
    ],
)  # fmt: skip
def test_what_is_required_is_told_at_once(run: Run, words: str, lacks: set[str]) -> None:
    """Every required word that is not there has a line that says what is expected."""
    found = run(*words.split())
    assert found.exit_code == ExitCode.BAD_INPUT
    told = [line.split(": missing; expected ") for line in found.stderr.splitlines()[1:]]
    assert {name.strip() for name, _ in told} == lacks
    assert all(what for _, what in told)


def test_a_bake_tells_all_wrong_words_at_once(run: Run) -> None:
    """Widths, model, GPU and format of a bake are looked at before the source of its measurements is."""
    found = run(*"catalog bake --model foo --gpu h100 --out o --tp x --dtype bf17".split())  # noqa: SIM905  as typed
    assert found.exit_code == ExitCode.BAD_INPUT
    for words in ("--tp x: expected whole numbers", "model 'foo' is not in", "nearest known: h100-sxm", "dtype 'bf17'"):
        assert words in found.stderr


def test_a_config_tells_all_that_is_wrong_with_it(run: Run, tmp_path: Path) -> None:
    """Every size that lacks has a line, in ``models`` and before a bake."""
    for name, text in (("none", '{"model_type": "mixtral", "num_attention_heads": 32}'), ("list", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    for words in ("models none", "catalog bake --model none --gpu h100-sxm --out o"):
        assert run(*words.split()).stderr.count("is missing, expected a whole number") == 7
    rows = run("models", "none", "list").stderr
    assert rows.count("is missing") + rows.count("found a JSON list") == 8
    assert run("models", "none", "list", "--json").exit_code == ExitCode.BAD_INPUT


def test_rows_that_a_new_scenario_leaves_out_are_left_out_by_it(run: Run, tmp_path: Path) -> None:
    """The option that a refused trace names is one of the verb, and the scenario keeps it; it needs a trace."""
    rows = "".join(f"{at},100,10\n" for at in range(50))
    (tmp_path / "t.csv").write_text(f"arrival_s,prompt_tokens,output_tokens\n{rows}" + "50,x,10\n" * 12)
    assert "--skip-bad-rows leaves" in run("new", "--from", "t.csv").stderr
    assert run("new", "--from", "t.csv", "--skip-bad-rows").exit_code == 0
    assert "skip_bad_rows: true" in (tmp_path / "t.yaml").read_text()
    assert "found --skip-bad-rows without --from" in run("new", "--skip-bad-rows").stderr


def test_a_limit_that_nothing_meets_is_named_before_what_is_not_offered(run: Run) -> None:
    """Where an objective is too strict, the reasons begin with the latencies of idle machines."""
    found = run("check", "mine.yaml", "--set", "slo.ttft_p99_s=0.01")
    assert found.exit_code == ExitCode.INFEASIBLE
    told = run("plan", "mine.yaml", "--quiet", "--set", "slo.ttft_p99_s=0.01").stdout
    assert "on an idle instance, the limit is 0.01 s" in " ".join(told.split("Why", 2)[1].split())
