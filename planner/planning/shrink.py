"""Improvements: a plan that holds is made smaller until nothing smaller or cheaper next to it holds."""

from collections.abc import Sequence

from planner.planning.loop import PlanningLoop
from planner.planning.tighten import cheaper_pools, faster, smaller
from planner.results.evidence import Judgement, Neighbour
from planner.results.plan import CandidatePlan

RATE_STEP_FRAC = 0.01
"""How closely the throughput objective is followed up: the neighbour of a plan serves this share more."""

MOST_RATE_STEPS = 64
"""Steps that a rate may fall by: to 0.53 of it."""

ORPHANED = "no other pool can take over its work"

Held = tuple[CandidatePlan, Judgement]


def improve(loop: PlanningLoop, held: Held) -> tuple[Held, tuple[Neighbour, ...]]:
    """Take machines away and replace pools by cheaper ones, until no such step leaves a valid plan.

    Returns:
        The plan and its neighbours: every plan one machine smaller, and every pool on another option at less cost, each
        with what it misses.
    """
    while True:
        held = _shrink(loop, held)
        swapped, tried = _swap(loop, held)
        if swapped is None:
            return held, (*_one_fewer(loop, held[0]), *tried)
        held = swapped


def _shrink(loop: PlanningLoop, held: Held) -> Held:
    """Take machines away, dearest first, until every plan one machine smaller fails."""
    changed = True
    while changed:
        changed = False
        names = _by_price(loop, held[0])
        for place, name in enumerate(names):
            found = _fewest(loop, held[0], name, names[place + 1 :])
            if found:
                held, changed = found, True
                loop.note("shrink", *held)
    return held


def _by_price(loop: PlanningLoop, candidate: CandidatePlan) -> list[str]:
    """Pools of a candidate, the dearest machine first."""
    price = {p.spec.name: loop.options[p.spec.name].price_usd_per_h for p in candidate.pools}
    return sorted(price, key=lambda name: (-price[name], name))


def _fewest(loop: PlanningLoop, candidate: CandidatePlan, pool: str, later: Sequence[str]) -> Held | None:
    """The valid candidate with most machines taken from one pool: doubling steps, then bisection.

    Meanwhile it is looked ahead at what is next where a step fails, half of it or the first of the pools that come
    ``later``; and at what is next where it holds.
    """
    best: Held | None = None
    good, bad, fewer = 0, None, 1
    while bad is None or bad - good > 1:
        less = smaller(candidate, pool, fewer, loop.options)
        halves = [(pool, (good + fewer) // 2)] if (fewer - good) // 2 else []
        others = [(name, 1) for name in later] if fewer == 1 else []
        further = fewer * 2 if bad is None else (fewer + bad) // 2
        steps = (*halves, *[(pool, further)][: further not in (fewer, bad)], *others)
        loop.look_ahead(smaller(candidate, name, count, loop.options) for name, count in steps)
        judgement = loop.judged(less, brief=True) if less else None
        if less and judgement and loop.holds(less, judgement):
            best, good = (less, judgement), fewer
        else:
            bad = fewer
        fewer = good * 2 if bad is None else max(1, (good + bad) // 2)
    return best


def _one_fewer(loop: PlanningLoop, candidate: CandidatePlan) -> tuple[Neighbour, ...]:
    """Every plan one machine smaller, and what it misses."""
    found = []
    for pool in candidate.pools:
        less = smaller(candidate, pool.spec.name, 1, loop.options)
        judgement = loop.judged(less, brief=True) if less else None
        fails = loop.fails(less, judgement) if less and judgement else (ORPHANED,)
        left = pool.machines - loop.options[pool.spec.name].machines_per_instance
        found.append(Neighbour(pool=pool.spec.name, machines=left, judgement=judgement, fails=fails))
    return tuple(found)


def _swap(loop: PlanningLoop, held: Held) -> tuple[Held | None, tuple[Neighbour, ...]]:
    """Put the work of one pool on another option for less; the first that holds.

    Returns:
        The better plan, or None with every replacement that was tried and what it misses.
    """
    tried: list[Neighbour] = []
    for pool in _by_price(loop, held[0]):
        offers = cheaper_pools(held[0], pool, loop.case.scenario.objective, loop.options)
        able = [offer for offer in offers if loop.within_budgets(offer[0]) and not loop.overloads(offer[0])]
        for place, (other, name, machines) in enumerate(able):
            loop.look_ahead(later for later, _, _ in able[place + 1 :])
            judgement = loop.judged(other, brief=True)
            if loop.holds(other, judgement):
                loop.note("swap", other, judgement)
                return (other, judgement), ()
            label = f"{name} instead of {pool}"
            fails = loop.fails(other, judgement)
            tried.append(Neighbour(pool=label, machines=machines, judgement=judgement, fails=fails))
    return None, tuple(tried)


def stretch(loop: PlanningLoop, held: Held) -> tuple[Held, tuple[Neighbour, ...]]:
    """Raise the rate of a throughput plan as far as its machines carry it, to within ``RATE_STEP_FRAC``."""
    for step_frac in (2 * RATE_STEP_FRAC, RATE_STEP_FRAC):
        while True:
            more = faster(held[0], 1 + step_frac, loop.options)
            judgement = loop.judged(more, brief=True)
            affordable = loop.within_budgets(more)
            if not loop.holds(more, judgement) or not affordable:
                break
            held = more, judgement
            loop.note("stretch", *held)
    fails = (*loop.fails(more, judgement), *(() if affordable else ("a budget is exceeded",)))
    return held, (_faster(more, judgement, fails),)


def slower(
    loop: PlanningLoop, missed: CandidatePlan, judgement: Judgement
) -> tuple[Held, tuple[Neighbour, ...]] | None:
    """The machines of a throughput plan that a longer look refuses, at the highest rate that it allows.

    Doubling steps of ``RATE_STEP_FRAC``, then bisection; each rate is looked at in full.

    Args:
        loop: that judges.
        missed: the plan.
        judgement: of it.

    Returns:
        The plan and the next higher rate; None where none that ``MOST_RATE_STEPS`` reach is allowed.
    """
    best: Held | None = None
    worst = missed, judgement
    good, bad, steps = 0, 0, 1
    while best is None or good - bad > 1:
        if steps > MOST_RATE_STEPS:
            return None
        less = faster(missed, (1 + RATE_STEP_FRAC) ** -steps, loop.options)
        said = loop.judged(less)
        if loop.holds(less, said):
            best, good = (less, said), steps
        else:
            worst, bad = (less, said), steps
            loop.note("longer look", *worst)
        steps = 2 * bad if best is None else (good + bad) // 2
    return best, (_faster(*worst, loop.fails(*worst)),)


def _faster(more: CandidatePlan, judgement: Judgement, fails: tuple[str, ...]) -> Neighbour:
    """The next higher rate, which a plan's machines do not carry."""
    label = f"the same machines at {1 + RATE_STEP_FRAC:g} times the rate"
    return Neighbour(pool=label, machines=more.totals.machines, judgement=judgement, fails=fails)
