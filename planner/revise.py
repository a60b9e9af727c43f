"""Revisions: what the optimiser is told, and what is bought less, after the simulator has spoken. Pure functions."""

from collections.abc import Mapping
from dataclasses import replace

from hw_catalog.machines import Machine
from planner.envelope import Option
from planner.plan import CandidatePlan, Evidence, Headroom, Judgement, Pool, Role, Totals, Verdict

SMALLEST_STEP = 0.97
"""Least cut of a load limit per round: an objective that is only undecided needs a nudge."""

LARGEST_STEP = 0.6
"""Deepest cut per round: percentiles rise steeply near saturation, so a large miss does not mean a large shortage."""


def tighten(headroom: Headroom, candidate: CandidatePlan, judgement: Judgement) -> Headroom:
    """Lower the load limits of the roles whose objectives were not met.

    The new limit lies below the load that was just planned, so that the same plan cannot come back.
    """
    cuts: dict[Role, float] = {}
    for found in judgement.evidence:
        if found.verdict is Verdict.MET:
            continue
        for role in _to_blame(found, candidate, judgement):
            cuts[role] = min(cuts.get(role, 1.0), _cut(found))
    if not cuts:
        busiest = max(judgement.pools, key=lambda p: p.busy_frac).pool
        cuts = {pool.spec.role: SMALLEST_STEP for pool in candidate.pools if pool.spec.name == busiest}
    changes = {}
    for role, cut in cuts.items():
        planned = max((p.load_frac for p in candidate.pools if p.spec.role is role), default=1.0)
        changes[f"{role}_frac"] = min(headroom.of(role), planned) * cut
    return replace(headroom, **changes)


def _cut(found: Evidence) -> float:
    """How far to lower a limit: by the square root of the miss, within bounds."""
    worst_s = max(found.measured_s, found.high_s)
    return min(SMALLEST_STEP, max(LARGEST_STEP, (found.limit_s / worst_s) ** 0.5 if worst_s > 0 else SMALLEST_STEP))


def _to_blame(found: Evidence, candidate: CandidatePlan, judgement: Judgement) -> tuple[Role, ...]:
    """Roles that more machines should help.

    TTFT is the prefill's; gaps are the decode's; of a late E2E the prefill is to blame when the wait for the first
    token is more than half of the limit.
    """
    roles = {pool.spec.role for pool in candidate.pools}
    if Role.MIXED in roles:
        return (Role.MIXED,)
    metric = found.slo.rpartition(":")[2].partition("_")[0]
    if metric == "ttft":
        return (Role.PREFILL,)
    if metric == "e2e" and judgement.latency_s["ttft_p99_s"] > found.limit_s / 2:
        return (Role.PREFILL,)
    return (Role.DECODE,)


def smaller(
    candidate: CandidatePlan, pool_name: str, fewer: int, options: Mapping[str, Option]
) -> CandidatePlan | None:
    """The candidate with ``fewer`` machines less in one pool.

    A pool that loses its last machine leaves its work to the other pools of its role.

    Returns:
        None where nobody could take over the work of a pool that would be gone.
    """
    pool = next(p for p in candidate.pools if p.spec.name == pool_name)
    left = pool.machines - fewer
    others = tuple(p for p in candidate.pools if p.spec.name != pool_name)
    if left > 0:
        kept = (*others, resized(pool, left, options[pool_name]))
    else:
        heirs = [p for p in others if p.spec.role is pool.spec.role]
        orphans = {c for c, rate in pool.rate_req_per_s.items() if rate > 0}
        if not heirs or any(not any(c in options[h.spec.name].envelopes for h in heirs) for c in orphans):
            return None
        kept = tuple(_inherit(p, pool, heirs, options) for p in others)
    machines = {name: option.machine for name, option in options.items()}
    prices = {name: option.price_usd_per_h for name, option in options.items()}
    pools = tuple(sorted(kept, key=lambda p: p.spec.name))
    return replace(candidate, pools=pools, totals=totals(pools, machines, prices))


def resized(pool: Pool, machines: int, option: Option) -> Pool:
    """The same work on another number of machines."""
    instances = machines * option.instances_per_machine
    ratio = pool.instances / instances
    return replace(
        pool, machines=machines, instances=instances,
        load_frac=pool.load_frac * ratio, kv_load_frac=pool.kv_load_frac * ratio,
    )  # fmt: skip


def _inherit(heir: Pool, gone: Pool, heirs: list[Pool], options: Mapping[str, Option]) -> Pool:
    """A pool with its share (by instances) of the work of one that is gone."""
    if heir.spec.role is not gone.spec.role:
        return heir
    envelopes = options[heir.spec.name].envelopes
    rates = dict(heir.rate_req_per_s)
    for name, rate in gone.rate_req_per_s.items():
        able = [h for h in heirs if name in options[h.spec.name].envelopes]
        if name in envelopes and able:
            rates[name] = rates.get(name, 0.0) + rate * heir.instances / sum(h.instances for h in able)
    load = sum(r * (envelopes[c].prefill_s + envelopes[c].decode_s) for c, r in rates.items() if r > 0)
    held = sum(r * envelopes[c].kv_tokens_s for c, r in rates.items() if r > 0)
    return replace(
        heir, rate_req_per_s=rates, load_frac=load / heir.instances,
        kv_load_frac=held / (options[heir.spec.name].kv_tokens * heir.instances),
    )  # fmt: skip


def totals(pools: tuple[Pool, ...], machines: Mapping[str, Machine], prices: Mapping[str, float]) -> Totals:
    """What pools need of each budgeted quantity."""
    bought = [(p.machines, machines[p.spec.name], prices[p.spec.name]) for p in pools]
    return Totals(
        cost_usd_per_h=sum(n * price for n, _, price in bought),
        power_w=sum(n * machine.rated_w for n, machine, _ in bought),
        rack_units=sum(n * machine.rack_units for n, machine, _ in bought),
        machines=sum(n for n, _, _ in bought),
        gpus=sum(n * machine.gpus for n, machine, _ in bought),
    )
