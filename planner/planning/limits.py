"""Limits of a question that machines exceed: budgets, and the rows they stand in."""

from collections.abc import Iterable, Iterator
from itertools import product

from planner.perf.layout import Layout, Role
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from workloads.counts import number, plural


def over_budget(scenario: Scenario, candidate: CandidatePlan, judgement: Judgement) -> Iterator[str]:
    """Each budget that a candidate exceeds, a sentence each; expected watts are the simulated mean where known."""
    limits, spent = scenario.budget(), candidate.spent(judgement.mean_w)
    for key, used in spent.items():
        limit = getattr(limits, key)
        if limit is not None and used > limit * (1 + 1e-9):
            yield f"budgets.{key} is {limit:g}, the plan takes {used:g}"


def parted(candidate: CandidatePlan, apart: Iterable[tuple[tuple[Layout, Layout], str]]) -> tuple[str, ...]:
    """Pools of a candidate between which no KV can travel, a sentence each.

    Args:
        candidate: any plan.
        apart: pairs of a prefill and a decode layout between which none can, and why not.
    """
    reasons = dict(apart)
    first, then = ([pool for pool in candidate.pools if pool.spec.role is role] for role in (Role.PREFILL, Role.DECODE))
    return tuple(
        f"{one.spec.name} sends no KV to {other.spec.name}: {reasons[one.spec.layout, other.spec.layout]}"
        for one, other in product(first, then)
        if (one.spec.layout, other.spec.layout) in reasons
    )


def over_row(row: RowStudy) -> str:
    """Why the machines of a plan do not stand in their rows; empty where they do."""
    if row.fits:
        return ""
    words = f"a row of {number(row.row_limit_w / 1e3)} kW holds {row.machines} ({row.machine}) under {row.policy}"
    if not row.needed_rows:
        return f"{words}: no number of rows holds {plural(row.plan_machines, 'machine')} of the plan"
    needed = f"{plural(row.plan_machines, 'machine')} of the plan need {plural(row.needed_rows, 'row')}"
    return f"{needed}, power.rows is {row.rows}: {words}"
