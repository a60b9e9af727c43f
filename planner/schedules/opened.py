"""Opening a plan over time: what it states has to be what follows from its question, catalog and machines today."""

from collections.abc import Iterator
from pathlib import Path

from planner.files.restated import apart, expect_same, missing_files
from planner.resolve.serving import served_over_time
from planner.schedules.available import stated_again
from planner.schedules.files import ScheduleFile, read_schedule
from planner.schedules.planning import as_planned
from planner.schedules.recount import recounted

_OF_THE_SOLVE = ("termination", "later", "method", "notes", "aims")


def open_schedule(path: Path, *, edited_too: bool = False) -> ScheduleFile | None:
    """Read a plan over time and count again what can be counted without a simulation; None where it is another kind.

    Args:
        path: the file.
        edited_too: read it even where it is not as it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: see ``read_schedule``; or figures are others today, and that is not allowed here.
    """
    file = read_schedule(path, edited_too=edited_too)
    if file is not None and not file.edited and not missing_files(file.scenario):
        expect_same(file, path, lambda: _differences(file), edited_too=edited_too)
    return file


def _differences(file: ScheduleFile) -> Iterator[str]:
    """Figures of a schedule that are others when they are counted again, a sentence each."""
    asked, schedule = as_planned(file.scenario, file.timetable), file.schedule
    now = recounted(asked, schedule)
    for key in ("base_machines", "epochs", "energy_j", "carbon_g", "cost_usd", "churn_machines", "rated_w"):
        yield from apart(getattr(schedule, key), getattr(now, key), f"timetable.schedule.{key}")
    yield from apart(file.timetable.serves, served_over_time(asked.case, now), "timetable.serves")
    if (study := file.timetable.availability) is not None and asked.rule is not None:
        yield from apart(study, stated_again(asked, now, study), "timetable.availability")
