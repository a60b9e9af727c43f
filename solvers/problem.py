"""Problems: labelled columns, rows and bounds; nothing here knows what they mean."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A mixed-integer linear program."""

    name: str
    sense: Sense
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
