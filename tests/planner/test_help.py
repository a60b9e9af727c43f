"""Rules of help: nothing that can be typed or written into a scenario is left unexplained."""

import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from planner.scenario import Scenario
from tests.planner.goldens import same_as_golden

ROOT = Path(__file__).parents[2]


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


def page(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The keys of a section as Markdown, and of every section inside it."""
    inner = {name: list(_models(field.annotation)) for name, field in model.model_fields.items()}
    about = " ".join((model.__doc__ or "").split())
    yield f"\n## {path.rstrip('.') or 'scenario'}\n\n{about}\n\n| key | default | meaning |\n|---|---|---|\n"
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {_default(field)} | {(field.description or '').replace('|', '&#124;')} |\n"
    for name, kinds in inner.items():
        for kind in kinds:
            yield from page(kind, f"{path}{name}.")


def _default(field: FieldInfo) -> str:
    """What stands where nothing is written; a section has its own page."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{'null' if value is None else getattr(value, 'value', value)}`"


def test_scenario_page_is_current() -> None:
    """``docs/scenario.md`` is what the schema says of every key: its default and its meaning."""
    head = (
        "# Scenario keys\n\nEvery key a scenario file may hold. `phasewise new` writes a file to start from, "
        "`phasewise check --schema` prints the same as JSON Schema. A test keeps this page current.\n"
    )
    same_as_golden(head + "".join(page(Scenario)), ROOT / "docs" / "scenario.md")
