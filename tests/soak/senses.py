"""Files of which one to three values mean nothing, or that hold a key of no meaning: each has to be refused by name.

Right input is a document of keys and values. Its numbers get values that no quantity has, its words what is none, its
mappings a key that no reader knows. The answer is a failure where the file is taken, where one of the problems is not
told, or where it is told without its key.
"""

import copy
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hw_catalog.errors import CatalogError
from planner.errors import BadInput
from tests.soak.meaning import NO_NUMBER
from tests.soak.mutate import paths
from tests.soak.tally import Failure, Tally, patience
from workloads.errors import WorkloadError

REFUSALS = (BadInput, CatalogError, WorkloadError)
NO_CELL: tuple[Any, ...] = ("nan", "inf", "-1", "many", "1e308", "0x10", "True", "[]", "5 s", "1_000", "--")
"""In a table, in place of a number or a time."""
NO_ITEM: tuple[Any, ...] = tuple(value for value in NO_NUMBER if value != "5")
"""Likewise in an object of a trace, whose numbers some write as text."""
NO_TEXT: tuple[Any, ...] = (True, 5, 0.5, [], {}, ["x"])
NO_LIST: tuple[Any, ...] = (True, 5, "x", {"a": 1}, [[]], [{}], [None])
NO_MAPPING: tuple[Any, ...] = (True, 5, "x", [1])
SLOW_S = 5.0
KEY = "no_such_key"

TURN = 10
"""Cases of a subject before it is the turn of the next."""

Place = tuple[str | int, ...]
Wrong = tuple[Any, list[tuple[Place, object]]]
"""A document, and what in it means nothing, each with its place."""


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
        rows: what stands before the number of a row where a document is a list of them; problems then name the row.
        first_row: number of the first.
        values: of no meaning, for every place; empty: by what stands there.
        places: where they may stand; not given: anywhere.
        draw: makes a wrong document; not given: one to three values of a right one are replaced.
    """

    name: str
    file: str
    right: tuple[Any, ...]
    text: Callable[[Any], str]
    read: Callable[[Path], object]
    silent: frozenset[str] = frozenset()
    closed: bool = True
    rows: str = ""
    first_row: int = 0
    values: tuple[Any, ...] = ()
    places: Callable[[object], bool] = lambda _: True
    draw: Callable[[random.Random], Wrong] | None = None


def wrong(subject: Subject, draw: random.Random) -> Wrong:
    """A right document with one to three values, each inside another entry, of no meaning; where they are."""
    made = copy.deepcopy(draw.choice(subject.right))
    apart = 1 if subject.rows else 2
    places = [
        path for path in paths(made)
        if len(path) > bool(subject.rows) and _word(path) not in subject.silent and subject.places(_at(made, path))
    ]  # fmt: skip
    draw.shuffle(places)
    most = draw.choice((1, 1, 2, 3))
    chosen: list[Place] = []
    for path in places:
        if not any(path[: len(each)] == each[: len(path)] or path[:apart] == each[:apart] for each in chosen):
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
        value = copy.deepcopy(draw.choice(subject.values or _senseless(found)))
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
        untold = [place for place, _ in changes if not any(_told(subject, place, text) for text in error.problems)]
        if untold:
            return f"{shown}: not told: {untold}; told: {error.problems[:6]}"
        return ""
    return f"{shown}: taken"


def _told(subject: Subject, place: Place, text: str) -> bool:
    """Whether a problem names a place: its row, or its key, or the entry that holds it."""
    if subject.rows:
        return f"{subject.rows}{subject.first_row + int(place[0])}:" in text
    words = [str(part) for part in place if isinstance(part, str)]
    return any(word in text for word in words[-2:])


def _at(document: Any, path: Place) -> object:
    for key in path:
        document = document[key]
    found: object = document
    return found


def _word(path: Place) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def once(subject: Subject, folder: Path, seed: int) -> tuple[str, str]:
    """One case of a subject: what is wrong with its answer, and the file."""
    path = folder / subject.file
    path.parent.mkdir(parents=True, exist_ok=True)
    document, changes = (subject.draw or partial(wrong, subject))(random.Random(seed))
    text = subject.text(document)
    path.write_text(text, encoding="utf-8")
    return judged(subject, path, changes), text


def tried(every: Sequence[Subject], first: int, seconds: float, most: int) -> dict[str, Tally]:
    """Cases of every subject in turn, from a seed on, until the time is over: name -> what became of them."""
    tallies, end_s = {subject.name: Tally() for subject in every}, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        for start in range(first, first + most, TURN):
            for place, subject in enumerate(every):
                for seed in range(start, min(start + TURN, first + most)):
                    if time.monotonic() > end_s:
                        return tallies
                    with patience():
                        _case(subject, Path(name) / str(place), seed, tallies[subject.name])
    return tallies


def _case(subject: Subject, folder: Path, seed: int, tally: Tally) -> None:
    """One case: make, write, read, judge."""
    start_s, text = time.process_time(), ""
    try:
        what, text = once(subject, folder, seed)
    except Exception:  # whatever it is, it is the finding
        what = traceback.format_exc()[-1500:]
    took_s = time.process_time() - start_s
    what = what or (f"{took_s:.1f} CPU-s" if took_s > SLOW_S else "")
    tally.ends["refused, each told" if not what else "wrong"] += 1
    if what:
        tally.failures.append(Failure(of=subject.name, seed=seed, command="its reader", what=what, data=text[:4000]))
