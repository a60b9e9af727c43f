"""Plans that failures are injected into: with spare machines, and with more that must be up where failures ask so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.planning.available import Made, study
from planner.planning.grow import grown
from planner.planning.load_margin import margin
from planner.planning.loop import PlanningLoop
from planner.planning.one import told_worth
from planner.planning.plausibility import peak_shares
from planner.planning.proven import certified
from planner.planning.search import Foreseen, Searched, looked_again, search
from planner.planning.shrink import MOST_RATE_STEPS, RATE_STEP_FRAC
from planner.planning.tighten import faster, smaller
from planner.resolve.case import Case
from planner.results.availability import Outage
from planner.results.evidence import Judgement, Neighbour, NoPlan, ValidatedPlan
from planner.results.failings import incurable
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective

MOST_TURNS = 4
"""Times that machines are spare for a longer recovery, before more of them must be up."""

MOST_GROWN = 24
"""Times that more machines must be up; each may double what is added, so that a fleet is many times what it was."""

OF_WHAT = "(of what must be up)"
"""Said of a pool whose spare machines are not counted."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """Machines that the objectives need, their spare ones, and what failures did to them.

    Attributes:
        needed: the machines that must be up.
        standing: the same with the spare ones; as needed where none were found.
        outages: failures that were injected.
        recovery_s: the longest that followed one of them.
        fails: why it is no plan; empty where it is one.
        judgement: of all machines where it is a plan; else what tells of which there are too few, None where it does
            not depend on machines.
    """

    needed: CandidatePlan
    standing: CandidatePlan
    outages: tuple[Outage, ...] = ()
    recovery_s: float = 0.0
    fails: tuple[str, ...] = ()
    judgement: Judgement | None = None


def searched_for_failures(
    cases: Sequence[Case], progress: Progress, *, with_margin: bool, drawn_w: float | None,
    foreseen: Foreseen | None = None,
) -> Searched:  # fmt: skip
    """The best plan of all that failures were injected into.

    Those of other precisions, engines and policies follow while they are better than the best that is so far.
    """
    searched = search(cases, progress, with_margin=False, drawn_w=drawn_w, foreseen=foreseen)
    while isinstance(best := searched.answer, ValidatedPlan) and best.availability is None:
        contender = searched.contender_of(best)
        assert isinstance(contender.answer, ValidatedPlan), "it has the best plan"
        before = contender.told
        contender.answer = with_failures(contender.loop, contender.answer, with_margin=with_margin)
        searched = looked_again(searched, worse=contender.told > before)
    return searched


def with_failures(loop: PlanningLoop, plan: ValidatedPlan, *, with_margin: bool) -> ValidatedPlan | NoPlan:
    """A plan of the machines that the objectives need, with its spare ones, and failures injected into it.

    While planning, only the machines that the objectives need are simulated: the state in which all spare ones are
    down. Here all serve. Seconds in which objectives are missed after a failure count as time that is lost; where they
    cost too much, more machines are spare. Where a failure is not survived, more machines must be up, as many as the
    budgets and the market hold; or, where throughput is asked, they serve less.

    Args:
        loop: that the plan was found in.
        plan: its pools have the machines that the objectives need, its totals the spare ones too.
        with_margin: also find out how much more load the plan carries with its spare machines down.
    """
    if loop.case.scenario.objective is Objective.THROUGHPUT:
        found, beside = _slowed(loop, plan.candidate)
    else:
        found, beside = _enlarged(loop, plan.candidate)
    if found.fails:
        words = "machines that meet every objective were found; with the failures of availability they do not"
        return NoPlan(
            reason="not validated", explanation=(words, *dict.fromkeys(found.fails)), raises={}, rounds=plan.rounds,
            excuses=plan.excuses, judgement=plan.judgement,
        )  # fmt: skip
    return _answered(loop, plan, found, beside, with_margin=with_margin)


def struck(loop: PlanningLoop, needed: CandidatePlan) -> Struck:
    """Every failure that machines must survive injected, with as many of them spare as their recovery asks."""
    made, alone, recovery_s = Made(loop, needed), loop, 0.0
    seen: Judgement | None = None
    for _ in range(MOST_TURNS):
        standing, alone = made.standing(recovery_s), made.alone
        if isinstance(standing, str):
            return Struck(needed=needed, standing=needed, fails=(standing,), judgement=seen)
        judgement = alone.judged(standing)
        if fails := alone.fails(standing, judgement):
            return Struck(needed=needed, standing=standing, fails=fails, judgement=judgement)
        injected = tuple(made.outages(standing))
        outages = tuple(outage for outage, _ in injected)
        if failed := [(outage, after) for outage, after in injected if outage.fails]:
            lines = tuple(f"{outage.words}: {line}" for outage, _ in failed for line in outage.fails)
            return Struck(needed=needed, standing=standing, outages=outages, fails=lines, judgement=failed[0][1])
        longest_s, after = max(
            ((outage.recovery_s, after) for outage, after in injected if outage.single), key=lambda each: each[0],
            default=(0.0, None),
        )  # fmt: skip
        if longest_s <= recovery_s or made.up(standing, longest_s) >= made.rule.target_frac:
            return Struck(
                needed=needed, standing=standing, outages=outages, recovery_s=longest_s, judgement=judgement
            )  # fmt: skip
        recovery_s, seen = longest_s, after
    lines = (f"objectives are missed for {recovery_s:g} s after a failure, whatever machines are spare",)
    return Struck(needed=needed, standing=needed, fails=lines, judgement=seen)


def _enlarged(loop: PlanningLoop, needed: CandidatePlan) -> tuple[Struck, tuple[Neighbour, ...]]:
    """The fewest machines, from those needed on, that survive every failure; and what fewer of them miss."""
    found = struck(loop, needed)
    if not found.fails:
        return found, ()
    for step in range(MOST_GROWN):
        more = _more(loop, found, step)
        if isinstance(more, tuple):
            return replace(found, fails=(*found.fails, *more)), ()
        found = struck(loop, more)
        if not found.fails:
            return _trimmed(loop, found)
    return found, ()


def _more(loop: PlanningLoop, found: Struck, step: int) -> CandidatePlan | tuple[str, ...]:
    """More machines in the pools to blame, as many as find a place; why there are none."""
    if found.judgement is None or incurable(found.judgement):
        return ()
    over: tuple[str, ...] = ()
    for fewer in range(step, -1, -1):
        more = grown(loop, found.needed, found.judgement, fewer)
        if more is None:
            return ()
        if isinstance(standing := Made(loop, more).standing(0.0), CandidatePlan):
            return more
        over = (f"with {more.totals.machines - found.needed.totals.machines} more that must be up: {standing}",)
    return over


def _trimmed(loop: PlanningLoop, found: Struck) -> tuple[Struck, tuple[Neighbour, ...]]:
    """Without the machines that it survives without: doubling steps, then bisection, pool after pool."""
    beside = list[Neighbour]()
    for name in [pool.spec.name for pool in found.needed.pools]:
        start, good, bad, fewer = found.needed, 0, None, 1
        while bad is None or bad - good > 1:
            less = smaller(start, name, fewer, loop.options)
            tried = struck(loop, less) if less else None
            if tried and not tried.fails:
                found, good = tried, fewer
            else:
                bad, failed = fewer, tried
            fewer = good * 2 if bad is None else max(1, (good + bad) // 2)
        if failed:
            left = next((p.machines for p in failed.needed.pools if p.spec.name == name), 0)
            beside.append(Neighbour(pool=name, machines=left, judgement=failed.judgement, fails=failed.fails))
    return found, tuple(beside)


def _slowed(loop: PlanningLoop, needed: CandidatePlan) -> tuple[Struck, tuple[Neighbour, ...]]:
    """The highest rate, from that of the machines on down, at which they survive every failure: steps as of a rate."""
    found = struck(loop, needed)
    if not found.fails:
        return found, ()
    failed, best = found, None
    good, bad, steps = 0, 0, 1
    while steps <= MOST_RATE_STEPS and (best is None or good - bad > 1):
        tried = struck(loop, faster(needed, (1 + RATE_STEP_FRAC) ** -steps, loop.options))
        if tried.fails:
            bad, failed = steps, tried
        else:
            good, best = steps, tried
        steps = 2 * bad if best is None else (good + bad) // 2
    if best is None:
        return failed, ()
    label = f"the same machines at {1 + RATE_STEP_FRAC:g} times the rate"
    machines = failed.standing.totals.machines
    return best, (Neighbour(pool=label, machines=machines, judgement=failed.judgement, fails=failed.fails),)


def _answered(
    loop: PlanningLoop, plan: ValidatedPlan, found: Struck, beside: tuple[Neighbour, ...], *, with_margin: bool
) -> ValidatedPlan:  # fmt: skip
    """The plan with its spare machines, and how often it is up."""
    made, standing, judgement = Made(loop, found.needed), found.standing, found.judgement
    assert judgement is not None, "whatever is a plan was judged"
    value = abs(told_worth(made.alone, (standing, judgement)))
    certificate = certified(plan.certificate, plan.objective, value, loop.bound)
    pools = {pool.spec.name for pool in found.needed.pools}
    neighbours = tuple(
        replace(each, pool=f"{each.pool} {OF_WHAT}") if each.pool in pools else each
        for each in beside or plan.certificate.neighbours
    )
    return replace(
        plan, candidate=standing, judgement=judgement, objective_value=value,
        availability=study(made, standing, found.outages, found.recovery_s),
        peaks=peak_shares(made.alone.case, standing, judgement),
        margin=margin(made.alone, found.needed) if with_margin else None,
        certificate=replace(certificate, neighbours=neighbours),
    )  # fmt: skip
