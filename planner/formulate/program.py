"""The integer program: which columns there are, what is minimised, and which rows hold."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from planner.capacity.envelope import Option
from planner.formulate.budgets import BUDGETS
from planner.formulate.families import FAMILIES
from planner.formulate.question import (
    SCALE,
    WIDE,
    Question,
    borrowed,
    instances,
    kept,
    machines,
    machines_needed,
    rate,
    spare_line,
    spares,
    standing,
    used,
)
from planner.perf.layout import Layout, Role
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.problem import INF, Column, Problem, Sense

LEAST_SCALE = 1e-3
"""A plan that serves less than this share of the demand is no plan."""


def unservable(options: Sequence[Option], classes: Iterable[str]) -> tuple[str, ...]:
    """The classes that no choice of options serves: neither a mixed one, nor a prefill with a decode one."""

    def has(role: Role, name: str) -> bool:
        return any(option.spec.role is role and name in option.envelopes for option in options)

    return tuple(
        name for name in classes if not (has(Role.MIXED, name) or (has(Role.PREFILL, name) and has(Role.DECODE, name)))
    )


def problem(
    options: Sequence[Option],
    demand_req_per_s: Mapping[str, float],
    *,
    budgets: Budgets,
    headroom: Headroom,
    objective: Objective,
    available: Mapping[str, int],
    apart: Iterable[tuple[Layout, Layout]] = (),
    more_spares: int = 0,
) -> Problem:
    """The question as an integer program.

    Args:
        options: what may be bought; their order does not matter.
        demand_req_per_s: class name -> rate, > 0.
        budgets: hard limits on the whole plan.
        headroom: how much of each resource may be planned on.
        objective: cost (USD/h), power (W), machines, energy (W) or carbon (g/h), minimised; or throughput
            (req/s), maximised.
        available: machine type -> how many can be had; an unnamed type is unlimited.
        apart: pairs of a prefill and a decode layout between which no KV can travel; a plan has at most one of each.
        more_spares: machines on top of each pool beyond those that it needs for its own failures at least; only where
            availability is asked for.

    Returns:
        The program, its columns and rows in a fixed order.

    Raises:
        ValueError: a rate is not positive, a class unservable, an option given twice, or throughput has no bound.
    """
    rates = dict(demand_req_per_s)
    _check(options, rates)
    asked = tuple(sorted((o for o in options if o.envelopes.keys() & rates.keys()), key=lambda o: o.spec.name))
    growing = objective is Objective.THROUGHPUT
    sufficient = _affordable(asked, budgets, available) if growing else _sufficient(asked, rates, headroom)
    most = sufficient if growing else _with_spares(asked, sufficient, more_spares)
    question = Question(
        options=asked, rates=rates, budgets=budgets, headroom=headroom, objective=objective, available=dict(available),
        apart=tuple(dict.fromkeys(apart)), most=most, more_spares=more_spares,
    )  # fmt: skip
    return Problem(
        name=f"{'most' if growing else 'least'} {objective}",
        sense=Sense.MAX if growing else Sense.MIN,
        columns=tuple(_columns(question)),
        rows=tuple(row for family in FAMILIES for row in family(question)),
    )


def _check(options: Sequence[Option], rates: Mapping[str, float]) -> None:
    faults = [f"class {name!r} has rate {value}; expected > 0" for name, value in rates.items() if not 0 < value < INF]
    names = Counter(option.spec.name for option in options)
    faults += [f"option {name!r} is given {count} times; expected once" for name, count in names.items() if count > 1]
    faults += [f"no option serves class {name!r}" for name in unservable(options, rates)]
    if not rates:
        faults.append("no class is asked; expected at least one")
    if faults:
        raise ValueError("\n".join(faults))


def _sufficient(options: Iterable[Option], rates: Mapping[str, float], headroom: Headroom) -> dict[str, float]:
    """Machines with which each option alone carries its part of everything it serves: none needs more."""
    most = {}
    for option in options:
        served = {name: value for name, value in rates.items() if name in option.envelopes}
        most[option.spec.name] = float(machines_needed(option, served, headroom, margin_frac=WIDE))
    return most


def _with_spares(options: Iterable[Option], most: Mapping[str, float], more: int) -> dict[str, float]:
    """The same with room for the spare machines that the program asks for."""
    found = dict(most)
    for option in (each for each in options if each.reliability is not None):
        fixed, ratio = spare_line(option, more)
        found[option.spec.name] = float(math.ceil((most[option.spec.name] + fixed) / (1 - ratio)) + 1)
    return found


def _affordable(options: Iterable[Option], budgets: Budgets, available: Mapping[str, int]) -> dict[str, float]:
    """Machines of each option that availability and each budget alone allow, but at least one.

    At least one, so that a budget that is too small for it is infeasible by its own row, and can be raised.

    Raises:
        ValueError: nothing limits some options.
    """
    most = {}
    for option in options:
        limits = [(getattr(budgets, b.key), b.each(option)) for b in BUDGETS.values() if b.each]
        limits.append((available.get(option.machine.name), 1.0))
        counts = [limit / each for limit, each in limits if limit is not None and each > 0]
        count = min(counts, default=INF) * (1 + WIDE)
        most[option.spec.name] = float(max(1, math.floor(count))) if count < INF else INF
    if unbounded := [name for name, count in most.items() if count == INF]:
        names = ", ".join(unbounded)
        raise ValueError(f"throughput needs a budget or an availability that bounds the machines of {names}")
    return most


def carbon(option: Option) -> float:
    """Grams of CO2 per hour that one watt at the wall causes."""
    return option.carbon_g_per_j * 3600


def _columns(question: Question) -> Iterator[Column]:
    """instances, machines, spares and rate of each option, then used, then stands, then scale."""
    each: dict[Objective, Callable[[Option], float]] = {
        Objective.COST: lambda option: option.price_usd_per_h,
        Objective.POWER: lambda option: option.rated_w,
        Objective.ENERGY: lambda option: option.floor_w,
        Objective.CARBON: lambda option: option.floor_w * carbon(option),
        Objective.MACHINES: lambda _: 1.0,
        Objective.THROUGHPUT: lambda _: 0.0,
    }
    weight = each[question.objective]
    worked = {Objective.ENERGY: lambda _: 1.0, Objective.CARBON: carbon}.get(question.objective)
    for option in question.options:
        most = question.most[option.spec.name]
        yield Column(name=instances(option), upper=most * option.instances_per_machine, integer=True)
        yield Column(name=machines(option), upper=most, integer=True, objective=weight(option))
        if option.reliability is not None:
            yield Column(name=spares(option), upper=most, integer=True)
            yield Column(name=kept(option), upper=1.0, integer=True)
        for name in question.served(option):
            yield Column(name=rate(option, name), objective=worked(option) * option.work_j(name) if worked else 0.0)
            if name in option.borrowed:
                yield Column(name=borrowed(option, name))
    if question.budgets.machine_types is not None:
        for machine_type in question.machine_types:
            yield Column(name=used(machine_type), upper=1.0, integer=True)
    for column in standing(question):
        yield Column(name=column, upper=1.0, integer=True)
    if question.objective is Objective.THROUGHPUT:
        # In req/s, so that the solver's objective and bound are what the plan reports.
        yield Column(name=SCALE, lower=LEAST_SCALE, objective=sum(question.rates.values()))
