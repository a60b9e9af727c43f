"""Several models on one fleet: each is planned by the loop of one model, in a share that a joint program gives it.

Plans of several models are plans of one model that only budgets, stock and rows join. Where the best plan of each alone
leaves enough for the others they are the answer. Else one program over all models says who gets which machines, every
model is planned in its share, and what one leaves is offered to the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice, permutations

from planner.errors import BadInput, read_each
from planner.formulate import BUDGET_FAMILIES, BUDGETS, joint, part
from planner.planning.available import spared
from planner.planning.fleet_bound import Proof, prove
from planner.planning.loop import NO_HEADROOM, PlanningLoop, less_headroom
from planner.planning.overloads import FUZZ_FRAC
from planner.planning.plan import cases_of, digests, plan
from planner.planning.plan import read as read_one
from planner.planning.refusals import raise_words
from planner.resolve.case import case_of
from planner.resolve.inputs import Inputs
from planner.results.evidence import Judgement, NoPlan, ValidatedPlan
from planner.results.fleet import FleetPlan, ModelPlan, NoFleetPlan, machines_of
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Budgets, Headroom
from solvers.elastic import NoRaise, smallest_raise
from solvers.problem import Problem

Progress = Callable[[str, float], None]
Plans = Mapping[str, ValidatedPlan]

TIGHTER = 0.9
"""Factor on the load limits of a model that had no plan in its share: the program gives it more machines then."""

_MOST_ORDERS = 6
"""In which models are planned one after the other, where no share by the program gave all of them a plan."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetInputs:
    """A question about several models, with everything that it names as it was read.

    Attributes:
        fleet: the question.
        models: each model alone on the whole fleet, by name.
    """

    fleet: Fleet
    models: Mapping[str, Inputs]

    @property
    def available(self) -> Mapping[str, int]:
        """How many of each limited machine type can be had for all models together."""
        return next(iter(self.models.values())).available


def read_fleet(fleet: Fleet) -> FleetInputs:
    """Everything that a question about several models names.

    Raises:
        BadInput: with every problem of any model, those without a machine that can serve them among it.
    """

    def one(name: str) -> Inputs:
        try:
            found = read_one(fleet.parts()[name])
        except ValueError as wrong:  # bad input, a catalog or a workload that is broken
            problems = getattr(wrong, "problems", (str(wrong),))
            raise BadInput(*(f"models, {name}: {problem}" for problem in problems)) from None
        cases = cases_of(found)
        if not any(case.options for case in cases):
            reasons = dict.fromkeys(f"{e.option}: {e.reason}" for case in cases for e in case.excuses)
            words = "; ".join(list(reasons)[:3]) or "none is on offer"
            raise BadInput(
                f"models, {name}: no machine of catalog.machines can serve it; expected one that can: {words}"
            )
        return found

    names = list(fleet.parts())
    return FleetInputs(fleet=fleet, models=dict(zip(names, read_each(one, names), strict=True)))


def plan_fleet(question: FleetInputs, *, progress: Progress) -> FleetPlan | NoFleetPlan:
    """The best plans of all models within what they share, every one validated by the simulator on its own traffic.

    Args:
        question: as it was read.
        progress: told what is happening and a share 0..1 of the work, which is an estimate.

    Raises:
        BadInput, CatalogError, WorkloadError: something the question names is missing or broken.
    """
    names = list(question.models)
    alone: dict[str, ValidatedPlan] = {}
    for number, name in enumerate(names):
        answer = plan(question.models[name], progress=_told(progress, name, number / (3 * len(names)), names))
        if isinstance(answer, NoPlan):
            return _none(answer, name)
        alone[name] = answer
    beyond = _beyond(question, alone)
    if not beyond:
        return _answer(question, alone, alone, (), _sum(found.certificate.bound for found in alone.values()))
    progress("proving a bound", 0.34)
    proof = prove(question.models)
    split = _Split(question, alone, proof, progress)
    found = split.plans()
    if isinstance(found, NoFleetPlan):
        return found
    words = tuple(f"{name}: each model alone would take {needed:g} together, {limit:g} there are"
                  for name, (limit, needed) in beyond.items())  # fmt: skip
    return _answer(question, alone, split.improved(found), words, proof.bound)


