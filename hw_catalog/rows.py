"""What entries of catalog files are made of: numbers of this world, dates of the calendar, sources."""

import datetime
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, ValidationInfo
from pydantic import field_validator as checked

from hw_catalog.provenance import Kind

MOST: Mapping[str, float] = {
    "_bytes": 1e15, "_per_s": 1e15, "_flops": 1e18, "_w": 1e8, "_mhz": 1e5, "_s": 1e4, "_steps": 1e6, "_ratio": 1e4,
    "_usd_per_h": 1e7, "gpus": 1e5, "available": 1e9, "_units": 1e5, "_gib": 1e8,
}  # fmt: skip
"""How the name of a number ends -> more than anything that is made, sold or served has of it: far above today's."""

_EVERYWHERE = min(MOST.values())
"""No unit has less of it as its most."""

LEAST = 1e-12
"""No number that has to be above zero is smaller: what is divided by it would have no end."""

Positive = Annotated[float, Strict(), Field(ge=LEAST, allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=LEAST, le=1)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Count = Annotated[int, Strict(), Field(ge=1)]


Dtype = Literal["fp32", "bf16", "fp16", "fp8", "int8", "fp4", "int4"]
"""Number formats of weights."""


def _day(value: object) -> object:
    """A date as it is written."""
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("expected a date such as 2026-03-31")
    try:
        return datetime.date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"expected a date of the calendar ({error})") from None


class Row(BaseModel):
    """One entry of a catalog file; unknown keys are refused, and numbers beyond ``MOST``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @checked("*")
    @classmethod
    def _of_scale(cls, value: object, of: ValidationInfo) -> object:
        """A value none of whose numbers is beyond its unit."""
        if all(number <= _EVERYWHERE for number in _numbers(value)):
            return value
        name = f"_{of.field_name}"
        most = next((most for unit, most in MOST.items() if name.endswith(unit)), max(MOST.values()))
        if any(number > most for number in _numbers(value)):
            raise ValueError(f"expected at most {most:g}")
        return value


def _numbers(value: object) -> Iterator[float]:
    """The numbers in a value."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for each in value:
            yield from _numbers(each)


class SourceRow(Row):
    """A source of numbers: what kind, who says so, and when it was read."""

    kind: Kind
    source: str = Field(min_length=1)
    date: Annotated[datetime.date, BeforeValidator(_day)]
    note: str = ""


def nearest(name: str, known: Iterable[str]) -> str:
    """``nearest known: ...`` for a misspelt name, or the whole list where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"nearest known: {', '.join(close)}" if close else f"known: {', '.join(known) or 'none'}"


def validation_problems(label: str, error: ValidationError, row: type[BaseModel] | None = None) -> list[str]:
    """Pydantic's findings as sentences; an unknown key of ``row`` beside those that it has."""
    problems, between = [], ": " if label.endswith((".yaml", ".json")) else "."
    for found in error.errors():
        where = label + between + ".".join(str(step) for step in found["loc"])
        if found["type"] == "extra_forbidden":
            known = f"; {nearest(str(found['loc'][0]), row.model_fields)}" if row and len(found["loc"]) == 1 else ""
            problems.append(f"{where}: unknown key{known}")
        elif found["type"] == "missing":
            problems.append(f"{where}: is missing")
        else:
            problems.append(f"{where}: found {found['input']!r}; {found['msg'].removeprefix('Value error, ')}")
    return problems
