"""A walk of the schema: scenarios of which one to three keys, of all, have a value outside their meaning."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from planner.scenario import Scenario, document_of
from planner.scenario.fleet import Fleet, FleetModel
from tests.planner.small import TEXT
from tests.soak import meaning
from tests.soak.doors import yaml_bytes
from tests.soak.senses import Place, Subject, Wrong

LATER = {("model", "engine"), ("model", "profile_set")}
"""Names that are looked up when the question is read, not by the schema."""

TAKEN = {(("availability", "spares"), "5")}
"""Spares of every role."""


def walks() -> Iterator[Subject]:
    """One model, and several."""
    one = yaml.safe_load(TEXT)
    own = {key: one[key] for key in ("model", "workload", "slo")}
    several = {key: one[key] for key in ("name", "catalog")} | {"models": [own]}
    for name, kind, data, around, form in (
        ("scenario", Scenario, one, (), Scenario), ("scenario-models", Fleet, several, ("models", 0), FleetModel),
    ):  # fmt: skip
        yield Subject(
            name=name, file="walk.yaml", right=(data,), text=lambda made: yaml_bytes(made).decode("utf-8"),
            read=partial(_read, kind), draw=partial(_walk, data, tuple(_places(form, around))),
        )  # fmt: skip


def _read(kind: type[Scenario | Fleet], path: Path) -> object:
    return kind.parse(document_of(path))


def _places(form: type[BaseModel], around: Place) -> Iterator[tuple[Place, tuple[Any, ...]]]:
    """Every key with the values that it cannot have."""
    for path, annotation in meaning.keys(form):
        if path not in LATER and (values := meaning.senseless(path, annotation)):
            yield (*around, *path), values


def _walk(data: Any, places: tuple[tuple[Place, tuple[Any, ...]], ...], draw: random.Random) -> Wrong:
    """A copy with one to three of the places, none inside another, outside their meaning."""
    made, changes = data, list[tuple[Place, object]]()
    most = draw.choice((1, 1, 2, 3))
    while len(changes) < most:
        path, values = draw.choice(places)
        value = draw.choice(values)
        apart = all(path[: len(other)] != other[: len(path)] for other, _ in changes)
        if apart and (path, repr(value)) not in TAKEN:
            made = meaning.changed(made, path, value)
            changes.append((path, value))
    return made, changes
