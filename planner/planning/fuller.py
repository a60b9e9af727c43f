"""Fuller machines: what the program offers where they are loaded more than a first proposal may load them.

A proposal leaves headroom, and the search around the plan that holds takes one step at a time. Between the two lie
plans of other machine types, which the program names at once when it may fill machines further.
"""

from collections.abc import Iterator
from dataclasses import fields

from planner.planning.headroom import NO_HEADROOM
from planner.planning.local_search import Held, Machines, Neighbourhood
from planner.planning.loop import PlanningLoop
from planner.planning.shrink import RATE_STEP_FRAC, stretch
from planner.planning.splits import BETTER_FRAC
from planner.planning.tighten import price
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Headroom, Objective

NEARER_FRACS = (0.3, 0.6, 0.8, 1.0)
"""Shares of the way from the load limits of the scenario to machines without headroom at which the program is asked."""


def fuller(loop: PlanningLoop, held: Held) -> Held:
    """The best plan that the simulator confirms among those of the program at higher load limits.

    Args:
        loop: that judges.
        held: a plan that holds.

    Returns:
        What was given, or something better at the same objective.
    """
    fastest, failed = loop.case.scenario.objective is Objective.THROUGHPUT, set[Machines]()
    for headroom in limits(loop.case.scenario.headroom_limits()):
        scale = held[0].rate_scale * (1 + RATE_STEP_FRAC) if fastest else None
        made = Neighbourhood(loop, held, scale=scale)
        point = _proposed(loop, held, headroom)
        if point is None or point in failed or not made.made(point):
            continue
        if not fastest and made.worth(point) >= made.worth(made.start) * (1 - BETTER_FRAC):
            continue
        if not made.holds(point):
            failed.add(point)
            continue
        held = made.plan(point), made.judged(point)
        held = stretch(loop, held)[0] if fastest else held
        loop.note("fuller", *held)
    return held


def limits(start: Headroom) -> Iterator[Headroom]:
    """Load limits between those of a scenario and none, the nearest first."""
    first = {f.name: getattr(start, f.name) for f in fields(start)}
    full = {f.name: getattr(NO_HEADROOM, f.name) for f in fields(start)}
    for share in NEARER_FRACS:
        yield Headroom(**{name: low + share * (full[name] - low) for name, low in first.items()})


def _proposed(loop: PlanningLoop, held: Held, headroom: Headroom) -> Machines | None:
    """Machines of the program at load limits; None where they cannot be better than the plan."""
    program = loop.problem(headroom)
    solution = loop.solve(program)  # which of equals it is matters only where it may be better
    if solution.allocation is None or not _better(loop, loop.lifted(solution, headroom), held[0]):
        return None
    canonical = loop.canonical(program)
    if canonical.allocation is None:
        return None
    return tuple(sorted((pool.spec.name, pool.machines) for pool in loop.lifted(canonical, headroom).pools))


def _better(loop: PlanningLoop, candidate: CandidatePlan, held: CandidatePlan) -> bool:
    """Whether a candidate would be better than the plan if it held."""
    objective = loop.case.scenario.objective
    if objective is Objective.THROUGHPUT:
        return candidate.rate_scale > held.rate_scale * (1 + RATE_STEP_FRAC)
    return price(objective, candidate.totals) < price(objective, held.totals) * (1 - BETTER_FRAC)
