"""Verbs that hold predictions against measurements: accuracy, calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.terminal import Json, Quiet, note, print_view, progress, write
from planner.errors import BadInput

MeasuredTables = Annotated[
    Path, typer.Option("--data", metavar="FILE_OR_DIR", help="a table of measured runs (CSV), or a directory of them")
]


def accuracy(data: MeasuredTables, json: Json = False, quiet: Quiet = False) -> None:
    """Replay measured runs of real engines and print how far the predictions are off."""
    from planner.accuracy.table import accuracy as measure
    from planner.export import dumps
    from planner.report.errors import accuracy_view

    with progress(quiet=quiet) as tell:
        found = measure(data, progress=tell)
    write(dumps(found)) if json else print_view(accuracy_view(found))


def calibrate(
    measurements: Annotated[
        Path,
        typer.Option("--measurements", metavar="FILE", help="your measured runs, in the columns of docs/accuracy.md"),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="catalog directory to write engines.yaml into")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit host time and kernel factors to your own measured runs; a catalog directory takes the result."""
    import datetime

    from hw_catalog.engines import FILE, engines_text, load_engines
    from hw_catalog.load import load_catalog
    from planner.accuracy.calibrate import calibrate as fit
    from planner.accuracy.measured import read_measured
    from planner.export import dumps, write_whole
    from planner.report.errors import calibration_view
    from workloads.models import known_models

    if out is not None and not out.is_dir():
        raise BadInput(f"--out {out}: there is no such directory; nothing was fitted")
    runs, excluded = read_measured(measurements, known_models())
    for row in excluded:
        note(f"{row.row}: left out: {row.reason}", quiet=quiet)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    with progress(quiet=quiet) as tell:
        found = fit(runs, load_catalog(None), load_engines(), date=today, progress=tell)
    write(dumps(found)) if json else print_view(calibration_view(found))
    if out is not None:
        write_whole(out / FILE, engines_text({c.key: c.timing for c in found}))
        note(f"wrote {out / FILE}; scenarios use it with catalog.directory={out}", quiet=quiet)
