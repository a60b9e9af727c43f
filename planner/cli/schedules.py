"""What verbs do with a plan over time."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from planner.cli.reports import (
    expect_sections,
    report_page,
    report_schedule,
    show_page,
    tell_fleet_moved,
    tell_moved,
    tell_uncounted,
)
from planner.cli.terminal import Progress, expect_neither, note, progress, resumable, write
from planner.errors import BadInput, ExitCode, read_each

if TYPE_CHECKING:  # slow to import, and needed only once there is such a plan
    from planner.results.check import CheckReport
    from planner.results.timetable import Timetable
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet
    from planner.schedules.files import AnyScheduleFile
    from planner.schedules.looks import Looks


def check_schedule(question: "Scenario") -> "CheckReport":
    """What a question over time resolves to; refused where ``plan`` refuses it."""
    from planner.planning import plan as planning
    from planner.resolve.epoch_options import unsold_on_top
    from planner.schedules.question import ways

    read = planning.read(question)
    found = ways(read)
    unsold = tuple(dict.fromkeys(word for each in found for word in unsold_on_top(each.case, each.section)))
    return planning.checked([each.case for each in found], unsold)


def plan_schedule(
    question: "Scenario | Fleet", out: Path | None, report: Path | None, journal: Path | None, *, json: bool,
    quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Plan over epochs: printed, and written as CSV where the file is called so, else as JSON.

    What was simulated is kept in a journal where one is named, else beside the file that is written.
    """
    from planner.compare.epochs import kept_epochs
    from planner.compare.journal import Journal
    from planner.files.writing import write_whole
    from planner.report.schedules import timetable_page
    from planner.schedules.files import schedule_csv, timetable_text

    kept = journal or (out.with_name(f"{out.name}.journal.jsonl") if out else None)
    with ExitStack() as held:
        if kept:
            held.enter_context(resumable(kept))
        store = held.enter_context(Journal(kept))
        tell = held.enter_context(progress(quiet=quiet))
        tell("reading", 0.0)
        looks = kept_epochs(store, question) if kept else None
        found, digests = _planned(question, tell, looks)
    text = timetable_text(question, found, digests)
    if found.schedule is None:
        write(text) if json else show_page(timetable_page(found, question), ("all",) if verbose else ())
        empty = ExitCode.NOT_VALIDATED if found.lacking else ExitCode.SOLVER_EMPTY
        raise typer.Exit(ExitCode.INFEASIBLE if found.proven else empty)
    report_schedule(report, found, question, quiet=quiet)
    if out is not None and found.valid:
        write_whole(out, schedule_csv(found.schedule, found.provided_ratio) if out.suffix == ".csv" else text)
        note(f"wrote {out}", quiet=quiet)
    elif out is not None:
        note(f"{out} not written: there is no validated plan", quiet=quiet)
    write(text) if json else show_page(timetable_page(found, question), ("all",) if verbose else ())
    if not found.valid:
        raise typer.Exit(ExitCode.NOT_VALIDATED)


def _planned(
    question: "Scenario | Fleet", tell: Progress, looks: "Looks | None"
) -> "tuple[Timetable, dict[str, str]]":  # fmt: skip
    """The schedule of one model or several, with the digests of what was read for it."""
    from planner.planning import plan as planning
    from planner.planning.beside_time import row_of, static_plans
    from planner.planning.fleet_question import digests_of, read_fleet
    from planner.scenario.fleet import Fleet
    from planner.schedules.fleet import fleet_timetable
    from planner.schedules.planning import timetable

    if isinstance(question, Fleet):
        several = read_fleet(question)
        found = fleet_timetable(question, several.models, progress=tell, static=static_plans, looks=looks)
        return found, digests_of(several)
    read = planning.read(question)
    return timetable(read, progress=tell, static=static_plans, study=row_of, looks=looks), planning.digests(read)


