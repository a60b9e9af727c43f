"""The integer program over epochs, and its answer as a schedule."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from planner.formulate.epoch_question import EpochQuestion, base, held, instances, kept, of_type, placed, rate, used
from planner.formulate.epochs import EPOCH_FAMILIES
from planner.perf.layout import Layout, Role
from planner.results.schedule import Epoch, EpochOption, FleetType, Run, Schedule
from planner.scenario.objectives import Aim
from solvers.allocation import Termination
from solvers.problem import Column, Problem, Sense

J_PER_KWH = 3.6e6


def epoch_problem(question: EpochQuestion) -> Problem:
    """The question over time as an integer program, its columns and rows in a fixed order.

    Raises:
        ValueError: a class is asked that no option serves; all are named.
    """
    strangers = [
        name for name, rates in question.load.peak_req_per_s.items()
        if rates.max() > 0 and not served(question.options, name)
    ]  # fmt: skip
    if strangers:
        raise ValueError("\n".join(f"no option serves class {name!r}" for name in strangers))
    return Problem(
        name=f"least {', then '.join(question.aims)} over {question.load.epochs} epochs",
        sense=Sense.MIN,
        columns=tuple(_columns(question)),
        rows=tuple(row for family in EPOCH_FAMILIES for row in family(question)),
    )


def place(name: str) -> tuple[str, int | None]:
    """The kind of a column, alike in every epoch, and the epoch that it decides alone; None if it couples epochs.

    The kind of a rate is that of its instances, so that the two are kept or left out together.
    """
    word, _, inner = name.rstrip("]").partition("[")
    if word in ("base", "used", "stands"):
        return name, None
    kind, _, epoch = inner.rpartition(",")
    if word in ("rate", "instances", "placed", "held", "kept"):
        return f"instances[{kind.partition(',')[0]}]", int(epoch)
    return f"{word}[{kind}]", int(epoch) if word == "on" else None


def beside(name: str) -> int | None:
    """The epoch that a column which couples epochs speaks of; None where it speaks of all."""
    word, _, inner = name.rstrip("]").partition("[")
    return None if word in ("base", "used", "stands") else int(inner.rpartition(",")[2])


def later_aims(question: EpochQuestion) -> tuple[dict[str, float], ...]:
    """What each column counts in the aims after the first, in their order; columns that count nothing left out."""
    return tuple(
        {column.name: column.objective for column in _columns(replace(question, aims=(aim,))) if column.objective}
        for aim in question.aims[1:]
    )


def served(options: Sequence[EpochOption], name: str) -> bool:
    """Whether some options serve a class: one of both phases, or one of each."""
    roles = {option.spec.role for option in options if name in option.capacity_req_per_s}
    return Role.MIXED in roles or roles >= {Role.PREFILL, Role.DECODE}


def started(runs: Iterable[Run]) -> Counter[str]:
    """Class -> rate at which its requests start, each once, in whatever pools it is decoded."""
    rates = Counter[str]()
    for run in runs:
        rates.update(run.rate_req_per_s if run.spec.role is not Role.DECODE else {})
    return rates


def price_of(
    question: EpochQuestion, epoch: int, *, usd: float = 0.0, energy_j: float = 0.0, powered: FleetType | None = None
) -> float:
    """What dollars and joules of an epoch, and a machine that is powered in it, count in the first aim."""
    kwh = energy_j * question.tariff.pue_ratio / J_PER_KWH
    match question.aims[0]:
        case Aim.COST:
            return usd + kwh * question.tariff.usd_per_kwh
        case Aim.ENERGY:
            return kwh
        case Aim.CARBON:
            return kwh * question.tariff.carbon_g_per_kwh[epoch] / 1000
        case Aim.POWER:
            return powered.rated_w / question.load.epochs if powered else 0.0
        case Aim.MACHINES:
            return 1 / question.load.epochs if powered else 0.0


def start_cost(question: EpochQuestion, kind: FleetType, epoch: int) -> float:
    """What any start counts: its fee, and the machine idling until it serves."""
    changes = question.transitions
    return price_of(question, epoch, usd=changes.start_usd, energy_j=kind.idle_w * changes.start_s)


def rent_cost(question: EpochQuestion, kind: FleetType, epoch: int) -> float:
    """What a machine that is newly on top counts beside its start: its rent until it serves.

    One of the base fleet is paid for around the clock, switched off or not.
    """
    return price_of(question, epoch, usd=kind.top_usd_per_h * question.transitions.start_s / 3600)


def _columns(question: EpochQuestion) -> Iterator[Column]:
    load, hours = question.load, question.load.epoch_s / 3600
    for kind in question.fleet:
        paid = kind.base_usd_per_h * hours * load.epochs
        yield Column(name=base(kind.machine), upper=float(kind.most_base_machines), integer=True,
                     objective=price_of(question, 0, usd=paid))  # fmt: skip
    if question.budgets.machine_types is not None:
        for kind in question.fleet:
            yield Column(name=used(kind.machine), upper=1.0, integer=True)
    for column in question.standing:
        yield Column(name=column, upper=1.0, integer=True)
    for epoch in range(load.epochs):
        for option in question.running(epoch):
            for name in question.served(option, epoch):
                peak, mean = question.peak(name, epoch), float(load.mean_req_per_s[name][epoch])
                spent_j = option.request_j[name] * load.epoch_s * mean / peak
                yield Column(name=rate(option, name, epoch), objective=price_of(question, epoch, energy_j=spent_j))
            busy = price_of(question, epoch, energy_j=option.floor_w * load.epoch_s)
            yield Column(name=instances(option, epoch), upper=question.most_instances(option, epoch), integer=True,
                         objective=busy)  # fmt: skip
            if option.spares is not None:
                most = question.most_placed(option, epoch)
                spare = price_of(question, epoch, energy_j=option.spare_w * load.epoch_s)
                yield Column(name=placed(option, epoch), upper=most, integer=True)
                yield Column(name=held(option, epoch), upper=most, integer=True, objective=spare)
                yield Column(name=kept(option, epoch), upper=1.0, integer=True)
        yield from _of_machines(question, epoch)


def _of_machines(question: EpochQuestion, epoch: int) -> Iterator[Column]:
    """The columns that count machines of each type in an epoch."""
    epoch_s = question.load.epoch_s
    for kind in question.fleet:
        top, limit = price_of(question, epoch, usd=kind.top_usd_per_h * epoch_s / 3600), float(kind.available)
        idle = price_of(question, epoch, energy_j=kind.idle_w * epoch_s, powered=kind)
        start = start_cost(question, kind, epoch) if question.before(epoch) is not None else 0.0
        yield Column(name=of_type("on", kind.machine, epoch), upper=limit, integer=True, objective=idle)
        most = float(kind.most_top_machines)
        yield Column(name=of_type("top", kind.machine, epoch), upper=most, integer=True, objective=top)
        yield Column(name=of_type("start", kind.machine, epoch), upper=limit, integer=True, objective=start)
        yield Column(name=of_type("stop", kind.machine, epoch), upper=limit, integer=True)
        if question.rents(kind, epoch):
            rent = rent_cost(question, kind, epoch)
            yield Column(name=of_type("rented", kind.machine, epoch), upper=most, integer=True, objective=rent)
        if kind.interrupted:
            yield Column(name=of_type("spare", kind.machine, epoch), upper=limit)
            yield Column(name=of_type("topped", kind.machine, epoch), upper=1.0, integer=True)


def lift_schedule(
    question: EpochQuestion, values: Mapping[str, float], termination: Termination, *, method: str,
    later: Sequence[Termination] = (),
) -> Schedule:  # fmt: skip
    """The allocation as a schedule; starts, stops and machines on top are counted from what is powered.

    A base fleet is no larger than what is powered at once: without money among the aims its size would be free.
    """
    on = [
        {kind.machine: round(values[of_type("on", kind.machine, epoch)]) for kind in question.fleet}
        for epoch in range(question.load.epochs)
    ]
    most = {kind.machine: max(each[kind.machine] for each in on) for kind in question.fleet}
    bought = {name: min(round(values[base(name)]), powered) for name, powered in most.items()}
    runs = [tuple(_runs(question, values, epoch)) for epoch in range(question.load.epochs)]
    blank = Schedule(
        epoch_s=question.load.epoch_s, aims=question.aims, base_machines=bought, epochs=(), energy_j=0.0, carbon_g=0.0,
        cost_usd=0.0, churn_machines=0, termination=termination, method=method, later=tuple(later), rated_w=0.0,
    )  # fmt: skip
    return counted(question, question.options, blank, on, runs)


def counted(
    question: EpochQuestion, options: Sequence[EpochOption], schedule: Schedule,
    machines: Sequence[Mapping[str, int]], runs: Sequence[tuple[Run, ...]],
) -> Schedule:  # fmt: skip
    """A schedule with the changes, money, energy and CO2 of what is powered and runs in its epochs.

    Args:
        question: tariff, fleet and mean rates.
        options: among them every kind of instance that runs.
        schedule: its base machines are paid for in every epoch.
        machines: of each epoch, type -> powered.
        runs: of each epoch.
    """
    by_name = {option.name: option for option in options}
    epochs = tuple(_epoch(question, by_name, schedule.base_machines, machines, runs, e) for e in range(len(machines)))
    return replace(
        schedule, epochs=epochs,
        energy_j=sum(e.energy_j for e in epochs), carbon_g=sum(e.carbon_g for e in epochs),
        cost_usd=sum(e.cost_usd for e in epochs),
        churn_machines=sum(sum(e.started.values()) + sum(e.stopped.values()) for e in epochs),
        rated_w=sum(k.rated_w * e.machines.get(k.machine, 0) for k in question.fleet for e in epochs) / len(epochs),
    )  # fmt: skip


def _epoch(
    question: EpochQuestion, options: Mapping[str, EpochOption], bought: Mapping[str, int],
    machines: Sequence[Mapping[str, int]], runs: Sequence[tuple[Run, ...]], epoch: int,
) -> Epoch:  # fmt: skip
    load, changes, before = question.load, question.transitions, question.before(epoch)
    on, top, starts, ended = Counter[str](machines[epoch]), Counter[str](), Counter[str](), Counter[str]()
    usd = energy_j = 0.0
    for kind in question.fleet:
        name, paid = kind.machine, bought.get(kind.machine, 0)
        earlier = machines[before].get(name, 0) if before is not None else on[name]
        top[name] = max(0, on[name] - paid)
        starts[name], ended[name] = max(0, on[name] - earlier), max(0, earlier - on[name])
        rented = max(0, top[name] - max(0, earlier - paid))
        hours, start_h = load.epoch_s / 3600, changes.start_s / 3600
        usd += kind.base_usd_per_h * paid * hours + kind.top_usd_per_h * (top[name] * hours + rented * start_h)
        usd += starts[name] * changes.start_usd
        energy_j += kind.idle_w * (on[name] * load.epoch_s + starts[name] * changes.start_s)
    rates = started(runs[epoch])
    for run in runs[epoch]:
        energy_j += options[run.name].floor_w * run.instances * load.epoch_s
        for served, peak in run.rate_req_per_s.items():
            mean_ratio = float(load.mean_req_per_s[served][epoch]) / rates[served]
            energy_j += options[run.name].request_j[served] * peak * mean_ratio * load.epoch_s
    metered_j = energy_j * question.tariff.pue_ratio
    return Epoch(
        start_s=epoch * load.epoch_s, machines=dict(on), top_machines=dict(top), started=dict(starts),
        stopped=dict(ended), runs=runs[epoch], energy_j=metered_j,
        carbon_g=metered_j / J_PER_KWH * question.tariff.carbon_g_per_kwh[epoch],
        cost_usd=usd + metered_j / J_PER_KWH * question.tariff.usd_per_kwh,
    )  # fmt: skip


def _runs(question: EpochQuestion, values: Mapping[str, float], epoch: int) -> Iterator[Run]:
    """A pool per class of the whole instances that it fills; what classes leave over shares the rest.

    Where machines may be down all classes share all instances of a pool, so that any of them may.
    """
    for option in question.running(epoch):
        left = round(values[instances(option, epoch)])
        shares = {name: values[rate(option, name, epoch)] for name in question.served(option, epoch)}
        rest = {name: served for name, served in shares.items() if served > 1e-9}
        if option.spares is not None:
            if left and rest:
                spare = round(values[held(option, epoch)])
                more = option.instances_on(spare)
                yield Run(spec=option.spec, instances=left + more, rate_req_per_s=rest, spare_machines=spare,
                          spare_instances=more, model=option.model)  # fmt: skip
            continue
        for name, served in tuple(rest.items()):
            whole = min(left, math.floor(served / option.capacity_req_per_s[name] + 1e-6))
            if whole and len(rest) > 1:
                carried = min(served, whole * option.capacity_req_per_s[name])
                left, rest[name] = left - whole, served - carried
                yield Run(spec=option.spec, instances=whole, rate_req_per_s={name: carried}, model=option.model)
        rest = {name: served for name, served in rest.items() if served > 1e-9}
        if left and rest:
            yield Run(spec=option.spec, instances=left, rate_req_per_s=rest, model=option.model)


def thinned(
    options: tuple[EpochOption, ...], classes: tuple[str, ...], apart: Iterable[tuple[Layout, Layout]] = ()
) -> tuple[EpochOption, ...]:
    """Options without those that another one on the same machine type, in the same role, beats in every class.

    Beaten: as large or larger, no more rate per GPU, and no less energy, busy or per request, by one that exchanges KV
    with no fewer layouts.

    Args:
        options: what may run.
        classes: that are asked for.
        apart: pairs of layouts between which no KV travels.
    """
    parted = {side for pair in apart for side in zip((Role.PREFILL, Role.DECODE), pair, strict=True)}

    def _free(option: EpochOption) -> bool:
        return (option.spec.role, option.spec.layout) not in parted

    def beats(rival: EpochOption, option: EpochOption, name: str) -> bool:
        mine, theirs = _traits(option, name), _traits(rival, name)
        worse = all(a >= b - 1e-12 for a, b in zip(mine, theirs, strict=True))
        return worse and (mine != theirs or rival.name < option.name)

    def beaten(option: EpochOption, name: str) -> bool:
        alike = [o for o in options if (o.spec.machine, o.spec.role) == (option.spec.machine, option.spec.role)]
        rivals = [o for o in alike if name in o.capacity_req_per_s and _free(o) >= _free(option)]
        if option.spares is not None:  # a pool more has spare machines more: only what one beats in all goes
            every = [n for n in classes if n in option.capacity_req_per_s]
            return any(all(n in r.capacity_req_per_s and beats(r, option, n) for n in every) for r in rivals)
        return any(beats(rival, option, name) for rival in rivals)

    left = []
    for option in options:
        serves = [n for n in classes if n in option.capacity_req_per_s and not beaten(option, n)]
        if serves:
            capacity = {n: option.capacity_req_per_s[n] for n in serves}
            request_j = {n: option.request_j[n] for n in serves}
            left.append(replace(option, capacity_req_per_s=capacity, request_j=request_j))
    return tuple(left)


def _traits(option: EpochOption, name: str) -> tuple[float, ...]:
    """GPUs of an instance, GPUs per req/s, floor per GPU, joules per request: the less of each, the better."""
    carried = option.capacity_req_per_s[name]
    return float(option.gpus), option.gpus / carried, option.floor_w / option.gpus, option.request_j[name]
