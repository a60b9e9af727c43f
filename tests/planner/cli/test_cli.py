"""Rules of the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

import planner
import planner.api
import planner.planning
from hw_catalog.errors import CatalogError
from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.files.plan_file import no_plan_text, plan_text, read_plan, write_plan
from planner.planning import beside_time, fleet_serve  # noqa: F401  bound before a test replaces what they name
from planner.results.evidence import NoPlan, ValidatedPlan
from tests.planner import plans
from workloads.errors import WorkloadError

ROOT = Path(__file__).parents[3]
CONV = str(plans.EXAMPLES / "splitwise-conv.yaml")
Run = Callable[..., Result]


def commands() -> dict[str, Any]:
    """Every command by its words, for example ``catalog list``."""
    root = typer.main.get_command(build())
    found: dict[str, Any] = {}
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.update({f"{name} {verb}": c for verb, c in inner.items()} if inner else {name: command})
    return found


COMMANDS = sorted(commands())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *words: CliRunner().invoke(build(), [str(word) for word in words])


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Let the pipeline answer, or raise, what a test says."""

    def use(what: object) -> None:
        def plan(_asked: object, *, progress: Callable[[str, float], None], **more: object) -> object:
            assert more in ({}, {"with_growth": False, "depth": "short"})
            progress("thinking", 0.5)
            if isinstance(what, Exception):
                raise what
            return what

        def simulation(scenario: planner.scenario.Scenario, candidate: object, **_: object) -> object:
            seen = plans.overloaded() if scenario.workload.rate_scale > 1 else plans.judgement()
            return SimpleNamespace(judgement=seen, candidate=candidate, priced=None)

        fake = SimpleNamespace(
            read=lambda question: question, plan=plan, simulation=simulation, digests=plans.digests,
            check=lambda _: what,
        )  # fmt: skip
        monkeypatch.setitem(sys.modules, "planner.planning.plan", fake)
        monkeypatch.setattr(planner.planning, "plan", fake, raising=False)
        monkeypatch.setattr("planner.planning.manifests.unstartable", lambda _: ())

    return use


def no_plan(reason: str) -> NoPlan:
    return NoPlan(reason=reason, explanation=("It cannot be.",), raises={}, rounds=(), excuses=(), judgement=None)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (plans.plan(), ExitCode.VALIDATED),
        (ZeroDivisionError("x"), ExitCode.BUG),
        (BadInput("a", "b"), ExitCode.BAD_INPUT),
        (CatalogError("a", "b"), ExitCode.BAD_INPUT),
        (WorkloadError("a", "b"), ExitCode.BAD_INPUT),
        (no_plan("infeasible"), ExitCode.INFEASIBLE),
        (no_plan("not validated"), ExitCode.NOT_VALIDATED),
        (no_plan("no plan in time"), ExitCode.SOLVER_EMPTY),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, ExitCode) else value.name,
)
def test_exit_code_says_how_it_ended(
    run: Run, answer: Callable[[object], None], tmp_path: Path, what: object, code: ExitCode
) -> None:
    """Every ending has its own exit code, and a plan file is written at the good one only."""
    answer(what)
    assert run("plan", CONV, "--out", "plan.json").exit_code == code
    assert (tmp_path / "plan.json").exists() is isinstance(what, ValidatedPlan)


def test_exit_codes_are_frozen() -> None:
    """The numbers are a public contract."""
    assert [(code.name, code.value) for code in ExitCode] == [
        ("VALIDATED", 0),
        ("BUG", 1),
        ("BAD_INPUT", 2),
        ("INFEASIBLE", 3),
        ("NOT_VALIDATED", 4),
        ("SOLVER_EMPTY", 5),
        ("INTERRUPTED", 130),
    ]


def test_bug_is_one_line(run: Run, answer: Callable[[object], None]) -> None:
    """A bug is one line that says how to see more; with ``--debug`` the exception itself comes through."""
    answer(ZeroDivisionError("x"))
    short = run("plan", CONV)
    assert short.stderr == "phasewise: bug: ZeroDivisionError: x; run with --debug for the traceback\n"
    assert isinstance(run("plan", CONV, "--debug").exception, ZeroDivisionError)


def test_every_problem_is_listed(run: Run, answer: Callable[[object], None]) -> None:
    """All problems come at once, on stderr, and stdout stays empty."""
    answer(BadInput("first", "second"))
    result = run("plan", CONV)
    assert result.stderr == "phasewise: 2 problems:\n  first\n  second\n"
    assert result.stdout == ""


