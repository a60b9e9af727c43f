"""What a plan file states agrees with what follows from its question, catalog and machines; else it is no plan."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.files.faults import plan_faults
from planner.files.plan_file import bound_text, plain, plan_text, read_plan, sealed
from planner.planning.opened import open_plan, restatements
from planner.planning.plan import digests, plan
from planner.resolve.case import case_of
from planner.results.evidence import ValidatedPlan
from tests.planner import plans

SCENARIO = plans.scenario().changed(["validation.seeds=1", "solver.search_evaluations=0"])
COUNTED = ("pools", "totals", "objective_value", "peaks", "served", "provenance")
"""Parts of a plan whose numbers follow from machines, catalog and question."""


@pytest.fixture(scope="module")
def found() -> ValidatedPlan:
    answer = plan(SCENARIO, progress=lambda *_: None)
    assert isinstance(answer, ValidatedPlan)
    return answer


def numbers(data: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Every number of JSON data, with its place."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from numbers(value, (*path, key))
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from numbers(value, (*path, place))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path, data


def put(data: Any, path: tuple[str | int, ...], value: float) -> None:
    """Write a number in its place."""
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value


def other(number: float, ratio: float) -> float:
    """Another number of the same kind: whole where it was."""
    return number + max(1, round(number * ratio)) if isinstance(number, int) else number * (1 + ratio) + (number == 0)


def resealed(path: Path, data: dict[str, Any], *, deep: bool = False) -> Path:
    """A file with a digest of its editor's own; with every digest that phasewise writes where it is deep."""
    rest = {key: value for key, value in data.items() if key not in ("content_sha256", *["evidence_sha256"] * deep)}
    path.write_text(bound_text(rest) if deep else sealed(rest), encoding="utf-8")
    return path


def say(*words: object) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words])


TEXT = plan_text(plans.scenario(), plans.plan(), plans.DIGESTS)
NUMBERS = [path for path, _ in numbers(json.loads(TEXT)) if path != ("schema_version",)]


@settings(max_examples=120)
@given(place=st.sampled_from(NUMBERS), ratio=st.sampled_from((-0.9, -0.01, 1e-6, 0.01, 3.0)))
def test_no_number_of_a_sealed_plan_is_another_unseen(place: tuple[str | int, ...], ratio: float) -> None:
    """A number that was edited, in a file with a digest of its editor's own: refused, or not validated and named."""
    data = json.loads(TEXT)
    put(data, place, other(dict(numbers(data))[place], ratio))
    if json.loads(TEXT) == data:
        return
    try:
        file = read_plan(_written(data), edited_too=True)
    except BadInput:
        return
    assert file.edited
    named = [words.split(":")[0] for words in file.differences]
    path = ".".join(str(part) for part in place)
    assert any(path.startswith(name) for name in named), (path, named)


def _written(data: dict[str, Any]) -> Path:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        name = Path(file.name)
    return resealed(name, data)


def test_every_number_that_follows_from_machines_is_counted_again(found: ValidatedPlan) -> None:
    """Whatever digests are in a file: of rates, loads, money, watts, peaks and prices none may be another."""
    case = case_of(SCENARIO, found.candidate)
    assert not list(restatements(case, found))
    assert read_back(found) == found
    told = 0
    for path, number in numbers(plain(found)):
        part = path[1] if path[0] == "candidate" else path[0]
        chosen = path[0] == "choices" and found.choices[int(path[1])].standing == "this plan" and path[2] != "bound"
        if (part not in COUNTED and not chosen) or path[-1] in ("tp", "pp", "ep", "kvp", "dp"):
            continue
        data = json.loads(plan_text(SCENARIO, found, {}))
        put(data["plan"], path, other(number, 0.01))
        words = _counted(case, data)
        assert any(".".join(map(str, path[:1])) in each for each in words), path
        told += 1
    assert told > 40
    halved = replace(found.judgement, output_tokens_per_s=found.judgement.output_tokens_per_s / 2)
    assert any("usd_per_million" in each for each in restatements(case, replace(found, judgement=halved)))


def read_back(found: ValidatedPlan) -> ValidatedPlan:
    from pydantic import TypeAdapter

    return TypeAdapter(ValidatedPlan).validate_python(found)


def _counted(case: Any, data: dict[str, Any]) -> list[str]:
    """What is said of the plan in a file's data when it is counted again, or when it is refused."""
    from pydantic import TypeAdapter, ValidationError

    try:
        made = TypeAdapter(ValidatedPlan).validate_json(json.dumps(data["plan"]))
        return [*restatements(case, made), *plan_faults(SCENARIO, made)]
    except (BadInput, ValidationError) as error:
        return [f"{error} candidate objective_value"]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("verb", ["show", "export", "diff"])
