"""Tables of measured runs, in the documented columns."""

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from hw_catalog.strict_files import MAX_JSON_BYTES, read_bytes, within
from planner.accuracy.cells import Row
from planner.accuracy.measured import Exclusion, MeasuredRun, Skip
from planner.accuracy.names import Known
from planner.accuracy.rows import FORMATS, Reader

ENDINGS = (".csv", ".csv.gz")
"""Of tables."""


def is_table(file: Path) -> bool:
    """Whether a file is a table, by its name."""
    return file.name.lower().endswith(ENDINGS)


def read_table(file: Path, known: Known) -> list[MeasuredRun | Exclusion]:
    """Every row of a table, as a run or with the reason why not.

    Args:
        file: CSV, gzip-compressed where its name ends in ``.gz``; with or without byte-order mark, any line ends.
        known: names of the catalog.
    """
    found: list[MeasuredRun | Exclusion] = []
    try:
        found.extend(_rows(file, known))
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        return [*found, Exclusion(row=file.name, reason=f"cannot be read as CSV: {error}")]
    return found or [Exclusion(row=file.name, reason="there is no row in it")]


def _rows(file: Path, known: Known) -> Iterator[MeasuredRun | Exclusion]:
    """The rows of one table."""
    raw = read_bytes(file, "a table", limit_bytes=MAX_JSON_BYTES)
    if file.name.lower().endswith(".gz"):
        with gzip.open(io.BytesIO(raw)) as packed:  # a few kilobytes may unpack to a terabyte
            raw = within(packed.read(MAX_JSON_BYTES + 1), file, "a table", MAX_JSON_BYTES)
    text = raw.decode("utf-8-sig")
    table = csv.reader(io.StringIO(text, newline=""))
    columns = [name.strip() for name in next(table, [])]
    form = next((f for f in FORMATS if f.columns <= set(columns)), None)
    dataset = file.name.removesuffix(".gz").removesuffix(".csv")
    for cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        place = f"{file.name}:{table.line_num}"
        row = dict.fromkeys(columns, "") | dict(zip(columns, map(str.strip, cells), strict=False))
        yield _read(row, place, dataset, known, form.read) if form else Exclusion(row=place, reason=_unknown(columns))


def _read(row: Row, place: str, dataset: str, known: Known, read: Reader) -> MeasuredRun | Exclusion:
    """A row as a run, or the reason why not."""
    try:
        return read(row, place, dataset, known)
    except Skip as reason:
        return Exclusion(row=place, reason=str(reason))


def _unknown(columns: Collection[str]) -> str:
    """Which columns are missing from the kind of table this is most like."""
    nearest = min(FORMATS, key=lambda f: (len(f.columns - set(columns)) / len(f.columns), f.name))
    if nearest.columns.isdisjoint(columns):
        return f"no known table: found the columns {', '.join(columns)}; expected those of a table of docs/accuracy.md"
    missing = ", ".join(sorted(nearest.columns - set(columns)))
    return f"no known table: for {nearest.name} these columns are missing: {missing}"
