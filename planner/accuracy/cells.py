"""Cells of tables of measured runs, each in our terms or with the reason why it cannot be read."""

from collections.abc import Mapping

from planner.accuracy.measured import Skip
from planner.accuracy.names import Known, dtype_id, gpu_id, model_id

Row = Mapping[str, str]

LEAST, MOST = 1e-9, 1e9
"""No time in milliseconds, count, length or rate that is measured is smaller (but 0) or larger."""


def metrics(row: Row, columns: Mapping[str, str]) -> dict[str, float]:
    """The measured values that a row has, in seconds."""
    read = {metric: number(row, column) / 1e3 for metric, column in columns.items() if row.get(column)}
    found = {metric: value for metric, value in read.items() if value > 0}
    if not found:
        raise Skip(f"none of {', '.join(columns.values())} is given")
    return found


def model_of(name: str, known: Known) -> str:
    """The catalog's id of a model; raises Skip where there is none."""
    return _given(model_id(name, known), f"model {name} has no kernel profile")


def gpu_of(name: str, known: Known) -> str:
    """The catalog's id of a GPU; raises Skip where there is none."""
    return _given(gpu_id(name, known), f"GPU {name} is not in the catalog")


def _given(found: str | None, words: str) -> str:
    if found is None:
        raise Skip(words)
    return found


def dtype_of(name: str) -> str:
    """The number format of the weights.

    Raises:
        Skip: it is unknown.
    """
    found = dtype_id(name)
    if found is None:
        raise Skip(f"number format {name!r} is unknown")
    return found


def optional(row: Row, column: str) -> int:
    """A count that is 1 where the table is silent."""
    return max(1, int(number(row, column))) if row.get(column) else 1


def number_or(row: Row, column: str, silent: float) -> float:
    """A number that is ``silent`` where the table is."""
    return number(row, column) if row.get(column) else silent


def number(row: Row, column: str) -> float:
    """A number that is not negative, of this world.

    Raises:
        Skip: the cell holds something else.
    """
    try:
        found = float(row[column])
    except (TypeError, ValueError):
        raise Skip(f"{column}: found {row[column]!r}, expected a number") from None
    if (found and not LEAST <= found <= MOST) or "_" in row[column]:
        raise Skip(f"{column}: found {row[column]!r}, expected 0 or a number from {LEAST:g} to {MOST:g}")
    return found


def whole(row: Row, column: str) -> int:
    """A count.

    Raises:
        Skip: the cell holds something else.
    """
    found = number(row, column)
    if found < 1:
        raise Skip(f"{column}: found {row[column]!r}, expected 1 or more")
    return int(found)