def digests_of(question: FleetInputs) -> dict[str, str]:
    """SHA-256 of what the plans rest on, as it was read, by model and file."""
    return {
        f"{name}: {what}": digest
        for name, inputs in question.models.items()
        for what, digest in digests(inputs).items()
    }


def exceeded(
    question: FleetInputs, candidates: Mapping[str, CandidatePlan], judgements: Mapping[str, Judgement],
    rows: Iterable[RowStudy | None] = (),
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """What all models share and exceed together: its name -> (the limit, what they need).

    Args:
        question: whose limits.
        candidates: by model.
        judgements: of them, whose watts are those of the simulator.
        rows: what each needs of the rows, which hold machines of one model each; None where nothing was asked.
    """
    spent, budgets = _spent(candidates, judgements), question.fleet.budget()
    limits = {f"budgets.{each.key}": (getattr(budgets, each.key), spent[each.key]) for each in BUDGETS.values()}
    bought = machines_of(candidates.values())
    limits |= {f"catalog.available {kind}": (question.available.get(kind), count) for kind, count in bought.items()}
    if any(rows := tuple(rows)):
        limits["power.rows"] = (question.fleet.power.rows, sum(row.needed_rows for row in rows if row))
    return {
        name: (float(limit), float(needed))
        for name, (limit, needed) in limits.items()
        if limit is not None and needed > limit * (1 + FUZZ_FRAC)
    }


def _spent(candidates: Mapping[str, CandidatePlan], judgements: Mapping[str, Judgement]) -> dict[str, float]:
    """What all take of every budget; watts are the simulated mean where that is known."""
    spent = Counter[str]()
    for name, candidate in candidates.items():
        mine = candidate.spent()
        power = judgements[name].power if name in judgements else None
        spent.update({**mine, "expected_power_w": power.mean_w if power else mine["expected_power_w"]})
    return {**spent, "machine_types": float(len(machines_of(candidates.values())))}


class _Split:
    """What models share, divided among them until every one has a plan in its part."""

    def __init__(self, question: FleetInputs, alone: Plans, proof: Proof, progress: Progress) -> None:
        """Nothing divided; ``alone`` are the plans of each model on the whole fleet."""
        self._question, self._proof, self._progress = question, proof, progress
        self._loops = {
            name: PlanningLoop(spared(case_of(inputs, alone[name].candidate)), progress)
            for name, inputs in question.models.items()
        }
        self._headroom = {name: alone[name].candidate.headroom for name in alone}

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
        return self._in_turn() or (self._refused() if failed is None else _none(failed[1], failed[0], self._raises()))

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
        return plan(inputs, progress=lambda words, _: self._progress(f"{name}: {words}", 0.7))

    def _refused(self) -> NoFleetPlan:
        """There is nothing for all of them within what they share."""
        raises = self._raises()
        lines = ("no plans of all models fit what they share", *raise_words(raises))
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


def within(
    question: FleetInputs, name: str, others: Mapping[str, CandidatePlan], judged: Plans | None = None
) -> Inputs:
    """The question of one model about what the plans of others leave of stock, budgets and rows.

    Args:
        question: about all models.
        name: of the one.
        others: plans of the other models, by name.
        judged: those of them that are validated, whose watts are those of the simulator.
    """
    inputs, fleet = question.models[name], question.fleet
    taken = machines_of(others.values())
    stock = {kind: max(0, count - taken[kind]) for kind, count in question.available.items()}
    spent = Counter[str]()
    for other, candidate in others.items():
        found = (judged or {}).get(other)
        spent.update(_spent({other: candidate}, {other: found.judgement} if found else {}))
    limits = dict(_left(fleet.budget(), spent))
    if fleet.budgets.machine_types is not None:
        limits["machine_types"] = fleet.budgets.machine_types
        if len(taken) >= fleet.budgets.machine_types:  # no other type may come in
            stock |= {kind: 0 for kind in fleet.catalog.machines if kind not in taken}
    catalog = fleet.catalog.model_copy(update={"available": stock})
    budgets = fleet.budgets.model_copy(update=limits)
    power = fleet.power
    rows = sum(each.power.needed_rows for each in (judged or {}).values() if each.power)
    if rows:
        power = power.model_copy(update={"rows": max(1, power.rows - rows)})
    scenario = inputs.scenario.model_copy(update={"catalog": catalog, "budgets": budgets, "power": power})
    return replace(inputs, scenario=scenario)


def _left(budgets: Budgets, spent: Mapping[str, float]) -> Iterator[tuple[str, float | int]]:
    """What others leave of each finite budget."""
    for each in fields(Budgets):
        limit = getattr(budgets, each.name)
        if limit is not None:
            left = max(0.0, limit - spent[each.name])
            yield each.name, round(left) if isinstance(limit, int) else left


def _beyond(question: FleetInputs, plans: Plans) -> dict[str, tuple[float, float]]:
    """What validated plans share and exceed together."""
    candidates = {name: found.candidate for name, found in plans.items()}
    judgements = {name: found.judgement for name, found in plans.items()}
    return exceeded(question, candidates, judgements, [found.power for found in plans.values()])


def _sum(bounds: Iterable[float | None]) -> float | None:
    """The sum of bounds; None where one is not proven."""
    known = list(bounds)
    return None if None in known else sum(bound for bound in known if bound is not None)


def _answer(
    question: FleetInputs, alone: Plans, plans: Plans, shared: tuple[str, ...], bound: float | None
) -> FleetPlan | NoFleetPlan:
    """The plans with what is proven of them, unless they exceed what they share after all."""
    if beyond := _beyond(question, plans):
        lines = tuple(f"{name} is {limit:g}, all models take {needed:g}" for name, (limit, needed) in beyond.items())
        none = NoPlan(
            reason="not validated", explanation=("no plans of all models fit what they share", *lines), raises=beyond,
            rounds=(), excuses=(), judgement=None,
        )  # fmt: skip
        return NoFleetPlan(answer=none, judgements={name: found.judgement for name, found in plans.items()})
    value = sum(found.objective_value for found in plans.values())
    return FleetPlan(
        models=tuple(ModelPlan(name=name, plan=_bounded(plans[name], alone[name])) for name in plans),
        objective=question.fleet.objective.value,
        objective_value=value,
        bound=bound,
        gap_frac=None if bound is None else abs(value - bound) / max(1e-9, abs(value)),
        shared=shared,
    )


def _bounded(found: ValidatedPlan, alone: ValidatedPlan) -> ValidatedPlan:
    """A plan in a share with the bound of the model on the whole fleet."""
    bound, value = alone.certificate.bound, found.objective_value
    gap = None if bound is None else abs(value - bound) / max(1e-9, abs(value))
    return replace(found, certificate=replace(found.certificate, bound=bound, gap_frac=gap))


def _none(answer: NoPlan, name: str, raises: Mapping[str, tuple[float, float]] | None = None) -> NoFleetPlan:
    """No plans of all, since one model has none."""
    lines = tuple(f"{name}: {line}" for line in answer.explanation)
    more = tuple(raise_words(raises)) if raises else ()
    judgements = {name: answer.judgement} if answer.judgement else {}
    return NoFleetPlan(
        answer=replace(answer, explanation=(*lines, *more), raises=dict(raises or answer.raises)), judgements=judgements
    )


def _told(progress: Progress, name: str, start_frac: float, names: list[str]) -> Progress:
    """Progress of one model alone as a part of the whole."""
    return lambda words, done_frac: progress(f"{name}: {words}", start_frac + done_frac / (3 * len(names)))
