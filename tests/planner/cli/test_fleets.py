"""Verbs on several models: one file from plan to export, every model by its name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import ExitCode
from planner.files.plan_file import dumps
from tests.planner.two_models import TEXT

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the question and its plans."""
    path = tmp_path_factory.mktemp("fleet")
    (path / "two.yaml").write_text(TEXT, encoding="utf-8")
    done = run("plan", path / "two.yaml", "--out", path / "two.json", "--report", path / "two.html")
    assert done.exit_code == ExitCode.VALIDATED, done.output
    return path


def run(*words: object) -> Result:
    """A command line."""
    return CliRunner().invoke(build(), [str(word) for word in words])


def test_the_screen_shows_pools_and_evidence_of_each_model(folder: Path) -> None:
    """``show`` prints what ``plan`` printed, in at most 25 lines; a section of a model is asked for by its name."""
    shown = run("show", folder / "two.json")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("VALIDATED: 2 machines")
    assert len(lines) <= 25
    objectives = [line.split()[:2] for line in lines if " met " in line]
    assert objectives == [
        ["chat", "ttft_p90_s"], ["chat", "tbt_p90_s"], ["code", "ttft_p90_s"], ["code", "tbt_p90_s"],
    ]  # fmt: skip
    part = run("show", folder / "two.json", "--sections", "models,code.evidence")
    assert "code: Evidence" in part.stdout
    assert "chat: Evidence" not in part.stdout


def test_the_file_is_read_back_as_it_was_written(folder: Path) -> None:
    """The same bytes, and a figure that was edited is refused."""
    text = (folder / "two.json").read_text(encoding="utf-8")
    assert run("show", folder / "two.json", "--json").stdout == text
    data = json.loads(text)
    data["fleet"]["objective_value"] = 1.0
    edited = folder / "edited.json"
    edited.write_text(dumps(data), encoding="utf-8")
    refused = run("show", edited)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "the sum over the models" in refused.stderr


def test_the_page_has_a_part_for_each_model(folder: Path) -> None:
    """Charts of two models have names of their own."""
    page = (folder / "two.html").read_text(encoding="utf-8")
    assert "chat: What to buy" in page
    assert "code: What to buy" in page


def test_plans_are_served_again(folder: Path) -> None:
    """``simulate`` ends as the judgement does, by the reference too."""
    assert run("simulate", folder / "two.json", "--engine", "reference").exit_code == ExitCode.VALIDATED
    busy = run("simulate", folder / "two.json", "--set", "models.0.workload.rate_scale=40", "--json")
    assert busy.exit_code == ExitCode.NOT_VALIDATED
    said = json.loads(busy.stdout)
    assert [each["steady"] for each in said["models"].values()] == [False, True]


def test_each_model_is_exported_by_its_name(folder: Path) -> None:
    """One model's plan in any format; none named is answered with the names."""
    text = run("export", folder / "two.json", "--format", "csv", "--model", "code").stdout
    assert text.splitlines()[1].startswith("validated,mixed,")
    for words, problem in (((), "chat, code; expected --model"), (("--model", "cod"), "did you mean 'code'?")):
        refused = run("export", folder / "two.json", "--format", "csv", *words)
        assert refused.exit_code == ExitCode.BAD_INPUT
        assert problem in refused.stderr


def test_every_request_of_every_model_is_written(folder: Path) -> None:
    """``--records`` has a file for each model, named after it, a row for each request of its workload."""
    done = run("simulate", folder / "two.json", "--records", folder / "all.csv", "--json", "--quiet")
    assert done.exit_code == ExitCode.VALIDATED
    said = json.loads(done.stdout)["models"]
    assert not (folder / "all.csv").exists()
    for name in ("chat", "code"):
        head, *rows = (folder / f"all.{name}.csv").read_text(encoding="utf-8").splitlines()
        assert head.startswith("seed,request,arrival_s")
        assert len(rows) == said[name]["arrived"] > 0


def test_a_plan_does_not_differ_from_itself(folder: Path) -> None:
    """``diff`` goes model by model."""
    done = run("diff", folder / "two.json", folder / "two.json", "--quick")
    assert done.exit_code == ExitCode.VALIDATED
    assert done.stdout.startswith("NO CHANGES: chat:")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("simulate", "two.yaml"), "expected the file that `plan --out` writes"),
        (("simulate", "two.json", "--epoch", "0"), "--epoch: "),
        (("whatif", "two.yaml", "--worlds", "2"), "--worlds: the scenario gives no uncertainty; expected"),
        (("frontier", "two.yaml"), "throughput grows with cost without end"),
        (("check", "two.yaml", "--set", "objective=throughput"), "objective: found 'throughput'; expected a budget"),
        (("export", "one.json", "--format", "csv", "--model", "chat"), "has the plan of one model"),
    ],
)
def test_what_verbs_cannot_do_is_refused(folder: Path, words: tuple[str, ...], problem: str) -> None:
    """A clear line, exit 2."""
    if "one.json" in words and not (folder / "one.json").exists():
        from tests.planner.small import write_small

        run("plan", write_small(folder), "--out", folder / "one.json", "--quiet")
    verb, name, *rest = words
    refused = run(verb, folder / name, *rest)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert problem in refused.stderr


def test_a_fleet_without_plans_ends_as_one_model_without(folder: Path) -> None:
    """The reason is printed, nothing is written."""
    out = folder / "none.json"
    done = run("plan", folder / "two.yaml", "--set", "budgets.machines=1", "--out", out)
    assert done.exit_code == ExitCode.INFEASIBLE
    assert "raise budgets.machines from 1 to at least 2" in done.stdout
    assert not out.exists()


def test_check_names_the_model_of_every_option(folder: Path) -> None:
    """What each model may buy."""
    assert "chat: mixed/dgx-a100/tp8" in run("check", folder / "two.yaml", "--sections", "options").stdout
