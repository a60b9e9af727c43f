"""The rows of the integer program over epochs, one function per family; the function's name is the family's name.

Columns, for option o, class c, machine type m, epoch t: rate[o,c,t] >= 0, req/s at the epoch's peak; instances[o,t],
on[m,t], top[m,t], start[m,t], stop[m,t], rented[m,t], base[m], used[m] and stands[role,layout] (0 or 1), whole
numbers. t-1 of the first epoch is the last where the horizon is cyclic, else what runs first is there already. See
docs/maths.md.
"""

from collections.abc import Callable, Mapping, Sequence

from planner.formulate.epoch_question import EpochQuestion, base, held, instances, of_type, placed, rate, used
from planner.formulate.epoch_spares import epoch_redundancy, epoch_whole_machines
from planner.formulate.epoch_top import base_fleet, rented, spares, topped
from planner.formulate.question import stands
from planner.perf.layout import Role
from planner.results.schedule import FleetType
from solvers.problem import INF, Row


def epoch_demand(question: EpochQuestion) -> tuple[Row, ...]:
    """Every class is served at the peak of every epoch.

    For each class c and epoch t with load: sum over o in prefill or mixed of rate[o,c,t] = peak(c,t).
    """
    rows = []
    for epoch in range(question.load.epochs):
        for name in question.load.peak_req_per_s:
            if asked := question.peak(name, epoch):
                terms = _routed(question, name, epoch, Role.PREFILL, Role.MIXED)
                rows.append(_row("epoch_demand", f"{name},{epoch}", terms, lower=asked, upper=asked))
    return tuple(rows)


def epoch_balance(question: EpochQuestion) -> tuple[Row, ...]:
    """What is prefilled on its own is decoded on its own; written where phases are split.

    For each class c and epoch t with load: sum over o in decode of rate[o,c,t] = sum over o in prefill of rate[o,c,t].
    """
    rows = []
    for epoch in range(question.load.epochs):
        for name in (name for name in question.load.peak_req_per_s if question.peak(name, epoch)):
            prompts = tuple((column, -1.0) for column, _ in _routed(question, name, epoch, Role.PREFILL))
            if terms := (*_routed(question, name, epoch, Role.DECODE), *prompts):
                rows.append(_row("epoch_balance", f"{name},{epoch}", terms, lower=0.0))
    return tuple(rows)


def epoch_load(question: EpochQuestion) -> tuple[Row, ...]:
    """Instances carry what is routed to them; classes share what is left of an instance.

    For each o, t: sum over c of rate[o,c,t]/capacity(o,c) <= instances[o,t].
    """
    rows = []
    for epoch in range(question.load.epochs):
        for option in question.running(epoch):
            taken = [
                (rate(option, name, epoch), 1 / option.capacity_req_per_s[name])
                for name in question.served(option, epoch)
            ]
            terms = (*taken, (instances(option, epoch), -1.0))
            rows.append(_row("epoch_load", f"{option.name},{epoch}", terms))
    return tuple(rows)


def epoch_gpus(question: EpochQuestion) -> tuple[Row, ...]:
    """Instances stand on GPUs of powered machines, those not counted that may be interrupted.

    For each m, t: sum over o on m of gpus(o)·instances[o,t] <= gpus(m)·(on[m,t] - spare[m,t]). Where availability is
    asked for no machine is shared by options: gpus(m)·placed[o,t] in place of gpus(o)·instances[o,t].
    """
    rows = []
    for epoch in range(question.load.epochs):
        for kind in question.fleet:
            there = [o for o in question.running(epoch) if o.spec.machine == kind.machine]
            terms = tuple(
                (instances(o, epoch), float(o.gpus)) if o.spares is None else (placed(o, epoch), float(kind.gpus))
                for o in there
            )
            powered = [(of_type("on", kind.machine, epoch), -float(kind.gpus))]
            if kind.interrupted:
                powered.append((of_type("spare", kind.machine, epoch), float(kind.gpus)))
            rows.append(_row("epoch_gpus", f"{kind.machine},{epoch}", (*terms, *powered)))
    return tuple(rows)


def epoch_kv_travels(question: EpochQuestion) -> tuple[Row, ...]:
    """No two layouts ever stand together between which the engine moves no KV cache.

    For each such pair of a prefill layout p and a decode layout d: stands[prefill,p] + stands[decode,d] <= 1.
    """
    return tuple(
        _row("epoch_kv_travels", f"{one.name},{other.name}",
             ((stands(Role.PREFILL, one), 1.0), (stands(Role.DECODE, other), 1.0)), upper=1.0)
        for one, other in question.parted
    )  # fmt: skip


