"""Availability of a plan over time: the spare machines of every epoch, failures injected, the price of each nine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.capacity.redundancy import Rule, Stock, failures_per_h, racks, up_frac
from planner.capacity.strikes import strikes
from planner.resolve.availability import NINES, assumptions, rule_of
from planner.results.availability import Availability, Nine, Outage
from planner.results.schedule import Run, Schedule
from planner.results.timetable import Timetable
from planner.scenario.sections import BudgetSection
from planner.schedules.groups import Progress
from planner.schedules.provision import NUDGE_RATIO, Provided
from planner.schedules.question import Opened, at_target
from planner.schedules.serving import Serving
from workloads.counts import plural

MOST_TURNS = 6
"""Schedules that failures are injected into; each has more machines than the one before."""

Proposed = Callable[[Opened, Provided], Timetable]
"""The schedule of a question, for rates that are provided for; none in it where there is none."""


Priced = Callable[[Opened], Timetable]
"""The same for the rates that the answer provides for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """A schedule with failures injected.

    Attributes:
        study: how often it meets every objective.
        lines: why that is too rarely; empty where it is not.
        failing: epochs that miss an objective for good after a failure.
    """

    study: Availability
    lines: tuple[str, ...]
    failing: frozenset[int]


def stocks(asked: Opened, runs: Sequence[Run], rule: Rule) -> list[Stock]:
    """The machines of each pool of an epoch, those that may be down counted."""
    reliability = {option.spec.name: option.reliability for option in asked.case.options}
    options, found = {option.name: option for option in asked.options}, list[Stock]()
    for run in runs:
        option, each = options[run.spec.name], reliability[run.spec.name]
        assert each is not None, "asked only where availability is"
        needed = option.machines_for(run.instances - run.spare_instances)
        found.append(
            Stock(
                machines=needed + run.spare_machines, needed=needed, span=option.machines_per_instance,
                each=replace(each, rule=rule),
            )
        )  # fmt: skip
    return found


def with_failures(
    asked: Opened, found: Timetable, serving: Serving, propose: Proposed, progress: Progress
) -> Timetable:  # fmt: skip
    """A validated schedule with failures injected into its worst epochs; it is as it was where none are asked for.

    While planning only the machines that the objectives need are simulated: the state in which all spare ones are
    down. Seconds in which objectives are missed after a failure count as time that is lost; where they cost too much,
    more machines are spare. An epoch that misses an objective for good is provided for more.

    Args:
        asked: the question.
        found: a schedule with spare machines.
        serving: serves epochs.
        propose: makes one with more of them.
        progress: told what is happening.
    """
    provided = {name: np.array(ratios) for name, ratios in found.provided_ratio.items()}
    for _ in range(MOST_TURNS):
        if asked.rule is None or found.schedule is None or not found.valid:
            return found
        found = all_up(found, serving, progress)
        if found.schedule is None or not found.valid:
            return found
        seen = studied(asked, found.schedule, serving, progress)
        if not seen.failing and seen.study.up_frac >= asked.rule.target_frac:
            nines = _nines(asked, found.schedule, seen.study, lambda other: propose(other, provided))
            return replace(found, availability=replace(seen.study, nines=tuple(nines)))
        for ratios in provided.values():
            ratios[sorted(seen.failing)] *= NUDGE_RATIO
        asked = replace(asked, rule=replace(asked.rule, recovery_s=max(asked.rule.recovery_s, seen.study.recovery_s)))
        more = propose(asked, provided)
        found = replace(found, availability=seen.study, over=seen.lines)
        if more.schedule is None:
            return found
        served, unserved = serving.all(more.schedule, progress)
        more = replace(more, served=served, unserved=unserved)
        found = more if more.valid else found
    return found


