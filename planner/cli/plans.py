"""Verbs that ask a question: check, plan, simulate, show."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.fleets import (
    check_fleet,
    fleet_file,
    one_model,
    plan_fleet,
    show_fleet,
    simulate_fleet,
)
from planner.cli.reports import (
    expect_sections,
    report_edited,
    report_page,
    report_plan,
    report_simulation,
    show_page,
    tell_moved,
    tell_uncounted,
)
from planner.cli.schedules import (
    check_schedule,
    plan_schedule,
    show_schedule,
    simulated_schedule,
)
from planner.cli.starting import Words, asked
from planner.cli.terminal import (
    ENDINGS,
    Cores,
    JournalFile,
    Json,
    Progress,
    Quiet,
    Report,
    Sections,
    Sets,
    expect_writable,
    not_written,
    note,
    progress,
    write,
)
from planner.errors import BadInput, ExitCode

if TYPE_CHECKING:  # slow to import, and needed only once a scenario is read
    from planner.files.plan_file import PlanFile
    from planner.resolve.inputs import Inputs
    from planner.results.evidence import NoPlan, ValidatedPlan
    from planner.results.plan import CandidatePlan
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet


class Engine(StrEnum):
    """Who serves a workload on a plan."""

    CORE = "core"
    REFERENCE = "reference"


Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="show everything, and plan for the other growth too"),
]
Alternatives = Annotated[
    bool,
    typer.Option(
        "--alternatives", help="plan every precision, engine and policy with kernel profiles too, and show the table"
    ),
]
PlanOrScenario = Annotated[
    Path, typer.Argument(metavar="PLAN_OR_SCENARIO", help="a plan.json, or a scenario to plan first")
]
Epoch = Annotated[int | None, typer.Option("--epoch", min=0, help="of a plan over time, serve only this epoch")]
Records = Annotated[
    Path | None,
    typer.Option("--records", metavar="FILE", help="write every request too, as .csv or .parquet, a row each"),
]
ServedBy = Annotated[
    Engine,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="core, or reference: a second simulator, step by step, far slower, to compare with",
    ),
]
Question = Annotated[
    Path | None, typer.Argument(metavar="SCENARIO", help="scenario file (YAML), - for stdin", show_default=False)
]
PlanArgument = Annotated[Path, typer.Argument(metavar="PLAN", help="a plan.json", show_default=False)]


def check(
    scenario: Question = None,
    sets: Sets = None,
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schemas of the files")] = False,
    json: Json = False,
    report: Report = None,
    sections: Sections = None,
    *,
    words: Words,
) -> None:
    """Show what is wrong or worth knowing, demand and options, without planning."""
    from planner.files.plan_file import dumps, schemas

    if schema:
        from planner.files.fleet_file import FleetFile
        from planner.schedules.files import FleetScheduleFile, ScheduleFile

        write(dumps(schemas(schedule=ScheduleFile, fleet=FleetFile, fleet_schedule=FleetScheduleFile)))
        return
    from planner.planning import plan as planning
    from planner.report.checks import check_page
    from planner.scenario.fleet import Fleet

    question, files = asked(scenario, words, sets, "check")
    expect_writable(*files, question=question, report=report)
    if isinstance(question, Fleet):
        check_fleet(question, sections or (), json=json, report=report)
        return
    found = planning.check(question) if question.schedule is None else check_schedule(question)
    page = expect_sections(check_page(found), sections)
    report_page(report, check_page, found, quiet=False)
    write(dumps(found)) if json else show_page(page, sections)
    if found.unserved:  # what `plan` answers, without a solver
        raise typer.Exit(ExitCode.INFEASIBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """How much is looked at."""

    verbose: Verbose = False
    alternatives: Alternatives = False
    cores: Cores = None
    journal: JournalFile = None


def _expect_epochs(question: "Scenario | Fleet", journal: Path | None) -> None:
    """That a journal has something to keep."""
    from planner.compare.epochs import expect_epochs

    expect_epochs(question, journal, "--journal")


def _parts(depth: Depths) -> tuple[str, ...]:
    """What is shown below the first screen."""
    return ("all",) if depth.verbose else ("choices",) if depth.alternatives else ()


def plan(
    scenario: Question = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="write the validated plan here")] = None,
    json: Json = False,
    sets: Sets = None,
    quiet: Quiet = False,
    report: Report = None,
    *,
    depth: Depths,
    words: Words,
) -> None:
    """Find the best plan that the simulator confirms.

    Asked by a file, or by --model, --rate, --prompt, --output, limits and --machines.
    """
    question, files = asked(scenario, words, sets, "plan")
    expect_writable(*files, question=question, out=out, report=report, journal=depth.journal)
    _expect_epochs(question, depth.journal)
    if question.schedule is None and plan_fleet(question, out, report, depth, json=json, quiet=quiet):
        return
    if question.schedule is not None:
        plan_schedule(question, out, report, depth.journal, json=json, quiet=quiet, verbose=depth.verbose)
        return
    question = one_model(question)
    from planner.files.plan_file import no_plan_text, plan_text, write_plan
    from planner.planning import plan as planning  # only once the input is known to be good: it is slow to import
    from planner.planning.choices import Depth
    from planner.results.evidence import NoPlan

    read = _read(question, quiet=quiet)
    with progress(quiet=quiet) as tell:
        every = Depth.FULL if depth.alternatives else Depth.SHORT
        answer = planning.plan(read, progress=tell, with_growth=depth.verbose, depth=every)
    digests, parts = planning.digests(read), _parts(depth)
    if isinstance(answer, NoPlan):
        report_plan(report, answer, question, quiet=quiet)
        write(no_plan_text(question, answer, digests)) if json else _show(answer, question, parts)
        not_written(out, quiet=quiet)
        raise typer.Exit(ENDINGS[answer.reason])
    if out is not None:  # files first: what stdout leads to may be full
        write_plan(out, question, answer, digests)
        note(f"wrote {out}", quiet=quiet)
    report_plan(report, answer, read, quiet=quiet)
    write(plan_text(question, answer, digests)) if json else _show(answer, question, parts)


def _show(answer: "ValidatedPlan | NoPlan", question: "Scenario", parts: Sequence[str]) -> None:
    """Print what became of a question; pages are imported when there is one to print."""
    from planner.report.plans import no_plan_page, plan_page
    from planner.results.evidence import NoPlan

    page = no_plan_page(answer, question) if isinstance(answer, NoPlan) else plan_page(answer, question)
    show_page(page, parts)


def _read(question: "Scenario", *, quiet: bool) -> "Inputs":
    """What a question names, with a word on what its plans will not be."""
    from planner.planning import plan as planning
    from planner.planning.manifests import unstartable

    with progress(quiet=quiet) as tell:
        tell("reading", 0.0)
        read = planning.read(question)
    for sentence in unstartable(read):
        note(f"phasewise: {sentence}", quiet=quiet)
    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """How a result is printed."""

    json: Json = False
    sections: Sections = None
    cores: Cores = None


def simulate(
    source: PlanOrScenario,
    sets: Sets = None,
    epoch: Epoch = None,
    quiet: Quiet = False,
    report: Report = None,
    records: Records = None,
    engine: ServedBy = Engine.CORE,
    *,
    how: Printed,
) -> None:
    """Serve a workload on a plan. --set changes the workload and the objectives, not the plan."""
    _expect_files(source, report, records)
    stepwise = engine is Engine.REFERENCE
    if simulate_fleet(source, sets or (), how, epoch, records, report, quiet=quiet, stepwise=stepwise):
        return
    if simulated_schedule(
        source, sets or (), epoch=epoch, report=report, json=how.json, quiet=quiet, records=records, stepwise=stepwise
    ):  # fmt: skip
        return
    from planner.files.plan_file import dumps, holds_plan
    from planner.files.records import record_file
    from planner.planning import opened
    from planner.planning import plan as planning
    from planner.report.money import simulation_data
    from planner.report.plans import simulation_page

    with progress(quiet=quiet) as tell:
        if holds_plan(source):
            file = opened.open_plan(source, edited_too=True)
            made_for, candidate = file.scenario, file.plan.candidate
            tell_moved(source, file, quiet=quiet)
        else:
            made_for, candidate = _planned(source, tell, report, json=how.json, quiet=quiet)
        asked = made_for.changed(sets or ())
        with record_file(records) as taken:
            done = planning.simulation(asked, candidate, progress=tell, note=taken, stepwise=stepwise)
    page = expect_sections(simulation_page(done.judgement, done.candidate, asked, money=done.priced), how.sections)
    report_simulation(report, done, asked, quiet=quiet)
    write(dumps(simulation_data(done.judgement, done.candidate))) if how.json else show_page(page, how.sections)
    if not done.judgement.valid:
        raise typer.Exit(ExitCode.NOT_VALIDATED)


def _expect_files(source: Path, report: Path | None, records: Path | None) -> None:
    """Refuse files that cannot be written, before anything is simulated."""
    expect_writable(source, report=report, records=records)
    if records:
        from planner.files.records import expect_records

        expect_records(records)


def _planned(
    source: Path, tell: Progress, report: Path | None, *, json: bool, quiet: bool
) -> "tuple[Scenario, CandidatePlan]":
    """A scenario and its plan; where there is none, that is said and the verb ends."""
    from planner.files.plan_file import dumps
    from planner.planning import plan as planning
    from planner.report.plans import no_plan_page
    from planner.results.evidence import NoPlan
    from planner.scenario import Scenario

    made_for = Scenario.load(source)
    if made_for.schedule is not None:
        raise BadInput(f"{source}: asks for a plan over time; expected the file that `plan --out` writes of it")
    answer = planning.plan(made_for, progress=tell)
    if isinstance(answer, NoPlan):
        report_plan(report, answer, made_for, quiet=quiet)
        write(dumps(answer)) if json else show_page(no_plan_page(answer, made_for))
        raise typer.Exit(ENDINGS[answer.reason])
    return made_for, answer.candidate


def show(
    plan: PlanArgument, json: Json = False, quiet: Quiet = False, report: Report = None, sections: Sections = None
) -> None:
    """Print a plan.json as text. A file that contradicts itself is refused."""
    from planner.files.plan_file import plan_text
    from planner.planning.opened import open_plan
    from planner.report.plans import plan_page
    from planner.schedules.opened import open_schedule

    expect_writable(plan, report=report)
    if (several := fleet_file(plan)) is not None:
        show_fleet(several, sections or (), json=json, quiet=quiet, report=report)
        return
    if (over_time := open_schedule(plan, edited_too=True)) is not None:
        show_schedule(over_time, tuple(sections or ()), json=json, quiet=quiet, report=report)
        return
    file = open_plan(plan, edited_too=True)
    if file.edited:
        _show_edited(file, tuple(sections or ()), json=json, quiet=quiet, report=report)
        raise typer.Exit(ExitCode.NOT_VALIDATED)
    tell_uncounted(file.scenario, quiet=quiet)
    text = plan_text(file.scenario, file.plan, file.digests)
    page = expect_sections(plan_page(file.plan, file.scenario), sections)
    report_plan(report, file.plan, file.scenario, quiet=quiet)
    write(text) if json else show_page(page, sections)


def _show_edited(file: "PlanFile", sections: tuple[str, ...], *, json: bool, quiet: bool, report: Path | None) -> None:
    """A plan that was edited since it was simulated: its machines, with their own money and watts, and no evidence."""
    from planner.files.plan_file import edited_text
    from planner.planning.recount import as_it_stands, disagreements
    from planner.report.edited import edited_page

    now = as_it_stands(file.scenario, file.plan.candidate)
    moved = tuple(filter(None, [disagreements(file.plan.candidate.totals, now.totals), *file.differences]))
    page = expect_sections(edited_page(now, file.scenario, moved, file.standing), sections)
    report_edited(report, now, file, moved, quiet=quiet)
    write(edited_text(file, now, moved)) if json else show_page(page, sections)
