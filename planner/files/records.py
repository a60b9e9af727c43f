"""Simulated requests as a file: one row each, CSV or Parquet, written seed by seed and block by block."""

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import BadInput
from planner.files.writing import led_to
from planner.simulator.judge import Note
from planner.simulator.pools import Run
from workloads.traces import Trace

BLOCK_ROWS = 1 << 16
"""Rows that are put together at a time; of Parquet a row group."""

COLUMNS = (
    "seed", "request", "arrival_s", "class", "prompt_tokens", "cached_tokens", "output_tokens", "ttft_s", "e2e_s",
    "max_gap_s", "measured", "prompt_instance", "decode_instance",
)  # fmt: skip
"""What a row tells."""

Column = NDArray[Any] | tuple[NDArray[Any], Sequence[str]]
"""Values, or positions among names; NaN and -1 where there is nothing to tell."""


def expect_records(path: Path | None) -> None:
    """Find out before the work starts that records of such a name could not be written after it.

    Raises:
        BadInput: neither CSV nor Parquet, or Parquet without the library for it.
    """
    if path is not None and path.exists() and not path.is_file():
        raise BadInput(f"--records {path}: is no file; expected the name of one")
    if path is None or path.suffix == ".csv":
        return
    if path.suffix != ".parquet":
        raise BadInput(f"--records {path}: found '{path.suffix}'; expected a name that ends in .csv or .parquet")
    if find_spec("pyarrow") is None:
        raise BadInput(
            f"--records {path}: Parquet needs pyarrow, which is not installed; expected the extra `parquet` "
            "(pip install 'phasewise[parquet]'), or a name that ends in .csv"
        )


def of_model(path: Path | None, name: str) -> Path | None:
    """The file of one of several models: for ``all.csv`` and the model chat ``all.chat.csv``; None for none."""
    return path and path.with_name(f"{path.stem}.{re.sub(r'[^A-Za-z0-9._-]', '-', name)}{path.suffix}")


@contextmanager
def record_file(path: Path | None) -> Iterator[Note | None]:
    """A file of requests, as long as it is written; nothing is left of it where that fails.

    Yields:
        What takes down the requests; None where there is no path.

    Raises:
        BadInput: it cannot be written; what was there before is untouched.
    """
    expect_records(path)
    if path is None:
        yield None
        return
    target = led_to(path)  # a link stays a link
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    opened = ExitStack()
    try:
        with _told(path):
            write = (_csv if target.suffix == ".csv" else _parquet)(partial, opened)

        def note(seed: int, trace: Trace, run: Run) -> None:
            with _told(path):
                write(seed, trace, run)

        yield note
        with _told(path):
            opened.close()
            partial.replace(target)
    finally:
        with suppress(OSError):  # what failed is told
            opened.close()
        partial.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever keeps a file from being written is told by its name."""
    try:
        yield
    except OSError as error:  # a file's own words, and a library's
        words = error.strerror or str(error)
        raise BadInput(f"--records {path}: cannot be written: {words}; nothing was written") from None


def _csv(path: Path, opened: ExitStack) -> Note:
    """Rows with a head; nothing stands between commas where there is nothing to tell."""
    lines = csv.writer(opened.enter_context(path.open("w", newline="", encoding="utf-8")), lineterminator="\n")
    lines.writerow(COLUMNS)

    def note(seed: int, trace: Trace, run: Run) -> None:
        for block in _blocks(seed, trace, run):
            lines.writerows(zip(*(_words(column) for column in block.values()), strict=True))

    return note


def _words(column: Column) -> list[object]:
    """A column as text has it."""
    if isinstance(column, tuple):
        places, names = column
        return [names[place] if place >= 0 else "" for place in places.tolist()]
    return ["" if value != value else value for value in column.tolist()]


def _parquet(path: Path, opened: ExitStack) -> Note:
    """Row groups; classes and instances as dictionaries, null where there is nothing to tell."""
    import pyarrow as pa
    from pyarrow import parquet

    def array(column: Column) -> Any:  # noqa: ANN401  pyarrow has no types
        if not isinstance(column, tuple):
            return pa.array(column, from_pandas=True)
        places, names = column
        return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), pa.array(names, pa.string()))

    writer: Any = None

    def note(seed: int, trace: Trace, run: Run) -> None:
        nonlocal writer
        for block in _blocks(seed, trace, run):
            batch = pa.record_batch([array(column) for column in block.values()], names=list(block))
            if writer is None:
                writer = opened.enter_context(parquet.ParquetWriter(path, batch.schema))
            writer.write_batch(batch)

    return note


def _blocks(seed: int, trace: Trace, run: Run) -> Iterator[Mapping[str, Column]]:
    """The requests of a run, some at a time: nothing is copied but those."""
    books, count = run.ledger, len(trace)
    classes = [c.name for c in trace.classes]
    for first in range(0, count, BLOCK_ROWS):
        rows = slice(first, min(count, first + BLOCK_ROWS))
        index = np.arange(rows.start, rows.stop)
        ended = np.isfinite(books.e2e_s[rows])
        held = np.zeros(len(index), np.int64) if trace.cached_tokens is None else trace.cached_tokens[rows]
        yield dict(
            zip(
                COLUMNS,
                (
                    np.full(len(index), seed), index, trace.arrival_s[rows], (trace.class_index[rows], classes),
                    trace.prompt_tokens[rows], held, trace.output_tokens[rows], _finite(books.ttft_s[rows]),
                    _finite(books.e2e_s[rows]), np.where(ended, books.max_gap_s[rows], np.nan),
                    (index >= books.window.first) & (index < books.window.last),
                    (books.served_by[rows, 0], run.instances), (books.served_by[rows, 1], run.instances),
                ),
                strict=True,
            )
        )  # fmt: skip


def _finite(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN for what never came."""
    return np.where(np.isfinite(seconds), seconds, np.nan)
