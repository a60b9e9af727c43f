"""Keys that a schedule repeats: one value for both places, or a refusal that names the two."""

import sys
from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any

from hw_catalog.strict_files import spell
from planner.scenario.reading import Document, Path_, said

CLOSE_FRAC = 1e-6
"""Within which two numbers are the same: files keep nine digits."""


def agreed(document: Document) -> tuple[Document, tuple[str, ...]]:
    """The document with the keys that ``schedule`` repeats written in both places.

    ``schedule.objectives`` says ``objective`` too, as its first; ``schedule.usd_per_kwh``, ``pue_ratio`` and
    ``carbon_g_per_kwh`` say the keys of ``energy``.

    Returns:
        The document, and what is wrong: both places are written and differ. What else is wrong can still be told of it.
    """
    asked = document.data.get("schedule")
    if not isinstance(asked, Mapping):
        return document, ()
    problems: list[str] = []
    for inner, path, value in _repeated(asked):
        place = document.place(("schedule", inner))
        found = _at(document.data, path)
        if found is None or (found == [] and isinstance(value, list)):
            document = document.completed(path, value, place)
        elif not _same(found, value):
            problems.append(
                f"{document.place(path)}: {spell(path)}: found {said(found)}; expected {value!r}, which "
                f"schedule.{inner} ({place}) says, or only one of the two"
            )
    return document, tuple(problems)


def followed(before: Document, after: Document) -> Document:
    """A document that was changed in one of two such places: the other one says nothing of its own any more."""
    old, new = before.data.get("schedule"), after.data.get("schedule")
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return after
    for inner, paths in _PLACES.items():
        moved = new.get(inner) is not None and not _same(new.get(inner), old.get(inner))
        others = [path for path in paths if not _same(_at(after.data, path), _at(before.data, path))]
        if moved and not others:
            for path in paths:
                after = after.changed(path, None, after.place(("schedule", inner)))
        elif others and not moved and new.get(inner) is not None:
            after = after.changed(("schedule", inner), None, after.place(others[0]))
    return after


_PLACES: Mapping[str, tuple[Path_, ...]] = {
    "objectives": (("objective",),), "usd_per_kwh": (("energy", "usd_per_kwh"),),
    "pue_ratio": (("energy", "pue_ratio"),),
    "carbon_g_per_kwh": (("energy", "hourly_carbon_g_per_kwh"), ("energy", "carbon_g_per_kwh")),
}  # fmt: skip
"""Key of the section -> the keys that it repeats."""


def _repeated(asked: Mapping[str, Any]) -> Sequence[tuple[str, Path_, Any]]:
    """What the section says of keys elsewhere: its key, the other's path, the value there."""
    found: list[tuple[str, Path_, Any]] = []
    aims, hours = asked.get("objectives"), asked.get("carbon_g_per_kwh")
    if isinstance(aims, list | tuple) and aims:
        found.append(("objectives", ("objective",), aims[0]))
    found += [(key, ("energy", key), asked[key]) for key in ("usd_per_kwh", "pue_ratio") if asked.get(key) is not None]
    if isinstance(hours, list | tuple) and hours and all(map(_counts, hours)):
        found.append(("carbon_g_per_kwh", ("energy", "hourly_carbon_g_per_kwh"), list(hours)))
        found.append(("carbon_g_per_kwh", ("energy", "carbon_g_per_kwh"), sum(hours) / len(hours)))
    return found


def _at(data: Any, path: Path_) -> Any:  # noqa: ANN401
    """What stands at a path; None where nothing does."""
    for part in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(str(part))
    return list(data) if isinstance(data, tuple) else data


def _counts(value: object) -> bool:
    """Whether a value is a number within what a float holds: whole numbers of YAML may lie beyond."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if _counts(one) and _counts(other):
        return isclose(one, other, rel_tol=CLOSE_FRAC)
    return bool(one == other)
