"""Piecewise-linear tables between their knots and beyond, one value or many at a time."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


class Column:
    """Values at knots, read at 0, 1, ... between them and continued beyond the last along the last slope."""

    __slots__ = ("_before", "_knots", "_values", "_x", "_y")

    def __init__(self, knots: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Nothing read yet."""
        self._knots, self._values = knots, values
        self._x, self._y = list[int](knots.tolist()), list[float](values.tolist())
        self._before = self._inside(self._x[-1] - 1)

    def dense(self) -> NDArray[np.float64]:
        """(last knot + 1,) all values up to the last knot."""
        return np.interp(np.arange(self._x[-1] + 1), self._knots, self._values)

    def at(self, x: int) -> float:
        """One value."""
        return self._inside(x) if x <= self._x[-1] else self._y[-1] + (self._y[-1] - self._before) * (x - self._x[-1])

    def each(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
        """The value at each, to the last bit that which it has alone."""
        further = self._y[-1] + (self._y[-1] - self._before) * (x - self._x[-1])
        return np.where(x <= self._x[-1], np.interp(x, self._knots, self._values), further)

    def _inside(self, x: int) -> float:
        """One value up to the last knot, by the arithmetic of ``np.interp``."""
        knots, values = self._x, self._y
        i = max(0, bisect_right(knots, x) - 1)
        if x <= knots[i]:
            return values[i]
        return (values[i + 1] - values[i]) / (knots[i + 1] - knots[i]) * (x - knots[i]) + values[i]


def pieces(knots: NDArray[np.int64], x: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """The piece between knots, at least two, that each of ``x`` is read on."""
    return np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)


def between(
    knots: NDArray[np.int64], piece: NDArray[np.int64], x: NDArray[np.int64] | NDArray[np.float64],
    low: NDArray[np.float64], high: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """``line`` on a piece each, whose ends have the values ``low`` and ``high``."""
    inside = low + (high - low) * (x - knots[piece]) / (knots[piece + 1] - knots[piece])
    return np.where(x <= knots[0], low, inside)


def crossed(
    rows: NDArray[np.int64], columns: NDArray[np.int64], table: NDArray[np.float64],
    x: NDArray[np.int64] | NDArray[np.float64], y: NDArray[np.int64] | NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """``line`` over the rows of a table, of what ``line`` reads of their columns, at many points, to the last bit."""
    column = pieces(columns, y) if len(columns) > 1 else np.zeros(len(y), np.int64)

    def of(row: NDArray[np.int64]) -> NDArray[np.float64]:
        first = table[row, column]
        return between(columns, column, y, first, table[row, column + 1]) if len(columns) > 1 else first

    if len(rows) == 1:
        return of(np.zeros(len(x), np.int64))
    row = pieces(rows, x)
    return between(rows, row, x, of(row), of(row + 1))


def line(knots: list[int], values: list[float], x: float) -> float:
    """Piecewise-linear interpolation; clamped below the first knot, continued beyond the last."""
    if len(knots) == 1 or x <= knots[0]:
        return values[0]
    i = min(bisect_right(knots, x) - 1, len(knots) - 2)
    return values[i] + (values[i + 1] - values[i]) * (x - knots[i]) / (knots[i + 1] - knots[i])


def lines(knots: list[int], rows: NDArray[np.float64], x: float) -> NDArray[np.float64]:
    """``line`` of every column of a table at once, to the last bit: each row holds the values at one knot."""
    if len(knots) == 1 or x <= knots[0]:
        return np.asarray(rows[0])
    i = min(bisect_right(knots, x) - 1, len(knots) - 2)
    return np.asarray(rows[i] + (rows[i + 1] - rows[i]) * (x - knots[i]) / (knots[i + 1] - knots[i]))
