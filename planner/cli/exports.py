"""The verb that hands a plan on: export."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.fleets import fleet_file
from planner.cli.plans import PlanArgument
from planner.cli.terminal import Quiet, expect_writable, note, write
from planner.errors import BadInput

if TYPE_CHECKING:
    from planner.files.fleet_file import FleetFile
    from planner.files.plan_file import PlanFile
    from planner.schedules.files import AnyScheduleFile


class Stack(StrEnum):
    """Formats a plan can be written in."""

    DYNAMO = "dynamo"
    LLM_D = "llm-d"
    LWS = "lws"
    KEDA = "keda"
    CSV = "csv"
    MARKDOWN = "markdown"


def export(
    plan: PlanArgument,
    format: Annotated[  # noqa: A002  users' word
        Stack,
        typer.Option(
            "--format",
            help="dynamo: a DynamoGraphDeployment; llm-d: values of its model service chart; lws: "
            "LeaderWorkerSets; keda: ScaledObjects of a plan over time; csv: a line per pool, "
            "and per epoch of a plan over time; markdown: a summary",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="file to write; stdout where not given")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="of the plans of several models, that of this one")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a plan.json for a serving stack, as CSV or as Markdown."""
    from planner.files import texts
    from planner.resolve.prices import prices_of
    from planner.schedules.opened import open_schedule

    expect_writable(plan, out=out)
    if (over_time := open_schedule(plan)) is not None:
        _put(_of_schedule(over_time, format, plan, model), out, quiet=quiet)
        return
    if format is Stack.MARKDOWN and model is None and (several := fleet_file(plan)) is not None:
        _put(_of_fleet(several), out, quiet=quiet)
        return
    file = _plan_of(plan, model)
    if format is Stack.KEDA:
        raise BadInput(f"--format keda: {plan} holds one load; expected a plan over time")
    if format is Stack.CSV:
        text = texts.as_csv(file.plan, prices_of(file.scenario))
    elif format is Stack.MARKDOWN:
        text = _summary(file)
    else:
        text = _manifest(file, format)
    _put(text, out, quiet=quiet)


def _summary(file: "PlanFile") -> str:
    """A plan in Markdown."""
    from planner.report.markdown import OF_PLANS, as_markdown
    from planner.report.plans import plan_page

    return as_markdown(plan_page(file.plan, file.scenario), file.scenario.name, OF_PLANS)


def _of_fleet(file: "FleetFile") -> str:
    """Plans of several models in Markdown."""
    from planner.report.fleets import fleet_page, summary
    from planner.report.markdown import as_markdown

    return as_markdown(fleet_page(file.fleet, file.scenario), file.scenario.name, summary(file.fleet))


def _over_time(file: "AnyScheduleFile") -> str:
    """A plan over time in Markdown."""
    from planner.report.markdown import OVER_TIME, as_markdown
    from planner.report.schedules import timetable_page

    return as_markdown(timetable_page(file.timetable, file.scenario), file.scenario.name, OVER_TIME)


def _manifest(file: "PlanFile", wanted: Stack) -> str:
    """A plan for a serving stack."""
    from planner.files import stacks
    from planner.files.lws import leader_worker_sets
    from planner.files.workers import deployment
    from workloads.models import load_model as architecture

    own = file.scenario.catalog.directory
    served = architecture(file.scenario.model.name, directory=Path(own) if own else None)
    written = {Stack.DYNAMO: stacks.dynamo, Stack.LLM_D: stacks.llm_d, Stack.LWS: leader_worker_sets}
    return written[wanted](deployment(file.plan, file.scenario, model=served))


def _of_schedule(file: "AnyScheduleFile", wanted: Stack, path: Path, model: str | None) -> str:
    """A plan over time in one of the formats that hold one; of several models, of the one named or in CSV of all.

    Raises:
        BadInput: the others hold one load; or a model is named that is none of several, or none is for keda.
    """
    from planner.files.keda import scaled_objects
    from planner.files.workers import kubernetes_name
    from planner.schedules.files import schedule_csv
    from planner.schedules.together import of_model

    names, schedule, title = [each.name for each in file.timetable.models], file.schedule, file.scenario.name
    if model is not None and model not in names:
        known = f"one of {', '.join(names)}" if names else "none: it is the plan of one model"
        raise BadInput(f"--model {model}: found no such model in {path}; expected {known}")
    if model is None and wanted in (Stack.CSV, Stack.MARKDOWN):
        return schedule_csv(file.schedule, file.timetable.provided_ratio) if wanted is Stack.CSV else _over_time(file)
    section = file.scenario.schedule
    if wanted is not Stack.KEDA or section is None:
        raise BadInput(
            f"--format {wanted}: {path} is a plan over time; expected csv, markdown or keda: the others hold one load"
        )
    if names and model is None:
        raise BadInput(f"--format keda: {path} is a plan over time of {', '.join(names)}; expected --model with one")
    if model is not None:
        schedule, title = of_model(schedule, model), f"{title}-{model}"
    return scaled_objects(kubernetes_name(title), schedule, start_s=section.start_s)


def _plan_of(plan: Path, model: str | None) -> "PlanFile":
    """The plan in a file, or, of several models, that of the one named.

    Raises:
        BadInput: one is named where there is one alone, none is where there are several, or it is none of them.
    """
    from planner.planning.opened import open_plan

    several = fleet_file(plan)
    if several is None and model is not None:
        raise BadInput(f"--model {model}: {plan} has the plan of one model; expected none")
    if several is None or model is None:
        if several is not None:
            names = ", ".join(several.fleet.plans)
            raise BadInput(f"{plan}: has the plans of {names}; expected --model with one of them")
        return open_plan(plan)
    return several.one(model)


def _put(text: str, out: Path | None, *, quiet: bool) -> None:
    """To the file, or to stdout."""
    from planner.files.writing import write_whole

    if out is None:
        write(text)
        return
    write_whole(out, text)
    note(f"wrote {out}", quiet=quiet)
