"""The rows of the program over epochs on machines on top of the base fleet: which they are, and what they need.

Columns, for machine type m and epoch t: on[m,t], top[m,t], base[m], and rented[m,t] >= 0 of those on top that were not
on top before. The k-th machine of a type is one of the base fleet, or on top, in all epochs in which there are k.
"""

from planner.formulate.epoch_question import EpochQuestion, base, of_type
from solvers.problem import Row


def spares(question: EpochQuestion) -> tuple[Row, ...]:
    """Of the machines on top as many are spare as may be missing at once; written where they may be interrupted.

    For each m, t: spare[m,t] >= spare_machines(m)·topped[m,t] + spare_ratio(m)·top[m,t], topped[m,t] being 0 or 1.
    """
    return tuple(
        Row(
            name=f"spares[{kind.machine},{epoch}]", family="spares",
            terms=((of_type("topped", kind.machine, epoch), kind.spare_machines),
                   (of_type("top", kind.machine, epoch), kind.spare_ratio),
                   (of_type("spare", kind.machine, epoch), -1.0)),
            upper=0.0,
        )
        for kind in question.fleet
        if kind.interrupted
        for epoch in range(question.load.epochs)
    )  # fmt: skip


def topped(question: EpochQuestion) -> tuple[Row, ...]:
    """Whether there is any machine on top; written where they may be interrupted.

    For each m, t: top[m,t] <= available(m)·topped[m,t].
    """
    return tuple(
        Row(
            name=f"topped[{kind.machine},{epoch}]", family="topped",
            terms=((of_type("top", kind.machine, epoch), 1.0),
                   (of_type("topped", kind.machine, epoch), -float(kind.available))),
            upper=0.0,
        )
        for kind in question.fleet
        if kind.interrupted
        for epoch in range(question.load.epochs)
    )  # fmt: skip


def base_fleet(question: EpochQuestion) -> tuple[Row, ...]:
    """What is powered beyond the base fleet is paid on top.

    For each m, t: on[m,t] - top[m,t] <= base[m].
    """
    return tuple(
        Row(
            name=f"base_fleet[{kind.machine},{epoch}]", family="base_fleet",
            terms=((of_type("on", kind.machine, epoch), 1.0), (of_type("top", kind.machine, epoch), -1.0),
                   (base(kind.machine), -1.0)),
            upper=0.0,
        )
        for kind in question.fleet
        for epoch in range(question.load.epochs)
    )  # fmt: skip


def rented(question: EpochQuestion) -> tuple[Row, ...]:
    """Machines on top that were not on top before are newly rented, which is paid for until they serve.

    For each m, t: top[m,t] - top[m,t-1] <= rented[m,t]. Written where that rent counts. No machine stays on top to save
    it: a start takes an epoch at most.
    """
    return tuple(
        Row(
            name=f"rented[{kind.machine},{epoch}]", family="rented",
            terms=((of_type("top", kind.machine, epoch), 1.0), (of_type("top", kind.machine, before), -1.0),
                   (of_type("rented", kind.machine, epoch), -1.0)),
            upper=0.0,
        )
        for kind in question.fleet
        for epoch in range(question.load.epochs)
        if question.rents(kind, epoch) and (before := question.before(epoch)) is not None
    )  # fmt: skip
