"""Regret: what it costs to own one plan when another future happens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hw_catalog.load import load_catalog
from planner.compare.outcome import silent
from planner.planning.fleet import row_of
from planner.planning.fleet_question import FleetInputs, exceeded, read_fleet
from planner.planning.limits import over_row
from planner.planning.loop import PlanningLoop
from planner.planning.tighten import at_rates
from planner.resolve.case import Case, case_of
from planner.resolve.inputs import Inputs, inputs_of
from planner.resolve.prices import price_of
from planner.results.evidence import Judgement
from planner.results.fleet import machines_of
from planner.results.plan import CandidatePlan
from planner.results.sweep import Point, Regret
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective

WEIGHED = (Objective.COST, Objective.POWER, Objective.MACHINES)
"""Objectives that are a sum over the machines owned, whatever they do; for others there is no regret."""

Machines = Mapping[str, int]
Bought = Mapping[str, CandidatePlan]
"""What was bought for each model, by its name; a single one has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Whether a plan made for another scenario serves this one.

    Attributes:
        holds: it does, in simulation, within its capacity and within the budgets.
        fails: why not; empty where it does.
    """

    holds: bool
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Plans made for other scenarios, tried on one.

    Attributes:
        trials: one per plan, in the order given.
        weights: machine type -> what one adds to the objective of this scenario; unnamed: it is not for sale.
    """

    trials: tuple[Trial, ...]
    weights: Mapping[str, float]


def tried(scenario: Scenario | Fleet, bought: Sequence[Bought]) -> Trials:
    """Serve a scenario on plans that were made for others.

    Raises:
        BadInput: the scenario names something that is not there.
    """
    if isinstance(scenario, Fleet):
        question, one = read_fleet(scenario), next(iter(scenario.parts().values()))
        trials = tuple(_fleet_trial(question, each) for each in bought)
    else:
        inputs, one = inputs_of(scenario), scenario
        loops: dict[object, PlanningLoop] = {}
        trials = tuple(_trial(_loop(loops, inputs, each[""]), each[""]) for each in bought)
    types = {pool.spec.machine for each in bought for candidate in each.values() for pool in candidate.pools}
    return Trials(trials=trials, weights=weights(one, types | set(scenario.catalog.machines)))


def _loop(known: dict[object, PlanningLoop], inputs: Inputs, candidate: CandidatePlan) -> PlanningLoop:
    """The loop of a candidate's policy and precision, opened once."""
    key = candidate.policy, candidate.variant
    if key not in known:
        known[key] = PlanningLoop(case_of(inputs, candidate), silent)
    return known[key]


def _fleet_trial(question: FleetInputs, bought: Bought) -> Trial:
    """Plans of several models on one scenario: each serves its model, all keep what they share, the rows too."""
    if strangers := [name for name in question.models if name not in bought]:
        return Trial(holds=False, fails=tuple(f"no machines serve {name}" for name in strangers))
    fails, asked, judged = list[str](), dict[str, CandidatePlan](), dict[str, Judgement]()
    for name, inputs in question.models.items():
        loop = PlanningLoop(case_of(inputs, bought[name]), silent)
        found = _served(loop, bought[name])
        if isinstance(found, Trial):
            fails += [f"{name}: {line}" for line in found.fails]
        else:
            asked[name], judged[name] = found
            fails += [f"{name}: {line}" for line in loop.fails(*found)]
    if not fails:
        beyond = exceeded(question, asked, judged)
        fails += [f"{name} is {limit:g}, all models take {needed:g}" for name, (limit, needed) in beyond.items()]
    if not fails and question.fleet.power.row_limit_w is not None:
        fails += filter(None, [over_row(row_of(question, asked, silent))])
    return Trial(holds=not fails, fails=tuple(fails))


def _trial(loop: PlanningLoop, candidate: CandidatePlan) -> Trial:
    """One plan on one scenario."""
    served = _served(loop, candidate)
    if isinstance(served, Trial):
        return served
    found = loop.fails(*served)
    return Trial(holds=not found, fails=found)


def _served(loop: PlanningLoop, candidate: CandidatePlan) -> tuple[CandidatePlan, Judgement] | Trial:
    """A plan at the rates of a scenario and what the simulator says of it; a trial that fails where it cannot serve."""
    case = loop.case
    if unfit := _unfit(case, loop, candidate):
        return Trial(holds=False, fails=unfit)
    rates = {c.request_class.name: c.rate_req_per_s for c in case.asked.demand.classes}
    asked = replace(at_rates(candidate, rates, loop.options), rate_scale=1.0)
    if not loop.within_budgets(asked):
        return Trial(holds=False, fails=("it is beyond the budgets",))
    if beyond := loop.overloads(asked):
        return Trial(holds=False, fails=beyond)
    return asked, loop.judged(asked)


