"""What verbs do with several models on one fleet."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from planner.cli.reports import expect_sections, report_page, show_page, tell_fleet_moved, tell_uncounted
from planner.cli.terminal import ENDINGS, expect_neither, not_written, note, progress, write
from planner.errors import BadInput, ExitCode, read_each

if TYPE_CHECKING:  # slow to import, and needed only once there are several models
    from planner.files.fleet_file import FleetFile
    from planner.planning.fleet_question import FleetInputs
    from planner.results.check import CheckReport
    from planner.results.fleet import FleetPlan
    from planner.results.picture import Picture
    from planner.results.plan import CandidatePlan
    from planner.scenario import Scenario
    from planner.scenario.fleet import Fleet


class Depth(Protocol):
    """How much is looked at and shown."""

    @property
    def verbose(self) -> bool:
        """Everything is shown."""

    @property
    def alternatives(self) -> bool:
        """With the table of alternatives."""


def one_model(question: "Scenario | Fleet") -> "Scenario":
    """A question about one model.

    Raises:
        BadInput: it is about several.
    """
    from planner.scenario import SEVERAL, Scenario

    if not isinstance(question, Scenario):
        raise BadInput(f"models: found several models; expected one: {SEVERAL}")
    return question


def any_models(path: Path, sets: Sequence[str]) -> "Scenario | Fleet":
    """A question about one model or several, as a file asks it.

    Raises:
        BadInput: with every problem that was found.
    """
    from planner.resolve.questions import question_of
    from planner.scenario import document_of

    return question_of(document_of(path, sets))


class Printed(Protocol):
    """How a result is printed: as JSON, or some sections of its page."""

    @property
    def json(self) -> bool:
        """As JSON."""

    @property
    def sections(self) -> list[str] | None:
        """Names of sections."""


def fleet_file(path: Path, *, edited_too: bool = False) -> "FleetFile | None":
    """The plans of several models in a file; None where it holds none.

    Raises:
        BadInput: it is a scenario of several models that is not planned yet, or holds plans that cannot be read.
    """
    from planner.files.plan_file import holds_plan
    from planner.planning.opened import open_fleet
    from planner.scenario import document_of

    if holds_plan(path):
        return open_fleet(path, edited_too=edited_too)
    if "models" in document_of(path).data:
        raise BadInput(f"{path}: asks for plans of several models; expected the file that `plan --out` writes of them")
    return None


def check_fleet(question: "Fleet", sections: Sequence[str], *, json: bool, report: Path | None) -> None:
    """Show demand, options and refused options of every model."""
    from planner.files.plan_file import dumps
    from planner.planning.fleet_question import read_fleet
    from planner.planning.fleet_serve import check_fleet as checked
    from planner.report.checks import check_page

    read = read_fleet(question)
    found = checked(read) if question.schedule is None else _checked_over_time(question, read)
    page = expect_sections(check_page(found), sections)
    report_page(report, check_page, found, quiet=False)
    write(dumps(found)) if json else show_page(page, sections)
    if found.unserved:  # what `plan` answers, without a solver
        raise typer.Exit(ExitCode.INFEASIBLE)


def _checked_over_time(question: "Fleet", read: "FleetInputs") -> "CheckReport":
    """The same of a question over time; refused where ``plan`` refuses it."""
    from planner.planning.fleet_serve import check_fleet as checked
    from planner.schedules.joint import joint_ways
    from planner.schedules.refusal import refusal

    asked, _ = joint_ways(question, read.models)
    parts = {n: replace(i, scenario=i.scenario.model_copy(update={"schedule": None})) for n, i in read.models.items()}
    found = checked(replace(read, models=parts))
    lacking = [refusal(way, proven_alone=True).lines for way in asked] if not found.unserved else [()]
    return replace(found, unserved=lacking[0]) if all(lacking) else found


def plan_fleet(
    question: "Scenario | Fleet", out: Path | None, report: Path | None, depth: Depth, *, json: bool, quiet: bool
) -> bool:
    """Plan all models: printed, and written as one file; False where the question is about one model."""
    from planner.scenario.fleet import Fleet

    if not isinstance(question, Fleet):
        return False
    from planner.files.fleet_file import fleet_text, no_fleet_text
    from planner.files.writing import write_whole
    from planner.planning.choices import Depth
    from planner.planning.fleet import plan_fleet as planned
    from planner.planning.fleet_question import digests_of, read_fleet
    from planner.report.fleets import fleet_page, no_fleet_page
    from planner.results.fleet import NoFleetPlan

    with progress(quiet=quiet) as tell:
        tell("reading", 0.0)
        read = read_fleet(question, Depth.FULL if depth.alternatives else Depth.NONE)
        answer = planned(read, progress=tell)
    tables = tuple(f"{name}.choices" for name in read.models) if depth.alternatives else ()
    digests, asked = digests_of(read), ("all",) if depth.verbose else tables
    if isinstance(answer, NoFleetPlan):
        none = no_fleet_page(answer, question)
        report_page(report, lambda _: none, answer, quiet=quiet)
        write(no_fleet_text(question, answer, digests)) if json else show_page(none, asked)
        not_written(out, quiet=quiet)
        raise typer.Exit(ENDINGS[answer.answer.reason])
    text = fleet_text(question, answer, digests)
    if out is not None:  # files first: what stdout leads to may be full
        write_whole(out, text)
        note(f"wrote {out}", quiet=quiet)
    _report_fleet(question, answer, report, quiet=quiet)
    write(text) if json else show_page(fleet_page(answer, question), asked)
    return True


def _report_fleet(question: "Fleet", found: "FleetPlan", report: Path | None, *, quiet: bool) -> None:
    """Write the page of plans of several models; nothing where no report was asked for."""
    from planner.report.fleets import fleet_page

    if report is not None:
        candidates = {each.name: each.plan.candidate for each in found.models}
        pictures = _pictures(question, candidates, quiet=quiet)
        report_page(report, lambda plans: fleet_page(plans, question, pictures), found, quiet=quiet)


def show_fleet(file: "FleetFile", sections: Sequence[str], *, json: bool, quiet: bool, report: Path | None) -> None:
    """Print plans of several models."""
    from planner.files.fleet_file import fleet_text
    from planner.report.fleets import fleet_page

    for part in file.scenario.parts().values():
        tell_uncounted(part, quiet=quiet)
    text = fleet_text(file.scenario, file.fleet, file.digests)
    page = expect_sections(fleet_page(file.fleet, file.scenario), sections)
    _report_fleet(file.scenario, file.fleet, report, quiet=quiet)
    write(text) if json else show_page(page, sections)


def simulate_fleet(
    source: Path, sets: Sequence[str], how: Printed, epoch: int | None, records: Path | None, report: Path | None, *,
    quiet: bool, stepwise: bool,
) -> bool:  # fmt: skip
    """Serve every model's workload on its plan; False where the file has no plans of several models.

    Raises:
        BadInput: it has, and is asked for what only the plan of one model has; or the question is wrong.
    """
    file = fleet_file(source, edited_too=True)
    if file is None:
        return False
    if epoch is not None:
        raise BadInput(f"--epoch: {source} has the plans of several models; expected a plan over time")
    from planner.files.plan_file import dumps
    from planner.files.records import of_model, record_file
    from planner.planning.fleet_question import read_fleet
    from planner.planning.fleet_serve import simulate_fleet as simulated
    from planner.report.fleets import fleet_simulation_page
    from planner.report.money import simulation_data

    tell_fleet_moved(source, file, quiet=quiet)
    asked = file.scenario.changed(sets)
    candidates = {each.name: each.plan.candidate for each in file.fleet.models}
    if missing := [name for name in asked.parts() if name not in candidates]:
        raise BadInput(*(f"models: {name}: the plans of {source} know no such model" for name in missing))
    with progress(quiet=quiet) as tell, ExitStack() as files:
        opened = {name: files.enter_context(record_file(of_model(records, name))) for name in candidates}
        notes = {name: taken for name, taken in opened.items() if taken is not None}
        found = simulated(read_fleet(asked), candidates, progress=tell, stepwise=stepwise, notes=notes)
    said = {
        "valid": found.valid, "over": found.over,
        "models": {n: simulation_data(each, found.candidates[n]) for n, each in found.judgements.items()},
    }  # fmt: skip
    page = expect_sections(fleet_simulation_page(found, asked), how.sections)
    if report is not None:
        pictures = _pictures(asked, candidates, quiet=quiet)
        report_page(report, lambda seen: fleet_simulation_page(seen, asked, pictures), found, quiet=quiet)
    write(dumps(said)) if how.json else show_page(page, how.sections)
    if not found.valid:
        raise typer.Exit(ExitCode.NOT_VALIDATED)
    return True


def diff_fleets(before: Path, after: Path, *, quick: bool, power_limit: float | None, json: bool, quiet: bool,
                report: Path | None, sections: Sequence[str]) -> bool:  # fmt: skip
    """Print what changes between the plans of several models, model by model; False where neither file has several.

    Raises:
        BadInput: one of them has, and the other has not; or they are of other models.
    """
    from planner.compare.diff import diff as compared
    from planner.files.plan_file import dumps
    from planner.report.differences import fleet_diff_page

    one, other = read_each(fleet_file, (before, after))
    if one is None or other is None:
        kinds, instead = ("has the plan of one model", "those of several"), "a scenario with models may have one alone"
        return expect_neither(one, other, (before, after), *kinds, instead)
    names = list(one.fleet.plans)
    if set(names) != set(other.fleet.plans):
        theirs = ", ".join(other.fleet.plans)
        raise BadInput(f"diff: {before} has plans of {', '.join(names)}, {after} of {theirs}; expected the same models")
    with progress(quiet=quiet) as tell:
        found = {
            name: compared(one.one(name), other.one(name), quick=quick, power_limit_w=power_limit, progress=tell)
            for name in names
        }
    page = expect_sections(fleet_diff_page(found), sections)
    report_page(report, fleet_diff_page, found, quiet=quiet)
    write(dumps(found)) if json else show_page(page, sections)
    if not all(each.safe for each in found.values()):
        raise typer.Exit(ExitCode.NOT_VALIDATED)
    return True


def _pictures(question: "Fleet", candidates: "dict[str, CandidatePlan]", *, quiet: bool) -> "dict[str, Picture]":
    """One run of every model's plan, moment by moment."""
    from planner.planning import plan as planning

    parts = question.parts()
    with progress(quiet=quiet) as tell:
        return {name: planning.picture(parts[name], each, progress=tell) for name, each in candidates.items()}