def epoch_layout_stands(question: EpochQuestion) -> tuple[Row, ...]:
    """A layout that is ever run counts as standing; written only for layouts of such pairs.

    For each option o, t: instances[o,t] <= most(o,t)·stands[role and layout of o], most(o,t) those that carry the peak.
    """
    counted = set(question.standing)
    return tuple(
        _row(
            "epoch_layout_stands", f"{option.name},{epoch}",
            ((instances(option, epoch), 1.0), (column, -question.most_instances(option, epoch))),
        )
        for epoch in range(question.load.epochs)
        for option in question.running(epoch)
        if (column := stands(option.spec.role, option.spec.layout)) in counted
    )  # fmt: skip


def started(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines that were not powered before are started.

    For each m, t: on[m,t] - on[m,t-1] <= start[m,t].
    """
    return _changes(question, "started", "start", 1.0)


def stopped(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines that are no longer powered are stopped.

    For each m, t: on[m,t-1] - on[m,t] <= stop[m,t].
    """
    return _changes(question, "stopped", "stop", -1.0)


def min_up(question: EpochQuestion) -> tuple[Row, ...]:
    """A started machine stays powered for its minimum up time; written where that is more than one epoch.

    For each m, t: sum of start[m,s] over the last min_up_epochs epochs s <= on[m,t].
    """
    epochs, span = question.load.epochs, question.transitions.min_up_epochs
    if span < 2:
        return ()
    rows = []
    for kind in question.fleet:
        for epoch in range(epochs):
            back = [epoch - step for step in range(min(span, epochs))]
            recent = [e % epochs for e in back if question.transitions.cyclic or e >= 0]
            starts = tuple((of_type("start", kind.machine, e), 1.0) for e in recent)
            powered = (of_type("on", kind.machine, epoch), -1.0)
            rows.append(_row("min_up", f"{kind.machine},{epoch}", (*starts, powered)))
    return tuple(rows)


def ramp(question: EpochQuestion) -> tuple[Row, ...]:
    """No more machines of a type start, and no more stop, between two epochs than the ramp allows.

    For each m, t with a limit: start[m,t] <= ramp and stop[m,t] <= ramp.
    """
    limit = question.transitions.ramp_machines
    if limit is None:
        return ()
    return tuple(
        _row("ramp", f"{word},{kind.machine},{epoch}", ((of_type(word, kind.machine, epoch), 1.0),), upper=float(limit))
        for word in ("start", "stop")
        for kind in question.fleet
        for epoch in range(question.load.epochs)
        if question.before(epoch) is not None
    )


def churn(question: EpochQuestion) -> tuple[Row, ...]:
    """All starts and stops together stay within the churn bound.

    Once, with a limit: sum over m, t of start[m,t] + stop[m,t] <= churn.
    """
    limit = question.transitions.churn_machines
    if limit is None:
        return ()
    terms = tuple(
        (of_type(word, kind.machine, epoch), 1.0)
        for word in ("start", "stop")
        for kind in question.fleet
        for epoch in range(question.load.epochs)
    )
    return (Row(name="churn", family="churn", terms=terms, upper=float(limit)),)


def epoch_cost(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines cost no more per hour than their budget, energy not counted; written where there is one.

    For each t: sum over m of base_price(m)·base[m] + top_price(m)·top[m,t] <= cost_usd_per_h.
    """
    return _limited(question, "epoch_cost", question.budgets.cost_usd_per_h, lambda epoch: [
        term for kind in question.fleet
        for term in zip(_held(kind, epoch), (kind.base_usd_per_h, kind.top_usd_per_h), strict=True)
    ])  # fmt: skip


def epoch_power(question: EpochQuestion) -> tuple[Row, ...]:
    """Powered machines are rated at no more than the power budget; written where there is one.

    For each t: sum over m of rated(m)·on[m,t] <= power_w.
    """
    return _limited(question, "epoch_power", question.budgets.power_w, lambda epoch: [
        (of_type("on", kind.machine, epoch), kind.rated_w) for kind in question.fleet
    ])  # fmt: skip


def epoch_watts(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines draw no more at the wall, at the rate provided for, than is budgeted; written where there is one.

    For each t: sum over m of idle(m)·on[m,t] + sum over o of floor(o)·instances[o,t] + sum over o, c of
    joules(o,c)·rate[o,c,t] <= expected_power_w; instances on spare machines have their floor too.
    """

    def terms(epoch: int) -> list[tuple[str, float]]:
        found = [(of_type("on", kind.machine, epoch), kind.idle_w) for kind in question.fleet]
        for option in question.running(epoch):
            found.append((instances(option, epoch), option.floor_w))
            if option.spares is not None:
                found.append((held(option, epoch), option.spare_w))
            found += [(rate(option, n, epoch), option.request_j[n]) for n in question.served(option, epoch)]
        return found

    return _limited(question, "epoch_watts", question.budgets.expected_power_w, terms)


def epoch_space(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines, powered or not, take no more space than is budgeted; written where there is a budget.

    For each t: sum over m of units(m)·(base[m] + top[m,t]) <= rack_units.
    """
    return _limited(question, "epoch_space", question.budgets.rack_units, lambda epoch: [
        (column, kind.rack_units) for kind in question.fleet for column in _held(kind, epoch)
    ])  # fmt: skip


def epoch_machines(question: EpochQuestion) -> tuple[Row, ...]:
    """No more machines are paid for than are budgeted; written where there is a budget.

    For each t: sum over m of base[m] + top[m,t] <= machines.
    """
    return _limited(question, "epoch_machines", question.budgets.machines, lambda epoch: [
        (column, 1.0) for kind in question.fleet for column in _held(kind, epoch)
    ])  # fmt: skip


def epoch_types(question: EpochQuestion) -> tuple[Row, ...]:
    """No more machine types are ever powered than are budgeted; written where there is a budget.

    Once: sum over m of used[m] <= machine_types.
    """
    limit = question.budgets.machine_types
    if limit is None:
        return ()
    terms = tuple((used(kind.machine), 1.0) for kind in question.fleet)
    return (Row(name="epoch_types", family="epoch_types", terms=terms, upper=float(limit)),)


def type_powered(question: EpochQuestion) -> tuple[Row, ...]:
    """A machine type that is powered counts as used; written where machine types are budgeted.

    For each m, t: on[m,t] <= available(m)·used[m].
    """
    if question.budgets.machine_types is None:
        return ()
    return tuple(
        _row(
            "type_powered", f"{kind.machine},{epoch}",
            ((of_type("on", kind.machine, epoch), 1.0), (used(kind.machine), -float(kind.available))),
        )
        for kind in question.fleet
        for epoch in range(question.load.epochs)
    )  # fmt: skip


EPOCH_BUDGET_FAMILIES: Mapping[str, str] = {
    "epoch_cost": "cost_usd_per_h", "epoch_power": "power_w", "epoch_watts": "expected_power_w",
    "epoch_space": "rack_units", "epoch_machines": "machines", "epoch_types": "machine_types",
}  # fmt: skip
"""Families that a user can raise -> key of the budget."""

EPOCH_FAMILIES: tuple[Callable[[EpochQuestion], tuple[Row, ...]], ...] = (
    epoch_demand, epoch_balance, epoch_load, epoch_gpus, epoch_whole_machines, epoch_redundancy, epoch_kv_travels,
    epoch_layout_stands, base_fleet, spares, topped, started, stopped, rented, min_up, ramp, churn,
    epoch_cost, epoch_power, epoch_watts, epoch_space, epoch_machines, epoch_types, type_powered,
)  # fmt: skip
"""Every family, in the order of its rows; the first six speak of one epoch each, the others couple them."""


def _routed(question: EpochQuestion, name: str, epoch: int, *roles: Role) -> tuple[tuple[str, float], ...]:
    """A term of 1 for every option in ``roles`` that serves a class in an epoch."""
    return tuple(
        (rate(option, name, epoch), 1.0)
        for option in question.running(epoch)
        if option.spec.role in roles and name in option.capacity_req_per_s
    )


def _held(kind: FleetType, epoch: int) -> tuple[str, str]:
    """The columns that count what is there of a machine type, powered or not."""
    return base(kind.machine), of_type("top", kind.machine, epoch)


def _limited(
    question: EpochQuestion, family: str, limit: float | None, terms: Callable[[int], Sequence[tuple[str, float]]]
) -> tuple[Row, ...]:
    """A row for every epoch that keeps its terms within a budget; none without one, or where nothing counts."""
    if limit is None or limit == INF:
        return ()
    counted = [tuple(term for term in terms(epoch) if term[1]) for epoch in range(question.load.epochs)]
    return tuple(_row(family, str(epoch), each, upper=float(limit)) for epoch, each in enumerate(counted) if each)


def _changes(question: EpochQuestion, family: str, word: str, sign: float) -> tuple[Row, ...]:
    """Sign·(on[m,t] - on[m,t-1]) <= word[m,t]."""
    rows = []
    for kind in question.fleet:
        for epoch in range(question.load.epochs):
            terms = {of_type("on", kind.machine, epoch): sign}
            before = question.before(epoch)
            if before is not None:
                earlier = of_type("on", kind.machine, before)
                terms[earlier] = terms.get(earlier, 0.0) - sign
            changed = (of_type(word, kind.machine, epoch), -1.0)
            rows.append(_row(family, f"{kind.machine},{epoch}", (*terms.items(), changed)))
    return tuple(rows)


def _row(
    family: str, index: str, terms: tuple[tuple[str, float], ...], *, lower: float = -float("inf"), upper: float = 0.0
) -> Row:
    return Row(name=f"{family}[{index}]", family=family, terms=terms, lower=lower, upper=upper)
