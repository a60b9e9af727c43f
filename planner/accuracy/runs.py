"""A user's measured runs: tables in the documented columns, and result files of benchmark clients."""

from collections.abc import Collection
from pathlib import Path

from planner.accuracy.bench_files import Setup, read_bench
from planner.accuracy.measured import Exclusion, MeasuredRun, read_measured
from planner.errors import BadInput


def read_runs(
    path: Path, models: Collection[str], setup: Setup | None = None
) -> tuple[list[MeasuredRun], list[Exclusion]]:
    """Every run of a file or directory, or the reason why not.

    Args:
        path: a CSV table, a JSON result file, or a directory of such files.
        models: catalog ids with kernel profiles.
        setup: what served, for result files.

    Raises:
        BadInput: there is no such file, or none in the directory.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path] * (path.suffix == ".json")
    if missing := [file for file in files if not file.is_file()]:
        raise BadInput(
            *(f"--data {file}: no such file; expected a result file (JSON) or a table (CSV)" for file in missing)
        )
    runs: list[MeasuredRun] = []
    excluded: list[Exclusion] = []
    if not files or (path.is_dir() and any(path.glob("*.csv"))):
        runs, excluded = read_measured(path, models)
    for file in files:
        for found in read_bench(file, setup or Setup(), models):
            (runs if isinstance(found, MeasuredRun) else excluded).append(found)  # type: ignore[arg-type]
    return runs, excluded
