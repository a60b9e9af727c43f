"""The way back: from the counts of an allocation to a plan."""

from collections.abc import Mapping, Sequence

from planner.capacity.envelope import Option
from planner.capacity.totals import totals
from planner.formulate.question import (
    NO_RATE_REQ_PER_S,
    SCALE,
    WIDE,
    busy_s,
    kv_share_s,
    machines_needed,
    rate,
    serving,
)
from planner.results.plan import CandidatePlan, Pool
from planner.scenario.objectives import Headroom
from solvers.allocation import Solution


def lift(solution: Solution, options: Sequence[Option], *, policy: str, headroom: Headroom) -> CandidatePlan:
    """The plan that an allocation of ``problem`` describes.

    Machines that the allocation has beyond what its rates need are not bought: an objective like throughput, or a
    price of 0, leaves the optimiser indifferent to them.

    Args:
        solution: of the program that ``problem`` wrote from the same options and headroom.
        options: what could be bought.
        policy: name of the policy the options were made for.
        headroom: that the program was written with.

    Returns:
        The candidate; every machine of a pool is filled with instances, whether the program counted them or not.

    Raises:
        ValueError: the solution has no allocation.
    """
    if solution.allocation is None:
        raise ValueError(f"a solve that ended as {solution.termination.reason} has no plan to lift")
    values = solution.allocation.values
    chosen = [
        (option, pool)
        for option in sorted(options, key=lambda option: option.spec.name)
        if (pool := _pool(option, values, headroom))
    ]
    return CandidatePlan(
        policy=policy,
        pools=tuple(pool for _, pool in chosen),
        totals=totals((option, pool.machines, pool.rate_req_per_s) for option, pool in chosen),
        headroom=headroom,
        rate_scale=values.get(SCALE, 1.0),
        termination=solution.termination,
    )


def _pool(option: Option, values: Mapping[str, float], headroom: Headroom) -> Pool | None:
    """The instances bought of one option, or None where nothing is routed to it."""
    routed = {name: values[rate(option, name)] for name in option.envelopes if rate(option, name) in values}
    routed = {name: value for name, value in routed.items() if value > NO_RATE_REQ_PER_S}
    if not routed or not serving(option, values):
        return None
    needed = machines_needed(option, routed, headroom, margin_frac=-WIDE)
    bought = min(serving(option, values), needed)
    count = option.instances_on(bought)
    return Pool(
        spec=option.spec,
        instances=count,
        machines=bought,
        rate_req_per_s=routed,
        load_frac=sum(value * busy_s(option.envelopes[name]) for name, value in routed.items()) / count,
        kv_load_frac=sum(value * kv_share_s(option, option.envelopes[name]) for name, value in routed.items()) / count,
    )
