"""The plan of one precision, engine and policy: propose, judge, tighten, shrink, search, certify."""

from dataclasses import dataclass, replace
from functools import partial

from planner.planning.alternatives import tradeoffs
from planner.planning.fit import fit
from planner.planning.fuller import fuller
from planner.planning.grow import grow
from planner.planning.late import stays_late, without_late
from planner.planning.learned import by_clock
from planner.planning.local_search import climb, descend, evaluations
from planner.planning.loop import PlanningLoop, no_plan
from planner.planning.manifests import refused
from planner.planning.plausibility import peak_shares
from planner.planning.proven import certified
from planner.planning.shrink import Held, improve, slower, stretch
from planner.planning.splits import split_anew
from planner.planning.tighten import price
from planner.resolve.measured_bands import measured_against
from planner.resolve.provenance import provenance
from planner.resolve.serving import served_as
from planner.resolve.warnings import doubts
from planner.results.drawn import as_drawn
from planner.results.evidence import Certificate, Neighbour, NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """A plan that holds and has no smaller one beside it.

    Attributes:
        held: the plan.
        searched: whether it was searched around, too.
    """

    held: Held
    searched: bool


def worth(loop: PlanningLoop, candidate: CandidatePlan) -> float:
    """What the objective counts of a plan, to be minimised: requests per second with the sign turned."""
    if _most(loop):
        return -loop.case.asked.rate_req_per_s * candidate.rate_scale
    return price(loop.case.scenario.objective, candidate.totals)


def told_worth(loop: PlanningLoop, held: Held) -> float:
    """What is told of a plan and paid for, to be minimised: of mean watts those that it drew in simulation."""
    candidate, judgement = held
    mean_w = None if judgement.mean_w is None else judgement.mean_w + _unseen_w(loop, candidate)
    return as_drawn(loop.case.scenario.objective, worth(loop, candidate), candidate.totals, mean_w)


def _unseen_w(loop: PlanningLoop, candidate: CandidatePlan) -> float:
    """Expected watts of spare machines that totals count before failures are injected: none of them was simulated."""
    if candidate.totals.machines == sum(pool.machines for pool in candidate.pools):
        return 0.0
    served_w = (loop.options[p.spec.name].expected_w(p.machines, p.rate_req_per_s) for p in candidate.pools)
    return candidate.totals.expected_power_w - sum(served_w)


def first(loop: PlanningLoop) -> First | NoPlan:
    """A plan that proposals and smaller plans give, before other machines around it are tried.

    Where traces are long it is looked for by their busiest stretches, searched around there, then grown until the whole
    says that it holds.
    """
    if guess := loop.guessing():
        guessed = _found(guess)
        if not isinstance(guessed, NoPlan) and (held := grow(loop, guessed[0])):
            return First(held=held, searched=True)
    found = loop.propose_and_tighten()
    if isinstance(found, NoPlan):
        found = without_late(loop, found)
    if isinstance(found, NoPlan) and stays_late(found):
        found = loop.propose_and_tighten(hurried=True)
    if isinstance(found, NoPlan):
        found = fit(loop, found)
    if isinstance(found, NoPlan):
        return found
    last = stretch if _most(loop) else improve
    return First(held=last(loop, found)[0], searched=False)


def finished(loop: PlanningLoop, start: First | NoPlan, *, share: int = 1) -> ValidatedPlan | NoPlan:
    """The best plan of a precision, engine and policy, from a first one or from none.

    Where clocks or caps are on offer the plan without them is found too, so that offering them never gives less.

    Args:
        loop: of these.
        start: a first plan, or why there is none.
        share: among how many such searches the plans that may be simulated are divided.
    """
    found = _searched(loop, start, share)
    if plain := loop.without_knobs():
        other = _found(plain)
        if not isinstance(other, NoPlan) and (
            isinstance(found, NoPlan) or told_worth(loop, other) < told_worth(loop, found)
        ):
            found = other
            loop.rounds += plain.rounds
    if isinstance(found, NoPlan):
        return found
    return _confirmed(loop, found, share)


