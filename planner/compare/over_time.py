"""Schedules in comparisons: the one that ``plan`` finds, and the part of it that is compared with others."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hw_catalog.machines import Machine
from planner.planning import plan as planning
from planner.planning.beside_time import row_of, static_plans
from planner.planning.fleet_question import read_fleet
from planner.results.evidence import Verdict
from planner.results.schedule import Epoch, Schedule, Spent
from planner.results.sweep import VALIDATED, Binding, Outcome, OverTime
from planner.results.timetable import ModelOverTime, Served, Timetable
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.schedules.fleet import fleet_timetable
from planner.schedules.less import value
from planner.schedules.planning import timetable
from planner.schedules.question import Uncarried
from workloads.counts import plural

_UNITS = {"energy": 3.6e6, "carbon": 1e3}
"""What joules and grams of an aim are divided by: kWh and kg."""


def scheduled(scenario: Scenario | Fleet, digest: str) -> Outcome:
    """What planning a question over time comes to.

    Raises:
        BadInput: it names something that is not there.
    """
    try:
        return _planned(scenario, digest)
    except Uncarried as why:
        return _none("infeasible", why.problems, digest)


def _planned(scenario: Scenario | Fleet, digest: str) -> Outcome:
    if isinstance(scenario, Fleet):
        models = read_fleet(scenario).models
        found = fleet_timetable(scenario, models, progress=_silent, static=static_plans)
        machines = next(iter(models.values())).machines
    else:
        read = planning.read(scenario)
        found, machines = timetable(read, progress=_silent, static=static_plans, study=row_of, why=False), read.machines
    if found.schedule is None or not found.valid:
        return _refused(found, digest)
    return _outcome(found, found.schedule, scenario, {each.name: each for each in machines}, digest)


def aim_value(schedule: Schedule) -> float:
    """What a schedule comes to in its first aim: USD, kWh, kg, W or machines."""
    return value(schedule)[0] / _UNITS.get(schedule.aims[0], 1.0)


def _outcome(
    found: Timetable, schedule: Schedule, scenario: Scenario | Fleet, machines: Mapping[str, Machine], digest: str
) -> Outcome:  # fmt: skip
    evidence = tuple(seen for each in found.served for seen in each.evidence)
    used = dict[str, float]()
    for each in found.served:
        for seen in each.evidence:
            key = f"{each.model}: {seen.key}" if each.model else seen.key
            used[key] = max(used.get(key, 0.0), seen.used_ratio)
    return Outcome(
        digest=digest, verdict=VALIDATED, explanation=(), candidate=None, objective_value=aim_value(schedule),
        served_req_per_s=max((each.rate_req_per_s for each in found.served), default=None),
        bound=schedule.termination.bound, evidence=evidence,
        margin_frac={key: 1 - share for key, share in used.items()},
        binds=tuple(_binding(found.served, schedule, scenario, used)),
        over_time=_over_time(found, schedule, machines),
    )  # fmt: skip


def _over_time(found: Timetable, schedule: Schedule, machines: Mapping[str, Machine]) -> OverTime:
    """Money, energy and machines of a schedule."""
    paid = [_paid(schedule, epoch) for epoch in schedule.epochs]
    return OverTime(
        duration_h=len(schedule.epochs) * schedule.epoch_s / 3600,
        planned=Spent(cost_usd=schedule.cost_usd, energy_j=schedule.energy_j, carbon_g=schedule.carbon_g),
        simulated=found.simulated, base_machines={n: c for n, c in schedule.base_machines.items() if c},
        most_machines={n: most for n in sorted(paid[0]) if (most := max(each[n] for each in paid))},
        most_machines_at_once=max(each.total() for each in paid), mean_machines=schedule.powered_machines,
        most_rated_w=max(
            sum(machines[name].rated_w * count for name, count in epoch.machines.items()) for epoch in schedule.epochs
        ),
        epochs_served=len({epoch for each in found.served for epoch in each.epochs}),
        provided_ratio=found.provided_ratio, ways=found.models or _alone(found),
    )  # fmt: skip


def _alone(found: Timetable) -> tuple[ModelOverTime, ...]:
    """How one model is served, among several it would have a name."""
    if found.variant is None:
        return ()
    return (ModelOverTime(name="", policy=found.policies, variant=found.variant, serves=()),)


def _paid(schedule: Schedule, epoch: Epoch) -> Counter[str]:
    """Machines that are paid for in an epoch: the base fleet, and those on top."""
    names = {*schedule.base_machines, *epoch.machines}
    return Counter({n: schedule.base_machines.get(n, 0) + epoch.top_machines.get(n, 0) for n in names})


def _binding(
    served: tuple[Served, ...], schedule: Schedule, scenario: Scenario | Fleet, used: Mapping[str, float]
) -> Iterator[Binding]:  # fmt: skip
    """The objective nearest to its limit in any epoch, and the budgets of machines and of watts."""
    if used:
        name, share = max(used.items(), key=lambda item: item[1])
        yield Binding(kind="objective", name=name, used_frac=share)
    budgets = scenario.budgets
    if budgets.machines:
        most = max(_paid(schedule, epoch).total() for epoch in schedule.epochs)
        yield Binding(kind="budget", name="machines", used_frac=most / budgets.machines)
    if budgets.expected_power_w:
        drawn = Counter[int]()
        for each in served:
            drawn[each.epochs[0]] += each.simulated_w or each.planned_w  # type: ignore[assignment]
        share = max(drawn.values(), default=0) / budgets.expected_power_w
        yield Binding(kind="budget", name="expected_power_w", used_frac=share)


def _refused(found: Timetable, digest: str) -> Outcome:
    """Why there is no schedule, in the shape of an outcome."""
    none = found.schedule is None
    verdict = "infeasible" if found.proven else "no plan in time" if none and not found.lacking else "not validated"
    stopped = f"{found.termination.reason}; {found.termination.detail}"
    lines = (found.lacking or (stopped,)) if none else (*found.over, *_missed(found.served))
    return _none(verdict, lines, digest)


def _none(verdict: str, lines: Sequence[str], digest: str) -> Outcome:
    """An outcome without a schedule."""
    return Outcome(
        digest=digest, verdict=verdict, explanation=tuple(lines), candidate=None, objective_value=None,
        served_req_per_s=None, bound=None, evidence=(), margin_frac={}, binds=(),
    )  # fmt: skip


def _missed(served: tuple[Served, ...]) -> Iterator[str]:
    """Objectives that epochs miss, a sentence for each model."""
    for model in dict.fromkeys(each.model for each in served):
        mine = [each for each in served if each.model == model and not each.valid]
        epochs = {epoch for each in mine for epoch in each.epochs}
        keys = sorted({e.key for each in mine for e in each.evidence if e.verdict is not Verdict.MET})
        if epochs:
            whose = f"{model}: " if model else ""
            yield f"{whose}{', '.join(keys) or 'a budget of watts'} not met in {plural(len(epochs), 'epoch')}"


def _silent(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""
