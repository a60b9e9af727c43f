"""The rows of the integer program, one function per family; the function's name is the family's name.

Columns: rate[o,c] >= 0, req/s of class c routed to option o; borrowed[o,c] >= 0, req/s of class c whose other phase o
computes, in bounds where phases borrow machines; instances[o] and machines[o], whole numbers; used[m], 0 or
1; scale >= 0 (throughput only). Sums over c run over the classes that o serves. See docs/maths.md.
"""

from collections.abc import Callable

from planner.capacity.envelope import Envelope, Option
from planner.formulate.budgets import BUDGETS
from planner.formulate.question import (
    SCALE,
    Question,
    borrowed,
    busy_s,
    instances,
    kept,
    kv_share_s,
    link_share_s,
    rate,
    spare_line,
    spares,
    standing,
    stands,
    used,
)
from planner.formulate.question import machines as bought
from planner.perf.layout import Role
from planner.scenario.objectives import Objective
from solvers.problem import INF, Row


def demand(question: Question) -> tuple[Row, ...]:
    """Every request of a class starts somewhere.

    For each class c: sum over o in prefill or mixed of rate[o,c] + sum over o in decode of borrowed[o,c] = rate(c), for
    throughput rate(c)·scale.
    """
    rows = []
    for name, asked in question.rates.items():
        starts = (*_routed(question, name, Role.PREFILL, Role.MIXED), *_borrowed(question, name, Role.DECODE))
        scaled = question.objective is Objective.THROUGHPUT
        terms = (*starts, (SCALE, -asked)) if scaled else starts
        limit = 0.0 if scaled else asked
        rows.append(Row(name=f"demand[{name}]", family="demand", terms=terms, lower=limit, upper=limit))
    return tuple(rows)


def phase_balance(question: Question) -> tuple[Row, ...]:
    """What is prefilled on its own is decoded on its own.

    For each class c: sum over o in decode of rate[o,c] + sum over o in prefill of borrowed[o,c] = sum over o in prefill
    of rate[o,c] + sum over o in decode of borrowed[o,c].
    """
    rows = []
    for name in question.rates:
        decoded = (*_routed(question, name, Role.DECODE), *_borrowed(question, name, Role.PREFILL))
        prefilled = (*_routed(question, name, Role.PREFILL), *_borrowed(question, name, Role.DECODE))
        if terms := (*decoded, *((column, -1.0) for column, _ in prefilled)):
            row = Row(name=f"phase_balance[{name}]", family="phase_balance", terms=terms, lower=0.0, upper=0.0)
            rows.append(row)
    return tuple(rows)


def load(question: Question) -> tuple[Row, ...]:
    """Instances are busy no larger a share of the time than their role's headroom allows.

    For each option o: sum over c of rate[o,c]·(prefill_s(o,c) + decode_s(o,c)) <= headroom(role of o)·instances[o], and
    likewise borrowed[o,c] with what the other phase takes.
    """
    return _carried(
        question,
        "load",
        lambda _, envelope: busy_s(envelope),
        lambda option: ((instances(option), -question.headroom.of(option.spec.role)),),
    )


def kv_held(question: Question) -> tuple[Row, ...]:
    """The KV tokens held on average fit the planned share of the instances' KV memory.

    For each option o: sum over c of rate[o,c]·kv_tokens_s(o,c)/kv_tokens(o) <= kv_frac·instances[o], and likewise
    borrowed[o,c].
    """
    return _carried(question, "kv_held", kv_share_s, lambda option: ((instances(option), -question.headroom.kv_frac),))


def link(question: Question) -> tuple[Row, ...]:
    """KV caches leave prefill machines and enter decode machines within the planned share of their links.

    For each option o that moves KV: sum over c of rate[o,c]·link_bytes(o,c)/bandwidth(o) <= link_frac·ports[o],
    ports[o] = (machines[o] - spares[o])/machines_per_instance(o).
    """
    each = question.headroom.link_frac
    return _carried(
        question, "link", link_share_s,
        lambda option: tuple((name, sign * (each / option.machines_per_instance)) for name, sign in _down(option)),
    )  # fmt: skip


