"""Other goals: what would be bought if cost, rated power or energy alone counted, and why it differs."""

from collections.abc import Iterator

from planner.capacity.envelope import Option
from planner.formulate import lift
from planner.planning.loop import PlanningLoop
from planner.planning.tighten import price
from planner.results.plan import CandidatePlan, Pool
from planner.scenario.objectives import Objective

GOALS = (Objective.COST, Objective.POWER, Objective.ENERGY)


def tradeoffs(loop: PlanningLoop, chosen: CandidatePlan) -> tuple[str, ...]:
    """One sentence per goal that would buy something else, at the load limits of the chosen plan.

    These plans come from the optimiser alone; the simulator has not seen them. Nothing is said where there is no clock,
    no cap and no energy to weigh.
    """
    scenario = loop.case.scenario
    goal = scenario.objective
    weighed = scenario.catalog.clocks_mhz or scenario.catalog.caps_w or goal in (Objective.ENERGY, Objective.CARBON)
    if not weighed or goal is Objective.THROUGHPUT:
        return ()
    return tuple(words for other in GOALS if other is not goal for words in _other(loop, chosen, other))


def _other(loop: PlanningLoop, chosen: CandidatePlan, goal: Objective) -> Iterator[str]:
    """What another goal would buy."""
    solution = loop.canonical(loop.problem(chosen.headroom, goal))
    if solution.allocation is None:
        return
    plan = lift(solution, loop.case.options, headroom=chosen.headroom, policy=chosen.policy)
    before, after = price(goal, chosen.totals), price(goal, plan.totals)
    if before <= 0 or after >= before * (1 - 1e-3):
        return
    cost = plan.totals.cost_usd_per_h / chosen.totals.cost_usd_per_h - 1
    watts = plan.totals.expected_power_w / max(1e-9, chosen.totals.expected_power_w) - 1
    bought = ", ".join(f"{p.machines} {p.spec.name}" for p in plan.pools)
    yield (
        f"least {goal}, by the optimiser alone: {bought}; {goal} {100 * (after / before - 1):+.1f} %, "
        f"cost {100 * cost:+.1f} %, expected watts {100 * watts:+.1f} %{_because(loop, chosen, plan)}"
    )


def _because(loop: PlanningLoop, chosen: CandidatePlan, plan: CandidatePlan) -> str:
    """What tells the option that does most of a role there from the chosen one."""
    reasons = []
    for mine in chosen.pools:
        rivals = [p for p in plan.pools if p.spec.role is mine.spec.role]
        if not rivals:
            continue
        theirs = max(rivals, key=lambda p: sum(p.rate_req_per_s.values()))
        if theirs.spec.name == mine.spec.name:
            continue
        one, other = loop.options[mine.spec.name], loop.options[theirs.spec.name]
        floor = other.floor_w / max(1e-9, one.floor_w) - 1
        slower = _busy_s(other, mine) / _busy_s(one, mine) - 1
        reasons.append(
            f"{theirs.spec.name} draws {100 * floor:+.0f} % at the least load and takes {100 * slower:+.0f} % "
            f"instance time per request, against {mine.spec.name}"
        )
    return "; " + "; ".join(reasons) if reasons else ""


def _busy_s(option: Option, pool: Pool) -> float:
    """Busy seconds of an instance for all that the pool is asked in a second, on another option."""
    rates = {c: r for c, r in pool.rate_req_per_s.items() if c in option.envelopes}
    return max(1e-12, sum(r * (option.envelopes[c].prefill_s + option.envelopes[c].decode_s) for c, r in rates.items()))
