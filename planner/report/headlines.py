"""The verdict of a plan in a sentence: machines by type and what they do, money, watts, load, and how it is served."""

from collections.abc import Iterable

from planner.perf.layout import Role
from planner.report.choices import split_words
from planner.report.power import rated_words
from planner.report.words import dollars, policy_words, rate, valued
from planner.results.choice import Standing
from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.results.precision import precision
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.objectives import Objective
from planner.scenario.sections import Catalog
from workloads.counts import number, percent, plural, watts

_ROLES = {Role.PREFILL: " (prefill)", Role.DECODE: " (decode)", Role.MIXED: ""}
_MOST_TYPES = 6
"""Machine types that a headline names, by what they do."""


def headline_of(candidate: CandidatePlan, scenario: Scenario, standing: str = "") -> str:
    """What to buy, in a line."""
    totals = candidate.totals
    return (
        f"{count_words([candidate])}, {dollars(totals.cost_usd_per_h)}, {watts(totals.power_w)} "
        f"{rated_words(candidate)}{standing}, for {load_words(candidate, scenario)}: {machine_words(candidate.pools)}"
    )


def machine_words(pools: Iterable[Pool]) -> str:
    """Machines by type and by what they do: ``2 dgx-h100 (prefill), 2 dgx-a100 (decode)``."""
    counts: dict[tuple[Role, str], int] = {}
    for pool in sorted(pools, key=lambda each: (list(_ROLES).index(each.spec.role), each.spec.machine)):
        kind = pool.spec.role, pool.spec.machine
        counts[kind] = counts.get(kind, 0) + pool.machines
    parts = [f"{number(count)} {machine}{_ROLES[role]}" for (role, machine), count in counts.items()]
    named, left = parts[:_MOST_TYPES], len(parts) - _MOST_TYPES
    return ", ".join(named) + (f" and {left} more kinds" if left > 0 else "")


def count_words(candidates: Iterable[CandidatePlan]) -> str:
    """All machines, and how many of them may be down: ``4 machines (1 of them spare)``."""
    every = list(candidates)
    spare = sum(pool.spares for each in every for pool in each.pools)
    spared = f" ({spare} of them spare)" if spare else ""
    return f"{plural(sum(each.totals.machines for each in every), 'machine')}{spared}"


def about_of(plan: ValidatedPlan, scenario: Scenario) -> str:
    """Precision, engine, policy and whether it splits the phases, goal, and whose prices these are."""
    how = f"{policy_words(plan.candidate.policy, scenario.policy)}{_workers(plan.candidate)}"
    parts = (
        *((precision(plan.served),) if plan.served else ()), f"{how} ({split_words(plan, scenario.policy.name)})",
        *filter(None, [cell_words(plan.candidate)]),
        best_words(scenario.objective), price_words(scenario.catalog),
    )  # fmt: skip
    return "; ".join(parts)


def price_words(asked: Catalog) -> str:
    """Whose prices: ``reserved prices``, scaled or your own where they are."""
    own = ", ".join(asked.price_usd_per_h)
    scaled = ", scaled by catalog.price_scale" if asked.price_scale else ""
    scaled += f", your own for {own}" if own else ""
    return f"{asked.channel} prices{scaled}"


def best_words(objective: str) -> str:
    """What the best plan has: the most throughput, or the least of anything else."""
    return f"{'most' if objective == Objective.THROUGHPUT else 'least'} {objective}"


def model_words(scenario: Scenario | Fleet) -> str:
    """What is served, by name: ``llama-3.1-70b``, or ``chat, code``."""
    return ", ".join(each.name for each in scenario.models) if isinstance(scenario, Fleet) else scenario.model.name


def load_words(candidate: CandidatePlan, scenario: Scenario) -> str:
    """What is served: ``40 req/s of llama-3.1-70b``."""
    return f"{rate(served_req_per_s(candidate))} of {scenario.model.name}"


def served_req_per_s(candidate: CandidatePlan) -> float:
    """Requests per second; one that is split between two pools is counted where it starts."""
    return sum(sum(p.rate_req_per_s.values()) for p in candidate.pools if p.spec.role is not Role.DECODE)


def cell_words(candidate: CandidatePlan) -> str:
    """How many machines stand in how many cells; empty of one pool."""
    machines, cells = candidate.totals.machines, candidate.cells
    if cells == 1:
        return ""
    return f"{plural(cells, 'cell')} of {plural(machines // cells, 'machine')}"


def divided_words(plan: ValidatedPlan) -> str:
    """What dividing a fleet into cells costs in its objective, against one pool; empty of one pool."""
    found = plan.divided
    if found is None:
        return ""
    most = plan.objective == Objective.THROUGHPUT
    pool = f"{valued(plan.objective, found.objective_value)} ({plural(found.machines, 'machine')})"
    how = "validated" if found.standing is Standing.VALIDATED else "as the program has it, not simulated"
    gain = "achieves" if most else "takes"
    side = "less" if most is (found.more_frac >= 0) else "more"
    change = f"{gain} {percent(abs(found.more_frac))} {side}"
    return f"dividing into {plan.candidate.cells} {change} than one pool: {pool}, {how}"


def _workers(candidate: CandidatePlan) -> str:
    """Instances of a split plan of mixtures of experts, as those who serve them count: ``, 3P2D``."""
    counts = {role: sum(p.instances for p in candidate.pools if p.spec.role is role) for role in Role}
    spread = any(p.spec.layout.ep * p.spec.layout.dp > 1 for p in candidate.pools)
    split = counts[Role.PREFILL] and counts[Role.DECODE]
    return f", {counts[Role.PREFILL]}P{counts[Role.DECODE]}D" if spread and split else ""
