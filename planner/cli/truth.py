"""Verbs that compare predictions with measurements: accuracy, calibrate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.reports import report_page
from planner.cli.terminal import Directory, Json, Quiet, Report, note, print_view, progress, write
from planner.errors import BadInput, nearest
from workloads.counts import plural

if TYPE_CHECKING:
    from planner.accuracy.bench_files import Setup
    from planner.accuracy.calibrate import Calibration
    from planner.accuracy.measured import Exclusion
    from planner.accuracy.replay import Tables

MeasuredTables = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="FILE_OR_DIR",
        help="measured runs: a table (CSV), a result file (JSON), or a directory of them",
    ),
]

ServedOn = Annotated[str | None, typer.Option("--gpu", help="of result files (JSON): the GPU they ran on")]
ServedTp = Annotated[int | None, typer.Option("--tp", min=1, help="of result files: tensor-parallel GPUs")]
ServedDtype = Annotated[str | None, typer.Option("--dtype", help="of result files: number format of the weights")]
ServedEngine = Annotated[str | None, typer.Option("--engine", help="of result files: vllm, sglang or trtllm")]
ProfileSet = Annotated[
    str | None,
    typer.Option("--profile-set", metavar="NAME", help="kernel profiles for every run, whatever its engine"),
]
ServedModel = Annotated[str | None, typer.Option("--model", help="of result files: the model, where they name none")]


_SHOWN = 20
"""Rows of which it is told why they cannot be compared, where none can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRun:
    """What result files do not say of the runs they tell."""

    gpu: ServedOn = None
    tp: ServedTp = None
    dtype: ServedDtype = None
    engine: ServedEngine = None
    model: ServedModel = None


def accuracy(
    data: MeasuredTables,
    directory: Directory = None,
    profile_set: ProfileSet = None,
    json: Json = False,
    quiet: Quiet = False,
    report: Report = None,
    *,
    served: ServedRun,
) -> None:
    """Compare predictions with measured runs of real engines."""
    from planner.accuracy.bench_files import Setup
    from planner.accuracy.replay import Tables
    from planner.accuracy.table import accuracy as measure
    from planner.files.plan_file import dumps
    from planner.report.errors import accuracy_view
    from planner.report.scatters import accuracy_page

    _expect_set(profile_set, directory)
    with progress(quiet=quiet) as tell:
        setup = Setup(**asdict(served))
        tables = Tables(directory=directory, profile_set=profile_set)
        found = measure(data, setup=setup, tables=tables, progress=tell)
    if not found.values:
        reasons = [f"{each.row}: {each.reason}" for each in found.excluded]
        more = [f"and {plural(len(reasons) - _SHOWN, 'more row')}"] if len(reasons) > _SHOWN else []
        raise BadInput(f"--data {data}: found no row that can be compared", *reasons[:_SHOWN], *more)
    report_page(report, accuracy_page, found, quiet=quiet)
    write(dumps(found)) if json else print_view(accuracy_view(found))


def calibrate(
    measurements: Annotated[
        Path,
        typer.Option(
            "--measurements",
            metavar="FILE",
            help="your measured runs: a table (CSV) or result files (JSON) as in docs/accuracy.md",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="catalog directory to write engines.yaml into")
    ] = None,
    directory: Directory = None,
    profile_set: ProfileSet = None,
    json: Json = False,
    quiet: Quiet = False,
    *,
    served: ServedRun,
) -> None:
    """Fit host time and kernel factors to measured runs of yours. A catalog directory takes the result."""
    from hw_catalog.engines import FILE, engines_text
    from planner.accuracy.bench_files import Setup
    from planner.accuracy.replay import Tables
    from planner.files.plan_file import dumps
    from planner.files.writing import write_whole
    from planner.report.errors import calibration_view

    if out is not None and out.exists() and not out.is_dir():
        raise BadInput(f"--out {out}: is a file; expected a catalog directory, which is made where there is none")
    _expect_set(profile_set, directory)
    setup = Setup(**asdict(served))
    found = _calibrated(measurements, setup, Tables(directory=directory, profile_set=profile_set), quiet=quiet)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / FILE, engines_text({c.key: c.timing for c in found}))
        note(f"wrote {out / FILE}; scenarios use it with catalog.directory={out}", quiet=quiet)
    write(dumps(found)) if json else print_view(calibration_view(found))


def _calibrated(measurements: Path, setup: "Setup", tables: "Tables", *, quiet: bool) -> "tuple[Calibration, ...]":
    """What the runs say, after those that are left out."""
    from hw_catalog.engines import load_engines
    from hw_catalog.load import load_catalog
    from planner.accuracy.calibrate import calibrate as fit
    from planner.accuracy.names import Known
    from planner.accuracy.runs import read_runs
    from workloads.models import known_models

    catalog = load_catalog(tables.directory)
    known = Known(models=known_models(), gpus=catalog.gpus)
    runs, excluded = read_runs(measurements, known, setup, option="--measurements")
    _tell_excluded(excluded, quiet=quiet)
    with progress(quiet=quiet) as tell:
        return fit(runs, catalog, load_engines(tables.directory), tables=tables, date=_today(), progress=tell)


def _expect_set(profile_set: str | None, directory: Path | None) -> None:
    """See that there are kernel profiles of that name, before every run is told to have none."""
    from hw_catalog.profile_files import MEASURED, PLANNED, profile_index

    known = {each.profile_set for each in profile_index(directory, (PLANNED, MEASURED))}
    if profile_set is not None and profile_set not in known:
        raise BadInput(f"--profile-set {profile_set}: there is no such set; {nearest(profile_set, known)}")


def _today() -> str:
    """ISO date."""
    import datetime

    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _tell_excluded(excluded: "Sequence[Exclusion]", *, quiet: bool) -> None:
    """Runs that are not used, each with the reason."""
    for row in excluded:
        note(f"{row.row}: left out: {row.reason}", quiet=quiet)
