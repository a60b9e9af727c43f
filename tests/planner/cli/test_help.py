"""Rules of help: nothing that can be typed or written into a scenario is left unexplained."""

import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from planner.scenario import Scenario
from tests.planner.goldens import same_as_golden

ROOT = Path(__file__).parents[3]


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Every key of a scenario by its dotted name, with its description."""
    for name, field in model.model_fields.items():
        yield f"{path}{name}", field.description
        for kind in _models(field.annotation):
            yield from sections(kind, f"{path}{name}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections that a field holds, alone or in a list, a mapping or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)


KEYS = dict(sections(Scenario))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_explained(key: str) -> None:
    """Every key of a scenario says in the schema what it means."""
    assert KEYS[key]


def page(model: type[BaseModel], path: str = "", told: dict[type[BaseModel], str] | None = None) -> Iterator[str]:
    """The keys of a section as Markdown, and of every section inside it; what was told already is only named."""
    told = {} if told is None else told
    name_of_section = path.rstrip(".") or "scenario"
    told[model] = name_of_section
    yield f"\n## {name_of_section}\n\n{' '.join((model.__doc__ or '').split())}\n\n"
    below = []
    for name, field in model.model_fields.items():
        kind = next(_models(field.annotation), None)
        if kind is not None and kind not in told:
            below.append(f"`{name}`{_default(field)}")
            continue
        known = f"; keys as in `{told[kind]}`" if kind else ""
        yield f"- `{name}`{_default(field)}: {field.description or ''}{known}\n"
    if below:
        yield f"- sections below: {', '.join(below)}\n"
    for name, field in model.model_fields.items():
        for kind in _models(field.annotation):
            if kind not in told:
                yield from page(kind, f"{path}{name}.", told)


def _default(field: FieldInfo) -> str:
    """What holds where nothing is written, null and empty apart; a section has its own heading."""
    if field.is_required():
        return " (required)"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value in (None, (), {}):
        return ""
    return f" (`{getattr(value, 'value', value)}`)"


def test_scenario_page_is_current() -> None:
    """``docs/scenario.md`` is what the schema says of every key: its default and its meaning."""
    head = (
        "# Scenario keys\n\nEvery key of a scenario file, with its default; null or empty where none is shown. "
        "`phasewise new` writes an example, `phasewise check --schema` prints JSON Schema. `check` names keys that "
        "change nothing. "
        "Several `models`: [fleets.md](fleets.md).\n"
    )
    same_as_golden(head + "".join(page(Scenario)), ROOT / "docs" / "scenario.md")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("plan --rps 40", "--rate"),
        ("plan --isl 1000", "--prompt"),
        ("plan --osl 200", "--output"),
        ("plan --itl 0.05", "--tpot"),
        ("plan --gpus dgx-h100", "--machines"),
        ("plan --modle x", "--model"),
        ("whatif x.yaml --rps 3", ""),
    ],
)
def test_an_option_of_another_tool_names_ours(words: str, meant: str) -> None:
    """What other tools call an option leads to ours, not to what is spelled like it, where the command has it."""
    done = CliRunner().invoke(build(), words.split())
    assert done.exit_code == ExitCode.BAD_INPUT
    said = " ".join(done.stderr.split())
    assert f"(Possible options: {meant})" in said if meant else "--rate" not in said


@pytest.mark.parametrize(("typed", "meant"), [("llmd", "llm-d"), ("markdwn", "markdown"), ("zzz", None)])
def test_a_choice_is_refused_in_plain_words(typed: str, meant: str | None) -> None:
    """All choices are named, the nearest last, and no word of the library that checks them."""
    said = " ".join(CliRunner().invoke(build(), ["export", "p.json", "--format", typed]).stderr.split())
    assert f"'{typed}' is not one of 'dynamo'" in said
    assert "Value error" not in said
    assert (f"Did you mean '{meant}'?" in said) if meant else ("Did you mean" not in said)
