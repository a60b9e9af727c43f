"""Intervals: how far a number may turn out other than it says."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter, ValidationError

from planner.scenario.numbers import Number


def _rising(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[1] < interval[0]:
        raise ValueError("[low, high] with high not below low")
    return interval


Interval = Annotated[tuple[Number, Number], AfterValidator(_rising)]
_READ: TypeAdapter[tuple[float, float]] = TypeAdapter(Interval)


def intervals(named: object) -> Iterator[tuple[str, tuple[float, float]]]:
    """The entries of a mapping of plain data that are intervals; what is wrong with the others is told elsewhere."""
    for name, given in named.items() if isinstance(named, Mapping) else ():
        try:
            yield str(name), _READ.validate_python(given)
        except ValidationError:
            continue
