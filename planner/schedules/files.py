"""Plans over time as files: JSON with everything needed to serve them again, CSV for an autoscaler."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from planner import __version__
from planner.files.faults import evidence_faults
from planner.files.observed import CLOSE_FRAC, seen_faults
from planner.files.plan_file import (
    SCHEMA_VERSION,
    Kept,
    Written,
    bound_text,
    dumps,
    other_question,
    read_kind,
)
from planner.files.texts import inert
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.digest import digest_of
from planner.scenario.fleet import Fleet
from planner.scenario.power import PowerSection
from workloads.counts import plural


class ScheduleFile(Kept):
    """A validated plan over time with everything needed to check it or make it again."""

    timetable: Timetable = Field(description="the schedule and its evidence")

    @property
    def schedule(self) -> Schedule:
        """The plan over time."""
        assert self.timetable.schedule is not None  # read_schedule refuses files without one
        return self.timetable.schedule


class FleetScheduleFile(Written):
    """The same of several models on one fleet."""

    scenario: Fleet = Field(description="the question, with every default spelled out")
    fleet_timetable: Timetable = Field(description="the schedule of all models and its evidence, model by model")

    @property
    def timetable(self) -> Timetable:
        """The schedule and its evidence."""
        return self.fleet_timetable

    @property
    def schedule(self) -> Schedule:
        """The plan over time."""
        assert self.timetable.schedule is not None  # read_schedule refuses files without one
        return self.timetable.schedule


AnyScheduleFile = ScheduleFile | FleetScheduleFile


def questions(file: AnyScheduleFile) -> dict[str, Scenario]:
    """The question of each model; of one alone without a name."""
    return {"": file.scenario} if isinstance(file.scenario, Scenario) else file.scenario.parts()


def timetable_text(
    scenario: Scenario | Fleet, found: Timetable, digests: Mapping[str, str], *, edited: bool = False
) -> str:
    """The content of such a file, or of an answer that is not written: same arguments, same text."""
    head = {"schema_version": SCHEMA_VERSION, "phasewise_version": __version__, "validated": found.valid and not edited}
    kind = "timetable" if isinstance(scenario, Scenario) else "fleet_timetable"
    content = {**head, "digests": digests, "scenario": scenario, kind: found}
    return dumps({**content, "edited": True}) if edited else bound_text(content)


def read_schedule(path: Path, *, edited_too: bool = False) -> AnyScheduleFile | None:
    """The plan over time in a file that ``plan --out`` wrote; None where it is a plan of another kind.

    Args:
        path: the file.
        edited_too: read it even where it was edited since it was simulated; ``edited`` of the answer says so.

    Raises:
        BadInput: it cannot be read, or holds a plan over time that is cut off, of another version, contradictory, or
            edited.
    """
    several = read_kind(path, "fleet_timetable", FleetScheduleFile, _contradictions, edited_too=edited_too)
    return several or read_kind(path, "timetable", ScheduleFile, _contradictions, edited_too=edited_too)


def _of_models(file: FleetScheduleFile) -> Iterator[str]:
    """Another question of a model than its schedule was made for, or other models."""
    asked, found = file.scenario.parts(), [each.name for each in file.timetable.models]
    if found != list(asked):
        yield f"fleet_timetable.models: found {', '.join(found)}; expected {', '.join(asked)}, as in the question"
    for name, part in asked.items() if file.sealed else ():
        told, now = file.digests.get(f"{name}: scenario"), digest_of(part.model_copy(update={"power": PowerSection()}))
        if told is not None and told != now:
            yield f"scenario: {name}: found another than the plan was made for ({told[:12]}; expected {now[:12]})"


def _contradictions(file: AnyScheduleFile) -> Iterator[str]:
    """What a hand that edits one number forgets to edit elsewhere."""
    yield from other_question(file) if isinstance(file, ScheduleFile) else _of_models(file)
    schedule = file.timetable.schedule
    if schedule is None or not schedule.epochs:
        yield "timetable.schedule: found none; expected at least one epoch"
        return
    for key in ("cost_usd", "energy_j", "carbon_g"):
        whole, parts = getattr(schedule, key), sum(getattr(epoch, key) for epoch in schedule.epochs)
        if not math.isclose(whole, parts, rel_tol=CLOSE_FRAC):
            yield f"timetable.schedule.{key}: found {whole:g}; expected {parts:g}, the sum over the epochs"
    for number, epoch in enumerate(schedule.epochs):
        if not math.isclose(epoch.start_s, number * schedule.epoch_s, abs_tol=1e-3):
            yield (
                f"timetable.schedule.epochs.{number}.start_s: found {epoch.start_s:g}; "
                f"expected {number * schedule.epoch_s:g}"
            )
        for run in epoch.runs:
            if not epoch.machines.get(run.spec.machine):
                yield f"timetable.schedule.epochs.{number}: {run.name} runs on no powered machine"
    yield from _uncounted(file)
    yield from _evidence(file)
    ratios = file.timetable.provided_ratio
    for name in sorted({name for epoch in schedule.epochs for run in epoch.runs for name in run.rate_req_per_s}):
        told = ratios.get(name, ())
        if len(told) != len(schedule.epochs) or not all(ratio > 0 for ratio in told):
            yield f"timetable.provided_ratio.{name}: found {list(told)}; expected a number above 0 for each epoch"
    if not file.timetable.valid:
        yield "timetable.served: found an epoch that misses an objective; a validated plan has none"


def _uncounted(file: AnyScheduleFile) -> Iterator[str]:
    """Epochs that are told of twice, or not at all."""
    expected = len(file.schedule.epochs)
    for name in questions(file):
        said = [epoch for each in file.timetable.served if each.model == name for epoch in each.epochs]
        said += file.timetable.unserved
        if sorted(said) != list(range(expected)):
            whose = f"timetable: {name}" if name else "timetable"
            yield f"{whose}: found {plural(len(said), 'epoch')} served or not; expected {expected}, each once"


def _evidence(file: AnyScheduleFile) -> Iterator[str]:
    """Evidence of other objectives than were asked for, or that contradicts itself."""
    slos = {name: part.slos() for name, part in questions(file).items()}
    for each in file.timetable.served:
        where = f"timetable.served: epoch {each.epochs[0] if each.epochs else 'none'}"
        if each.model not in slos:
            yield f"{where}: found one of the model '{each.model}'; expected one of {', '.join(slos)}"
            continue
        if not each.evidence and not any(_runs(file, epoch, each.model) for epoch in each.epochs):
            continue  # no request came, so none was looked at
        yield from evidence_faults(slos[each.model], each.evidence, where)
        yield from seen_faults(each.evidence, each.arrived, where)


def _runs(file: AnyScheduleFile, epoch: int, model: str) -> bool:
    """Whether a model has pools in an epoch that there is."""
    return not 0 <= epoch < len(file.schedule.epochs) or any(r.model == model for r in file.schedule.epochs[epoch].runs)


def schedule_csv(schedule: Schedule, provided_ratio: Mapping[str, Sequence[float]]) -> str:
    """The schedule for an autoscaler: one line per epoch and pool, machines of its type beside it.

    The rate is what the pool is sent at the epoch's peak: what its epoch provides for, over its ``provided_ratio``.
    Cost and energy of an epoch stand in its first line, so that a column's sum is that of the schedule.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["epoch", "start_s", "machine", "role", "layout", "clock_mhz", "classes", "instances", "rate_req_per_s",
         "machines_on", "machines_on_top", "machines_started", "machines_stopped", "epoch_cost_usd", "epoch_energy_kwh"]
    )  # fmt: skip
    for number, epoch in enumerate(schedule.epochs):
        for place, run in enumerate(epoch.runs):
            whole = ("", "") if place else (f"{epoch.cost_usd:.6g}", f"{epoch.energy_j / 3.6e6:.6g}")
            rate = sum(provided / provided_ratio[name][number] for name, provided in run.rate_req_per_s.items())
            machine = run.spec.machine
            rows.writerow(inert(
                [number, f"{epoch.start_s:g}", machine, run.spec.role, run.spec.layout.name, run.spec.clock_mhz or "",
                 " ".join(sorted(run.rate_req_per_s)), run.instances, f"{rate:.6g}",
                 epoch.machines[machine], epoch.top_machines[machine], epoch.started[machine], epoch.stopped[machine],
                 *whole]
            ))  # fmt: skip
    return text.getvalue()
