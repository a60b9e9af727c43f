"""Failures that strike the pools of a plan in a simulation."""

from collections.abc import Sequence

from planner.scenario.sections import FailureSection
from planner.simulator.pools import Failure, PoolModel


def outage(section: FailureSection, pools: Sequence[PoolModel]) -> Failure | None:
    """A failure that a scenario asks for, as it strikes these pools; None where they have no such machine."""
    left, before = section.machine, 0
    for position, pool in enumerate(pools):
        if section.pool in (position, pool.role):
            if left < pool.machines:
                return Failure(machine=before + left, at_s=section.at_s, repair_s=section.repair_s)
            left -= pool.machines
        before += pool.machines
    return None


def absent(sections: Sequence[FailureSection], pools: Sequence[PoolModel]) -> tuple[str, ...]:
    """Machines that are to fail and that these pools do not have, a sentence each."""
    have = ", ".join(f"{p.machines} {p.role}" for p in pools)
    return tuple(
        f"validation.failures: no machine {f.pool} {f.machine}; the plan has {have}, from 0"
        for f in sections
        if outage(f, pools) is None
    )


def down(pools: Sequence[PoolModel], counts: Sequence[int], at_s: float, *, first: Sequence[int]) -> list[Failure]:
    """Machines of each pool that fail at a time and stay down.

    Args:
        pools: in the order of the plan.
        counts: of each pool, how many.
        at_s: when.
        first: of each pool, the machine that the failing ones are counted from.
    """
    found, before = list[Failure](), 0
    for pool, count, start in zip(pools, counts, first, strict=True):
        found += [Failure(machine=before + start + k, at_s=at_s, repair_s=None) for k in range(count)]
        before += pool.machines
    return found