def test_a_plan_cut_by_one_machine_is_no_validated_plan(
    deep: bool, verb: str, tmp_path: Path, found: ValidatedPlan
) -> None:
    """One machine fewer at the old money, or money of its own: no door takes it for the plan that was simulated."""
    path = tmp_path / "plan.json"
    data = json.loads(plan_text(SCENARIO, found, digests(SCENARIO)))
    pool = next(pool for pool in data["plan"]["candidate"]["pools"] if pool["machines"] > 1)
    per_machine = pool["instances"] // pool["machines"]
    pool["machines"], pool["instances"] = pool["machines"] - 1, pool["instances"] - per_machine
    data["plan"]["candidate"]["totals"]["machines"] -= 1
    resealed(path, data, deep=deep)
    done = say(verb, path, *{"export": ["--format", "csv"], "diff": [path], "show": []}[verb])
    words = " ".join((done.stdout + done.stderr).split())
    assert done.exit_code == (ExitCode.NOT_VALIDATED if verb == "show" else ExitCode.BAD_INPUT)
    assert "VALIDATED:" not in words.replace("UNVALIDATED", "")
    assert ("cost_usd_per_h" in words) if deep or verb == "show" else ("plan.candidate: found other machines" in words)


def test_a_plan_is_counted_again_where_its_files_are_here(tmp_path: Path, found: ValidatedPlan) -> None:
    """Prices that moved since are named, and the plan is not validated at them; without the files a line says so."""
    path, own = tmp_path / "plan.json", tmp_path / "own"
    data = json.loads(plan_text(SCENARIO, found, {}))
    data["plan"]["candidate"]["totals"]["cost_usd_per_h"] *= 2
    value = data["plan"]["objective_value"] = 2 * found.objective_value
    certificate = data["plan"]["certificate"]
    certificate["gap_frac"] = (value - certificate["bound"]) / value
    resealed(path, data, deep=True)
    done = say("show", path)
    assert done.exit_code == ExitCode.NOT_VALIDATED
    assert "UNVALIDATED until simulated" in done.stdout
    assert f"cost_usd_per_h {value:g} (now {value / 2:g})" in " ".join(done.stdout.split())
    data["scenario"]["catalog"]["directory"] = str(own)
    resealed(path, data, deep=True)
    gone = say("show", path)
    assert gone.exit_code == 0
    assert f"figures were not counted again: {own} is not here" in gone.stderr


def test_a_plan_goes_to_those_who_have_not_its_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the log it was made for a plan is shown and exported; it is simulated where --set names the log."""
    rows = "".join(f"{at / 20},200,20\n" for at in range(400))
    log, folder = tmp_path / "log.csv", tmp_path / "sent"
    log.write_text("arrival_s,prompt_tokens,output_tokens\n" + rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    asked = SCENARIO.changed(["workload={trace: log.csv}"])
    answer = plan(asked, progress=lambda *_: None)
    assert isinstance(answer, ValidatedPlan)
    folder.mkdir()
    (folder / "plan.json").write_text(plan_text(asked, answer, digests(asked)), encoding="utf-8")
    monkeypatch.chdir(folder)
    shown = say("show", Path("plan.json"))
    assert (shown.exit_code, "VALIDATED" in shown.stdout) == (0, True)
    assert "log.csv is not here" in shown.stderr
    assert say("export", Path("plan.json"), "--format", "csv").exit_code == 0
    gone = say("simulate", Path("plan.json"))
    assert gone.exit_code == ExitCode.BAD_INPUT
    assert "--set workload.trace=FILE" in gone.stderr
    assert say("simulate", Path("plan.json"), "--set", f"workload.trace={log}").exit_code == 0


def test_a_plan_with_spare_machines_is_counted_again(tmp_path: Path) -> None:
    """A share of time that was asked for is counted from the spare machines: as planned it agrees, else it is named."""
    path = tmp_path / "safe.json"
    asked = SCENARIO.changed(["availability=0.99"])
    safe = plan(asked, progress=lambda *_: None, with_margin=False)
    assert isinstance(safe, ValidatedPlan)
    path.write_text(plan_text(asked, safe, digests(asked)), encoding="utf-8")
    assert not open_plan(path).edited
    assert safe.availability is not None
    rarer = replace(safe, availability=replace(safe.availability, failures_per_h=1e-9))
    assert any("failures_per_h" in words for words in restatements(case_of(asked, safe.candidate), rarer))


def test_a_format_that_the_question_does_not_allow_is_named(found: ValidatedPlan) -> None:
    """A plan is of the precision that its question gives it, whatever its file says."""
    variant = found.candidate.variant
    assert variant is not None
    assert not list(restatements(case_of(SCENARIO, found.candidate), found))
    other = replace(found.candidate, variant=replace(variant, dtype="int3"))
    said = restatements(case_of(SCENARIO, other), replace(found, candidate=other))
    assert any(words.startswith("plan.candidate.variant") for words in said)
