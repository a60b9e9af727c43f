"""A bound of large questions over epochs whose machines are few: at the prices of a relaxation, machines whole.

Rows that couple epochs are priced, as the relaxation has them. What is left of each epoch is a choice of whole machines
that carry its load, each at what it earns there: a program of a few hundred columns. Instances may be parts in it, and
an option as good as the best of its type for each class, so it costs no more than the choice does.

Source: Geoffrion (1974), Lagrangean relaxation for integer programming.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from planner.formulate.epoch_pricing import Pairs, Prices
from planner.formulate.epoch_question import of_type
from planner.perf.layout import Role
from solvers.direct import solve_direct
from solvers.problem import INF, Column, Problem, Row, Sense
from workloads.load import Floats

WHOLE_FRAC, WHOLE_NODES = 2e-3, 100
"""Gap of the program of an epoch, and nodes of its tree."""


def whole_machines(table: Pairs, prices: Prices, ratios: Sequence[float | None], value: float) -> float:
    """A proven bound on the first aim in all pairs, machines whole; minus infinity where phases are split.

    Args:
        table: all pairs.
        prices: of the relaxation.
        ratios: of each machine type the multiple of the prices at which it gains nothing, all ways to power it counted;
            None of those that the relaxation has, which gain nothing at the prices of their GPUs.
        value: of the relaxation.
    """
    if any(option.spec.role is not Role.MIXED for option in table.question.options):
        return -INF
    worth = table.machine_worth(prices, ratios)
    bound = value - float((prices.asked_worth * table.peak).sum())
    costs = [list(_cheapest(table, prices, at)) for at in range(len(ratios))]
    for epoch in range(table.question.load.epochs):
        if table.peak[:, epoch].any():
            part = _epoch(table, worth[:, epoch], costs, epoch)
            found = solve_direct(part, time_limit_s=10.0, gap_frac=WHOLE_FRAC, small=True, most_nodes=WHOLE_NODES)
            bound += found.bound if found else -INF
    return bound


def _cheapest(table: Pairs, prices: Prices, machine: int) -> Iterator[tuple[int, float, Floats]]:
    """Of each class that a type serves: GPUs and (epochs,) what counts of a request per second, the least of each."""
    gpus, counts = dict[int, float](), dict[int, Floats]()
    for option in np.flatnonzero(table.type_of == machine).tolist():
        classes, work, floor = table.counted(prices, option)
        for at, name in enumerate(classes.tolist()):
            carried = table.capacity[option, name]
            each = work[at] + floor / carried
            gpus[name] = min(gpus.get(name, INF), table.question.options[option].gpus / carried)
            counts[name] = np.minimum(counts[name], each) if name in counts else each
    for name, least in gpus.items():
        yield name, least, counts[name]


def _epoch(
    table: Pairs, worth: Floats, costs: Sequence[Sequence[tuple[int, float, Floats]]], epoch: int
) -> Problem:  # fmt: skip
    """Whole machines of all types for what an epoch asks, each at its worth."""
    columns, rows, routed = list[Column](), list[Row](), dict[int, list[tuple[str, float]]]()
    for kind, price, each in zip(table.question.fleet, worth.tolist(), costs, strict=True):
        on, used = of_type("on", kind.machine, epoch), list[tuple[str, float]]()
        columns.append(Column(name=on, upper=float(kind.available), integer=True, objective=price))
        for name, gpus, counts in (cost for cost in each if table.peak[cost[0], epoch] > 0):
            carried = f"rate[{kind.machine},{name},{epoch}]"
            columns.append(Column(name=carried, objective=float(counts[epoch])))
            used.append((carried, gpus))
            routed.setdefault(name, []).append((carried, 1.0))
        terms = (*used, (on, -float(kind.gpus)))
        rows.append(Row(name=f"gpus[{kind.machine}]", family="gpus", terms=terms, upper=0.0))
    for name, some in routed.items():
        asked = float(table.peak[name, epoch])
        rows.append(Row(name=f"demand[{name}]", family="demand", terms=tuple(some), lower=asked, upper=asked))
    return Problem(name="whole machines", sense=Sense.MIN, columns=tuple(columns), rows=tuple(rows))
