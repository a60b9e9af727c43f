"""What a verb found: on the terminal, and as one HTML file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from planner.cli.terminal import note, print_view, progress
from planner.errors import BadInput, nearest

if TYPE_CHECKING:
    from planner.files.fleet_file import FleetFile
    from planner.files.plan_file import Kept, PlanFile, Written
    from planner.planning.plan import Simulation
    from planner.report.page import Page
    from planner.resolve.inputs import Inputs
    from planner.results.evidence import NoPlan, ValidatedPlan
    from planner.results.plan import CandidatePlan
    from planner.results.timetable import Timetable
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet
    from planner.schedules.files import FleetScheduleFile

Found = TypeVar("Found")


def show_page(page: "Page", sections: Sequence[str] | None = ()) -> None:
    """Print a page: its first screen, or the sections asked for, or ``all``.

    Raises:
        BadInput: there is no such section.
    """
    from planner.report.rich import drawn

    print_view(drawn(expect_sections(page, sections), _names(sections)))


def expect_sections(page: "Page", sections: Sequence[str] | None) -> "Page":
    """The page, where it has the sections asked for; seen to before any file is written.

    Raises:
        BadInput: there is no such section.
    """
    from planner.report.rich import ALL

    known = [ALL, *(section.name for section in page.sections)]
    strange = (name for name in _names(sections) if name not in known)
    if problems := [f"--sections {name}: no such section; {nearest(name, known)}" for name in strange]:
        raise BadInput(*problems)
    return page


def _names(sections: Sequence[str] | None) -> list[str]:
    return [name for each in sections or () for name in each.split(",") if name]


def report_plan(
    path: Path | None, answer: "ValidatedPlan | NoPlan", question: "Scenario | Inputs", *, quiet: bool
) -> None:
    """Write the page of a plan, or of there being none; nothing where no report was asked for."""
    if path is None:
        return
    from planner.planning import plan as planning
    from planner.report.plans import no_plan_page, plan_page
    from planner.resolve.inputs import scenario_of
    from planner.results.evidence import NoPlan

    scenario = scenario_of(question)
    if isinstance(answer, NoPlan):
        _put(path, no_plan_page(answer, scenario), quiet=quiet)
        return
    with progress(quiet=quiet) as tell:
        seen = planning.picture(question, answer.candidate, progress=tell)
    _put(path, plan_page(answer, scenario, seen), quiet=quiet)


def report_edited(
    path: Path | None, candidate: "CandidatePlan", file: "PlanFile", moved: Sequence[str], *, quiet: bool
) -> None:
    """Write the page of a plan that was edited since it was simulated; nothing where no report was asked for."""
    if path is None:
        return
    from planner.planning import plan as planning
    from planner.report.edited import edited_page

    with progress(quiet=quiet) as tell:
        seen = planning.picture(file.scenario, candidate, progress=tell)
    _put(path, edited_page(candidate, file.scenario, moved, file.standing, seen), quiet=quiet)


def report_simulation(path: Path | None, done: "Simulation", scenario: "Scenario", *, quiet: bool) -> None:
    """Write the page of a simulation; nothing where no report was asked for."""
    if path is None:
        return
    from planner.planning import plan as planning
    from planner.report.plans import simulation_page

    with progress(quiet=quiet) as tell:
        seen = planning.picture(scenario, done.candidate, progress=tell)
    _put(path, simulation_page(done.judgement, done.candidate, scenario, seen, done.priced), quiet=quiet)


def report_schedule(
    path: Path | None, found: "Timetable", scenario: "Scenario | Fleet", *, quiet: bool, edited: bool = False
) -> None:
    """Write the page of a plan over time; nothing where no report was asked for."""
    if path is not None and found.schedule is not None:
        from planner.report.schedules import timetable_page

        _put(path, timetable_page(found, scenario, edited=edited), quiet=quiet)


def report_page(path: Path | None, page: "Callable[[Found], Page]", found: Found, *, quiet: bool) -> None:
    """Write the page of a comparison; nothing where no report was asked for."""
    if path is not None:
        _put(path, page(found), quiet=quiet)


def tell_moved(source: Path, file: "Kept", *, quiet: bool) -> None:
    """Say what a plan rests on and has changed since, and that it is not the plan that was simulated."""
    from planner.planning import plan as planning

    tell_doubts(source, file, quiet=quiet)
    if tell_uncounted(file.scenario, quiet=quiet):  # --set may name the files where they are
        return
    now = planning.digests(file.scenario)
    for name in sorted(file.digests):
        if name in now and now[name] != file.digests[name]:
            note(f"{source}: the {name} has changed since this plan was made", quiet=quiet)


def tell_fleet_moved(source: Path, file: "FleetFile | FleetScheduleFile", *, quiet: bool) -> None:
    """The same of plans of several models."""
    from planner.planning.fleet_question import digests_of, read_fleet

    tell_doubts(source, file, quiet=quiet)
    if any(tell_uncounted(part, quiet=quiet) for part in file.scenario.parts().values()):
        return
    now = digests_of(read_fleet(file.scenario))
    for what in (what for what in sorted(file.digests) if now.get(what, file.digests[what]) != file.digests[what]):
        note(f"{source}: {what} has changed since these plans were made", quiet=quiet)


def tell_doubts(source: Path, file: "Written", *, quiet: bool) -> None:
    """Say that a plan is not as it was simulated, and what of it."""
    if file.edited:
        note(f"{source}: {file.standing}; what follows is of the plan as it is now", quiet=quiet)
        for each in file.differences:
            note(f"{source}: {each}", quiet=quiet)


def tell_uncounted(scenario: "Scenario", *, quiet: bool) -> bool:
    """Say that the figures of a plan were not counted again, where files that its question names are not here."""
    from planner.files.restated import missing_files

    missing = missing_files(scenario)
    for name in missing:
        note(f"figures were not counted again: {name} is not here", quiet=quiet)
    return bool(missing)


def _put(path: Path, page: "Page", *, quiet: bool) -> None:
    from planner.files.writing import write_whole
    from planner.report.html.render import render

    write_whole(path, render(page))
    note(f"wrote {path}", quiet=quiet)
