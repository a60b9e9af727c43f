"""Improvements: a plan that holds is made smaller until nothing smaller or cheaper next to it holds."""

from collections.abc import Sequence
from math import inf

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


class _Expected:
    """What is thought of a pool before it is judged, by its load alone: what is looked at meanwhile follows from it."""

    def __init__(self, held: CandidatePlan, *, lasting: bool) -> None:
        """By a plan that holds; fuller pools are thought to fail where it is ``lasting``."""
        self._held = {pool.spec.role: pool.load_frac for pool in held.pools}
        self._failed = dict(self._held) if lasting else {}

    def learn(self, candidate: CandidatePlan, pool: str, *, holds: bool) -> None:
        """What became of a candidate that has fewer machines in a pool."""
        for each in candidate.pools:
            if holds:
                self._held[each.spec.role] = max(each.load_frac, self._held.get(each.spec.role, 0.0))
            elif each.spec.name == pool:
                self._failed[each.spec.role] = min(each.load_frac, self._failed.get(each.spec.role, inf))

    def holds(self, candidate: CandidatePlan, pool: str) -> bool:
        """Whether a pool is no fuller than what held, or than its machines where nothing is known."""
        for each in candidate.pools:
            if each.spec.name == pool:
                known = each.load_frac <= self._held.get(each.spec.role, 0.0)
                return known or each.load_frac < min(1.0, self._failed.get(each.spec.role, inf))
        return False


def improve(
    loop: PlanningLoop, held: Held, *, searched: bool = False
) -> tuple[Held, tuple[Neighbour, ...]]:  # fmt: skip
    """Take machines away and replace pools by cheaper ones, until no such step leaves a valid plan.

    Args:
        loop: that judges.
        held: a plan that holds.
        searched: it was searched around: it is likely to be the answer, and looked at in full meanwhile.

    Returns:
        The plan and its neighbours: every plan one machine smaller, and every pool on another option at less cost, each
        with what it misses.
    """
    while True:
        held = _shrink(loop, held, searched)
        swapped, tried = _swap(loop, held)
        if swapped is None:
            return held, (*_one_fewer(loop, held[0]), *tried)
        held, searched = swapped, False


def _shrink(loop: PlanningLoop, held: Held, searched: bool) -> Held:
    """Take machines away, dearest first, until every plan one machine smaller fails."""
    changed, expected = True, _Expected(held[0], lasting=searched)
    if searched:
        loop.look_ahead_in_full(held[0])
    while changed:
        changed = False
        names = _by_price(loop, held[0])
        for place, name in enumerate(names):
            found = _fewest(loop, held[0], name, (*names[place + 1 :], *names[: place + 1]), expected)
            if found:
                held, changed = found, True
                loop.note("shrink", *held)
    return held


def _by_price(loop: PlanningLoop, candidate: CandidatePlan) -> list[str]:
    """Pools of a candidate, the dearest machine first."""
    price = {p.spec.name: loop.options[p.spec.name].price_usd_per_h for p in candidate.pools}
    return sorted(price, key=lambda name: (-price[name], name))


def _fewest(
    loop: PlanningLoop, candidate: CandidatePlan, pool: str, later: Sequence[str], expected: _Expected
) -> Held | None:  # fmt: skip
    """The valid candidate with most machines taken from one pool: doubling steps, then bisection.

    Meanwhile it is looked ahead at what follows if all goes as expected: the next step, or the first of the pools that
    come ``later``.
    """
    best: Held | None = None
    good, bad, fewer = 0, None, 1
    while fewer:
        less = smaller(candidate, pool, fewer, loop.options)
        if less:
            holds = expected.holds(less, pool)
            ends = (fewer, bad) if holds else (good, fewer)
            step, base = _step(*ends), less if holds else best[0] if best else candidate
            further = [smaller(candidate, pool, step, loop.options)] if step else []
            others = (smaller(base, name, 1, loop.options) for name in later if holds or name != pool)
            loop.look_ahead(further or others, beside=less)
        judgement = loop.judged(less, brief=True) if less else None
        if less and judgement and loop.holds(less, judgement):
            best, good = (less, judgement), fewer
        else:
            bad = fewer
        if less:
            expected.learn(less, pool, holds=good == fewer)
        fewer = _step(good, bad)
    return best


def _step(good: int, bad: int | None) -> int:
    """How many machines fewer are tried next; 0 where none are, since one fewer than what fails holds."""
    if bad is None:
        return 2 * good
    return (good + bad) // 2 if bad - good > 1 else 0


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
            loop.look_ahead((later for later, _, _ in able[place + 1 :]), beside=other)
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