def confirmed(loop: PlanningLoop, start: First) -> Held | None:
    """The nearest plan to a first one that a longer look allows; None where it allows none. Nothing is searched."""
    held = start.held
    for _ in range(loop.case.scenario.validation.max_rounds):
        judgement = loop.judged(held[0])
        if loop.holds(held[0], judgement):
            return held[0], judgement
        if _most(loop):
            less = slower(loop, held[0], judgement)
            return None if less is None else less[0]
        larger = grow(loop, held[0])
        if larger is None:
            break
        held = larger
    return None


def _confirmed(loop: PlanningLoop, found: Held, share: int) -> ValidatedPlan | NoPlan:
    """The best plan beside one that holds, over a longer window too; only what may be the answer is looked at so.

    Where a longer look refuses a plan, another split of its machines may be better than the next that it allows.
    """
    beside = stretch if _most(loop) else partial(improve, searched=True)
    held, neighbours = beside(loop, found)
    answer: ValidatedPlan | None = None
    refused = False
    for _ in range(loop.case.scenario.validation.max_rounds):
        judgement = loop.judged(held[0])
        if loop.holds(held[0], judgement):
            held = held[0], judgement
            if answer is None or told_worth(loop, held) < told_worth(loop, (answer.candidate, answer.judgement)):
                answer = _certified(loop, held, neighbours)
            better = split_anew(loop, held, _most_requests(loop, held, share), in_full=True) if refused else held
            if better is held:
                return answer
            held, neighbours = beside(loop, better)
            refused = False
            continue
        loop.note("longer look", held[0], judgement)
        refused = True
        if _most(loop):
            less = slower(loop, held[0], judgement)
            if less is None:
                break
            held, neighbours = less
            continue
        larger = grow(loop, held[0])
        if larger is None:
            break
        held, neighbours = improve(loop, larger)
    return answer or no_plan(loop, "not validated", loop.fails(held[0], loop.judged(held[0])))


def _found(loop: PlanningLoop) -> Held | NoPlan:
    """A plan, searched around."""
    return _searched(loop, first(loop))


def _searched(loop: PlanningLoop, start: First | NoPlan, share: int = 1) -> Held | NoPlan:
    """The best plan around a first one."""
    if isinstance(start, NoPlan):
        return start
    if start.searched:
        return start.held
    found = _around(loop, start.held, share)
    better = fuller(loop, found)
    return found if better is found else _around(loop, better, share)


def _around(loop: PlanningLoop, held: Held, share: int) -> Held:
    """The best plan among those near one that holds."""
    most = evaluations(loop, held) // share
    found = climb(loop, held, most) if _most(loop) else descend(loop, held, most)
    return split_anew(loop, found, _most_requests(loop, held, share))


def _most_requests(loop: PlanningLoop, held: Held, share: int) -> float:
    """Requests that may be simulated to divide a plan's machines anew."""
    return float(evaluations(loop, held) // share * held[1].arrived)


def _most(loop: PlanningLoop) -> bool:
    """Whether throughput is maximised, where all else is minimised."""
    return loop.case.scenario.objective is Objective.THROUGHPUT


def _certified(loop: PlanningLoop, held: Held, neighbours: tuple[Neighbour, ...]) -> ValidatedPlan:
    """The plan with everything that speaks for it and against it."""
    (candidate, judgement), case = held, loop.case
    value = abs(told_worth(loop, held))
    gap_frac = candidate.termination.gap_frac
    ended = Certificate(bound=None, gap_frac=None, solver_gap_frac=gap_frac, neighbours=neighbours)
    shares, sources = provenance(case, candidate)
    return ValidatedPlan(
        candidate=replace(candidate, variant=case.variant),
        objective=case.scenario.objective.value,
        objective_value=value,
        judgement=judgement,
        certificate=certified(ended, case.scenario.objective, value, loop.bound),
        rounds=tuple(loop.rounds),
        excuses=case.excuses,
        provenance=shares,
        sources=sources,
        accuracy=measured_against(case, candidate),
        warnings=(*by_clock(loop.clocked), *doubts(case, candidate), *refused(case, candidate)),
        peaks=peak_shares(case, candidate, judgement),
        alternatives=tradeoffs(loop, candidate),
        served=served_as(case, candidate),
    )