def test_json_is_the_file(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """``--json`` prints what ``--out`` writes, and nothing else reaches stdout."""
    answer(plans.plan())
    result = run("plan", CONV, "--json", "--out", "plan.json")
    assert (
        result.stdout
        == (tmp_path / "plan.json").read_text()
        == plan_text(plans.scenario(), plans.plan(), plans.DIGESTS)
    )
    assert result.stderr == "wrote plan.json\n"


def test_no_plan_is_a_result(run: Run, answer: Callable[[object], None]) -> None:
    """That there is no plan is printed like a plan: as text, or as JSON."""
    answer(plans.no_plan())
    assert run("plan", CONV).stdout.startswith("NO PLAN (infeasible): ")
    assert run("plan", CONV, "--json").stdout == no_plan_text(plans.scenario(), plans.no_plan(), plans.DIGESTS)


def test_quiet_leaves_stderr_empty(run: Run, answer: Callable[[object], None]) -> None:
    """``--quiet`` says nothing but the result."""
    answer(plans.plan())
    assert run("plan", CONV, "--out", "plan.json", "--quiet").stderr == ""


def test_piped_output_is_plain(run: Run, answer: Callable[[object], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that is no terminal has no escape codes and no trailing blanks; each sentence stands in one line."""
    answer(replace(plans.counted(), warnings=(long := " ".join(["doubt"] * 40),)))
    monkeypatch.delenv("COLUMNS")
    run("plan", CONV, "--out", "plan.json")
    result = run("show", "plan.json", "--sections", "all")
    assert "\x1b" not in result.output
    assert all(line == line.rstrip() for line in result.stdout.splitlines())
    assert f"- {long}" in result.stdout


def test_parts_of_a_plan_are_shown_by_name(run: Run, answer: Callable[[object], None]) -> None:
    """``show --sections`` prints the parts that are named and refuses unknown ones, naming the nearest."""
    answer(plans.counted())
    run("plan", CONV, "--out", "plan.json")
    assert "Planning rounds" not in run("show", "plan.json").stdout
    both = run("show", "plan.json", "--sections", "rounds,sources").stdout
    assert "Planning rounds" in both
    assert "Sources and accuracy" in both
    wrong = run("show", "plan.json", "--sections", "round")
    assert wrong.exit_code == ExitCode.BAD_INPUT
    assert "did you mean 'rounds'" in wrong.stderr


def test_set_reaches_the_plan(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """The scenario in the plan file is the one that was planned, ``--set`` included."""
    answer(plans.plan())
    run("plan", CONV, "--out", "plan.json", "--set", "validation.seeds=9")
    assert read_plan(tmp_path / "plan.json").scenario.validation.seeds == 9


def test_missing_directory_is_found_before_planning(run: Run, answer: Callable[[object], None]) -> None:
    """Nobody waits for a plan that has nowhere to go."""
    answer(AssertionError("planned"))
    result = run("plan", CONV, "--out", "none/plan.json")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "there is no directory none" in result.stderr


def test_same_question_same_bytes(run: Run, tmp_path: Path) -> None:
    """Planned twice, the default example gives the same bytes, and they are a plan that reads back."""
    codes = [run("plan", CONV, "--out", name, "--quiet").exit_code for name in ("a.json", "b.json")]
    assert codes == [ExitCode.VALIDATED, ExitCode.VALIDATED]
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert run("show", "a.json", "--json").stdout == (tmp_path / "a.json").read_text()
    again = run("simulate", "a.json", "--json")
    assert again.stderr == ""  # neither scenario, catalog nor trace has changed since
    judged = json.loads((tmp_path / "a.json").read_text())["plan"]["judgement"]
    assert {key: value for key, value in json.loads(again.stdout).items() if key in judged} == judged


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(plans.EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_has_a_plan(run: Run, path: Path) -> None:
    """Every example ends in a validated plan."""
    assert run("plan", path, "--quiet").exit_code == ExitCode.VALIDATED


def test_simulate_serves_another_workload(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """A plan holds what it was made for, and not twice that."""
    answer(plans.plan())
    write_plan(tmp_path / "plan.json", plans.scenario(), plans.plan(), plans.DIGESTS)
    same = run("simulate", "plan.json")
    assert (same.exit_code, same.stdout.partition(":")[0]) == (ExitCode.VALIDATED, "MET")
    twice = run("simulate", "plan.json", "--set", "workload.rate_scale=2")
    assert (twice.exit_code, twice.stdout.partition(":")[0]) == (ExitCode.NOT_VALIDATED, "NOT MET")
    assert json.loads(run("simulate", "plan.json", "--json").stdout)["arrived"] == 7213


def test_simulate_knows_two_engines(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """``--engine`` is core or reference; the reference serves no plan over time, and any other engine is refused."""
    answer(plans.plan())
    write_plan(tmp_path / "plan.json", plans.scenario(), plans.plan(), plans.DIGESTS)
    assert run("simulate", "plan.json", "--engine", "reference").exit_code == ExitCode.VALIDATED
    refused = run("simulate", "plan.json", "--engine", "simpy")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "reference" in refused.stderr


def test_simulate_plans_a_scenario_first(run: Run, answer: Callable[[object], None]) -> None:
    """A scenario is planned as written; ``--set`` then changes only what is asked of the plan."""
    answer(plans.plan())
    assert run("simulate", CONV, "--set", "workload.rate_scale=2").exit_code == ExitCode.NOT_VALIDATED
    answer(no_plan("infeasible"))
    assert run("simulate", CONV).exit_code == ExitCode.INFEASIBLE


def test_changed_inputs_are_noted(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """Simulating on another catalog than the plan was made with is said aloud."""
    answer(plans.plan())
    write_plan(tmp_path / "plan.json", plans.scenario(), plans.plan(), {**plans.DIGESTS, "catalog": "old"})
    assert "the catalog has changed since this plan was made" in run("simulate", "plan.json").stderr


def test_show_prints_what_plan_printed(run: Run, answer: Callable[[object], None], tmp_path: Path) -> None:
    """A plan file shows as it did when it was made, as text and as JSON."""
    answer(plans.counted())
    text = run("plan", CONV, "--out", "plan.json").stdout
    assert run("show", "plan.json").stdout == text
    assert run("show", "plan.json", "--json").stdout == (tmp_path / "plan.json").read_text()


def test_check_shows_demand_options_and_excuses(run: Run, answer: Callable[[object], None]) -> None:
    """Before anything is solved, one sees what is asked, what may be bought, and what may not and why."""
    excuses = plans.plan().excuses
    answer(
        SimpleNamespace(
            workload="poisson", rate_req_per_s={"all": 20.0}, options=("decode/x/tp8",), excuses=excuses,
            reference="dgx-a100 tp8", warnings=("rows were sorted",), precision="bf16 weights", unserved=(),
        )
    )  # fmt: skip
    result = run("check", CONV)
    assert result.exit_code == ExitCode.VALIDATED
    for words in (
        "OK: 1 option",
        "3 refused",
        "20 req/s",
        "decode/x/tp8",
        "alone on dgx-a100 tp8",
        "rows were sorted",
        excuses[0].option,
    ):
        assert words in result.stdout
    run("check", CONV, "--report", "check.html")
    assert excuses[0].option in Path("check.html").read_text(encoding="utf-8")


def test_schemas_are_published(run: Run) -> None:
    """``check --schema`` needs no scenario and prints the schemas of all files."""
    assert (
        " ".join(sorted(json.loads(run("check", "--schema").stdout))) == "fleet fleet_schedule plan scenario schedule"
    )
    assert "SCENARIO: missing; expected a file" in run("check").stderr


def test_new_copies_an_example(run: Run, tmp_path: Path) -> None:
    """Every listed example is copied word for word, and an existing file is never overwritten."""
    names = json.loads(run("new", "--list", "--json").stdout)
    assert sorted(names) == sorted(path.stem for path in plans.EXAMPLES.glob("*.yaml"))
    for name in names:
        assert run("new", name).exit_code == ExitCode.VALIDATED
        assert (tmp_path / f"{name}.yaml").read_text() == (plans.EXAMPLES / f"{name}.yaml").read_text()
    assert "exists already" in run("new", "splitwise-conv").stderr
    assert "did you mean 'splitwise-conv'?" in run("new", "splitwise-con").stderr


@pytest.mark.parametrize("shelf", ["machines", "gpus", "links", "profiles"])
def test_catalog_lists_what_it_has(run: Run, shelf: str) -> None:
    """Every shelf lists as text and as JSON."""
    found = json.loads(run("catalog", "list", shelf, "--json").stdout)
    text = run("catalog", "list", shelf).stdout
    first = next(iter(found)) if isinstance(found, dict) else found[0]["model"]
    assert first in text


@pytest.mark.parametrize("name", ["dgx-h100", "h100-sxm", "infiniband-400"])
def test_catalog_shows_every_source(run: Run, name: str) -> None:
    """An entry shows the source of each of its numbers."""
    text = run("catalog", "show", name).stdout
    assert "[1] " in text
    assert json.loads(run("catalog", "show", name, "--json").stdout)["name"] == name


def test_catalog_show_names_the_nearest(run: Run) -> None:
    """A misspelt name gets the nearest known one."""
    result = run("catalog", "show", "dgx-h10")
    assert (result.exit_code, "did you mean 'dgx-h100'?" in result.stderr) == (ExitCode.BAD_INPUT, True)


def test_catalog_check_names_what_is_wrong(run: Run, tmp_path: Path) -> None:
    """The built-in catalog is sound, and says what deserves a second look; a broken file of one's own is bad input."""
    assert run("catalog", "check").stdout.startswith("OK: ")
    found = {finding["rule"] for finding in json.loads(run("catalog", "check", "--json").stdout)["findings"]}
    assert "no-price" in found  # one machine is listed for its power and space alone
    (tmp_path / "gpus.yaml").write_text("gpus: {mine: {tdp_w: -1}}\n")
    broken = run("catalog", "check", "--directory", tmp_path)
    assert (broken.exit_code, "tdp_w" in broken.stderr) == (ExitCode.BAD_INPUT, True)


def test_bake_refuses_bad_words(run: Run) -> None:
    """What cannot be baked is said before anything is measured."""
    bake = ("catalog", "bake", "--gpu", "g", "--out", "d", "--model")
    assert "expected whole numbers above 0" in run(*bake, "m", "--tp", "1,x").stderr
    assert "there is no such file as none.json" in run(*bake, "none.json").stderr


def test_generated_trace_can_be_read(run: Run, tmp_path: Path) -> None:
    """A generated trace is a trace file: the same seed the same bytes, and its statistics are near what was asked."""
    words = ("workload", "generate", "--builtin", "azure-conv-2023", "--rate", 5, "--duration", 400, "--out")
    assert [run(*words, name).exit_code for name in ("a.csv", "b.csv")] == [0, 0]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    stats = json.loads(run("workload", "stats", "a.csv", "--json").stdout)
    assert stats["rate_req_per_s"] == pytest.approx(5, rel=0.2)  # 9 % is four deviations
    assert f"{stats['requests']:,} requests" in run("workload", "stats", "a.csv").stdout
    assert "requests in" in run("workload", "stats", "azure-conv-2023").stdout
    assert run(*words, "none/a.csv").exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("verb", ["plan", "simulate"])
@pytest.mark.parametrize("where", ["none/report.html", "."])
def test_unwritable_report_is_found_before_the_work(run: Run, monkeypatch: Any, verb: str, where: str) -> None:
    """A report that could not be written afterwards is bad input before anything is planned."""
    monkeypatch.setattr("planner.planning.plan.plan", lambda *_, **__: pytest.fail("work was begun"))
    result = run(verb, CONV, "--report", where)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "--report" in result.stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help(run: Run, words: str) -> None:
    """Every command says what it does, and what each of its options means."""
    result = run(*words.split(), "--help")
    assert result.exit_code == 0
    assert "--debug" in result.stdout
    assert [option.name for option in commands()[words].params if not option.help] == []
    assert "\x1b" not in result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_usage_errors_are_bad_input(run: Run) -> None:
    """A command or option that does not exist is bad input."""
    assert run("plant").exit_code == ExitCode.BAD_INPUT
    assert run("plan", CONV, "--frobnicate").exit_code == ExitCode.BAD_INPUT


def test_help_is_light() -> None:
    """``--help`` loads no numerical library, so that it answers at once; ``python -m planner`` is ``phasewise``."""
    code = (
        "import runpy, sys\n"
        "sys.argv = ['phasewise', '--help']\n"
        "try: runpy.run_module('planner', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'numpy', 'pandas', 'pulp', 'ortools', 'simpy', 'rich', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=own, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: phasewise ")