def all_up(found: Timetable, serving: Serving, progress: Progress) -> Timetable:
    """A schedule that was served with its spare machines down, served with them too: watts, and what is missed then."""
    assert found.schedule is not None, "only a schedule is served"
    ups, _ = serving.all(found.schedule, progress, spares=True)
    by_epoch = {epoch: each for each in ups for epoch in each.epochs}
    served = []
    for each in found.served:
        up = by_epoch.get(each.epochs[0], each)
        drawn = replace(each, planned_w=up.planned_w, simulated_w=up.simulated_w)
        served.append(drawn if up.served_well else replace(up, epochs=each.epochs))
    return replace(found, served=tuple(served))


def studied(asked: Opened, schedule: Schedule, serving: Serving, progress: Progress) -> Studied:
    """How often a schedule as it stands meets every objective, with failures injected into its worst epochs."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    held = {epoch: stocks(asked, each.runs, rule) for epoch, each in enumerate(schedule.epochs) if each.runs}
    struck = tuple(_outages(asked, schedule, held, serving, progress))
    study, worst = _counted(asked, schedule, held, tuple(outage for _, outage in struck))
    return Studied(
        study=study, lines=tuple(dict.fromkeys(_wrong(asked, schedule, study, worst))),
        failing=frozenset(epoch for epoch, outage in struck if outage.fails),
    )  # fmt: skip


def stated_again(asked: Opened, schedule: Schedule, study: Availability) -> Availability:
    """What machines and the failures that were injected come to; other shares of time and words are left as stated."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    held = {epoch: stocks(asked, each.runs, rule) for epoch, each in enumerate(schedule.epochs) if each.runs}
    now, _ = _counted(asked, schedule, held, study.outages)
    return replace(now, nines=study.nines, assumptions=study.assumptions)


def _counted(
    asked: Opened, schedule: Schedule, held: Mapping[int, Sequence[Stock]], outages: tuple[Outage, ...]
) -> tuple[Availability, int]:
    """The share of time by the machines of every epoch, and the epoch that has the least."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    recovery_s = max((each.recovery_s for each in outages if each.single), default=0.0)
    after = replace(rule, recovery_s=recovery_s)
    up = {epoch: up_frac(each, after) for epoch, each in held.items()}
    worst, busiest = min(up, key=lambda epoch: up[epoch]), _busiest(held)
    machines = sum(stock.machines for stock in held[busiest])
    run_on = {run.spec.machine for epoch in schedule.epochs for run in epoch.runs}
    each_of = {o.machine.name: o.reliability for o in asked.case.options if o.reliability is not None}
    study = Availability(
        target_frac=rule.target_frac, up_frac=up[worst],
        spare_machines=sum(stock.machines - stock.needed for stock in held[busiest]), racks=racks(machines, rule),
        domains=rule.domains, failures_per_h=failures_per_h(held[busiest], rule), recovery_s=recovery_s, nines=(),
        outages=outages,
        assumptions=assumptions(asked.case.scenario, {name: each_of[name] for name in sorted(run_on)}, rule),
    )  # fmt: skip
    return study, worst


def _wrong(asked: Opened, schedule: Schedule, study: Availability, worst: int) -> Iterator[str]:
    """Why a schedule meets its objectives too rarely."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    yield from (f"{each.words}: {line}" for each in study.outages for line in each.fails)
    if study.up_frac < rule.target_frac:
        spare = sum(run.spare_machines for run in schedule.epochs[worst].runs)
        yield (
            f"availability.target_frac is {rule.target_frac:g}; with {plural(spare, 'machine')} spare epoch {worst} "
            f"has {study.up_frac:.6g}"
        )
    for number, epoch in enumerate(schedule.epochs):
        for run in epoch.runs:
            if run.spare_machines < rule.spares.get(run.spec.role, 0):
                yield f"availability.spares: {run.spec.name} has {run.spare_machines} in epoch {number}"


def _busiest(held: Mapping[int, Sequence[Stock]]) -> int:
    """The epoch of most machines."""
    return max(held, key=lambda epoch: sum(stock.machines for stock in held[epoch]))


