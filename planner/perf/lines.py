"""Piecewise-linear tables between their knots and beyond, one value or many at a time."""

from bisect import bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_KEPT = 128
"""Columns that are kept: those of the kernel profiles of a question, whose layouts share them."""


def dense(knots: NDArray[np.int64], values: NDArray[np.float64]) -> list[float]:
    """Values at 0, 1, ... up to the last knot, interpolated between knots; equal columns are one list."""
    return _dense(np.asarray(knots, np.int64).tobytes(), np.asarray(values, np.float64).tobytes())


@lru_cache(_KEPT)
def _dense(knots: bytes, values: bytes) -> list[float]:
    at = np.frombuffer(knots, np.int64)
    return list[float](np.interp(np.arange(at[-1] + 1), at, np.frombuffer(values)).tolist())


def pieces(knots: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """The piece between knots, at least two, that each of ``x`` is read on."""
    return np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)


def between(
    knots: NDArray[np.int64], piece: NDArray[np.int64], x: NDArray[np.int64], low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """``line`` on a piece each, whose ends have the values ``low`` and ``high``."""
    inside = low + (high - low) * (x - knots[piece]) / (knots[piece + 1] - knots[piece])
    return np.where(x <= knots[0], low, inside)


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
