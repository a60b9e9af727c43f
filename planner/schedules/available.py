"""Availability of a plan over time: the spare machines of every epoch, failures injected, the price of each nine."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.capacity.redundancy import Rule, Stock, failures_per_h, racks, up_frac
from planner.capacity.strikes import strikes
from planner.resolve.availability import NINES, assumptions, rule_of
from planner.results.availability import Availability, Nine, Outage
from planner.results.schedule import Run, Schedule, scoped
from planner.results.timetable import Timetable
from planner.scenario.sections import BudgetSection
from planner.schedules.groups import Progress
from planner.schedules.joint import aimed_at
from planner.schedules.provision import NUDGE_RATIO, Provided
from planner.schedules.question import Opened, parts_of, stood_on
from planner.schedules.serving import Serving
from planner.schedules.together import AnyServing
from workloads.counts import plural

MOST_TURNS = 6
"""Schedules that failures are injected into; each has more machines than the one before."""

Proposed = Callable[[Opened, Provided], Timetable]
"""The schedule of a question, for rates that are provided for; none in it where there is none."""


Priced = Callable[[Opened], Timetable]
"""The same for the rates that the answer provides for."""


Key = tuple[str, int]
"""A model, which has no name where it is the only one, and an epoch."""

Held = Mapping[Key, Sequence[Stock]]
"""The machines of the pools of each model in each epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """A schedule with failures injected.

    Attributes:
        study: how often it meets every objective.
        lines: why that is too rarely; empty where it is not.
        failing: models and epochs that miss an objective for good after a failure.
    """

    study: Availability
    lines: tuple[str, ...]
    failing: frozenset[Key]


def stocks(asked: Opened, runs: Sequence[Run], rule: Rule) -> list[Stock]:
    """The machines of each pool of an epoch, those that may be down counted."""
    reliability = {name: option.reliability for name, option in stood_on(asked).items()}
    options, found = {option.name: option for option in asked.options}, list[Stock]()
    for run in runs:
        option, each = options[run.name], reliability[run.name]
        assert each is not None, "asked only where availability is"
        needed = option.machines_for(run.instances - run.spare_instances)
        found.append(
            Stock(
                machines=needed + run.spare_machines, needed=needed, span=option.machines_per_instance,
                each=replace(each, rule=rule),
            )
        )  # fmt: skip
    return found


def _held(asked: Opened, schedule: Schedule, rule: Rule) -> Held:
    """The machines of all pools that ever run."""
    mine = {
        (name, at): [run for run in each.runs if run.model == name]
        for at, each in enumerate(schedule.epochs) for name in parts_of(asked)
    }  # fmt: skip
    return {key: stocks(asked, runs, rule) for key, runs in mine.items() if runs}


