"""Units in which the numbers of a problem are near each other.

Solvers compare with absolute tolerances and drop coefficients below 1e-9, so the same problem in other units may have
another answer. Powers of two change units without rounding anything.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from solvers.problem import Problem, Row

_PASSES = 4
"""Rows and columns in turn; the spread of coefficients hardly falls after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equilibrated:
    """A problem in other units.

    Attributes:
        problem: the same columns and rows, each in its unit.
        units: column name -> how much of the column one of the problem's is; 1 for whole numbers.
        rows: row name -> how much of the problem's row one of the row is.
        objective: how much of the objective one of the problem's is.
    """

    problem: Problem
    units: Mapping[str, float]
    rows: Mapping[str, float]
    objective: float

    def original(self, values: Mapping[str, float]) -> dict[str, float]:
        """Values of the problem's columns in their first units."""
        return {name: value * self.units[name] for name, value in values.items()}


def equilibrated(problem: Problem) -> Equilibrated:
    """The problem with rows and continuous columns in units in which the mean size of their coefficients is about 1.

    Means are geometric. Units are powers of two: nothing is rounded, and a point meets the one problem exactly where
    it meets the other.
    """
    units = dict.fromkeys((column.name for column in problem.columns), 1.0)
    sizes = dict.fromkeys((row.name for row in problem.rows), 1.0)
    free = {column.name for column in problem.columns if not column.integer}
    for _ in range(_PASSES):
        seen: dict[str, list[float]] = defaultdict(list)
        for row in problem.rows:
            sizes[row.name] = _unit(abs(c) * units[name] for name, c in row.terms if c)
            for name, c in row.terms:
                if c and name in free:
                    seen[name].append(abs(c) * sizes[row.name])
        units |= {name: _unit(found) for name, found in seen.items()}
    columns = tuple(
        replace(c, lower=c.lower / units[c.name], upper=c.upper / units[c.name], objective=c.objective * units[c.name])
        for c in problem.columns
    )
    money = _unit(abs(c.objective) for c in columns if c.objective)
    return Equilibrated(
        problem=replace(
            problem, columns=tuple(replace(c, objective=c.objective * money) for c in columns),
            rows=tuple(_scaled(row, sizes[row.name], units) for row in problem.rows),
        ),
        units=units, rows=sizes, objective=1 / money,
    )  # fmt: skip


def _unit(sizes: Iterable[float]) -> float:
    """The power of two that takes the geometric mean of the extremes to about 1."""
    found = [math.log2(size) for size in sizes]
    return 2.0 ** -round((min(found) + max(found)) / 2) if found else 1.0


def _scaled(row: Row, size: float, units: Mapping[str, float]) -> Row:
    terms = tuple((name, c * units[name] * size) for name, c in row.terms)
    return replace(row, terms=terms, lower=row.lower * size, upper=row.upper * size)
