"""Most throughput of several models: the largest factor on the rates of all at which each has a validated plan.

The mix of the models is part of the question: one factor multiplies the rates of all. At a factor the fleet is planned
as for any other objective; the machines found serve as much more as the simulator and all that is shared allow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf

from planner.planning.figures import figures
from planner.planning.fleet_bound import Proof, most_likely, prove
from planner.planning.fleet_nines import nines_of
from planner.planning.fleet_question import FleetInputs, exceeded
from planner.planning.fleet_refusals import at_factor, none_served
from planner.planning.in_rows import HIGHEST_RATIO
from planner.planning.learned import by_clock
from planner.planning.limits import over_row
from planner.planning.load_margin import margin
from planner.planning.loop import PlanningLoop
from planner.planning.plausibility import peak_shares
from planner.planning.proven import proven
from planner.planning.recount import recounted
from planner.planning.shrink import RATE_STEP_FRAC
from planner.resolve.case import case_of
from planner.results.choice import Standing
from planner.results.evidence import Judgement, Neighbour, ValidatedPlan
from planner.results.fleet import FleetPlan, ModelPlan, NoFleetPlan
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario.objectives import Objective

Progress = Callable[[str, float], None]
Least = Callable[[FleetInputs, Progress], FleetPlan | NoFleetPlan]
"""Plans a fleet at rates that are given, for the least of an objective."""
Row = Callable[[FleetInputs, Mapping[str, CandidatePlan], Progress], RowStudy]

MOST_PLANNED = 7
"""Factors that the fleet is planned at."""

FIRST_FRAC, LESS_FRAC, MORE_FRAC = 0.95, 0.8, 1.1
"""The first of them, of what machines are estimated to carry; the next where it had no plans; and the most beyond one
that had."""

CLOSE_FRAC = 0.02
"""Factors so near to each other are not told apart by another plan of the fleet."""

MOST_STEPS = 32
"""Steps of ``RATE_STEP_FRAC`` that planned machines are tried at, up or down: to 1.37 of the rates, or 0.73."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The plans of all models at a factor on their rates.

    Attributes:
        rate_ratio: factor on the rates of the question.
        made: the plans, as they were made at the factor that they were planned for.
        candidates: their machines at this factor, by model.
        judgements: of them.
        fails: why they are none, by model; of what all share, by "".
        row: that they stand in; None where there is none, or they fail before.
    """

    rate_ratio: float
    made: FleetPlan
    candidates: Mapping[str, CandidatePlan]
    judgements: Mapping[str, Judgement]
    fails: Mapping[str, tuple[str, ...]]
    row: RowStudy | None


class Most:
    """One question about the largest factor on all rates."""

    def __init__(self, question: FleetInputs, least: Least, row: Row, progress: Progress) -> None:
        """``least`` plans a fleet at given rates; ``row`` studies the row that machines stand in."""
        self._question, self._least, self._row, self._progress = question, least, row, progress
        self._loops = dict[tuple[str, object], PlanningLoop]()
        self._rate_req_per_s = sum(inputs.asked.rate_req_per_s for inputs in question.models.values())

    def plans(self) -> FleetPlan | NoFleetPlan:
        """The plans at the largest factor that was found, or why there are none."""
        self._progress("proving a bound", 0.0)
        bounded = self._bounded().models
        proof, likely = prove(bounded), most_likely(bounded)
        if proof.infeasible or likely is None:
            return self._least(self._question.at(self._start(proof), goal_of(self._question)), self._progress)
        factor, high = FIRST_FRAC * likely / self._rate_req_per_s, self._start(proof)
        best: Served | None = None
        failed: tuple[float, NoFleetPlan] | None = None
        for turn in range(MOST_PLANNED):
            found = self._at(min(factor, high), turn)
            if isinstance(found, NoFleetPlan):
                high, failed = min(factor, high), (min(factor, high), found)
            elif best is None or found.rate_ratio > best.rate_ratio:
                best = found
            else:  # planned anew for more, the machines serve no more than those before
                high = min(factor, high)
            low = best.rate_ratio if best else 0.0
            if high - low <= CLOSE_FRAC * low:
                break
            factor = LESS_FRAC * high if best is None else min((low + high) / 2, MORE_FRAC * low)
        if best is None:
            assert failed is not None, "each factor has plans or a refusal"
            return at_factor(failed[1], failed[0])
        return self._answer(best, proof)

    def _bounded(self) -> FleetInputs:
        """The question within the most expected watts that its rows could bear."""
        rows = self._question.fleet.power
        if rows.row_limit_w is None:
            return self._question
        return self._question.within_watts(HIGHEST_RATIO * rows.rows * rows.row_limit_w)

    def _start(self, proof: Proof) -> float:
        """The largest factor that is not proven to be beyond every plan; 1 where nothing is."""
        return 1.0 if proof.bound is None else proof.bound / self._rate_req_per_s

    def _at(self, factor: float, turn: int) -> Served | NoFleetPlan:
        """The fleet planned at a factor, at the highest that its machines serve from there; or why there is none."""
        share = 1 / (MOST_PLANNED + 1)
        asked = self._question.at(factor, goal_of(self._question))
        found = self._least(
            asked, lambda words, done: self._progress(f"{factor:.3g} times the rates: {words}", share * (turn + done))
        )
        if isinstance(found, NoFleetPlan):
            return found
        here = self._served(found, factor)
        if self._question.fleet.availability.asked:  # failures were injected at this rate
            return here if not here.fails else none_served(here.fails, found)
        return self._stretched(here) or none_served(here.fails, found)

    def _stretched(self, here: Served) -> Served | None:
        """The same machines at the highest factor that they serve: steps of a rate, doubled, then bisected."""
        sign, best = -1 if here.fails else 1, None if here.fails else here
        alike, steps = 0, 1  # after so many steps it is as after none
        other: int | None = None
        while steps <= MOST_STEPS and (other is None or other - alike > 1):
            tried = self._served(here.made, here.rate_ratio * (1 + RATE_STEP_FRAC) ** (sign * steps))
            if bool(tried.fails) is bool(here.fails):
                alike = steps
            else:
                other = steps
            best = best if tried.fails else tried
            steps = 2 * alike if other is None else (alike + other) // 2
        return best

    def _served(self, made: FleetPlan, rate_ratio: float) -> Served:
        """What becomes of planned machines at a factor, of all that they share too."""
        candidates, judgements = dict[str, CandidatePlan](), dict[str, Judgement]()
        fails = dict[str, tuple[str, ...]]()
        for name, plan in made.plans.items():
            loop = self._loop(name, plan)
            candidates[name] = recounted(loop.case, replace(plan.candidate, rate_scale=rate_ratio))
            judgements[name] = loop.judged(candidates[name])
            if wrong := loop.fails(candidates[name], judgements[name]):
                fails[name] = wrong
                break
        row: RowStudy | None = None
        if not fails:
            beyond = exceeded(self._question, candidates, judgements)
            words = [f"{name} is {limit:g}, all models take {needed:g}" for name, (limit, needed) in beyond.items()]
            if not words and self._question.fleet.power.row_limit_w is not None:
                row = self._row(self._question, candidates, self._progress)
                words = list(filter(None, [over_row(row)]))
            fails = {"": tuple(words)} if words else {}
        return Served(
            rate_ratio=rate_ratio, made=made, candidates=candidates, judgements=judgements, fails=fails, row=row
        )  # fmt: skip

    def _loop(self, name: str, plan: ValidatedPlan) -> PlanningLoop:
        """What judges a model's machines at the rates of the question; the same of one precision, engine and policy."""
        key = name, (plan.candidate.policy, plan.candidate.variant)
        if key not in self._loops:
            self._loops[key] = PlanningLoop(case_of(self._question.models[name], plan.candidate), _untold)
        return self._loops[key]

    def _answer(self, best: Served, proof: Proof) -> FleetPlan:
        """The plans with everything that speaks for them and against more."""
        more = self._served(best.made, best.rate_ratio * (1 + RATE_STEP_FRAC))
        plans = {name: self._model(name, best, more, proof.bounds[name]) for name in best.made.plans}
        value = sum(each.objective_value for each in plans.values())
        bound, gap = proven(Objective.THROUGHPUT, value, proof.bound)
        ends = [f"{name}: {line}" if name else line for name, lines in more.fails.items() for line in lines]
        words = f"; at {1 + RATE_STEP_FRAC:g} times that on the same machines {ends[0]}" if ends else ""
        return FleetPlan(
            models=tuple(ModelPlan(name=name, plan=each) for name, each in plans.items()),
            objective=Objective.THROUGHPUT.value,
            objective_value=value,
            bound=bound,
            gap_frac=gap,
            shared=(f"{best.rate_ratio:.4g} times the rates of all models{words}",),
            power=best.row,
            nines=nines_of(self._question, plans),
            warnings=(*by_clock(proof.clocked), *best.made.warnings),
        )

    def _model(self, name: str, best: Served, more: Served, bound: float | None) -> ValidatedPlan:
        """The plan of one model at the factor of all."""
        made, candidate, judgement = best.made.plans[name], best.candidates[name], best.judgements[name]
        loop = self._loop(name, made)
        value = loop.case.asked.rate_req_per_s * candidate.rate_scale
        label = f"the same machines at {1 + RATE_STEP_FRAC:g} times the rate"
        tried = Neighbour(
            pool=label, machines=candidate.totals.machines, judgement=more.judgements.get(name, None),
            fails=more.fails.get(name, ("another model, or what all share, allows no more",)),
        )  # fmt: skip
        bound, gap = proven(Objective.THROUGHPUT, value, bound)
        return replace(
            made, candidate=replace(candidate, variant=loop.case.variant), objective=Objective.THROUGHPUT.value,
            objective_value=value, judgement=judgement,
            certificate=replace(made.certificate, bound=bound, gap_frac=gap, neighbours=(tried,)),
            margin=made.margin if made.availability else margin(loop, candidate), alternatives=(),
            choices=(figures(loop, candidate, judgement, Standing.CHOSEN, allowed=True),),
            peaks=peak_shares(loop.case, candidate, judgement),
        )  # fmt: skip


def goal_of(question: FleetInputs) -> Objective:
    """What plans at a factor are to take least of: what is limited, the dearest first."""
    budgets = question.fleet.budgets
    limited = {
        Objective.COST: budgets.cost_usd_per_h, Objective.POWER: budgets.power_w,
        Objective.ENERGY: budgets.expected_power_w or question.fleet.power.row_limit_w,
        Objective.MACHINES: budgets.machines or budgets.rack_units,
    }  # fmt: skip
    return next((goal for goal, limit in limited.items() if limit not in (None, inf)), Objective.COST)


def _untold(_words: str, _done_frac: float) -> None:
    """What each look does is not told: there are many."""