def _unfit(case: Case, loop: PlanningLoop, candidate: CandidatePlan) -> tuple[str, ...]:
    """Why the plan has nothing to serve the scenario with, before anything is simulated."""
    reasons = {excuse.option: excuse.reason for excuse in case.excuses}
    names = [pool.spec.name for pool in candidate.pools]
    absent = [f"{n}: {reasons.get(n, 'is not on offer')}" for n in names if n not in loop.options]
    if absent:
        return tuple(absent)
    served = [(p.spec.name, c) for p in candidate.pools for c, rate in p.rate_req_per_s.items() if rate > 0]
    asked = [c.request_class.name for c in case.asked.demand.classes]
    orphans = [f"no pool serves {name}" for name in asked if all(c != name for _, c in served)]
    unable = [f"{n} cannot serve {c}" for n, c in served if c in asked and c not in loop.options[n].envelopes]
    return (*orphans, *unable)


def weights(scenario: Scenario, types: set[str]) -> dict[str, float]:
    """What one machine of each type adds to the scenario's objective; types that are not for sale are left out."""
    catalog = load_catalog(Path(scenario.catalog.directory) if scenario.catalog.directory else None)
    found = {}
    for name in sorted(types & set(catalog.machines)):
        machine = catalog.machines[name]
        price = price_of(scenario, machine)
        match scenario.objective:
            case Objective.COST if price is not None:
                found[name] = price.usd_per_h
            case Objective.POWER:
                found[name] = machine.rated_w
            case Objective.MACHINES:
                found[name] = 1.0
            case _:
                continue
    return found


def owned(bought: Bought) -> dict[str, int]:
    """Machine type -> how many are bought."""
    return dict(machines_of(bought.values()))


def same_machines(candidate: CandidatePlan) -> tuple[object, ...]:
    """What two plans have in common that are the same cluster, however much they were planned to serve."""
    return (candidate.policy, *((p.spec.name, p.instances) for p in candidate.pools))


def same_clusters(bought: Bought) -> tuple[object, ...]:
    """What plans of the same models have in common that are the same clusters."""
    return tuple((name, *same_machines(candidate)) for name, candidate in sorted(bought.items()))


def regrets(points: Sequence[Point], trials: Mapping[str, Trials]) -> tuple[Regret, ...]:
    """Every plan in every scenario.

    Args:
        points: those with a plan are weighed, in order.
        trials: name of a point -> every plan of ``points`` tried on its scenario, in the same order.
    """
    planned = [point for point in points if point.outcome.bought]
    return tuple(_regret(bought, happens, planned, trials[happens.name]) for happens in planned for bought in planned)


def _regret(bought: Point, happens: Point, planned: Sequence[Point], found: Trials) -> Regret:
    """One plan in one scenario; see docs/whatif.md for the definition."""
    at = [point.name for point in planned].index(bought.name)
    mine = found.trials[at] if bought.name != happens.name else Trial(holds=True, fails=())
    known = [
        owned(point.outcome.bought)
        for point, trial in zip(planned, found.trials, strict=True)
        if trial.holds or point.name == happens.name
    ]
    have = owned(bought.outcome.bought)
    best = min((value for each in known if (value := _value(each, found.weights)) is not None), default=None)
    ways = [{}] if mine.holds else [_missing(have, each) for each in known]
    priced = [(extra, sorted(way.items())) for way in ways if (extra := _value(way, found.weights)) is not None]
    now = _value(have, found.weights)
    if not priced or now is None or best is None:
        return Regret(
            bought=bought.name, happens=happens.name, holds=mine.holds, fails=mine.fails, add={}, extra=None,
            regret=None,
        )  # fmt: skip
    extra, way = min(priced)
    return Regret(
        bought=bought.name, happens=happens.name, holds=mine.holds, fails=mine.fails, add=dict(way), extra=extra,
        regret=max(0.0, now + extra - best),
    )  # fmt: skip


def _missing(have: Machines, wanted: Machines) -> dict[str, int]:
    """Machines of each type that must be added to run a plan on what is owned."""
    lacking = {name: count - have.get(name, 0) for name, count in wanted.items()}
    return {name: count for name, count in lacking.items() if count > 0}


def _value(machines: Machines, weights: Mapping[str, float]) -> float | None:
    """What machines add to the objective; None where one of them is not for sale."""
    if any(name not in weights for name in machines):
        return None
    return sum(count * weights[name] for name, count in sorted(machines.items()))