def simulated_schedule(
    source: Path, sets: Sequence[str], *, epoch: int | None, report: Path | None, json: bool, quiet: bool,
    records: Path | None = None, stepwise: bool = False,
) -> bool:  # fmt: skip
    """Serve every epoch of a plan over time, or one, with the changes between them; False where the file holds none.

    Raises:
        BadInput: an epoch is asked for, and there are none; or records or the reference, and there are some.
    """
    from planner.files.plan_file import holds_plan
    from planner.planning.beside_time import row_of
    from planner.resolve.several import read_models
    from planner.schedules.files import ScheduleFile
    from planner.schedules.fleet import serve_fleet_again
    from planner.schedules.opened import open_schedule
    from planner.schedules.planning import serve_again

    file = open_schedule(source, edited_too=True) if holds_plan(source) else None
    if file is None:
        if epoch is not None:
            raise BadInput(f"--epoch: {source} is no plan over time; expected the file that `plan` wrote of one")
        return False
    if records:
        raise BadInput(f"--records {records}: {source} is a plan over time; expected one that does not change")
    if stepwise:
        raise BadInput(f"--engine reference: {source} is a plan over time; expected one that does not change")
    asked: Scenario | Fleet
    if isinstance(file, ScheduleFile):
        tell_moved(source, file, quiet=quiet)
        asked = one = file.scenario.changed(sets)
        with progress(quiet=quiet) as tell:
            found = serve_again(one, file.timetable, progress=tell, epoch=epoch, study=row_of)
    else:
        tell_fleet_moved(source, file, quiet=quiet)
        asked = several = file.scenario.changed(sets)
        with progress(quiet=quiet) as tell:
            found = serve_fleet_again(read_models(several), file.timetable, progress=tell, epoch=epoch)
    report_schedule(report, found, asked, quiet=quiet)
    show_served(found, asked, json=json)
    if not found.valid:
        raise typer.Exit(ExitCode.NOT_VALIDATED)
    return True


def show_served(found: "Timetable", scenario: "Scenario | Fleet", *, json: bool) -> None:
    """What the simulator said of each epoch."""
    from planner.files.plan_file import dumps
    from planner.report.schedules import timetable_page

    said = {"valid": found.valid, "served": found.served, "unserved": found.unserved}
    write(dumps(said)) if json else show_page(timetable_page(found, scenario), ("served",))


def show_schedule(
    file: "AnyScheduleFile", sections: Sequence[str], *, json: bool, quiet: bool, report: Path | None
) -> None:
    """Print a plan over time."""
    from planner.report.schedules import timetable_page
    from planner.resolve.several import read_models
    from planner.schedules.files import FleetScheduleFile, ScheduleFile, questions, timetable_text
    from planner.schedules.fleet import fleet_as_it_stands
    from planner.schedules.planning import as_it_stands

    for part in questions(file).values():
        tell_uncounted(part, quiet=quiet)
    found = file.timetable
    if file.edited and isinstance(file, ScheduleFile):
        found = as_it_stands(file.scenario, found)
    elif file.edited and isinstance(file, FleetScheduleFile):
        found = fleet_as_it_stands(read_models(file.scenario), found)
    text = timetable_text(file.scenario, found, file.digests, edited=file.edited)
    page = expect_sections(timetable_page(found, file.scenario, edited=file.edited), sections)
    report_schedule(report, found, file.scenario, quiet=quiet, edited=file.edited)
    write(text) if json else show_page(page, sections)
    if file.edited:
        raise typer.Exit(ExitCode.NOT_VALIDATED)


def diff_schedules(
    before: Path, after: Path, *, json: bool, quiet: bool, report: Path | None, sections: Sequence[str]
) -> bool:
    """Print what changes between two plans over time; False where neither is one.

    Raises:
        BadInput: one of them is, and the other is not.
    """
    from planner.files.plan_file import dumps
    from planner.report.differences import schedule_diff_page
    from planner.schedules.compare import schedule_diff
    from planner.schedules.opened import open_schedule

    one, other = read_each(open_schedule, (before, after))
    if one is None or other is None:
        kinds, instead = (
            ("is the plan of one load", "a plan over time"),
            "`show {}` has a fixed fleet beside the schedule",
        )
        return expect_neither(one, other, (before, after), *kinds, instead)
    found = schedule_diff(one, other)
    page = expect_sections(schedule_diff_page(found), sections)
    report_page(report, schedule_diff_page, found, quiet=quiet)
    write(dumps(found)) if json else show_page(page, sections)
    return True
