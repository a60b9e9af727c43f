"""Problems: labelled columns, rows and bounds; nothing here knows what they mean."""

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

INF = float("inf")


class Sense(StrEnum):
    """Direction of the objective."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One variable.

    Attributes:
        name: unique in its problem.
        lower: inclusive.
        upper: inclusive; ``INF`` is none.
        integer: whole numbers only.
        objective: its coefficient there.
    """

    name: str
    lower: float = 0.0
    upper: float = INF
    integer: bool = False
    objective: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One linear constraint, lower <= sum(coefficient · column) <= upper.

    Attributes:
        name: unique in its problem.
        family: which constraint family it belongs to, for example ``demand``.
        terms: (column name, coefficient), each column at most once.
        lower: ``-INF`` is none.
        upper: ``INF`` is none.
    """

    name: str
    family: str
    terms: tuple[tuple[str, float], ...]
    lower: float = -INF
    upper: float = INF

    def activity(self, values: Mapping[str, float]) -> float:
        """Sum(coefficient · value)."""
        return math.fsum(coefficient * values[name] for name, coefficient in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mixed-integer linear program, valid once constructed.

    Raises:
        ValueError: with every fault on its own line: unknown columns, duplicates, empty rows, numbers that are not
            finite, bounds that cross.
    """

    name: str
    sense: Sense
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        """Refuse what no solver could answer honestly."""
        faults = [*_column_faults(self.columns), *_row_faults(self)]
        if faults:
            raise ValueError("\n".join(faults))

    def objective(self, values: Mapping[str, float]) -> float:
        """Sum(objective coefficient · value)."""
        return math.fsum(column.objective * values[column.name] for column in self.columns if column.objective)

    @property
    def open_ended(self) -> bool:
        """Whether the columns' bounds alone leave the objective unbounded."""
        better = 1.0 if self.sense is Sense.MAX else -1.0
        return any(
            (column.upper if column.objective * better > 0 else -column.lower) == INF
            for column in self.columns
            if column.objective
        )

    def without_objective(self) -> "Problem":
        """The bare question whether the rows can be met at all."""
        return replace(self, columns=tuple(replace(column, objective=0.0) for column in self.columns))


def _column_faults(columns: tuple[Column, ...]) -> Iterator[str]:
    for name, count in Counter(column.name for column in columns).items():
        if count > 1:
            yield f"column {name!r} is given {count} times; expected once"
    for column in columns:
        yield from _bound_faults(f"column {column.name!r}", column.lower, column.upper)
        if not math.isfinite(column.objective):
            yield f"column {column.name!r} has objective {column.objective}; expected a finite number"


def _row_faults(problem: Problem) -> Iterator[str]:
    known = {column.name for column in problem.columns}
    for name, count in Counter(row.name for row in problem.rows).items():
        if count > 1:
            yield f"row {name!r} is given {count} times; expected once"
    for row in problem.rows:
        yield from _bound_faults(f"row {row.name!r}", row.lower, row.upper)
        if not any(coefficient for _, coefficient in row.terms):
            yield f"row {row.name!r} has no coefficient other than 0; expected at least one"
        for name, count in Counter(name for name, _ in row.terms).items():
            if count > 1:
                yield f"row {row.name!r} names column {name!r} {count} times; expected once"
            if name not in known:
                near = difflib.get_close_matches(name, sorted(known), n=1)
                yield f"row {row.name!r} names unknown column {name!r}" + (f"; nearest is {near[0]!r}" if near else "")
        for name, coefficient in row.terms:
            if not math.isfinite(coefficient):
                yield f"row {row.name!r} has coefficient {coefficient} on {name!r}; expected a finite number"


def _bound_faults(owner: str, lower: float, upper: float) -> Iterator[str]:
    if not (lower <= upper and lower < INF and upper > -INF):
        yield f"{owner} has bounds {lower} .. {upper}; expected lower <= upper, each a number or open outwards"
