"""Verbs that repeat what was published: reproduce."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.reports import report_page
from planner.cli.terminal import Json, Quiet, Report, Workers, print_view, progress, write


class Profiles(StrEnum):
    """Readings of Splitwise's published profile."""

    AS_PUBLISHED = "as-published"
    AS_MEASURED = "as-measured"
    PUBLISHED = "published"
    CURRENT = "current"
    ALL = "all"


def splitwise(
    profiles: Annotated[
        Profiles,
        typer.Option(
            "--profiles",
            help="as-published: priced as the public simulator does; as-measured: its table by batch size; "
            "published: both; current: today's profiles and prices; all: one after the other",
        ),
    ] = Profiles.PUBLISHED,
    report: Report = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare claims of Splitwise (ISCA'24) with our simulator. Takes several minutes."""
    from planner.files.plan_file import dumps
    from planner.report.claims import claims_page, claims_view
    from planner.reproduce.splitwise import PUBLISHED, READINGS, splitwise

    several = {Profiles.PUBLISHED: PUBLISHED, Profiles.ALL: READINGS}
    readings = several.get(profiles, (profiles.value,))
    with progress(quiet=quiet) as tell:
        found = splitwise(readings, progress=tell, drawn=report is not None)
    report_page(report, partial(claims_page, "Splitwise"), found, quiet=quiet)
    write(dumps(found)) if json else print_view(claims_view(found))


def splitwise_grid(
    out: Annotated[Path, typer.Option("--out", help="folder that keeps every point; a second run goes on there")],
    profiles: Annotated[
        Profiles, typer.Option("--profiles", help="as-published, as-measured, or published: both")
    ] = Profiles.PUBLISHED,
    report: Report = None,
    json: Json = False,
    quiet: Quiet = False,
    *,
    by: Workers,
) -> None:
    """Simulate Splitwise's whole provisioning grid and print the best cluster of every design and problem."""
    from planner.errors import BadInput
    from planner.files.plan_file import dumps
    from planner.report.grids import grid_page, grid_view
    from planner.reproduce.grid import best, grid
    from planner.reproduce.splitwise import PUBLISHED

    readings = PUBLISHED if profiles is Profiles.PUBLISHED else (profiles.value,)
    if not set(readings) <= set(PUBLISHED):
        raise BadInput(f"--profiles: found {profiles.value}; expected published or one of {', '.join(PUBLISHED)}")
    with by.executor() as crew, progress(quiet=quiet) as tell:
        rows = grid(readings, out, executor=crew, progress=tell)
    report_page(report, grid_page, rows, quiet=quiet)
    write(dumps(best(rows))) if json else print_view(grid_view(best(rows)))


def sarathi(json: Json = False, quiet: Quiet = False) -> None:
    """Compare claims of SARATHI (2023) with our simulator. Step times come from its own figures."""
    from planner.files.plan_file import dumps
    from planner.report.claims import claims_view
    from planner.reproduce.sarathi import sarathi

    with progress(quiet=quiet) as tell:
        found = sarathi(progress=tell)
    write(dumps(found)) if json else print_view(claims_view(found))


def mnemosyne(json: Json = False, quiet: Quiet = False) -> None:
    """Compare claims of Mnemosyne (2024) with our step times. On long contexts; Mnemosyne is now Medha."""
    from planner.files.plan_file import dumps
    from planner.report.claims import claims_view
    from planner.reproduce.mnemosyne import mnemosyne

    with progress(quiet=quiet) as tell:
        found = mnemosyne(progress=tell)
    write(dumps(found)) if json else print_view(claims_view(found))


def polca(
    weeks: Annotated[int, typer.Option("--weeks", min=1, help="weeks simulated for each row, each drawn anew")] = 6,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare claims of POLCA (ASPLOS'24) with our simulated row. The row is oversubscribed as there."""
    from planner.files.plan_file import dumps
    from planner.report.claims import claims_view
    from planner.reproduce.polca import polca

    with progress(quiet=quiet) as tell:
        found = polca(progress=tell, weeks=weeks)
    write(dumps(found)) if json else print_view(claims_view(found))


def dynamollm(json: Json = False, quiet: Quiet = False) -> None:
    """Compare claims of DynamoLLM (HPCA'25) with our schedules. By load and over a week."""
    from planner.files.plan_file import dumps
    from planner.report.claims import claims_view
    from planner.reproduce.dynamollm import dynamollm

    with progress(quiet=quiet) as tell:
        found = dynamollm(progress=tell)
    write(dumps(found)) if json else print_view(claims_view(found))
