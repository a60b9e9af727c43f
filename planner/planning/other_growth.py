"""The growth that was not assumed: what a plan would be if busy minutes were shared, or were not."""

from collections.abc import Callable

from planner.resolve.workload import asked
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario import Scenario
from planner.scenario.objectives import Objective
from workloads.counts import number, plural

MOST_REQUESTS = 400_000
"""Requests of a trace up to which the other growth is planned too, which takes about as long as the plan itself."""

WORDS = {"shared": "busy minutes grow with the rest", "independent": "busy minutes average out"}


def other_growth(
    scenario: Scenario, best: ValidatedPlan, planned: Callable[[Scenario], ValidatedPlan | NoPlan]
) -> tuple[str, ...]:
    """One sentence on what the other growth needs, where a trace is replayed at another rate; else none.

    Args:
        scenario: the question.
        best: its answer.
        planned: the same question, planned and simulated.
    """
    wanted, scale = asked(scenario), best.candidate.rate_scale
    if wanted.growth is None or not wanted.grown_at(scale):
        return ()
    other = "independent" if wanted.growth == "shared" else "shared"
    begin = f"{wanted.growth} growth is assumed ({WORDS[wanted.growth]}); {other} growth ({WORDS[other]})"
    changed = scenario.changed([f"workload.growth={other}", f"policy.name={best.candidate.policy}"])
    count = len(asked(changed).draw(wanted.seeds[0], scale, 1.0))
    if count > MOST_REQUESTS:
        return (f"{begin} was not planned, at {count:,} requests a trace: set workload.growth to {other}",)
    answer = planned(changed)
    if isinstance(answer, NoPlan):
        return (f"{begin} has no plan: {answer.explanation[0]}",)
    totals, mine = answer.candidate.totals, best.candidate.totals
    rate = f", {number(answer.objective_value)} req/s" if answer.objective == Objective.THROUGHPUT else ""
    change = totals.cost_usd_per_h / max(1e-9, mine.cost_usd_per_h) - 1
    return (
        f"{begin} needs {plural(totals.machines, 'machine')} at ${totals.cost_usd_per_h:,.2f}/h{rate} in simulation, "
        f"against {mine.machines} ({100 * change:+.1f} % cost)",
    )
