"""What changes from one plan over time to another, epoch by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.errors import BadInput
from planner.results.schedule import Epoch
from planner.scenario import Scenario
from planner.schedules.files import AnyScheduleFile, questions
from workloads.counts import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTotals:
    """An epoch, or all of them.

    Attributes:
        cost_usd: machines and energy.
        energy_j: at the meter.
        carbon_g: of that energy.
        machines: powered; of all epochs their mean.
        instances: that run; of all epochs their mean.
    """

    cost_usd: float
    energy_j: float
    carbon_g: float
    machines: float
    instances: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochChange:
    """One epoch in both plans.

    Attributes:
        epoch: its number.
        before: in the one.
        after: in the other.
        instances_by_spec: of each kind that is not alike: name -> how many before and after.
    """

    epoch: int
    before: EpochTotals
    after: EpochTotals
    instances_by_spec: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDiff:
    """Two plans over time.

    Attributes:
        before: all epochs of the one.
        after: all epochs of the other.
        base_machines: machine type -> base fleet before and after.
        churn_machines: starts and stops before and after.
        epochs: those that differ.
        unchanged: how many do not.
        notes: in what the questions differ, full sentences.
    """

    before: EpochTotals
    after: EpochTotals
    base_machines: dict[str, tuple[int, int]]
    churn_machines: tuple[int, int]
    epochs: tuple[EpochChange, ...]
    unchanged: int
    notes: tuple[str, ...]


def schedule_diff(before: AnyScheduleFile, after: AnyScheduleFile) -> ScheduleDiff:
    """What changes.

    Raises:
        BadInput: their epochs are not of the same number and length, or they are not of the same models.
    """
    one, other = before.schedule, after.schedule
    mine, theirs = ([each.name for each in file.timetable.models] for file in (before, after))
    if sorted(mine) != sorted(theirs):
        raise BadInput(f"diff: found plans over time of {_of(mine)} and of {_of(theirs)}; expected the same models")
    if (one.epoch_s, len(one.epochs)) != (other.epoch_s, len(other.epochs)):
        raise BadInput(
            f"diff: found {plural(len(one.epochs), 'epoch')} of {one.epoch_s:g} s and {len(other.epochs)} of "
            f"{other.epoch_s:g} s; expected as many of the same length"
        )
    changes = [
        EpochChange(epoch=number, before=_totals(a), after=_totals(b), instances_by_spec=_pools(a, b))
        for number, (a, b) in enumerate(zip(one.epochs, other.epochs, strict=True))
    ]
    differ = tuple(each for each in changes if each.before != each.after or each.instances_by_spec)
    types = sorted({*one.base_machines, *other.base_machines})
    return ScheduleDiff(
        before=_sum([each.before for each in changes]), after=_sum([each.after for each in changes]),
        base_machines={name: (one.base_machines.get(name, 0), other.base_machines.get(name, 0)) for name in types},
        churn_machines=(one.churn_machines, other.churn_machines), epochs=differ, unchanged=len(changes) - len(differ),
        notes=_notes(before, after),
    )  # fmt: skip


def _totals(epoch: Epoch) -> EpochTotals:
    return EpochTotals(
        cost_usd=epoch.cost_usd, energy_j=epoch.energy_j, carbon_g=epoch.carbon_g,
        machines=float(sum(epoch.machines.values())), instances=float(sum(run.instances for run in epoch.runs)),
    )  # fmt: skip


def _sum(parts: list[EpochTotals]) -> EpochTotals:
    return EpochTotals(
        cost_usd=sum(p.cost_usd for p in parts), energy_j=sum(p.energy_j for p in parts),
        carbon_g=sum(p.carbon_g for p in parts), machines=sum(p.machines for p in parts) / len(parts),
        instances=sum(p.instances for p in parts) / len(parts),
    )  # fmt: skip


def _pools(one: Epoch, other: Epoch) -> dict[str, tuple[int, int]]:
    counts: list[dict[str, int]] = [{}, {}]
    for count, epoch in zip(counts, (one, other), strict=True):
        for run in epoch.runs:
            count[run.name] = count.get(run.name, 0) + run.instances
    names = sorted({*counts[0], *counts[1]})
    both = {name: (counts[0].get(name, 0), counts[1].get(name, 0)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _notes(before: AnyScheduleFile, after: AnyScheduleFile) -> tuple[str, ...]:
    one, other = (questions(file) for file in (before, after))
    return tuple(f"{name}: {note}" if name else note for name in one for note in _differ(one[name], other[name]))


def _of(models: list[str]) -> str:
    return ", ".join(models) or "one model"


def _differ(one: Scenario, other: Scenario) -> Iterator[str]:
    """In what two questions about a model differ, full sentences."""
    if one.model.name != other.model.name:
        yield f"The models differ: {one.model.name} and {other.model.name}."
    if [slo.name for slo in one.slos()] != [slo.name for slo in other.slos()] or [s.limit for s in one.slos()] != [
        s.limit for s in other.slos()
    ]:
        yield "The objectives differ."
    if one.workload != other.workload:
        yield "The workloads differ."
