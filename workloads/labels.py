"""Labels: the column of a trace that says which class a request belongs to."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from workloads.errors import WorkloadError
from workloads.trace_formats import plain_name

AUTO = "auto"
NAMES = ("label", "tier")
"""Columns that hold labels where none is named, the first that is there."""

_SHOWN = 12


def label_column(found: Sequence[str], wanted: str | None, path: Path) -> str:
    """The column that holds the labels, spelled as the file has it; empty where no labels are wanted.

    Args:
        found: the columns of the file.
        wanted: one of them, ``AUTO``, or None.
        path: the file, for messages.

    Raises:
        WorkloadError: there is no such column.
    """
    if wanted is None:
        return ""
    plain = {plain_name(name): name for name in reversed(found)}
    for name in NAMES if wanted == AUTO else (wanted,):
        if name in found:
            return name
        if plain_name(name) in plain:
            return plain[plain_name(name)]
    asked = " or ".join(NAMES) if wanted == AUTO else f"'{wanted}'"
    near = get_close_matches(wanted, found, n=1) if wanted != AUTO else []
    hint = f"; did you mean '{near[0]}'?" if near else "; workload.label_column names another" * (wanted == AUTO)
    shown = ", ".join((*found[:_SHOWN], *(["..."] if len(found) > _SHOWN else [])))
    raise WorkloadError(f"{path}: found no column {asked} for the labels of workload.classes, only {shown}{hint}")


def label_text(value: object) -> str:
    """A label as classes name it: a number as it is written, nothing where there is none."""
    return str(value).strip().strip('"') if isinstance(value, str | int | float) else ""
