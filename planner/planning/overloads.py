"""Pools that are asked for more than they can carry, by the least work that their requests can take."""

from collections.abc import Mapping

from planner.capacity.envelope import Option
from planner.results.plan import CandidatePlan, Pool
from workloads.counts import percent

FUZZ_FRAC = 1e-6
"""Share of a budget that rounding may take: a solver's rows hold to no more."""


def overloads(candidate: CandidatePlan, least: Mapping[str, Option]) -> tuple[str, ...]:
    """Pools that are asked for more than they can carry; a short simulation may not live to see their backlog.

    Args:
        candidate: with its work routed.
        least: name -> the option with the least work that its requests can take.
    """
    return tuple(
        f"{pool.spec.name} would be planned at {percent(share)} of what it can carry at most"
        for pool in candidate.pools
        if (share := _least_share(pool, least[pool.spec.name])) > 1 + FUZZ_FRAC
    )


def _least_share(pool: Pool, option: Option) -> float:
    """Share of its time, memory or link that a pool needs at the very least, whichever is largest.

    Where phases borrow machines from each other, others may do all of its work.
    """
    if option.borrowed:
        return 0.0
    work = [(rate, option.envelopes[c]) for c, rate in pool.rate_req_per_s.items() if c in option.envelopes]
    loads = (
        sum(rate * (e.prefill_s + e.decode_s) for rate, e in work) / pool.instances,
        sum(rate * e.kv_tokens_s for rate, e in work) / (option.kv_tokens * pool.instances),
        sum(rate * e.link_bytes for rate, e in work) * option.machines_per_instance
        / max(1.0, option.machine.inter_link.bandwidth_bytes_per_s) / pool.machines,
    )  # fmt: skip
    return max(loads)
