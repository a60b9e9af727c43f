"""What machines that are taken away or fail do to a schedule, and failures that find none."""

from collections.abc import Iterator

from planner.results.evidence import Verdict
from planner.results.schedule import Schedule
from planner.scenario import Scenario
from planner.scenario.schedule_section import ScheduleSection
from planner.schedules.together import AnyServing, Together, of_model


def losses(serving: AnyServing, schedule: Schedule, section: ScheduleSection) -> tuple[str, ...]:
    """What machines that are taken away do to the objectives, where that is more than nothing; full sentences."""
    if section.top_channel == "spot" and not section.interruptions_per_h_ratio:
        return (
            "schedule.top_channel is spot and schedule.interruptions_per_h_ratio is 0: no machine is ever taken away, "
            "and none is spare",
        )
    if isinstance(serving, Together):
        each = ((name, losses(part, of_model(schedule, name), section)) for name, part in serving.parts.items())
        return tuple(f"{name}: {words}" for name, found in each for words in found)
    struck = serving.lost(schedule)
    if struck is None or struck[2].valid:
        return ()
    epoch, machine, said = struck
    missed = ", ".join(f"{each.key} {each.words}" for each in said.evidence if each.verdict is not Verdict.MET)
    return (
        f"schedule.interruptions_per_h_ratio: a {machine} taken away in epoch {epoch} leaves "
        f"{missed or 'a growing backlog'} for the {section.start_s:g} s (schedule.start_s) until a spare serves",
    )


def absent(scenario: Scenario, schedule: Schedule) -> Iterator[str]:
    """Failures that find no machine, full sentences."""
    for each in scenario.validation.failures:
        epoch = schedule.epochs[int(each.at_s // schedule.epoch_s)]
        runs = [run for at, run in enumerate(epoch.runs) if each.pool in (at, run.spec.role)]
        if each.machine >= sum(run.instances for run in runs):
            yield (
                f"validation.failures: epoch {int(each.at_s // schedule.epoch_s)} has no {each.pool} machine "
                f"{each.machine}, so none fails in it"
            )
