"""What is proven of all plans of several models, whatever precision, engine and policy each is served in."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import inf

from planner.formulate import joint
from planner.planning.headroom import NO_HEADROOM
from planner.planning.loop import PlanningLoop
from planner.planning.plan import cases_of
from planner.resolve.inputs import Inputs
from planner.resolve.spared import spared
from solvers.allocation import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What no plans of all models can do better than.

    Attributes:
        bound: of the objective, the sum over models; None where it is not proven.
        infeasible: proven: no plans fit what all share.
    """

    bound: float | None
    infeasible: bool


def prove(models: Mapping[str, Inputs]) -> Proof:
    """The least objective of any plans of all models within what they share, by the least work of their requests.

    Every model in each precision, engine and policy that it allows: the joint program of each such choice is bounded.
    Those that cost more even alone than the best bound so far are passed over.

    Args:
        models: each model alone on the whole fleet, by name.
    """
    asked = [
        [_Alone(PlanningLoop(spared(case), lambda *_: None)) for case in cases_of(inputs)] for inputs in models.values()
    ]
    able = [[each for each in some if each.bound < inf] for some in asked]
    least = inf
    for chosen in sorted(product(*able), key=lambda each: sum(one.bound for one in each)):
        alone = sum(one.bound for one in chosen)
        if alone >= least:
            break
        loops = dict(zip(models, (one.loop for one in chosen), strict=True))
        programs = {name: loop.problem(NO_HEADROOM, options=loop.case.least) for name, loop in loops.items()}
        ended = chosen[0].loop.solve(joint(programs)).termination
        if ended.reason is Reason.INFEASIBLE:
            continue
        if ended.bound is None:
            return Proof(bound=None, infeasible=False)
        least = min(least, max(ended.bound, alone))
    return Proof(bound=None if least == inf else least, infeasible=least == inf)


class _Alone:
    """One model in one precision, engine and policy, alone on the whole fleet."""

    def __init__(self, loop: PlanningLoop) -> None:
        """Bound: inf where it has no plan, -inf where nothing is proven."""
        self.loop, self.bound = loop, inf
        if loop.serves:
            ended = loop.prove()
            infeasible = ended.reason is Reason.INFEASIBLE
            self.bound = inf if infeasible else -inf if ended.bound is None else ended.bound
