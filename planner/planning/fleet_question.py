"""The question about several models: each alone on the whole fleet, and what the plans of others leave to it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import inf

from planner.errors import BadInput
from planner.formulate import BUDGETS
from planner.planning.choices import Depth
from planner.planning.overloads import FUZZ_FRAC
from planner.planning.plan import digests
from planner.resolve.inputs import Inputs
from planner.resolve.several import read_models
from planner.results.evidence import Judgement, ValidatedPlan
from planner.results.fleet import machines_of
from planner.results.plan import CandidatePlan
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Budgets, Objective

Plans = Mapping[str, ValidatedPlan]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetInputs:
    """A question about several models, with everything that it names as it was read.

    Attributes:
        fleet: the question.
        models: each model alone on the whole fleet, by name. Their rows are left out: they hold machines of all models.
        depth: how much the table of alternatives of each model tells.
        planned_w: expected watts of all plans together, as the program counts them, that rows bear; None is unlimited.
    """

    fleet: Fleet
    models: Mapping[str, Inputs]
    depth: Depth = Depth.NONE
    planned_w: float | None = None

    @property
    def available(self) -> Mapping[str, int]:
        """How many of each limited machine type can be had for all models together."""
        return next(iter(self.models.values())).available

    def drawn_w(self, others: Plans) -> float | None:
        """Mean watts that a model's plan may draw in simulation beside those of others; None: as its budget says.

        What rows bear of expected watts is no limit of those drawn: the study of the row looks at these.
        """
        if self.planned_w is None:
            return None
        own = self.fleet.budgets.expected_power_w
        drawn = [found.judgement.power.mean_w for found in others.values() if found.judgement.power]
        return inf if own is None else max(0.0, own - sum(drawn))

    def at(self, factor: float, objective: Objective) -> "FleetInputs":
        """The same question at a factor on the rates of all models, with another objective."""
        models = tuple(
            each.model_copy(
                update={"workload": each.workload.model_copy(update={"rate_scale": each.workload.rate_scale * factor})}
            )
            for each in self.fleet.models
        )
        fleet = self.fleet.model_copy(update={"models": models, "objective": objective})
        return replace(read_fleet(fleet, self.depth), planned_w=self.planned_w)

    def toward(self, objective: Objective) -> "FleetInputs":
        """The same question with another objective, about the clocks and caps that it tries for its own."""
        change = {"objective": objective}
        models = {n: replace(i, scenario=i.scenario.model_copy(update=change)) for n, i in self.models.items()}
        return replace(self, fleet=self.fleet.model_copy(update=change), models=models)

    def for_objective(self, objective: Objective) -> "FleetInputs":
        """The same question as it would be with another objective, clocks and caps too; nothing is read again."""
        models = {name: each.for_objective(objective) for name, each in self.models.items()}
        return replace(self, fleet=self.fleet.model_copy(update={"objective": objective}), models=models)

    def within_watts(self, watts: float) -> "FleetInputs":
        """The same question about plans of at most so many expected watts, besides their budget of them."""

        def lower(inputs: Inputs) -> Inputs:
            own = self.fleet.budgets.expected_power_w
            least = {"expected_power_w": watts if own is None else min(own, watts)}
            budgets = self.fleet.budgets.model_copy(update=least)
            return replace(inputs, scenario=inputs.scenario.model_copy(update={"budgets": budgets}))

        return replace(self, models={name: lower(each) for name, each in self.models.items()}, planned_w=watts)


def read_fleet(fleet: Fleet, depth: Depth = Depth.NONE) -> FleetInputs:
    """Everything that a question about several models names.

    Args:
        fleet: the question.
        depth: how much the table of alternatives of each model is to tell.

    Raises:
        BadInput: with every problem of any model.
    """
    if depth is not Depth.NONE and fleet.objective is Objective.THROUGHPUT:
        raise BadInput(
            "--alternatives: found objective throughput of several models, which are planned for another objective at "
            "the rates that are found; expected objective cost, power, machines, energy or carbon, or no table"
        )
    return FleetInputs(fleet=fleet, models=read_models(fleet), depth=depth)


def digests_of(question: FleetInputs) -> dict[str, str]:
    """SHA-256 of what the plans rest on, as it was read, by model and file."""
    return {
        f"{name}: {what}": digest
        for name, inputs in question.models.items()
        for what, digest in digests(inputs).items()
    }


def exceeded(
    question: FleetInputs, candidates: Mapping[str, CandidatePlan], judgements: Mapping[str, Judgement]
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """What all models share and exceed together: its name -> (the limit, what they need).

    Args:
        question: whose limits.
        candidates: by model.
        judgements: of them, whose watts are those of the simulator.
    """
    spent, budgets = _spent(candidates, judgements), question.fleet.budget()
    limits = {f"budgets.{each.key}": (getattr(budgets, each.key), spent[each.key]) for each in BUDGETS.values()}
    bought = machines_of(candidates.values())
    limits |= {f"catalog.available {kind}": (question.available.get(kind), count) for kind, count in bought.items()}
    planned_w = sum(candidate.totals.expected_power_w for candidate in candidates.values())
    limits["expected watts in rows"] = (question.planned_w, planned_w)
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
    if question.planned_w is not None:
        left_w = question.planned_w - sum(each.totals.expected_power_w for each in others.values())
        limits["expected_power_w"] = min(limits.get("expected_power_w", inf), max(0.0, left_w))
    if fleet.budgets.machine_types is not None:
        limits["machine_types"] = fleet.budgets.machine_types
        if len(taken) >= fleet.budgets.machine_types:  # no other type may come in
            stock |= {kind: 0 for kind in fleet.catalog.machines if kind not in taken}
    catalog = fleet.catalog.model_copy(update={"available": stock})
    budgets = fleet.budgets.model_copy(update=limits)
    return replace(
        inputs, scenario=inputs.scenario.model_copy(update={"catalog": catalog, "budgets": budgets})
    )  # fmt: skip


def _left(budgets: Budgets, spent: Mapping[str, float]) -> Iterator[tuple[str, float | int]]:
    """What others leave of each finite budget."""
    for each in fields(Budgets):
        limit = getattr(budgets, each.name)
        if limit is not None:
            left = max(0.0, limit - spent[each.name])
            yield each.name, round(left) if isinstance(limit, int) else left
