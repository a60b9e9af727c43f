"""What is so of a small program, in exact rational arithmetic: no tolerance, no unit and no library decides.

Whole numbers are enumerated; the continuous rest is a linear program, decided by Bland's simplex on fractions, which
cannot cycle. A program of whole, small numbers is the same in any units; this says what any solver should.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from solvers.allocation import Reason, Termination
from solvers.problem import Column, Problem, Sense

Line = tuple[list[Fraction], Fraction]
"""Coefficients of columns, and a limit: their sum is at most that."""


def exact(problem: Problem) -> Termination:
    """How a problem ends, proven; its integer columns need both bounds.

    The numbers of the problem are taken as they are, each float the fraction that it is.
    """
    whole = [place for place, column in enumerate(problem.columns) if column.integer]
    ranges = [_range(problem.columns[place]) for place in whole]
    sign = -1 if problem.sense is Sense.MAX else 1
    costs = [sign * Fraction(column.objective) for column in problem.columns]
    lines = list(_lines(problem))
    best: Fraction | None = None
    for point in itertools.product(*ranges):
        fixed = dict(zip(whole, map(Fraction, point), strict=True))
        said = _rest(costs, lines, fixed)
        if said == "unbounded":
            return Termination(reason=Reason.UNBOUNDED)
        if isinstance(said, Fraction) and (best is None or said < best):
            best = said
    if best is None:
        return Termination(reason=Reason.INFEASIBLE)
    return Termination(reason=Reason.OPTIMAL, objective=float(sign * best))


def _range(column: Column) -> range:
    return range(math.ceil(column.lower), math.floor(column.upper) + 1)


def _lines(problem: Problem) -> Iterator[Line]:
    """Rows and bounds of continuous columns as sums that are at most a limit."""
    place = {column.name: at for at, column in enumerate(problem.columns)}
    for row in problem.rows:
        sums = [Fraction(0)] * len(place)
        for name, coefficient in row.terms:
            sums[place[name]] += Fraction(coefficient)
        yield from _both(sums, row.lower, row.upper)
    for column in problem.columns:
        if not column.integer:
            one = [Fraction(int(at == place[column.name])) for at in range(len(place))]
            yield from _both(one, column.lower, column.upper)


def _both(sums: list[Fraction], lower: float, upper: float) -> Iterator[Line]:
    if upper != math.inf:
        yield sums, Fraction(upper)
    if lower != -math.inf:
        yield [-each for each in sums], -Fraction(lower)


def _rest(costs: Sequence[Fraction], lines: Sequence[Line], fixed: dict[int, Fraction]) -> Fraction | str | None:
    """The least cost of the columns that are not fixed, "unbounded", or None where nothing fits."""
    free = [at for at in range(len(costs)) if at not in fixed]
    paid = sum((costs[at] * value for at, value in fixed.items()), Fraction(0))
    left = [
        ([sums[at] for at in free], limit - sum((sums[at] * value for at, value in fixed.items()), Fraction(0)))
        for sums, limit in lines
    ]
    if any(limit < 0 for sums, limit in left if not any(sums)):
        return None
    bounding = [line for line in left if any(line[0])]
    said = _least([costs[at] for at in free], bounding)
    return paid + said if isinstance(said, Fraction) else said


def _least(costs: Sequence[Fraction], lines: Sequence[Line]) -> Fraction | str | None:
    """Min costs·x with every sum at most its limit, x of either sign: x = y - z, with slacks and two phases."""
    n, m = len(costs), len(lines)
    wide = 2 * n + m
    table, basis = [], []
    for at, (sums, limit) in enumerate(lines):
        row = [*sums, *(-each for each in sums), *(Fraction(int(k == at)) for k in range(m))]
        sign = -1 if limit < 0 else 1
        own = [Fraction(int(k == at and sign < 0)) for k in range(m)]
        table.append([*(sign * each for each in row), *own, sign * limit])
        basis.append(wide + at if sign < 0 else 2 * n + at)
    first = [*[Fraction(0)] * wide, *[Fraction(1)] * m]
    if _walk(table, basis, first, wide + m) != 0:
        return None
    for at, column in enumerate(basis):  # an artificial column at zero leaves where it can
        if column >= wide:
            into = next((k for k in range(wide) if table[at][k]), None)
            if into is not None:
                _pivot(table, basis, at, into)
    return _walk(table, basis, [*costs, *(-each for each in costs), *[Fraction(0)] * (2 * m)], wide)


def _walk(table: list[list[Fraction]], basis: list[int], costs: list[Fraction], usable: int) -> Fraction | str:
    """Simplex from a feasible basis by Bland's rule."""
    while True:
        prices = [costs[column] for column in basis]
        into = next(
            (k for k in range(usable) if costs[k] < sum(p * row[k] for p, row in zip(prices, table, strict=True))), None
        )
        if into is None:
            return sum((p * row[-1] for p, row in zip(prices, table, strict=True)), Fraction(0))
        ratios = [(row[-1] / row[into], basis[at], at) for at, row in enumerate(table) if row[into] > 0]
        if not ratios:
            return "unbounded"
        _pivot(table, basis, min(ratios)[2], into)


def _pivot(table: list[list[Fraction]], basis: list[int], at: int, into: int) -> None:
    """The column enters the basis in a row."""
    by = table[at][into]
    table[at] = [each / by for each in table[at]]
    for other, row in enumerate(table):
        if other != at and row[into]:
            times = row[into]
            table[other] = [each - times * mine for each, mine in zip(row, table[at], strict=True)]
    basis[at] = into
