"""One answer among equals: which of the plans that are equally good is given, whatever solver looked for them.

Solvers, and versions of one solver, stop at whichever optimum they meet first. Two plans of the same price may differ
in watts and in load margin, so the choice is made here, by further objectives in a fixed order, and not there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from planner.capacity.envelope import Option
from planner.formulate.question import NO_RATE_REQ_PER_S, SCALE, instances, machines, rate, serving
from planner.perf.layout import Role
from solvers.allocation import Reason, Solution, answered
from solvers.direct import relax
from solvers.lexicographic import lexicographic
from solvers.problem import Column, Problem, Row, Sense

Solver = Callable[[Problem], Solution]

ORDER_W = 0.1
"""Watts a machine up to which two plans count as equal: below that, the order of names decides."""

DIGITS = 9
"""Significant digits of a rate: solvers agree on more, but not on all."""


def canonical(
    program: Problem, options: Sequence[Option], rates: Mapping[str, float], *, solve: Solver, exact: Solver
) -> Solution:
    """Solve a program so that every exact solver gives the same allocation.

    Among equal optima: fewest pools; then fewest expected watts; then least sum of numbers that options draw from their
    names. Rates are those of least watts on these machines, rounded to ``DIGITS`` digits.

    Args:
        program: that ``problem`` wrote.
        options: what it was written from.
        rates: class name -> rate, likewise.
        solve: answers the program.
        exact: answers what is asked next among equals, to a gap that tells them apart.

    Returns:
        The solution, with the bound and the reason of the program's own objective. An answer that is not proven optimal
        is given as it is: there may be better ones, and which one was found is an accident.
    """
    asked = [option for option in options if rates.keys() & option.envelopes.keys()]
    first = solve(program)
    if first.termination.reason is not Reason.OPTIMAL or first.allocation is None:
        return first
    best, _ = lexicographic(
        _counted(program, asked), [{_chosen(o): 1.0 for o in asked}, _watts(asked, rates)],
        lambda part, start: exact(part) if start else _minimum(first),
    )  # fmt: skip
    assert best.allocation is not None, "later objectives only replace an allocation by another"
    values = dict(best.allocation.values) | {
        instances(option): float(option.instances_on(serving(option, best.allocation.values))) for option in asked
    }  # as many as the machines hold: the program is indifferent to those that it does not need
    if SCALE in values:  # later objectives took the last millionth of it
        scaled = relax(_fixed(program, values, {SCALE: -1.0}))
        values[SCALE] = _short((scaled.values if scaled else values)[SCALE] * (1 - 10.0**-DIGITS))
    routed = relax(_fixed(program, values, _watts(asked, rates)))  # linear, so HiGHS is exact where CBC has 8 digits
    values = _rounded(asked, rates, routed.values if routed else values)
    end = first.termination
    told = answered(
        program, {column.name: values[column.name] for column in program.columns}, reason=end.reason, limit=end.limit,
        bound=end.bound, backend=end.backend, detail=end.detail,
    )  # fmt: skip
    return told if told.allocation is not None else first


def _minimum(solution: Solution) -> Solution:
    """The solution as one of the program turned into a minimum; only its allocation is looked at."""
    return replace(solution, termination=replace(solution.termination, bound=None))


def _chosen(option: Option) -> str:
    """The 0/1 column that says whether a pool of an option is bought."""
    return f"chosen[{option.spec.name}]"


def _counted(program: Problem, options: Iterable[Option]) -> Problem:
    """The program as a minimum, with a 0/1 column for every pool that can be bought."""
    sign = -1.0 if program.sense is Sense.MAX else 1.0
    most = {column.name: column.upper for column in program.columns}
    pools = tuple(Column(name=_chosen(option), upper=1.0, integer=True) for option in options)
    rows = tuple(
        Row(name=name, family="chosen", terms=((machines(option), 1.0), (name, -most[machines(option)])), upper=0.0)
        for option in options
        for name in (_chosen(option),)
    )
    columns = tuple(replace(column, objective=sign * column.objective) for column in program.columns)
    return replace(program, sense=Sense.MIN, columns=(*columns, *pools), rows=(*program.rows, *rows))


def _watts(options: Iterable[Option], rates: Mapping[str, float]) -> dict[str, float]:
    """What columns count towards expected watts, and a little by the name of their option."""
    counts: dict[str, float] = {}
    for option in options:
        counts[machines(option)] = option.floor_w + ORDER_W * (1 + _drawn(option.spec.name))
        for name in rates.keys() & option.envelopes.keys():
            column = rate(option, name)
            counts[column] = option.work_j(name) + ORDER_W * _drawn(column)
    return counts


def _drawn(name: str) -> float:
    """A number from 0 to 1 that only depends on a name, and that no sum of others is likely to meet."""
    return int.from_bytes(sha256(name.encode()).digest()[:4]) / 2**32


def _fixed(program: Problem, values: Mapping[str, float], counts: Mapping[str, float]) -> Problem:
    """The program with whole numbers, and the scale of throughput, as they are: what is left to choose is routing."""
    columns = []
    for column in program.columns:
        value = values[column.name]
        held = column.integer or (column.name == SCALE and SCALE not in counts)
        at = replace(column, lower=value, upper=value, integer=False) if held else column
        columns.append(replace(at, objective=counts.get(column.name, 0.0)))
    return replace(program, name=f"{program.name}, routed", sense=Sense.MIN, columns=tuple(columns))


def _rounded(options: Sequence[Option], rates: Mapping[str, float], values: Mapping[str, float]) -> dict[str, float]:
    """The values with rates of few digits, which still add up in each phase to what is asked."""
    result = dict(values)
    for name, asked in rates.items():
        total = asked * result.get(SCALE, 1.0)
        started = _shared(options, name, values, total, Role.PREFILL, Role.MIXED)
        prefill = sum(started[rate(o, name)] for o in options if o.spec.role is Role.PREFILL and name in o.envelopes)
        result |= started | _shared(options, name, values, prefill, Role.DECODE)
    return result


def _shared(
    options: Iterable[Option], name: str, values: Mapping[str, float], total: float, *roles: Role
) -> dict[str, float]:
    """The rates of a class in some roles, each of few digits but the largest, which takes what is left of ``total``."""
    columns = sorted(rate(o, name) for o in options if o.spec.role in roles and name in o.envelopes)
    short = {column: _short(values[column]) if values[column] > NO_RATE_REQ_PER_S else 0.0 for column in columns}
    if short:
        largest = max(columns, key=lambda column: short[column])
        short[largest] = total - sum(short[column] for column in columns if column != largest)
    return short


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
