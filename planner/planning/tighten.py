"""Revisions: what the optimiser is told, and what is bought less, after the simulator has spoken. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf, sqrt

from planner.capacity.envelope import Option
from planner.capacity.totals import totals
from planner.perf.layout import Role
from planner.planning.overloads import FUZZ_FRAC, overloads
from planner.results.evidence import Evidence, Judgement, Verdict
from planner.results.plan import CandidatePlan, Pool, Totals
from planner.scenario.objectives import Headroom, Objective
from solvers.allocation import Reason, Termination
from workloads.counts import percent
from workloads.slo import Metric, Unit

SMALLEST_STEP = 0.97
"""Least cut of a load limit per round: an objective that is only undecided needs a nudge."""

LEAST_WATTS_STEP = 0.995
"""Least cut of a limit on expected watts per round: well beyond what rounding leaves open, and soon at an end."""

LARGEST_STEP = 0.6
"""Deepest cut per round: percentiles rise steeply near saturation, so a large miss does not mean a large shortage."""


def pace(turn: int) -> int:
    """How many cuts at once a hurried round makes: twice as many every second round.

    Near the least latency that instances have, a cut a round would use up the rounds long before the load that is
    low enough; machines that this is too many of are taken away again.
    """
    return int(2 ** (turn // 2))


def tighten(headroom: Headroom, candidate: CandidatePlan, judgement: Judgement, *, times: int = 1) -> Headroom:
    """Lower the load limits of the roles whose objectives were not met, by so many cuts at once.

    The new limit lies below the load that was just planned, so that the same plan cannot come back. An objective that
    lacks nothing but observations lowers none.
    """
    cuts: dict[Role, float] = {}
    for found in judgement.evidence:
        if found.verdict is Verdict.MET or found.few:
            continue
        for role in to_blame(found, candidate, judgement):
            cuts[role] = min(cuts.get(role, 1.0), _cut(found))
    if not cuts:
        busiest = max(judgement.pools, key=lambda p: p.busy_frac).pool
        cuts = {pool.spec.role: SMALLEST_STEP for pool in candidate.pools if pool.spec.name == busiest}
    changes = {}
    for role, cut in cuts.items():
        planned = max((p.load_frac for p in candidate.pools if p.spec.role is role), default=1.0)
        changes[f"{role}_frac"] = min(headroom.of(role), planned) * max(LARGEST_STEP, cut**times)
    return replace(headroom, **changes)


def excess(judgement: Judgement, drawn_w: float | None) -> tuple[str, ...]:
    """What is wrong with the watts of a candidate: all pools together drew more on average than they may.

    What counts is the machines' mean wall power over every measured second of every seed, cooling not included, the
    very quantity that the program plans. Whether a judgement is too noisy to tell is decided against the candidate.

    Args:
        judgement: of the candidate.
        drawn_w: the budget; None is unlimited.

    Returns:
        One sentence; nothing where the watts are kept, or nothing is known of them.
    """
    use = judgement.power
    if use is None or drawn_w is None or use.mean_w <= drawn_w * (1 + FUZZ_FRAC):
        return ()
    return (
        f"budgets.expected_power_w: {use.mean_w:,.0f} W on average in simulation, "
        f"{percent(use.mean_w / drawn_w - 1)} above {drawn_w:,.0f} W",
    )


def fewer_watts(planned_w: float, drawn_w: float, candidate: CandidatePlan, judgement: Judgement) -> float:
    """The limit on expected watts that the next program is solved with, W.

    Lower by the square root of the excess: near the watts that machines draw without work, what is simulated falls
    faster than what is planned. The new limit lies below what was just planned, so the same plan cannot come back.

    Args:
        planned_w: the limit that this program was solved with.
        drawn_w: what may be drawn on average in simulation.
        candidate: that drew more.
        judgement: of it.
    """
    assert judgement.power is not None, "only what was metered exceeds a budget"
    cut = min(LEAST_WATTS_STEP, sqrt(drawn_w / judgement.power.mean_w))
    return min(planned_w, candidate.totals.expected_power_w) * cut


def _cut(found: Evidence) -> float:
    """How far to lower a limit: by the square root of what was measured beyond it, within bounds.

    What was measured within its limit gets a nudge, however wide its interval: few observations are no shortage.
    """
    over = found.measured / found.limit
    return min(SMALLEST_STEP, max(LARGEST_STEP, over**-0.5 if over > 1 else SMALLEST_STEP))


def to_blame(found: Evidence, candidate: CandidatePlan, judgement: Judgement) -> tuple[Role, ...]:
    """Roles that more machines should help.

    TTFT is the prefill's; gaps are the decode's; of a late E2E the prefill is to blame when the wait for the first
    token is more than half of it, or of the median E2E where the limit is a slowdown and differs by request. Where
    decodes are late, full memory stops the prefills too: the wait alone tells little. Instances that do both phases
    are to blame of whatever they serve.
    """
    asked = found.slo.request_class
    roles = {pool.spec.role for pool in candidate.pools if asked is None or asked in pool.rate_req_per_s}
    both = (Role.MIXED,) if Role.MIXED in roles else ()
    if both and len(roles) == 1:
        return both
    metric = found.slo.metric
    if metric is Metric.TTFT:
        return (*both, Role.PREFILL)
    seen_s = judgement.latency_s
    absolute, late_s = found.unit is Unit.SECONDS, found.limit if found.measured == inf else found.measured
    wait_s, whole_s = (seen_s["ttft_p99_s"], late_s) if absolute else (seen_s["ttft_p50_s"], seen_s["e2e_p50_s"])
    if metric is Metric.E2E and wait_s > whole_s / 2:
        return (*both, Role.PREFILL)
    return (*both, Role.DECODE)


def smaller(
    candidate: CandidatePlan, pool_name: str, fewer: int, options: Mapping[str, Option]
) -> CandidatePlan | None:
    """The candidate with ``fewer`` machines less in one pool (where a replica spans several: as many replicas less).

    Below 0 they are more.

    A pool that loses its last machine leaves its work to the other pools of its role.

    Returns:
        None where the pool has no such number of machines, or no pool could take over the work of one that is gone.
    """
    pool = next((p for p in candidate.pools if p.spec.name == pool_name), None)
    fewer *= options[pool_name].machines_per_instance if pool_name in options else 1
    if pool is None or pool.machines < fewer:
        return None
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
    return _with_pools(candidate, kept, options)


def cheaper_pools(
    candidate: CandidatePlan, pool_name: str, objective: Objective, options: Mapping[str, Option]
) -> Iterator[tuple[CandidatePlan, str, int]]:
    """The candidate with one pool's work on another option, at a better objective.

    Each option of the same role that can serve its classes is given the most machines that still improve on the pool;
    best first.

    Returns:
        (candidate, name of the other option, its machines).
    """
    pool = next(p for p in candidate.pools if p.spec.name == pool_name)
    others = tuple(p for p in candidate.pools if p.spec.name != pool_name)
    taken = {p.spec.name for p in candidate.pools}
    worth = price(objective, totals_of((pool,), options))
    found = []
    for name, option in options.items():
        able = all(c in option.envelopes for c, rate in pool.rate_req_per_s.items() if rate > 0)
        if name in taken or option.spec.role is not pool.spec.role or not able:
            continue
        one, two = (
            price(objective, totals_of((replace(pool, spec=option.spec, machines=n),), options)) for n in (1, 2)
        )
        each, work = two - one, 2 * one - two  # the work itself costs energy, on however many machines
        machines = ceil((worth - work) / each * (1 - 1e-9)) - 1 if each > 0 else 0
        if machines < 1:
            continue
        machines -= machines % option.machines_per_instance
        if machines < 1:
            continue
        instances = option.instances_on(machines)
        moved = _loaded(replace(pool, spec=option.spec, machines=machines, instances=instances), options)
        found.append((work + machines * each, name, machines, moved))
    now = price(objective, candidate.totals)
    for _, name, machines, moved in sorted(found, key=lambda f: f[:2]):
        made = _with_pools(candidate, (*others, moved), options)
        if price(objective, made.totals) < now:  # spare machines, which pools share, make no line
            yield made, name, machines


def balanced(candidate: CandidatePlan, options: Mapping[str, Option], least: Mapping[str, Option]) -> CandidatePlan:
    """The same machines with the work of each role spread evenly, where that overloads none of them.

    An integer program is indifferent to how work is split below the load limits; queues are not.
    """
    even = _with_pools(candidate, candidate.pools, options)
    return candidate if overloads(even, least) else even


def faster(candidate: CandidatePlan, factor: float, options: Mapping[str, Option]) -> CandidatePlan:
    """The same machines at ``factor`` times the rate, which draw what the work takes."""
    pools = tuple(
        replace(
            pool, rate_req_per_s={c: rate * factor for c, rate in pool.rate_req_per_s.items()},
            load_frac=pool.load_frac * factor, kv_load_frac=pool.kv_load_frac * factor,
        )
        for pool in candidate.pools
    )  # fmt: skip
    headroom = _left(candidate.headroom, pools)
    return replace(
        candidate, pools=pools, totals=totals_of(pools, options), rate_scale=candidate.rate_scale * factor,
        headroom=headroom,
    )  # fmt: skip


def at_rates(candidate: CandidatePlan, rates: Mapping[str, float], options: Mapping[str, Option]) -> CandidatePlan:
    """The same machines with other work: each class at its new rate, shared over the pools as it was.

    Args:
        candidate: every pool of which is one of ``options``.
        rates: class -> rate, requests per second; classes that the candidate does not serve stay unserved.
        options: by name.
    """
    shares: dict[
        Role, dict[str, float]
    ] = {}  # of each phase by itself: a plan from which a pool was struck out has the whole work still
    for phase, other in ((Role.PREFILL, Role.DECODE), (Role.DECODE, Role.PREFILL)):
        now = Counter[str]()
        for pool in candidate.pools:
            if pool.spec.role is not other:
                now.update(pool.rate_req_per_s)
        shares[phase] = {name: rate / now[name] for name, rate in rates.items() if now[name] > 0}
    factors = [shares[Role.DECODE if p.spec.role is Role.DECODE else Role.PREFILL] for p in candidate.pools]
    pools = tuple(
        _loaded(
            replace(p, rate_req_per_s={c: r * factor[c] for c, r in p.rate_req_per_s.items() if c in factor}), options
        )
        for p, factor in zip(candidate.pools, factors, strict=True)
    )
    return replace(candidate, pools=pools, totals=totals_of(pools, options), headroom=_left(candidate.headroom, pools))


def cluster(
    policy: str, machines: Mapping[str, int], rates: Mapping[str, float], options: Mapping[str, Option]
) -> CandidatePlan | str:
    """Machines that stand, as a plan that serves: the work of each phase spread so that all its pools are equally busy.

    Args:
        policy: that they run under.
        machines: option name -> how many.
        rates: class -> requests per second.
        options: by name.

    Returns:
        The plan; a sentence where some class is not served in both phases.
    """
    pools = []
    started = _started(machines, options)
    for role in Role:
        mine = [options[name] for name, count in machines.items() if count and options[name].spec.role is role]
        for option in mine:
            count = machines[option.spec.name]
            share = {c: sum(c in o.envelopes for o in mine) for c in option.envelopes}
            routed = {c: rate * started[role, c] / share[c] for c, rate in rates.items() if c in share}
            pools.append(
                Pool(
                    spec=option.spec, instances=option.instances_on(count), machines=count,
                    rate_req_per_s=routed, load_frac=0.0, kv_load_frac=0.0,
                )
            )  # fmt: skip
    for name in rates:
        able = {pool.spec.role for pool in pools if name in pool.rate_req_per_s}
        if Role.MIXED not in able and not able >= {Role.PREFILL, Role.DECODE}:
            missing = " or ".join(str(r) for r in (Role.PREFILL, Role.DECODE) if r not in able)
            return f"no {missing} pool serves class {name}"
    even = [_loaded(pool, options) for pool in _balanced(tuple(pools), options)]
    ordered = tuple(sorted(even, key=lambda pool: pool.spec.name))
    return CandidatePlan(
        policy=policy, pools=ordered, totals=totals_of(ordered, options), headroom=_left(Headroom(), ordered),
        rate_scale=1.0, termination=Termination(reason=Reason.FEASIBLE, backend="not solved"),
    )  # fmt: skip


def _started(machines: Mapping[str, int], options: Mapping[str, Option]) -> Mapping[tuple[Role, str], float]:
    """Share of a class that a role serves: by machines that compute its prompts, where some do both phases."""
    found: dict[tuple[Role, str], float] = {}
    for name in {c for option in options.values() for c in option.envelopes}:
        counts = Counter[Role]()
        for each, count in machines.items():
            counts[options[each].spec.role] += count if name in options[each].envelopes else 0
        split = counts[Role.PREFILL] / max(1, counts[Role.PREFILL] + counts[Role.MIXED])
        found |= {(Role.PREFILL, name): split, (Role.DECODE, name): split, (Role.MIXED, name): 1 - split}
    return found


def _with_pools(candidate: CandidatePlan, pools: tuple[Pool, ...], options: Mapping[str, Option]) -> CandidatePlan:
    """The candidate with other pools, what they add up to, and what they leave of the headroom."""
    ordered = tuple(sorted(_balanced(pools, options), key=lambda p: p.spec.name))
    return replace(
        candidate, pools=ordered, totals=totals_of(ordered, options), headroom=_left(candidate.headroom, ordered)
    )  # fmt: skip


def _balanced(pools: tuple[Pool, ...], options: Mapping[str, Option]) -> list[Pool]:
    """The same work, spread over the pools of each role so that all are equally busy.

    Queues are joined in proportion to these rates, so a pool that shrank must not keep its old share. Pools of a role
    that serve different classes keep their rates.
    """
    balanced: list[Pool] = []
    for role in Role:
        mine = [p for p in pools if p.spec.role is role]
        asked: Counter[str] = Counter()
        for pool in mine:
            asked.update(pool.rate_req_per_s)
        if len(mine) < 2 or any(c not in options[p.spec.name].envelopes for p in mine for c in asked):
            balanced += mine
            continue
        capacity = [p.instances / _busy(options[p.spec.name], asked) for p in mine]
        for pool, share in zip(mine, capacity, strict=True):
            rates = {c: rate * share / sum(capacity) for c, rate in asked.items()}
            balanced.append(_loaded(replace(pool, rate_req_per_s=rates), options))
    return balanced


def _busy(option: Option, rates: Mapping[str, float]) -> float:
    """Instances of an option that these rates would keep busy, > 0."""
    work = sum(rate * (option.envelopes[c].prefill_s + option.envelopes[c].decode_s) for c, rate in rates.items())
    return max(1e-12, work)


def _left(headroom: Headroom, pools: Iterable[Pool]) -> Headroom:
    """Load limits that the pools keep: those they were planned with, or their own load where it is higher."""
    limits = {f"{role}_frac": headroom.of(role) for role in Role}
    for pool in pools:
        key = f"{pool.spec.role}_frac"
        limits[key] = min(1.0, max(limits[key], pool.load_frac))
    kv = max([headroom.kv_frac, *(p.kv_load_frac for p in pools)])
    return replace(headroom, **limits, kv_frac=min(1.0, kv))


def _loaded(pool: Pool, options: Mapping[str, Option]) -> Pool:
    """A pool with the predicted loads of the rates routed to it."""
    option = options[pool.spec.name]
    work = [(rate, option.envelopes[c]) for c, rate in pool.rate_req_per_s.items() if rate > 0]
    load = sum(rate * (e.prefill_s + e.decode_s) for rate, e in work)
    held = sum(rate * e.kv_tokens_s for rate, e in work)
    return replace(
        pool, load_frac=load / pool.instances, kv_load_frac=held / (option.kv_tokens * pool.instances)
    )  # fmt: skip


def price(objective: Objective, totals: Totals) -> float:
    """What an objective that is minimised counts: USD/h, W, machines or g/h."""
    values = {
        Objective.COST: totals.cost_usd_per_h, Objective.POWER: totals.power_w,
        Objective.ENERGY: totals.expected_power_w, Objective.CARBON: totals.carbon_g_per_h,
    }  # fmt: skip
    return values.get(objective, float(totals.machines))


def resized(pool: Pool, machines: int, option: Option) -> Pool:
    """The same work on another number of machines."""
    instances = option.instances_on(machines)
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
    return _loaded(replace(heir, rate_req_per_s=rates), options)


def totals_of(pools: Sequence[Pool], options: Mapping[str, Option]) -> Totals:
    """What pools need of each budgeted quantity."""
    return totals((options[p.spec.name], p.machines, p.rate_req_per_s) for p in pools)
