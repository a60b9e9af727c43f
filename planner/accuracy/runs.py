"""A user's measured runs: tables in the documented columns, and result files of benchmark clients."""

from pathlib import Path

from planner.accuracy.bench_files import Setup, read_bench
from planner.accuracy.measured import Exclusion, MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.tables import is_table, read_table
from planner.errors import BadInput


def read_runs(
    path: Path, known: Known, setup: Setup | None = None, *, option: str = "--data"
) -> tuple[list[MeasuredRun], list[Exclusion]]:
    """Every run of a file or directory, or the reason why not.

    Args:
        path: a CSV table, a JSON result file, or a directory of such files.
        known: names of the catalog.
        setup: what served, for result files.
        option: that named the path, for refusals.

    Raises:
        BadInput: there is no such file, or neither table nor result file in the directory.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not path.exists() or not files or (path.is_dir() and not any(_known(file) for file in files)):
        raise BadInput(
            f"{option} {path}: no such table or result file; expected a table (CSV), a result file (JSON), "
            "or a directory with some"
        )
    runs: list[MeasuredRun] = []
    excluded: list[Exclusion] = []
    for file in files:
        for found in _read(file, known, setup or Setup(), alone=not path.is_dir()):
            (runs if isinstance(found, MeasuredRun) else excluded).append(found)  # type: ignore[arg-type]
    return runs, excluded


def _known(file: Path) -> bool:
    """Whether a file is of a kind that is read."""
    return is_table(file) or file.suffix.lower() == ".json"


def _read(file: Path, known: Known, setup: Setup, *, alone: bool) -> list[MeasuredRun | Exclusion]:
    """The runs of one file; one that was named by itself and is no result file is taken for a table."""
    if file.suffix.lower() == ".json":
        return read_bench(file, setup, known)
    if is_table(file) or alone:
        return read_table(file, known)
    return [Exclusion(row=file.name, reason="neither a table (CSV) nor a result file (JSON)")]