def whole_machines(question: Question) -> tuple[Row, ...]:
    """Instances stand on machines that are bought whole.

    For each option o: machines_per_instance(o)·instances[o] <= instances_per_machine(o)·(machines[o] - spares[o]).
    """
    return tuple(
        Row(
            name=f"whole_machines[{option.spec.name}]",
            family="whole_machines",
            terms=(
                (instances(option), float(option.machines_per_instance)),
                *((column, each * option.instances_per_machine) for column, each in _down(option)),
            ),
            upper=0.0,
        )
        for option in question.options
    )


def _down(option: Option) -> tuple[tuple[str, float], ...]:
    """Machines that may be down less all machines: those that serve at any time, with the sign turned."""
    own = ((bought(option), -1.0),)
    return own if option.reliability is None else (*own, (spares(option), 1.0))


def redundancy(question: Question) -> tuple[Row, ...]:
    """A pool has the spare machines that it needs at least, whatever the other pools have.

    For each option o, where availability is asked for: spares[o] >= fixed(o)·kept[o] and spares[o] >=
    ratio(o)·machines[o]; machines[o] <= most(o)·kept[o]
    """
    rows: list[Row] = []
    for option in (o for o in question.options if o.reliability is not None):
        name, (fixed, ratio) = option.spec.name, spare_line(option, question.more_spares)
        least = {f"redundancy[{name}]": (kept(option), fixed), f"redundancy[{name},domains]": (bought(option), ratio)}
        for row, (column, each) in least.items():
            if each:
                terms = ((spares(option), 1.0), (column, -each))
                rows.append(Row(name=row, family="redundancy", terms=terms, lower=0.0))
        any_terms = ((bought(option), 1.0), (kept(option), -question.most[name]))
        rows.append(Row(name=f"redundancy[{name},kept]", family="redundancy", terms=any_terms, upper=0.0))
    return tuple(rows)


def availability(question: Question) -> tuple[Row, ...]:
    """No more machines of a type than can be had.

    For each limited machine type m: sum over o on m of machines[o] <= available(m).
    """
    rows = []
    for machine_type in question.machine_types:
        if machine_type in question.available:
            terms = tuple((bought(o), 1.0) for o in question.options if o.machine.name == machine_type)
            limit = float(question.available[machine_type])
            rows.append(Row(name=f"availability[{machine_type}]", family="availability", terms=terms, upper=limit))
    return tuple(rows)


def cost(question: Question) -> tuple[Row, ...]:
    """The whole plan costs no more than its budget.

    Once: sum over o of price_usd_per_h(o)·machines[o] <= cost_usd_per_h.
    """
    return _budget(question, "cost")


def power(question: Question) -> tuple[Row, ...]:
    """The rated power of the whole plan is no more than its budget; enforced caps count.

    Once: sum over o of rated_w(o)·machines[o] <= power_w.
    """
    return _budget(question, "power")


def expected_power(question: Question) -> tuple[Row, ...]:
    """The mean wall power of the whole plan is no more than its budget.

    Once: sum over o of floor_w(o)·machines[o] + sum over o, c of work_j(o,c)·rate[o,c] <= expected_power_w.
    """
    limit = question.budgets.expected_power_w
    if limit is None or limit == INF:
        return ()
    floors = [(bought(o), o.floor_w) for o in question.options if o.floor_w]
    work = [(rate(o, name), o.work_j(name)) for o in question.options for name in question.served(o)]
    terms = (*floors, *(term for term in work if term[1]))
    return (Row(name="expected_power", family="expected_power", terms=terms, upper=float(limit)),) if terms else ()


def space(question: Question) -> tuple[Row, ...]:
    """The whole plan fits into its racks.

    Once: sum over o of rack_units(o)·machines[o] <= rack_units.
    """
    return _budget(question, "space")


def machines(question: Question) -> tuple[Row, ...]:
    """The whole plan has no more machines than its budget.

    Once: sum over o of machines[o] <= machines.
    """
    return _budget(question, "machines")


def machine_types(question: Question) -> tuple[Row, ...]:
    """The plan mixes no more machine types than its budget.

    Once: sum over m of used[m] <= machine_types.
    """
    if question.budgets.machine_types is None:
        return ()
    terms = tuple((used(machine_type), 1.0) for machine_type in question.machine_types)
    limit = float(question.budgets.machine_types)
    return (Row(name="machine_types", family="machine_types", terms=terms, upper=limit),)


