"""Figures of a file against the same figures worked out again."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hw_catalog.errors import CatalogError
from planner.errors import BadInput
from planner.files.observed import CLOSE_FRAC
from planner.files.plan_file import Written, expect_sound, plain
from planner.scenario import Scenario
from workloads.builtin import builtin_names
from workloads.errors import WorkloadError

MOVED = "unvalidated until simulated"
"""What a plan is whose figures are not those that its machines have today."""


def missing_files(scenario: Scenario) -> tuple[str, ...]:
    """Files that a question names and that are not here: nothing can be counted again without them."""
    trace, model = scenario.workload.trace, scenario.model.name
    named = (
        None if trace in builtin_names() else trace,
        scenario.catalog.directory,
        model if "/" in model or model.endswith(".json") else None,
    )
    return tuple(name for name in named if name and not Path(name).exists())


def expect_same(file: Written, path: Path, differences: Callable[[], Iterable[str]], *, edited_too: bool) -> None:
    """Mark a file whose figures are others when they are counted again.

    Args:
        file: sealed, and so far without doubt.
        path: of it.
        differences: counts again; a sentence for each figure that is another.
        edited_too: whether such a file is read all the same.

    Raises:
        BadInput: there are differences, and they are not allowed here.
    """
    try:
        found = tuple(differences())
    except (BadInput, CatalogError, WorkloadError) as error:
        found = (f"its figures cannot be counted again: {str(error).splitlines()[0]}",)
    if found:
        expect_sound(file.doubted(MOVED, found), path, (), edited_too=edited_too)


def apart(said: object, now: object, where: str) -> Iterator[str]:
    """Where two values differ by more than files round, a sentence each.

    Args:
        said: by the file.
        now: what it comes to.
        where: it is in the file.
    """
    yield from _apart(plain(said), plain(now), where)


def _apart(said: object, now: object, where: str) -> Iterator[str]:
    if isinstance(said, Mapping) and isinstance(now, Mapping):
        for key in [*said, *(key for key in now if key not in said)]:
            yield from _apart(said.get(key), now.get(key), f"{where}.{key}")
    elif isinstance(said, list) and isinstance(now, list) and len(said) == len(now):
        for place, (left, right) in enumerate(zip(said, now, strict=True)):
            yield from _apart(left, right, f"{where}.{place}")
    elif _number(said) and _number(now):
        if not math.isclose(said, now, rel_tol=CLOSE_FRAC, abs_tol=1e-9):  # type: ignore[arg-type]
            yield f"{where} {said:g} (now {now:g})"
    elif said != now:
        before, after = _told_apart(_text(said), _text(now))
        yield f"{where} {before} (now {after})"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return "none" if value is None else str(value)


_SHOWN = 60
"""Characters of a value that a line shows."""


def _told_apart(said: str, now: str) -> tuple[str, str]:
    """Two different texts in a line: long ones from some words before their first difference on."""
    shorter = min(len(said), len(now))
    alike = next((at for at in range(shorter) if said[at] != now[at]), shorter)
    start = 0 if max(len(said), len(now)) <= _SHOWN else max(0, alike - _SHOWN // 3)
    return _short(said, start), _short(now, start)


def _short(text: str, start: int) -> str:
    """Part of a text, with marks where it is cut."""
    end = start + _SHOWN - 3
    return ("..." if start else "") + (text[start:] if len(text) <= end + 3 else f"{text[start:end]}...")
