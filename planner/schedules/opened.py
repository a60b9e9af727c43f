"""Opening a plan over time: what it states has to be what follows from its question, catalog and machines today."""

from collections.abc import Iterator
from pathlib import Path

from planner.files.restated import apart, expect_same, missing_files
from planner.resolve.serving import served_over_time
from planner.resolve.several import read_models
from planner.schedules.available import stated_again
from planner.schedules.files import AnyScheduleFile, ScheduleFile, questions, read_schedule
from planner.schedules.fleet import models_of
from planner.schedules.joint import as_planned_together
from planner.schedules.planning import as_planned
from planner.schedules.question import Opened
from planner.schedules.recount import recounted

_OF_THE_SOLVE = ("termination", "later", "method", "notes", "aims")


def open_schedule(path: Path, *, edited_too: bool = False) -> AnyScheduleFile | None:
    """Read a plan over time and count again what can be counted without a simulation; None where it is another kind.

    Args:
        path: the file.
        edited_too: read it even where it is not as it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: see ``read_schedule``; or figures are others today, and that is not allowed here.
    """
    file = read_schedule(path, edited_too=edited_too)
    if file is not None and not file.edited and not any(missing_files(each) for each in questions(file).values()):
        expect_same(file, path, lambda: _differences(file), edited_too=edited_too)
    return file


def _differences(file: AnyScheduleFile) -> Iterator[str]:
    """Figures of a schedule that are others when they are counted again, a sentence each."""
    asked, schedule = _asked(file), file.schedule
    now = recounted(asked, schedule)
    for key in ("base_machines", "epochs", "energy_j", "carbon_g", "cost_usd", "churn_machines", "rated_w"):
        yield from apart(getattr(schedule, key), getattr(now, key), f"timetable.schedule.{key}")
    if asked.parts:
        yield from apart(file.timetable.models, models_of(asked, now), "fleet_timetable.models")
    else:
        yield from apart(file.timetable.serves, served_over_time(asked.case, now), "timetable.serves")
    if (study := file.timetable.availability) is not None and asked.rule is not None:
        yield from apart(study, stated_again(asked, now, study), "timetable.availability")


def _asked(file: AnyScheduleFile) -> Opened:
    """The question of a file, as its schedule answers it."""
    if isinstance(file, ScheduleFile):
        return as_planned(file.scenario, file.timetable)
    return as_planned_together(read_models(file.scenario), file.timetable)
