"""The nouns of several models on one fleet: a validated plan of each, and what they share."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from planner.results.availability import Nine
from planner.results.choice import Choice
from planner.results.evidence import Judgement, NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan, Totals
from planner.results.row import RowStudy
from planner.results.shortfall import Shortfall


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """The plan of one of the models.

    Attributes:
        name: of the model in the question.
        plan: its machines and its evidence; its bound is that of the model alone on the whole fleet.
    """

    name: str
    plan: ValidatedPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Plans of several models that keep the budgets, stock and rows of all together.

    Attributes:
        models: the plan of each, in the order of the question; validated only if each of them is.
        objective: what was minimised, for example ``cost``; or throughput, the most: one factor on the rates of all.
        objective_value: its value, the sum over models; mean watts and their CO2 as simulated.
        bound: proven: no plans of all models have a better objective, whatever their latencies; None where that is
            not proven of each.
        gap_frac: (objective - bound) / objective; None without a bound.
        shared: what they share and the plans of each alone would exceed together, a sentence each; empty where these
            plans are those that each model would have alone.
        power: the rows that the machines of all models stand in; None where there is no row limit.
        nines: what shares of time cost all models, the smallest first, each model on its own spare machines; its
            ``up_frac`` is of all models at once, at least. Empty where availability was not asked.
        warnings: doubts about what all share, full sentences; those of each model are with its plan.
    """

    models: tuple[ModelPlan, ...]
    objective: str
    objective_value: float
    bound: float | None
    gap_frac: float | None
    shared: tuple[str, ...]
    power: RowStudy | None = None
    nines: tuple[Nine, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def plans(self) -> dict[str, ValidatedPlan]:
        """By the names of the models."""
        return {each.name: each.plan for each in self.models}

    @property
    def totals(self) -> Totals:
        """What all models need together."""
        return together(each.plan.candidate for each in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFleetPlan:
    """There are no plans of all models within what they share.

    Attributes:
        answer: why, as of one model; explanations name the model.
        judgements: what the simulator said of the best candidate of each model, by its name, where there was one.
        shortfalls: shared limits that bind; empty where none does.
        stopped: what ended solves before they were done, full sentences, which the explanation ends with.
        rate_ratio: factor on the rates of all at which there are none.
    """

    answer: NoPlan
    judgements: Mapping[str, Judgement]
    shortfalls: tuple[Shortfall, ...] = ()
    stopped: tuple[str, ...] = ()
    rate_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSimulation:
    """What the simulator says of every model's plan.

    Attributes:
        judgements: by model.
        candidates: the same machines, with the rates, loads and watts of this workload, by model.
        over: limits that all exceed together, a sentence each.
        priced: money of each model divided between prompts and outputs.
    """

    judgements: Mapping[str, Judgement]
    candidates: Mapping[str, CandidatePlan]
    over: tuple[str, ...]
    priced: Mapping[str, Choice]

    @property
    def valid(self) -> bool:
        """Whether every model's objectives hold, and what all share suffices."""
        return not self.over and all(judgement.valid for judgement in self.judgements.values())


def together(candidates: Iterable[CandidatePlan]) -> Totals:
    """What several plans need together."""
    return reduce(add, (candidate.totals for candidate in candidates))


def machines_of(candidates: Iterable[CandidatePlan]) -> Counter[str]:
    """Machines of each type that several plans need together."""
    found = Counter[str]()
    for candidate in candidates:
        for pool in candidate.pools:
            found[pool.spec.machine] += pool.machines
    return found
