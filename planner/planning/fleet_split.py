"""What several models share, divided among them: a joint program gives each its part, and each is planned in it."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from itertools import islice, permutations

from planner.formulate import BUDGET_FAMILIES, joint, part
from planner.planning.fleet_bound import Proof
from planner.planning.fleet_question import FleetInputs, Plans, within
from planner.planning.fleet_refusals import TOGETHER, no_plans
from planner.planning.headroom import NO_HEADROOM, less_headroom
from planner.planning.loop import PlanningLoop
from planner.planning.overloads import FUZZ_FRAC
from planner.planning.plan import plan
from planner.planning.refusals import raise_words
from planner.resolve.case import case_of
from planner.resolve.spared import spared
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.fleet import NoFleetPlan
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Headroom
from solvers.elastic import NoRaise, smallest_raise
from solvers.problem import Problem

Progress = Callable[[str, float], None]

TIGHTER = 0.9
"""Factor on the load limits of a model that had no plan in its share: the program gives it more machines then."""

_MOST_ORDERS = 6
"""In which models are planned one after the other, where no share by the program gave all of them a plan."""


class Split:
    """What models share, divided among them until every one has a plan in its part."""

    def __init__(self, question: FleetInputs, alone: Plans, proof: Proof, progress: Progress) -> None:
        """Nothing divided; ``alone`` are the plans of each model on the whole fleet."""
        self._question, self._proof, self._progress = question, proof, progress
        self._loops = {
            name: PlanningLoop(spared(case_of(inputs, alone[name].candidate)), progress)
            for name, inputs in question.models.items()
        }
        self._headroom = {name: alone[name].candidate.headroom for name in alone}

    @property
    def clocked(self) -> frozenset[str]:
        """Programs over all models whose solve the clock ended."""
        return frozenset(name for loop in self._loops.values() for name in loop.clocked)

    def plans(self) -> dict[str, ValidatedPlan] | NoFleetPlan:
        """A plan of each model in its share, or why there are none."""
        if self._proof.infeasible:
            return self._refused()
        failed: tuple[str, NoPlan] | None = None
        for _ in range(self._question.fleet.validation.max_rounds):
            shares = self._solved(self._headroom)
            if shares is None and all(each == NO_HEADROOM for each in self._headroom.values()):
                break
            if shares is None:
                self._headroom = {name: less_headroom(each) for name, each in self._headroom.items()}
                continue
            found = self._in_shares(shares)
            if isinstance(found, dict):
                return found
            failed = found
            self._headroom[failed[0]] = tighter(self._headroom[failed[0]])
        if (in_turn := self._in_turn()) is not None:
            return in_turn
        if failed is None:
            return self._refused()
        unproven = replace(failed[1], reason="not validated")  # what is proven of a share is not proven of all
        return no_plans(unproven, failed[0], self._raises())

    def _in_turn(self) -> dict[str, ValidatedPlan] | None:
        """Plans made one after the other, each with what those before it leave; None where no order gives all."""
        for order in islice(permutations(self._loops), _MOST_ORDERS):
            found: dict[str, ValidatedPlan] = {}
            for name in order:
                answer = self._planned(name, found)
                if isinstance(answer, NoPlan):
                    break
                found[name] = answer
            if len(found) == len(order):
                return {name: found[name] for name in self._loops}
        return None

    def improved(self, found: dict[str, ValidatedPlan]) -> dict[str, ValidatedPlan]:
        """The plans, each made again with what the others leave as long as that is better."""
        for _ in range(2):
            before = {name: each.objective_value for name, each in found.items()}
            for name in found:
                others = {other: each for other, each in found.items() if other != name}
                answer = self._planned(name, others)
                better = found[name].objective_value * (1 - FUZZ_FRAC)
                if isinstance(answer, ValidatedPlan) and answer.objective_value < better:
                    found = {**found, name: answer}
            if before == {name: each.objective_value for name, each in found.items()}:
                break
        return found

    def _solved(self, headroom: Mapping[str, Headroom]) -> dict[str, CandidatePlan] | None:
        """The cheapest machines of all models by one program; None where there are none within what they share."""
        programs = self._programs(headroom, least=False)
        solution = next(iter(self._loops.values())).solve(joint(programs))
        if solution.allocation is None:
            return None
        return {
            name: self._loops[name].lifted(part(solution, name, program), headroom[name])
            for name, program in programs.items()
        }

    def _programs(self, headroom: Mapping[str, Headroom], *, least: bool) -> dict[str, Problem]:
        """The program of each model, with the budgets and the stock of all."""
        return {
            name: loop.problem(headroom[name], options=loop.case.least if least else None)
            for name, loop in self._loops.items()
        }

    def _in_shares(self, shares: Mapping[str, CandidatePlan]) -> dict[str, ValidatedPlan] | tuple[str, NoPlan]:
        """A plan of each model within what the others' shares or plans leave; or the first that has none."""
        found: dict[str, ValidatedPlan] = {}
        for name in shares:
            taken: dict[str, CandidatePlan | ValidatedPlan] = {o: each for o, each in shares.items() if o != name}
            taken.update(found)
            answer = self._planned(name, taken)
            if isinstance(answer, NoPlan):
                return name, answer
            found[name] = answer
        return found

    def _planned(self, name: str, others: Mapping[str, CandidatePlan | ValidatedPlan]) -> ValidatedPlan | NoPlan:
        """The plan of a model with what others leave."""
        candidates = {o: e.candidate if isinstance(e, ValidatedPlan) else e for o, e in others.items()}
        judged = {o: e for o, e in others.items() if isinstance(e, ValidatedPlan)}
        inputs = within(self._question, name, candidates, judged)
        return plan(
            inputs, progress=lambda words, _: self._progress(f"{name}: {words}", 0.7),
            drawn_w=self._question.drawn_w(judged), depth=self._question.depth,
        )  # fmt: skip

    def _refused(self) -> NoFleetPlan:
        """There is nothing for all of them within what they share."""
        raises = self._raises()
        lines = (TOGETHER, *raise_words(raises))
        reason = "infeasible" if self._proof.infeasible else "not validated"
        none = NoPlan(reason=reason, explanation=lines, raises=raises, rounds=(), excuses=(), judgement=None)
        return NoFleetPlan(answer=none, judgements={})

    def _raises(self) -> dict[str, tuple[float, float]]:
        """The smallest set of shared limits to raise; empty where none was found."""
        program = joint(self._programs(dict.fromkeys(self._loops, NO_HEADROOM), least=True))
        try:
            found = smallest_raise(program, families=BUDGET_FAMILIES, solve=next(iter(self._loops.values())).solve)
        except (NoRaise, ValueError):
            return {}
        return {each.row: (each.limit, each.needed) for each in found}


def tighter(headroom: Headroom) -> Headroom:
    """Load limits at which a program asks for more machines."""
    return Headroom(**{field.name: getattr(headroom, field.name) * TIGHTER for field in fields(headroom)})
