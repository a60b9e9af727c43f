"""From a scenario to what planning it comes to."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from planner.compare.bill import bill_of, bill_of_all
from planner.compare.grid import Asked
from planner.compare.journal import Digests
from planner.compare.over_time import scheduled
from planner.compare.runner import Task
from planner.perf.layout import Role
from planner.planning import plan as verbs
from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import read_fleet
from planner.planning.refusals import raise_words
from planner.results.choice import priced
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.fleet import FleetPlan, NoFleetPlan, machines_of
from planner.results.plan import CandidatePlan
from planner.results.sweep import VALIDATED, Binding, Outcome, Point
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet


def silent(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


def planning(asked: Asked, digests: Digests) -> Task:
    """The task of planning one scenario."""
    digest = digests.of("plan", asked.scenario)
    return Task(digest=digest, name=asked.name, act=planned, arguments=(asked.scenario, digest))


def planned(scenario: Scenario | Fleet, digest: str, *, why: bool = True) -> Outcome:
    """What planning a scenario comes to; ``why`` as of ``plan_fleet``.

    Raises:
        BadInput: it names something that is not there.
    """
    if scenario.schedule is not None:
        return scheduled(scenario, digest)
    if isinstance(scenario, Fleet):
        found = plan_fleet(read_fleet(scenario), progress=silent, why=why)
        return refused(found.answer, digest) if isinstance(found, NoFleetPlan) else of_fleet(found, scenario, digest)
    answer = verbs.plan(scenario, progress=silent)
    return refused(answer, digest) if isinstance(answer, NoPlan) else outcome(answer, scenario, digest)


def outcome(plan: ValidatedPlan, scenario: Scenario, digest: str) -> Outcome:
    """The part of a plan that is compared with other plans."""
    evidence, money = plan.judgement.evidence, priced(plan.choices)
    return Outcome(
        digest=digest,
        verdict=VALIDATED,
        explanation=(),
        candidate=plan.candidate,
        objective_value=plan.objective_value,
        served_req_per_s=served_req_per_s(plan.candidate),
        bound=plan.certificate.bound,
        evidence=evidence,
        margin_frac={e.key: 1 - e.used_ratio for e in evidence},
        binds=tuple(_binding(plan, scenario)),
        bill=bill_of(plan, scenario.energy),
        gpu_tokens_per_s=money.gpu_tokens_per_s if money else None,
        user_tokens_per_s=money.user_tokens_per_s if money else None,
        concurrency=money.concurrency if money else None,
    )


def of_fleet(found: FleetPlan, fleet: Fleet, digest: str) -> Outcome:
    """The part of plans of several models that is compared with others; objectives are named by model."""
    parts, plans = fleet.parts(), found.plans
    said = {f"{name}: {e.key}": 1 - e.used_ratio for name, p in plans.items() for e in p.judgement.evidence}
    near = [replace(b, name=f"{n}: {b.name}") for n, p in plans.items() for b in _binding(p, parts[n])]
    each = [max((b for b in near if b.kind == kind), key=lambda b: b.used_frac) for kind in ("objective", "resource")]
    candidates = {name: each.candidate for name, each in plans.items()}
    spent = Counter[str]()
    for each_plan in plans.values():
        spent.update(each_plan.candidate.spent(each_plan.judgement.mean_w))
    spent["machine_types"] = len(machines_of(candidates.values()))
    shares = {key: spent[key] / limit for key, limit in budgets(fleet).items() if limit}
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return Outcome(
        digest=digest, verdict=VALIDATED, explanation=(), candidate=None, models=candidates,
        objective_value=found.objective_value, bound=found.bound, margin_frac=said,
        served_req_per_s=sum(map(served_req_per_s, candidates.values())),
        evidence=tuple(e for each in plans.values() for e in each.judgement.evidence),
        binds=(*each, *(Binding(kind="budget", name=key, used_frac=share) for key, share in ordered)),
        bill=bill_of_all(tuple(plans.values()), fleet.energy),
    )  # fmt: skip


def refused(answer: NoPlan, digest: str) -> Outcome:
    """Why there is no plan, in the shape of an outcome."""
    raises = tuple(raise_words(answer.raises))
    return Outcome(
        digest=digest, verdict=answer.reason, explanation=tuple(dict.fromkeys((*answer.explanation, *raises))),
        candidate=None, objective_value=None, served_req_per_s=None, bound=None, evidence=(), margin_frac={}, binds=(),
    )  # fmt: skip


def point(asked: Asked, result: Any) -> Point:  # noqa: ANN401  JSON has no narrower type
    """The point of a scenario, from its outcome as JSON data."""
    return Point(name=asked.name, settings=asked.settings, outcome=TypeAdapter(Outcome).validate_python(result))


def served_req_per_s(candidate: CandidatePlan) -> float:
    """Requests per second that a candidate is planned for; a request of a split pair is counted where it starts."""
    starts = (pool for pool in candidate.pools if pool.spec.role is not Role.DECODE)
    return sum(rate for pool in starts for rate in pool.rate_req_per_s.values())


def _binding(plan: ValidatedPlan, scenario: Scenario) -> Iterator[Binding]:
    """The objective and the resource that come closest to their limit, and every budget."""
    tightest = max(plan.judgement.evidence, key=lambda e: e.used_ratio)
    yield Binding(kind="objective", name=tightest.key, used_frac=tightest.used_ratio)
    headroom = plan.candidate.headroom
    loads = [(p.load_frac / headroom.of(p.spec.role), f"load of {p.spec.name}") for p in plan.candidate.pools]
    memory = [(p.kv_load_frac / headroom.kv_frac, f"KV memory of {p.spec.name}") for p in plan.candidate.pools]
    used_frac, name = max(loads + memory)
    yield Binding(kind="resource", name=name, used_frac=used_frac)
    spent = plan.candidate.spent(plan.judgement.mean_w)
    shares = {key: spent[key] / limit for key, limit in budgets(scenario).items() if limit}
    for key, share in sorted(shares.items(), key=lambda item: -item[1]):
        yield Binding(kind="budget", name=key, used_frac=share)


def budgets(scenario: Scenario | Fleet) -> dict[str, float]:
    """Budget -> limit, of those that are limited."""
    return {key: float(limit) for key, limit in scenario.budgets.model_dump().items() if limit is not None}
