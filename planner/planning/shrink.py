"""Improvements: a plan that holds is made smaller until nothing smaller or cheaper next to it holds."""

from planner.planning.loop import Argument
from planner.planning.tighten import cheaper_pools, faster, smaller
from planner.results.evidence import Judgement, Neighbour
from planner.results.plan import CandidatePlan

RATE_STEP_FRAC = 0.02
"""How closely the throughput objective is followed up: the neighbour of a plan serves this share more."""

ORPHANED = "no other pool can take over its work"

Held = tuple[CandidatePlan, Judgement]


def improve(argument: Argument, held: Held) -> tuple[Held, tuple[Neighbour, ...]]:
    """Take machines away and replace pools by cheaper ones, until no such step leaves a valid plan.

    Returns:
        The plan and its neighbours: every plan one machine smaller, and every pool on another option at less cost, each
        with what it misses.
    """
    while True:
        held = _shrink(argument, held)
        swapped, tried = _swap(argument, held)
        if swapped is None:
            return held, (*_one_fewer(argument, held[0]), *tried)
        held = swapped


def _shrink(argument: Argument, held: Held) -> Held:
    """Take machines away, dearest first, until every plan one machine smaller fails."""
    changed = True
    while changed:
        changed = False
        for name in _by_price(argument, held[0]):
            found = _fewest(argument, held[0], name)
            if found:
                held, changed = found, True
                argument.note("shrink", *held)
    return held


def _by_price(argument: Argument, candidate: CandidatePlan) -> list[str]:
    """Pools of a candidate, the dearest machine first."""
    price = {p.spec.name: argument.options[p.spec.name].price_usd_per_h for p in candidate.pools}
    return sorted(price, key=lambda name: (-price[name], name))


def _fewest(argument: Argument, candidate: CandidatePlan, pool: str) -> Held | None:
    """The valid candidate with most machines taken from one pool: doubling steps, then bisection."""
    best: Held | None = None
    good, bad, fewer = 0, None, 1
    while bad is None or bad - good > 1:
        less = smaller(candidate, pool, fewer, argument.options)
        judgement = argument.judged(less) if less else None
        if less and judgement and argument.holds(less, judgement):
            best, good = (less, judgement), fewer
        else:
            bad = fewer
        fewer = good * 2 if bad is None else max(1, (good + bad) // 2)
    return best


def _one_fewer(argument: Argument, candidate: CandidatePlan) -> tuple[Neighbour, ...]:
    """Every plan one machine smaller, and what it misses."""
    found = []
    for pool in candidate.pools:
        less = smaller(candidate, pool.spec.name, 1, argument.options)
        judgement = argument.judged(less) if less else None
        fails = argument.fails(less, judgement) if less and judgement else (ORPHANED,)
        left = pool.machines - argument.options[pool.spec.name].machines_per_instance
        found.append(Neighbour(pool=pool.spec.name, machines=left, judgement=judgement, fails=fails))
    return tuple(found)


def _swap(argument: Argument, held: Held) -> tuple[Held | None, tuple[Neighbour, ...]]:
    """Put the work of one pool on another option for less; the first that holds.

    Returns:
        The better plan, or None with every replacement that was tried and what it misses.
    """
    tried: list[Neighbour] = []
    for pool in _by_price(argument, held[0]):
        for other, name, machines in cheaper_pools(held[0], pool, argument.case.scenario.objective, argument.options):
            if not argument.within_budgets(other) or argument.overloads(other):
                continue
            judgement = argument.judged(other)
            if argument.holds(other, judgement):
                argument.note("swap", other, judgement)
                return (other, judgement), ()
            label = f"{name} instead of {pool}"
            fails = argument.fails(other, judgement)
            tried.append(Neighbour(pool=label, machines=machines, judgement=judgement, fails=fails))
    return None, tuple(tried)


def stretch(argument: Argument, held: Held) -> tuple[Held, tuple[Neighbour, ...]]:
    """Raise the rate of a throughput plan as far as its machines carry it, to within ``RATE_STEP_FRAC``."""
    while True:
        candidate = held[0]
        more = faster(candidate, 1 + RATE_STEP_FRAC, argument.options)
        judgement = argument.judged(more)
        affordable = argument.within_budgets(more)
        if not argument.holds(more, judgement) or not affordable:
            break
        held = more, judgement
        argument.note("stretch", *held)
    label = f"the same machines at {1 + RATE_STEP_FRAC:g} times the rate"
    machines = candidate.totals.machines
    fails = (*argument.fails(more, judgement), *(() if affordable else ("a budget is exceeded",)))
    return held, (Neighbour(pool=label, machines=machines, judgement=judgement, fails=fails),)
