"""Findings about a scenario, worded for the person who wrote it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from hw_catalog.strict_files import spell
from planner.errors import nearest
from planner.scenario.reading import Document, Path_

_UNITS: Mapping[str, str] = {
    "tokens_per_s": "tokens per second",
    "req_per_s": "requests per second",
    "usd_per_h": "dollars per hour",
    "s": "seconds",
    "w": "watts",
    "tokens": "tokens",
    "units": "rack units",
    "frac": "a share between 0 and 1",
    "ratio": "a ratio",
    "slowdown": "times as long as alone on the reference",
}
_SECONDS: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_WATTS: Mapping[str, float] = {"w": 1.0, "kw": 1e3, "mw": 1e6}
_SUFFIXES = (*_UNITS, *_SECONDS, *_WATTS, "rps", "qps", "usd", "usd_per_year", "pct", "percent")
_QUANTITY = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z%/_]+)\s*")


def findings(error: ValidationError, document: Document, root: type[BaseModel]) -> tuple[str, ...]:
    """Every problem pydantic saw, each with place, key, what was found and what was expected."""
    details = error.errors(include_url=False)
    inside = {detail["loc"][:-1] for detail in details}
    # A list whose only items are wrong also counts as too short: the items' own findings say it better.
    kept = (d for d in details if not (d["type"] == "too_short" and d["loc"] in inside))
    return tuple(_finding(detail, document, root) for detail in kept)


def _finding(detail: Any, document: Document, root: type[BaseModel]) -> str:  # noqa: ANN401
    path: Path_ = tuple(part for part in detail["loc"] if part != "[key]")
    where = f"{document.place(path)}: {spell(path)}: " if path else f"{document.place(path)}: "
    key, found = str(path[-1]) if path else "", detail["input"]
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return where + f"unknown key; {_meant(key, list(_section(root, path[:-1])))}"
    if detail["type"] == "missing":
        return where + f"missing; expected {_section(root, path[:-1])[key]}"
    if detail["type"] in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        return where + (f"found {found!r}; " + nearest(str(found), known) if known else _expected(detail))
    if detail["type"] == "too_short":
        return where + f"found none; expected {_section(root, path[:-1])[key]}"
    if isinstance(found, str) and (quantity := _QUANTITY.fullmatch(found)) and unit_of(key):
        return where + f"found {found!r}; expected a plain number of {_plain(key, *quantity.groups())}"
    return where + _expected(detail)


def _expected(detail: Any) -> str:  # noqa: ANN401
    cause = detail.get("ctx", {}).get("error")
    wanted = str(cause) if cause else detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = detail["input"]
    shown = "" if isinstance(found, BaseModel | Mapping) else f"found {found!r}; "
    return f"{shown}expected {wanted}"


def _plain(key: str, number: str, unit: str) -> str:
    factors = {"seconds": _SECONDS, "watts": _WATTS}.get(unit_of(key), {})
    factor = factors.get(unit.lower())
    try:
        worth = "" if factor is None else f", here {float(number) * factor:g}"
    except ValueError:
        worth = ""
    return f"{unit_of(key)}{worth}"


def _meant(key: str, known: Sequence[str]) -> str:
    stem = _stem(key)
    for name in known:
        if unit_of(name) and _stem(name) == stem:
            return f"expected {unit_of(name)} under the key {name}"
    return nearest(key, known)


def unit_of(key: str) -> str:
    """The unit that the end of a key's name states, in words; empty where it states none."""
    suffix = max((unit for unit in _UNITS if key.endswith(f"_{unit}")), key=len, default="")
    return _UNITS.get(suffix, "")


def _stem(key: str) -> str:
    return key.removesuffix(f"_{max((u for u in _SUFFIXES if key.endswith(f'_{u}')), key=len, default='')}")


def _section(root: type, path: Path_) -> Mapping[str, str]:
    """The keys that may stand at ``path``, each with what it means."""
    section = root
    for part in path:
        if isinstance(part, str) and part in (inner := _annotations(section)):
            section = next(iter(_sections(inner[part])), section)
    if issubclass(section, BaseModel):
        return {name: field.description or "a value" for name, field in section.model_fields.items()}
    return dict.fromkeys(_annotations(section), "a value")


def _annotations(section: type) -> Mapping[str, object]:
    if issubclass(section, BaseModel):
        return {name: field.annotation for name, field in section.model_fields.items()}
    return get_type_hints(section)


def _sections(annotation: object) -> list[type]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
