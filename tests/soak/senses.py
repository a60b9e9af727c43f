"""Files of which one to three values mean nothing, or that hold a key of no meaning: each has to be refused by name.

Right input is a document of keys and values. Its numbers get values that no quantity has, its words what is none, its
mappings a key that no reader knows. The answer is a failure where the file is taken, where one of the problems is not
told, or where it is told without its key.
"""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_catalog.errors import CatalogError
from planner.errors import BadInput
from tests.soak.meaning import NO_NUMBER
from tests.soak.mutate import paths
from workloads.errors import WorkloadError

REFUSALS = (BadInput, CatalogError, WorkloadError)
NO_TEXT: tuple[Any, ...] = (True, 5, 0.5, [], {}, ["x"])
NO_LIST: tuple[Any, ...] = (True, 5, "x", {"a": 1}, [[]], [{}], [None])
NO_MAPPING: tuple[Any, ...] = (True, 5, "x", [1])
KEY = "no_such_key"

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A kind of file.

    Attributes:
        name: of it.
        file: name that it has in a folder.
        right: documents that are read.
        text: a document as the file's content.
        read: the file; raises one of ``REFUSALS``.
        silent: places whose values have no meaning to the reader, by their last word: notes, names.
        closed: whether a key of no meaning is refused.
    """

    name: str
    file: str
    right: tuple[Any, ...]
    text: Callable[[Any], str]
    read: Callable[[Path], object]
    silent: frozenset[str] = frozenset()
    closed: bool = True


def wrong(subject: Subject, draw: random.Random) -> tuple[Any, list[tuple[Place, object]]]:
    """A right document with one to three values, each inside another entry, of no meaning; where they are."""
    made = copy.deepcopy(draw.choice(subject.right))
    places = [path for path in paths(made) if path and _word(path) not in subject.silent]
    draw.shuffle(places)
    most = draw.choice((1, 1, 2, 3))
    chosen: list[Place] = []
    for path in places:
        if not any(path[: len(each)] == each[: len(path)] or path[:2] == each[:2] for each in chosen):
            chosen.append(path)
        if len(chosen) == most:
            break
    changes: list[tuple[Place, object]] = []
    for path in chosen:
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        found = holder[path[-1]]
        if isinstance(found, dict) and subject.closed and draw.random() < 0.5:
            found[KEY] = 1
            changes.append(((*path, KEY), 1))
            continue
        value = copy.deepcopy(draw.choice(_senseless(found)))
        holder[path[-1]] = value
        changes.append((path, value))
    return made, changes


def _senseless(found: object) -> tuple[Any, ...]:
    """Values of which none can stand where this one does."""
    if isinstance(found, bool) or found is None:
        return (5, "x", [], {})
    if isinstance(found, int | float):
        return NO_NUMBER
    kinds = {str: NO_TEXT, list: NO_LIST, dict: NO_MAPPING}
    return kinds[type(found)]


def judged(subject: Subject, path: Path, changes: list[tuple[Place, object]]) -> str:
    """What is wrong with how a file was answered; empty where nothing is."""
    shown = "; ".join(f"{'.'.join(map(str, place))} = {value!r}" for place, value in changes)
    try:
        subject.read(path)
    except REFUSALS as error:
        untold = [place for place, _ in changes if not any(_told(place, text) for text in error.problems)]
        if untold:
            return f"{shown}: not told: {untold}; told: {error.problems[:6]}"
        return ""
    return f"{shown}: taken"


def _told(place: Place, text: str) -> bool:
    """Whether a problem names a place: its key, or the entry that holds it."""
    words = [str(part) for part in place if isinstance(part, str)]
    return any(word in text for word in words[-2:])


def _word(path: Place) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def tried(subject: Subject, folder: Path, seeds: Iterator[int] | range) -> Iterator[tuple[int, str]]:
    """Each case of a subject: its seed, and what is wrong with its answer."""
    path = folder / subject.file
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        document, changes = wrong(subject, random.Random(seed))
        path.write_text(subject.text(document), encoding="utf-8")
        yield seed, judged(subject, path, changes)
