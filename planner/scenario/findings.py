"""Findings about a scenario, worded for the person who wrote it."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.strict_files import spell
from planner.errors import nearest
from planner.scenario.reading import Document, Path_, said

_UNITS: Mapping[str, str] = {
    "tokens_per_s": "tokens per second",
    "req_per_s": "requests per second",
    "usd_per_h": "dollars per hour",
    "s": "seconds",
    "h": "hours",
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
_TYPE = re.compile(r"\[.*\]$|^constrained-")
"""What pydantic puts into the place of a finding: ``[key]`` of a mapping, and the type that a value was tried as."""
_QUANTITY = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z%/_]+)\s*")


_MAPPINGS = ("dict_type", "model_type", "model_attributes_type", "dataclass_type")
_LISTS = ("tuple_type", "list_type")
_MOST_KEYS = 6


def findings(error: ValidationError, document: Document, root: type[BaseModel]) -> tuple[str, ...]:
    """Every problem pydantic saw, each with place, key, what was found and what was expected."""
    details = error.errors(include_url=False)
    inside = {detail["loc"][:-1] for detail in details}
    details = [d for d in details if not _entered(d, details)]
    # A list whose only items are wrong also counts as too short: the items' own findings say it better.
    kept = (d for d in details if not (d["type"] == "too_short" and d["loc"] in inside))
    merged: dict[str, str] = {}
    for detail in kept:  # a value of several types has a finding for each of them
        found, expected, wanted = _finding(detail, document, root).partition("expected ")
        merged[found] = f"{merged[found]}, or {wanted}" if found in merged else f"{expected}{wanted}"
    return tuple(found + wanted for found, wanted in merged.items())


def _entered(detail: Any, details: Sequence[Any]) -> bool:  # noqa: ANN401
    """Whether a list or mapping that is no word has findings of its own: it was taken for what it is."""
    around = _named(detail["loc"])
    several = isinstance(detail["input"], list | tuple | Mapping)
    return several and detail["type"] in ("literal_error", "enum") and any(
        len(inner := _named(other["loc"])) > len(around) and inner[: len(around)] == around for other in details
    )  # fmt: skip


def _named(loc: Sequence[Any]) -> Path_:
    """The path of a finding, without the types that a value was tried as."""
    return tuple(part for part in loc if not (isinstance(part, str) and _TYPE.search(part)))


def _finding(detail: Any, document: Document, root: type[BaseModel]) -> str:  # noqa: ANN401
    path = _named(detail["loc"])
    if detail["type"] == "elsewhere":
        path = (*path[:-1], detail["ctx"]["key"])
    where = f"{document.place(path)}: {spell(path)}: " if path else f"{document.place(path)}: "
    key, found = str(path[-1]) if path else "", detail["input"]
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        meant = _elsewhere(key, root, path[:-1]) if path[:-1] else _inside(key, root)
        return where + f"unknown key; {meant or _meant(key, list(_section(root, path[:-1])))}"
    if detail["type"] == "missing":
        return where + f"missing; expected {_about(root, path)}"
    if detail["type"] in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        return where + (f"found {said(found)}; " + nearest(str(found), known) if known else _expected(detail))
    if detail["type"] == "too_short":
        return where + f"found none; expected {_about(root, path)}"
    if detail["type"] in _MAPPINGS:
        return where + f"found {said(found)}; expected {_mapping(path, found, document, root)}"
    if detail["type"] in _LISTS:
        return where + f"found {said(found)}; expected a list{_listed(path, found, document)}"
    if isinstance(found, str) and (quantity := _QUANTITY.fullmatch(found)) and unit_of(key):
        return where + f"found {said(found)}; expected a plain number of {_plain(key, *quantity.groups())}"
    return where + _expected(detail)


def _expected(detail: Any) -> str:  # noqa: ANN401
    cause = detail.get("ctx", {}).get("error")
    wanted = str(cause) if cause else detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = detail["input"]
    shown = "" if isinstance(found, BaseModel | Mapping) else f"found {said(found)}; "
    return f"{shown}expected {wanted}"


def _mapping(path: Path_, found: object, document: Document, root: type[BaseModel]) -> str:
    """What to write in place of a value that is no mapping: what its keys are, and an example that would be taken."""
    keys, outer = list(_section(root, path)), _section(root, path[:-1])
    if path and isinstance(path[-1], str) and keys == list(outer):  # it is no section
        meant = outer.get(path[-1], "").split(";")[0]
        return f"a mapping, {meant}{_example(path, found, document, root)}" if "->" in meant else "a mapping"
    return f"a mapping with keys of {', '.join(keys[:_MOST_KEYS])}{', ...' if len(keys) > _MOST_KEYS else ''}"


def _listed(path: Path_, found: object, document: Document) -> str:
    """The value as an item of a list, machine types as the catalog has them; empty of nothing."""
    if path == ("catalog", "machines") and isinstance(found, str):
        found = [_machine(word.strip(), document) for word in found.split(",") if word.strip()] or None
        return f", for example {_written(found)}" if found else ""
    return "" if found is None else f", for example [{_written(found)}]"


def _machine(name: str, document: Document) -> str:
    """The machine type of the catalog that is nearest to a name; the name itself where none is."""
    catalog = document.data.get("catalog")
    directory = catalog.get("directory") if isinstance(catalog, Mapping) else None
    try:
        known = load_catalog(Path(directory) if isinstance(directory, str) else None).machines
    except CatalogError:
        return name
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1)), name)


def _example(path: Path_, found: object, document: Document, root: type[BaseModel]) -> str:
    """The value as it would be taken for the first machine type of the scenario; empty where it would not be."""
    catalog = document.data.get("catalog")
    machines = catalog.get("machines") if isinstance(catalog, Mapping) else None
    first = machines[0] if isinstance(machines, list | tuple) and machines else None
    if path[:-1] != ("catalog",) or not isinstance(first, str):
        return ""
    section: Any = next(iter(_sections(_annotations(root)["catalog"])))
    wanted = TypeAdapter[object](section.model_fields[path[-1]].annotation)
    for value in (found, [found]):
        try:
            wanted.validate_python({first: value})
        except ValidationError:
            continue
        return f"; for example {{{_machine(first, document)}: {_written(value)}}}"
    return ""


def _written(value: object) -> str:
    """A value as YAML writes it on one line."""
    return (
        f"[{', '.join(map(_written, value))}]"
        if isinstance(value, list | tuple)
        else "null"
        if value is None
        else str(value)
    )


def _plain(key: str, number: str, unit: str) -> str:
    factors = {"seconds": _SECONDS, "watts": _WATTS}.get(unit_of(key), {})
    factor = factors.get(unit.lower())
    try:
        worth = "" if factor is None else f", here {float(number) * factor:g}"
    except ValueError:
        worth = ""
    return f"{unit_of(key)}{worth}"


def _inside(key: str, root: type[BaseModel]) -> str:
    """The keys of sections that a key on top may mean: ``did you mean workload.rate_req_per_s?``; else nothing."""
    top = _section(root, ())
    if difflib.get_close_matches(key, list(top), n=1):
        return ""
    sections = {name: inner for name in top if list(inner := _section(root, (name,))) != list(top)}
    dotted = [f"{name}.{key}" for name, inner in sections.items() for key in inner]
    found = [each for each in dotted if key in each.partition(".")[2].split("_")[:1] or each.endswith(f".{key}")]
    return f"did you mean {' or '.join(found[:_MOST_KEYS])}?" if found else ""


_SLIP_RATIO = 0.9
"""How much alike (``difflib``) two keys are at least where one is taken for a slip of the other in another section."""


def _elsewhere(key: str, root: type[BaseModel], path: Path_) -> str:
    """What a key within a section may mean that stands elsewhere: ``did you mean catalog.available or availability?``.

    Empty where no other section has such a key.
    """
    top, here = _section(root, ()), _section(root, path)
    dotted = [f"{name}.{key}" for name in top if key in _section(root, (name,)) and name != path[0] and key not in top]
    alike = difflib.get_close_matches(key, list(top.keys() - here.keys()), n=1, cutoff=_SLIP_RATIO)
    found = [*([key] if key in top else alike), *dotted]
    near = [spell((*path, each)) for each in difflib.get_close_matches(key, list(here), n=1)]
    return f"did you mean {' or '.join([*near, *found][:_MOST_KEYS])}?" if found else ""


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


def _about(root: type, path: Path_) -> str:
    """What the key at ``path`` means; inside a mapping or a list, what that means."""
    for length in range(len(path), 0, -1):
        if isinstance(key := path[length - 1], str) and key in (known := _section(root, path[: length - 1])):
            return known[key]
    return "a value"


def _annotations(section: type) -> Mapping[str, object]:
    if issubclass(section, BaseModel):
        return {name: field.annotation for name, field in section.model_fields.items()}
    return get_type_hints(section)


def _sections(annotation: object) -> list[type]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
