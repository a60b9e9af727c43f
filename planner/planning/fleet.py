"""Several models on one fleet: each is planned by the loop of one model, in a share that a joint program gives it.

Plans of several models are plans of one model that only budgets, stock and rows join. Where the best plan of each alone
leaves enough for the others they are the answer. Else one program over all models says who gets which machines, every
model is planned in its share, and what one leaves is offered to the others. Rows hold machines of all models.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from planner.planning.fleet_bound import prove
from planner.planning.fleet_most import Most, goal_of
from planner.planning.fleet_nines import nines_of
from planner.planning.fleet_question import FleetInputs, Plans, exceeded
from planner.planning.fleet_refusals import beyond_shared, no_plans, not_in_rows, stopped_by, too_little
from planner.planning.fleet_short import Short
from planner.planning.fleet_split import Split
from planner.planning.learned import by_clock
from planner.planning.overloads import FUZZ_FRAC
from planner.planning.plan import plan
from planner.planning.proven import certified, proven
from planner.planning.row_search import Stood, standing
from planner.planning.row_study import Tenant, shared_study
from planner.resolve.case import case_of
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.fleet import FleetPlan, ModelPlan, NoFleetPlan
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario.fleet import served_twice
from planner.scenario.objectives import Objective

Progress = Callable[[str, float], None]


def plan_fleet(question: FleetInputs, *, progress: Progress, why: bool = True) -> FleetPlan | NoFleetPlan:
    """The best plans of all models within what they share, every one validated by the simulator on its own traffic.

    Args:
        question: as it was read.
        progress: told what is happening and a share 0..1 of the work, which is an estimate.
        why: plan with other values of shared limits where there are no plans, to name those with which there are.

    Raises:
        BadInput, CatalogError, WorkloadError: something the question names is missing or broken.
    """
    most = question.fleet.objective is Objective.THROUGHPUT
    found = Most(question, _least, row_of, progress).plans() if most else _least(question, progress)
    if isinstance(found, FleetPlan) or not why:
        return found
    asked = question.at(found.rate_ratio, goal_of(question)) if most else question
    limits = Short(asked, lambda other: _least(other, lambda words, _: progress(f"other limits: {words}", 0.95)), found)
    return too_little(found, limits.found())


def _least(question: FleetInputs, progress: Progress) -> FleetPlan | NoFleetPlan:
    """The same at the rates that are asked, for an objective that is minimised."""
    alone = _alone(question, {}, progress)
    if isinstance(alone, NoFleetPlan):
        return alone
    found = _joined(question, alone, progress)
    if isinstance(found, NoFleetPlan) or question.fleet.power.row_limit_w is None:
        return found
    return _in_rows(question, found, alone, progress)


def row_of(question: FleetInputs, candidates: Mapping[str, CandidatePlan], progress: Progress) -> RowStudy:
    """The study of the rows that the machines of all models stand in.

    Args:
        question: that has rows.
        candidates: by model.
        progress: told what is happening.
    """
    tenants = [
        Tenant(case=case_of(question.models[name], each), candidate=each, model=name)
        for name, each in candidates.items()
    ]
    return shared_study(tenants, question.fleet.power, progress)


def _alone(question: FleetInputs, known: Plans, progress: Progress) -> dict[str, ValidatedPlan] | NoFleetPlan:
    """The plan of each model on the whole fleet; those known that keep the expected watts of rows are kept."""
    names, found = list(question.models), dict[str, ValidatedPlan]()
    most_w = question.planned_w
    for number, name in enumerate(names):
        if most_w is not None and name in known and known[name].candidate.totals.expected_power_w <= most_w:
            found[name] = known[name]
            continue
        told = _told(progress, name, number / (3 * len(names)), names)
        answer = plan(question.models[name], progress=told, drawn_w=question.drawn_w({}), depth=question.depth)
        if isinstance(answer, NoPlan):
            return no_plans(answer, name)
        found[name] = answer
    return found


def _joined(question: FleetInputs, alone: Plans, progress: Progress) -> FleetPlan | NoFleetPlan:
    """The plans of each alone where they fit together, else those in shares."""
    beyond = _beyond(question, alone)
    if not beyond:
        return _answer(question, alone, alone, (), _sum(found.certificate.known_bound for found in alone.values()), ())
    progress("proving a bound", 0.34)
    proof = prove(question.models)
    split = Split(question, alone, proof, progress)
    found = split.plans()
    stopped = by_clock({*proof.clocked, *split.clocked})
    if isinstance(found, NoFleetPlan):
        return stopped_by(found, stopped)
    words = tuple(f"{name}: each model alone would take {needed:g} together, {limit:g} there are"
                  for name, (limit, needed) in beyond.items())  # fmt: skip
    improved = split.improved(found)
    return _answer(question, alone, improved, words, proof.bound, stopped)


def _in_rows(question: FleetInputs, first: FleetPlan, alone: Plans, progress: Progress) -> FleetPlan | NoFleetPlan:
    """The plans, if the machines of all stand in the rows that there are; else the best found that do, or none."""
    rows: dict[object, RowStudy] = {}

    def stood(found: FleetPlan) -> Stood[FleetPlan]:
        candidates = {name: each.candidate for name, each in found.plans.items()}
        key = tuple((name, each.policy, each.pools) for name, each in candidates.items())
        row = rows.get(repr(key)) or row_of(question, candidates, progress)
        rows[repr(key)] = row
        return Stood(plan=found, row=row, expected_w=found.totals.expected_power_w)

    def less(watts: float) -> Stood[FleetPlan] | None:
        asked = question.within_watts(watts)
        each = _alone(asked, alone, progress)
        found = each if isinstance(each, NoFleetPlan) else _joined(asked, each, progress)
        return None if isinstance(found, NoFleetPlan) else stood(found)

    tried = [stood(first)]
    held = standing(tried, less, _better)
    if held is None:
        return not_in_rows(first, [each.row for each in tried])
    shared = tuple(dict.fromkeys((*first.shared, *held.plan.shared)))
    bound, gap = proven(first.objective, held.plan.objective_value, first.bound)
    return replace(held.plan, power=held.row, shared=shared, bound=bound, gap_frac=gap)


def _better(held: Stood[FleetPlan], other: Stood[FleetPlan]) -> Stood[FleetPlan]:
    """The better of two that the rows hold."""
    return other if other.plan.objective_value < held.plan.objective_value * (1 - FUZZ_FRAC) else held


def _beyond(question: FleetInputs, plans: Plans) -> dict[str, tuple[float, float]]:
    """What validated plans share and exceed together."""
    candidates = {name: found.candidate for name, found in plans.items()}
    judgements = {name: found.judgement for name, found in plans.items()}
    return exceeded(question, candidates, judgements)


def _sum(bounds: Iterable[float | None]) -> float | None:
    """The sum of bounds; None where one is not proven."""
    known = list(bounds)
    return None if None in known else sum(bound for bound in known if bound is not None)


def _answer(
    question: FleetInputs, alone: Plans, plans: Plans, shared: tuple[str, ...], bound: float | None,
    warnings: tuple[str, ...],
) -> FleetPlan | NoFleetPlan:  # fmt: skip
    """The plans with what is proven of them, unless they exceed what they share after all."""
    if beyond := _beyond(question, plans):
        return beyond_shared(beyond, plans)
    value = sum(found.objective_value for found in plans.values())
    said, gap = proven(question.fleet.objective, value, bound)
    return FleetPlan(
        models=tuple(ModelPlan(name=name, plan=_bounded(plans[name], alone[name])) for name in plans),
        objective=question.fleet.objective.value,
        objective_value=value,
        bound=said,
        gap_frac=gap,
        shared=shared,
        nines=nines_of(question, plans),
        warnings=(*served_twice(question.fleet), *warnings),
    )


def _bounded(found: ValidatedPlan, alone: ValidatedPlan) -> ValidatedPlan:
    """A plan in a share with the bound of the model on the whole fleet."""
    value, bound = found.objective_value, alone.certificate.known_bound
    return replace(found, certificate=certified(found.certificate, found.objective, value, bound))


def _told(progress: Progress, name: str, start_frac: float, names: list[str]) -> Progress:
    """Progress of one model alone as a part of the whole."""
    return lambda words, done_frac: progress(f"{name}: {words}", start_frac + done_frac / (3 * len(names)))
