"""A question from a few words is the question that its saved file asks; what is missing is named all at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.scenario import Scenario
from planner.scenario.flags import Flags, assumed, question, scenario_text

PAIRS = st.tuples(st.integers(1, 900), st.integers(1000, 9000)).map("{0[0]}:{0[1]}".format)
LENGTHS = st.integers(1, 5000).map(str) | PAIRS
ASKED = ["--model", "llama-3.1-70b", "--prompt", "9", "--output", "9", "--machines", "dgx-h100"]
TYPES = st.lists(st.sampled_from(["dgx-a100", "dgx-h100", "hgx-h200"]), min_size=1, unique=True)


SETS = st.lists(
    st.sampled_from(["workload.rate_scale=2", "power.row_limit_w=120000", "solver.time_limit_s=9"]), unique=True
)


@given(
    sets=SETS,
    asked=st.builds(
        Flags, model=st.just("llama-3.1-70b"), rate_req_per_s=st.floats(0.1, 1e4), prompt=LENGTHS, output=LENGTHS,
        trace=st.none(), ttft_s=st.none() | st.floats(0.1, 9), tpot_s=st.floats(0.01, 1), machines=TYPES.map(",".join),
    )
)  # fmt: skip
def test_words_and_their_file_ask_the_same(
    tmp_path_factory: pytest.TempPathFactory, asked: Flags, sets: list[str]
) -> None:
    """The scenario of the words equals that of the file `--save` writes, whatever the words and the `--set` beside."""
    path = tmp_path_factory.mktemp("flags") / "saved.yaml"
    path.write_text(scenario_text(asked, sets))
    assert Scenario.load(path) == Scenario.parse(question(asked, sets))
    plain = [word for word in (asked.prompt, asked.output) if ":" not in str(word) and word != "1"]
    assert len(assumed(asked)) == len(plain)


def test_one_number_is_a_median() -> None:
    """One number is the median; the 95th percentile is assumed as in the public trace, and said."""
    flags = Flags(model="m", rate_req_per_s=1, prompt="1000", output="200:300", ttft_s=1, machines="dgx-h100")
    lengths = question(flags).data["workload"]["lengths"]
    assert lengths["prompt"] == {"median_tokens": 1000, "p95_tokens": 4000}
    assert lengths["output"] == {"median_tokens": 200, "p95_tokens": 300}
    assert assumed(flags) == (
        "the 95th percentile of prompts is assumed to be 4 times the median, as in azure-conv-2023",
    )


def test_one_token_is_one_token() -> None:
    """Answers of one token, as of classifiers, have no longer ones among them; nothing is assumed of those."""
    flags = Flags(model="m", rate_req_per_s=1, prompt="500:600", output="1", ttft_s=1, machines="dgx-h100")
    assert question(flags).data["workload"]["lengths"]["output"] == {"median_tokens": 1, "p95_tokens": 1}
    assert assumed(flags) == ()


def test_what_is_missing_is_named_at_once() -> None:
    """Every word that lacks, contradicts another or is no length has its own line."""
    with pytest.raises(BadInput) as refused:
        question(Flags(trace="azure-conv-2023", prompt="many"))
    said = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 5
    for word in (
        "--model: missing",
        "beside --trace",
        "--ttft, --tpot, --e2e: missing",
        "--machines: m",
        "--prompt many",
    ):
        assert word in said


WRONG = {"rate_req_per_s": "40/s", "prompt": "1k", "output": "many", "ttft_s": "1s", "tpot_s": "50ms"}
RIGHT = {"model": "m", "rate_req_per_s": 3, "prompt": "9", "output": "9", "ttft_s": 1, "machines": "dgx-h100"}


@given(faults=st.sets(st.sampled_from(sorted(WRONG))), lacks=st.sets(st.sampled_from(["model", "machines"])))
def test_no_fault_waits_behind_another(faults: set[str], lacks: set[str]) -> None:
    """Whatever lacks or is wrong, one run names each word typed wrong and each that is missing, and no other."""
    typed = RIGHT | {name: WRONG[name] for name in faults} | dict.fromkeys(lacks)
    words = {f"--{name.partition('_')[0]}{'' if name in lacks else f' {typed[name]}'}" for name in faults | lacks}
    told: tuple[str, ...] = ()
    try:
        Scenario.parse(question(Flags(**typed)))  # type: ignore[arg-type]
    except BadInput as refused:
        told = refused.problems
    assert {each.partition(":")[0] for each in told} == words


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "SCENARIO: missing; expected a file"),
        (["x.yaml", "--rate", "3"], "found x.yaml and words such as --model; expected one of them"),
        (["--model", "llama-3.1-70b"], "--rate, --prompt, --output: missing"),
        ([*ASKED, "--ttft", "1", "--rate", "-3"],
         "--rate -3.0: workload.rate_req_per_s: found -3.0; expected greater than 0"),
        ([*ASKED, "--ttft", "1", "--rate", "40k"], "found '40k'; expected a plain number of requests per second"),
        ([*ASKED, "--rate", "3", "--ttft", "1", "--ttft", "1"], "--ttft: found 2 times; expected once"),
        ([*ASKED, "--rate", "3", "--ttft", "1s"], "--ttft 1s: slo.ttft_p99_s: found '1s'; expected a plain number"),
        ([*ASKED, "--rate", "3", "--tpot", "50ms"], "found '50ms'; expected a plain number of seconds, here 0.05"),
    ],
)  # fmt: skip
def test_refusals_name_the_word(words: list[str], line: str) -> None:
    """What is wrong is told by the words that were typed, not by keys of a file that there is not."""
    done = CliRunner().invoke(build(), ["check", *words])
    assert (done.exit_code, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert line in done.stderr


def test_a_scenario_comes_by_stdin(tmp_path: Path) -> None:
    """`-` reads the scenario from stdin, and messages call it so."""
    import subprocess
    import sys

    from tests.planner.small import TEXT

    words = [sys.executable, "-m", "planner", "check", "-", "--json"]
    done = subprocess.run(words, input=TEXT, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout[:1]) == (ExitCode.VALIDATED, "{")
    done = subprocess.run(words, input="model: 3", capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == ExitCode.BAD_INPUT
    assert "stdin:1: model: " in done.stderr
