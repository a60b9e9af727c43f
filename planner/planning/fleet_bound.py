"""What is proven of all plans of several models, whatever precision, engine and policy each is served in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

from planner.formulate import BUDGET_FAMILIES, joint
from planner.planning.headroom import NO_HEADROOM
from planner.planning.loop import PlanningLoop
from planner.planning.plan import cases_of
from planner.planning.refusals import bounded
from planner.planning.search import signed
from planner.resolve.inputs import Inputs
from planner.resolve.spared import spared
from planner.scenario.objectives import Objective
from solvers.allocation import Reason, Termination
from solvers.elastic import NoRaise, smallest_raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What no plans of all models can do better than.

    Attributes:
        bound: of the objective, the sum over models; None where it is not proven.
        infeasible: proven: no plans fit what all share.
        bounds: of each model alone on the whole fleet, by name; None where it is not proven.
        clocked: programs whose solve the clock ended.
    """

    bound: float | None
    infeasible: bool
    bounds: Mapping[str, float | None]
    clocked: frozenset[str]


def prove(models: Mapping[str, Inputs]) -> Proof:
    """The best objective of any plans of all models within what they share, by the least work of their requests.

    Every model in each precision, engine and policy that it allows: the joint program of each such choice is bounded.
    Those that are worse even alone than the best bound so far are passed over.

    Args:
        models: each model alone on the whole fleet, by name.
    """
    asked = {name: ways(inputs) for name, inputs in models.items()}
    found = [[each for each in some if each.bound < inf] for some in asked.values()]
    least, proven = inf, True
    for chosen in sorted(product(*found), key=_apart):
        if (alone := _apart(chosen)) >= least:
            break
        loops = dict(zip(models, (one.loop for one in chosen), strict=True))
        programs = {name: loop.problem(NO_HEADROOM, options=loop.case.least) for name, loop in loops.items()}
        ended = chosen[0].loop.solve(joint(programs)).termination
        if ended.reason is Reason.INFEASIBLE:
            continue
        if ended.bound is None:
            proven = False
            break
        least = min(least, max(signed(chosen[0].loop, ended.bound), alone))
    return Proof(
        bound=abs(least) if proven and least < inf else None, infeasible=proven and least == inf,
        bounds={name: _best(some) for name, some in asked.items()},
        clocked=frozenset(name for some in asked.values() for each in some for name in each.loop.clocked),
    )  # fmt: skip


def proven_raises(models: Mapping[str, Inputs]) -> dict[str, tuple[float, float]]:
    """Limits that no plans of all models keep, by the least work of their requests: row -> (limit, at least so much).

    Empty where they are kept in some precision, engine and policy of each, or nothing is proven. Of several such mixes
    those are told that lack least.
    """
    found = list[dict[str, tuple[float, float]]]()
    for chosen in product(*([each.loop for each in ways(inputs) if each.loop.serves] for inputs in models.values())):
        loops = dict(zip(models, chosen, strict=True))
        programs = {
            name: bounded(each.case, each.problem(NO_HEADROOM, options=each.case.least)) for name, each in loops.items()
        }
        try:
            raises = smallest_raise(joint(programs), families=BUDGET_FAMILIES, solve=chosen[0].solve)
        except (NoRaise, ValueError):
            raises = ()
        if not raises:
            return {}
        found.append({each.row: (each.limit, each.needed) for each in raises})
    return min(found, key=lambda each: (len(each), *(high for _, high in each.values())), default={})


def most_likely(models: Mapping[str, Inputs]) -> float | None:
    """Requests per second of all models that machines are estimated to carry at most; None where nothing is.

    Each in the precision, engine and policy of the most alone: what is said first of rates to plan for.
    """
    found = dict[str, PlanningLoop]()
    for name, inputs in models.items():
        serving = [each.loop for each in ways(inputs) if each.loop.serves]
        solved = {place: loop.solve(loop.problem(NO_HEADROOM)).termination for place, loop in enumerate(serving)}
        best = max(solved, key=lambda place: solved[place].objective or 0.0, default=None)
        if best is None:
            return None
        found[name] = serving[best]
    programs = {name: loop.problem(NO_HEADROOM) for name, loop in found.items()}
    return next(iter(found.values())).solve(joint(programs)).termination.objective


def ways(inputs: Inputs) -> list["Alone"]:
    """A model in each precision, engine and policy that it allows."""
    return [Alone(PlanningLoop(spared(case), lambda *_: None)) for case in cases_of(inputs)]


class Alone:
    """One model in one precision, engine and policy, alone on the whole fleet."""

    def __init__(self, loop: PlanningLoop) -> None:
        """Bound, to be minimised: inf where it has no plan, -inf where nothing is proven."""
        self.loop, self.bound = loop, inf
        if loop.serves:
            self.bound = _bound(loop, loop.prove())


def _bound(loop: PlanningLoop, ended: Termination) -> float:
    """What a proof says, to be minimised."""
    if ended.reason is Reason.INFEASIBLE:
        return inf
    return -inf if ended.bound is None else signed(loop, ended.bound)


def _best(some: Sequence[Alone]) -> float | None:
    """The best bound of any way to serve a model; None where there is none."""
    least = min((each.bound for each in some), default=inf)
    return None if abs(least) == inf else abs(least)


def _apart(chosen: Sequence[Alone]) -> float:
    """What all models cannot do better than even if they shared nothing, to be minimised.

    Of throughput all rates grow by one factor, so that each may be the one that ends it.
    """
    if chosen[0].loop.case.scenario.objective is not Objective.THROUGHPUT:
        return sum(one.bound for one in chosen)
    rates = [one.loop.case.asked.rate_req_per_s for one in chosen]
    return max(one.bound / rate for one, rate in zip(chosen, rates, strict=True)) * sum(rates)