def with_failures(
    asked: Opened, found: Timetable, serving: AnyServing, propose: Proposed, progress: Progress
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
        for model, epoch in seen.failing:
            for name in (name for name in provided if name.startswith(scoped(model, ""))):
                provided[name][epoch] *= NUDGE_RATIO
        asked = replace(asked, rule=replace(asked.rule, recovery_s=max(asked.rule.recovery_s, seen.study.recovery_s)))
        more = propose(asked, provided)
        found = replace(found, availability=seen.study, over=seen.lines)
        if more.schedule is None:
            return found
        served, unserved = serving.all(more.schedule, progress)
        more = replace(more, served=served, unserved=unserved)
        found = more if more.valid else found
    return found


def all_up(found: Timetable, serving: AnyServing, progress: Progress) -> Timetable:
    """A schedule that was served with its spare machines down, served with them too: watts, and what is missed then."""
    assert found.schedule is not None, "only a schedule is served"
    ups, _ = serving.all(found.schedule, progress, spares=True)
    by_epoch = {(each.model, epoch): each for each in ups for epoch in each.epochs}
    served = []
    for each in found.served:
        up = by_epoch.get((each.model, each.epochs[0]), each)
        drawn = replace(each, planned_w=up.planned_w, simulated_w=up.simulated_w)
        served.append(drawn if up.served_well else replace(up, epochs=each.epochs))
    return replace(found, served=tuple(served))


def studied(asked: Opened, schedule: Schedule, serving: AnyServing, progress: Progress) -> Studied:
    """How often a schedule as it stands meets every objective, with failures injected into its worst epochs."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    held = _held(asked, schedule, rule)
    struck = tuple(_outages(asked, schedule, held, serving, progress))
    study, worst = _counted(asked, schedule, held, tuple(outage for _, outage in struck))
    return Studied(
        study=study, lines=tuple(dict.fromkeys(_wrong(asked, schedule, study, worst))),
        failing=frozenset(key for key, outage in struck if outage.fails),
    )  # fmt: skip


def stated_again(asked: Opened, schedule: Schedule, study: Availability) -> Availability:
    """What machines and the failures that were injected come to; other shares of time and words are left as stated."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    held = _held(asked, schedule, rule)
    now, _ = _counted(asked, schedule, held, study.outages)
    models = now.models if study.models else {}  # files of versions that told the least alone
    return replace(now, nines=study.nines, assumptions=study.assumptions, models=models)


def _counted(asked: Opened, schedule: Schedule, held: Held, outages: tuple[Outage, ...]) -> tuple[Availability, Key]:
    """The share of time by the machines of every epoch and model, and where it is least."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    recovery_s = max((each.recovery_s for each in outages if each.single), default=0.0)
    after = replace(rule, recovery_s=recovery_s)
    up = {key: up_frac(each, after) for key, each in held.items()}
    worst, (_, most) = min(up, key=lambda key: up[key]), _busiest(_of_all(held))
    busiest = _of_all(held)["", most]
    machines = sum(stock.machines for stock in busiest)
    run_on = {run.spec.machine for epoch in schedule.epochs for run in epoch.runs}
    each_of = {o.machine.name: o.reliability for o in stood_on(asked).values() if o.reliability is not None}
    study = Availability(
        target_frac=rule.target_frac, up_frac=up[worst],
        spare_machines=sum(stock.machines - stock.needed for stock in busiest), racks=racks(machines, rule),
        domains=rule.domains, failures_per_h=failures_per_h(busiest, rule), recovery_s=recovery_s, nines=(),
        outages=outages,
        assumptions=assumptions(asked.case.scenario, {name: each_of[name] for name in sorted(run_on)}, rule),
        models={n: min(share for (model, _), share in up.items() if model == n) for n in asked.parts},
    )  # fmt: skip
    return study, worst


def _wrong(asked: Opened, schedule: Schedule, study: Availability, worst: Key) -> Iterator[str]:
    """Why a schedule meets its objectives too rarely."""
    rule = asked.rule
    assert rule is not None, "asked only where availability is"
    yield from (f"{each.words}: {line}" for each in study.outages for line in each.fails)
    if study.up_frac < rule.target_frac:
        spare = sum(run.spare_machines for run in schedule.epochs[worst[1]].runs if run.model == worst[0])
        yield (
            f"availability.target_frac is {rule.target_frac:g}; with {plural(spare, 'machine')} spare {_words(worst)} "
            f"has {study.up_frac:.6g}"
        )
    for number, epoch in enumerate(schedule.epochs):
        for run in epoch.runs:
            if run.spare_machines < rule.spares.get(run.spec.role, 0):
                yield f"availability.spares: {run.name} has {run.spare_machines} in epoch {number}"


def _words(key: Key) -> str:
    """For example ``epoch 3`` or ``chat: epoch 3``."""
    return f"{f'{key[0]}: ' * bool(key[0])}epoch {key[1]}"


def _of_all(held: Held) -> Held:
    """The machines of all models together in each epoch."""
    found = defaultdict[Key, list[Stock]](list)
    for (_, epoch), each in held.items():
        found["", epoch] += each
    return found


def _busiest(held: Held) -> Key:
    """Where most machines are."""
    return max(held, key=lambda key: sum(stock.machines for stock in held[key]))


def _looked_at(held: Held, rule: Rule) -> list[Key]:
    """The epochs whose failures tell most: most machines, the least share of time, the smallest share of spare ones."""

    def spare_frac(key: Key) -> float:
        return 1 - sum(stock.needed for stock in held[key]) / sum(stock.machines for stock in held[key])

    worst = min(held, key=lambda key: up_frac(held[key], rule))
    return list(dict.fromkeys((_busiest(held), worst, min(held, key=spare_frac))))


def _outages(
    asked: Opened, schedule: Schedule, held: Held, serving: AnyServing, progress: Progress
) -> Iterator[tuple[Key, Outage]]:  # fmt: skip
    """Every failure that the worst epochs of each model must survive, injected into a run of each, with where."""
    assert asked.rule is not None, "asked only where availability is"
    for model in parts_of(asked):
        for key in _looked_at({key: each for key, each in held.items() if key[0] == model}, asked.rule):
            names = [run.spec.name for run in schedule.epochs[key[1]].runs if run.model == model]
            for strike in dict.fromkeys(strikes(names, held[key], asked.rule)):
                told = replace(strike, words=f"{_words(key)}: {strike.words}")
                progress(told.words, 0.9)
                yield key, (serving.struck(schedule, key[1], told) if isinstance(serving, Serving) else
                            serving.struck(schedule, model, key[1], told))  # fmt: skip


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
    other = aimed_at(asked, target_frac, study.recovery_s)
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
    held = _held(asked, schedule, rule)
    most = max(schedule.epochs, key=lambda epoch: sum(epoch.machines.values()))
    return Nine(
        target_frac=rule.target_frac, up_frac=min(up_frac(each, rule) for each in held.values()),
        machines=sum(most.machines.values()), spare_machines=sum(run.spare_machines for run in most.runs),
        cost_usd_per_h=schedule.cost_usd / (len(schedule.epochs) * schedule.epoch_s / 3600), power_w=schedule.rated_w,
        domains=rule.domains, chosen=True, machine_types=dict(most.machines),
    )  # fmt: skip