def _looked_at(held: Mapping[int, Sequence[Stock]], rule: Rule) -> list[int]:
    """The epochs whose failures tell most: most machines, the least share of time, the smallest share of spare ones."""

    def spare_frac(epoch: int) -> float:
        return 1 - sum(stock.needed for stock in held[epoch]) / sum(stock.machines for stock in held[epoch])

    worst = min(held, key=lambda epoch: up_frac(held[epoch], rule))
    return list(dict.fromkeys((_busiest(held), worst, min(held, key=spare_frac))))


def _outages(
    asked: Opened, schedule: Schedule, held: Mapping[int, Sequence[Stock]], serving: Serving, progress: Progress
) -> Iterator[tuple[int, Outage]]:  # fmt: skip
    """Every failure that the worst epochs must survive, injected into a run of each, with its epoch."""
    assert asked.rule is not None, "asked only where availability is"
    for epoch in _looked_at(held, asked.rule):
        names = [run.spec.name for run in schedule.epochs[epoch].runs]
        for strike in dict.fromkeys(strikes(names, held[epoch], asked.rule)):
            words = f"epoch {epoch}: {strike.words}"
            progress(words, 0.9)
            yield epoch, serving.struck(schedule, epoch, replace(strike, words=words))


def _nines(
    asked: Opened, schedule: Schedule, study: Availability, propose: Callable[[Opened], Timetable]
) -> Iterator[Nine]:
    """What shares of time cost over the same horizon, the smallest first; one that costs more than a larger is it."""
    assert asked.rule is not None, "asked only where availability is"
    target, found = asked.rule.target_frac, list[Nine]()
    for each in sorted({*NINES, *([target] if target else [])}, reverse=True):
        nine = _nine(asked, schedule, study) if each == target else _other_nine(asked, each, study, propose)
        above = found[-1] if found else None
        if above and above.machines and (not nine.machines or nine.cost_usd_per_h > above.cost_usd_per_h):
            nine = replace(above, target_frac=each, chosen=each == target)
        found.append(nine)
    yield from reversed(found)


def _other_nine(asked: Opened, target_frac: float, study: Availability, propose: Callable[[Opened], Timetable]) -> Nine:
    """What another share of time costs: planned for the same rates, no failure injected."""
    other = at_target(asked, target_frac, study.recovery_s)
    made, over = propose(other).schedule, tuple[str, ...]()
    if made is None:
        free = other.case.scenario.model_copy(update={"budgets": BudgetSection()})
        made = propose(replace(other, case=replace(other.case, scenario=free))).schedule
        over = ("beyond the budgets",)
    if made is None:
        return Nine(
            target_frac=target_frac, up_frac=0.0, machines=0, spare_machines=0, cost_usd_per_h=0.0, power_w=0.0,
            domains=rule_of(asked.case.scenario, target_frac).domains, chosen=False,
        )  # fmt: skip
    return replace(_nine(other, made, study), chosen=False, over=over)


def _nine(asked: Opened, schedule: Schedule, study: Availability) -> Nine:
    """What a schedule costs, as the price of its share of time."""
    assert asked.rule is not None, "asked only where availability is"
    rule = replace(asked.rule, recovery_s=study.recovery_s)
    held = {epoch: stocks(asked, each.runs, rule) for epoch, each in enumerate(schedule.epochs) if each.runs}
    most = max(schedule.epochs, key=lambda epoch: sum(epoch.machines.values()))
    return Nine(
        target_frac=rule.target_frac, up_frac=min(up_frac(each, rule) for each in held.values()),
        machines=sum(most.machines.values()), spare_machines=sum(run.spare_machines for run in most.runs),
        cost_usd_per_h=schedule.cost_usd / (len(schedule.epochs) * schedule.epoch_s / 3600), power_w=schedule.rated_w,
        domains=rule.domains, chosen=True, machine_types=dict(most.machines),
    )  # fmt: skip