def type_used(question: Question) -> tuple[Row, ...]:
    """A machine type that is bought counts as used; written only where the machine types are budgeted.

    For each option o: machines[o] <= most(o)·used[type of o], most(o) the machines that o would need to serve alone
    all that it can serve (for throughput: the most that the budgets allow).
    """
    if question.budgets.machine_types is None:
        return ()
    return tuple(
        Row(
            name=f"type_used[{option.spec.name}]",
            family="type_used",
            terms=((bought(option), 1.0), (used(option.machine.name), -question.most[option.spec.name])),
            upper=0.0,
        )
        for option in question.options
    )


def kv_travels(question: Question) -> tuple[Row, ...]:
    """No two layouts stand together between which the engine moves no KV cache.

    For each such pair of a prefill layout p and a decode layout d: stands[prefill,p] + stands[decode,d] <= 1.
    """
    return tuple(
        Row(
            name=f"kv_travels[{prefill.name},{decode.name}]", family="kv_travels",
            terms=((stands(Role.PREFILL, prefill), 1.0), (stands(Role.DECODE, decode), 1.0)), upper=1.0,
        )
        for prefill, decode in question.parted
    )  # fmt: skip


def layout_stands(question: Question) -> tuple[Row, ...]:
    """A layout that is bought counts as standing; written only for layouts of such pairs.

    For each option o: machines[o] <= most(o)·stands[role and layout of o], most(o) as for type_used.
    """
    counted = set(standing(question))
    found = ((option, stands(option.spec.role, option.spec.layout)) for option in question.options)
    return tuple(
        Row(
            name=f"layout_stands[{option.spec.name}]", family="layout_stands",
            terms=((bought(option), 1.0), (column, -question.most[option.spec.name])), upper=0.0,
        )
        for option, column in found
        if column in counted
    )  # fmt: skip


FAMILIES: tuple[Callable[[Question], tuple[Row, ...]], ...] = (
    demand,
    phase_balance,
    load,
    kv_held,
    link,
    whole_machines,
    redundancy,
    availability,
    cost,
    power,
    expected_power,
    space,
    machines,
    machine_types,
    type_used,
    kv_travels,
    layout_stands,
)
"""Every family, in the order of its rows."""

BUDGET_FAMILIES = (*BUDGETS, "availability")
"""The families that a user can raise; the others are physics and arithmetic."""


def _routed(question: Question, class_name: str, *roles: Role) -> tuple[tuple[str, float], ...]:
    """A term of 1 for every option in ``roles`` that serves the class."""
    return tuple(
        (rate(option, class_name), 1.0)
        for option in question.options
        if option.spec.role in roles and class_name in option.envelopes
    )


def _borrowed(question: Question, class_name: str, role: Role) -> tuple[tuple[str, float], ...]:
    """A term of 1 for every option in a role that may compute the other phase of the class."""
    return tuple(
        (borrowed(option, class_name), 1.0)
        for option in question.options
        if option.spec.role is role and class_name in option.borrowed
    )


def _carried(
    question: Question,
    family: str,
    per_request: Callable[[Option, Envelope], float],
    less_capacity: Callable[[Option], tuple[tuple[str, float], ...]],
) -> tuple[Row, ...]:
    """For each option o: sum over c of rate[o,c]·per_request(o,c) - capacity(o) <= 0, where requests take any.

    What is borrowed counts likewise.
    """
    rows = []
    for option in question.options:
        taken = [(rate(option, name), per_request(option, option.envelopes[name])) for name in question.served(option)]
        others = [name for name in question.served(option) if name in option.borrowed]
        taken += [(borrowed(option, name), per_request(option, option.borrowed[name])) for name in others]
        if work := tuple(term for term in taken if term[1]):
            name = f"{family}[{option.spec.name}]"
            rows.append(Row(name=name, family=family, terms=(*work, *less_capacity(option)), upper=0.0))
    return tuple(rows)


def _budget(question: Question, family: str) -> tuple[Row, ...]:
    """Sum over o of each(o)·machines[o] <= limit, or nothing without a limit or without anything that counts."""
    budget = BUDGETS[family]
    assert budget.each is not None
    limit = getattr(question.budgets, budget.key)
    terms = tuple((bought(o), each) for o in question.options if (each := budget.each(o)))
    if limit is None or limit == INF or not terms:
        return ()
    return (Row(name=family, family=family, terms=terms, upper=float(limit)),)
