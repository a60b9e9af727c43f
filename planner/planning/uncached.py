"""The same question without its prefix cache: what the cache is worth, as a row beside the plan."""

from dataclasses import replace

from planner.planning.choices import MOST_REQUESTS, Depth
from planner.planning.figures import figures
from planner.planning.in_rows import prepared
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, confirmed
from planner.planning.search import Contender, find_start
from planner.planning.whole_question import held_whole
from planner.resolve.case import case_of
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario

NO_CACHE = ("prefix_cache.gib=null", "prefix_cache.host_gib=0", "prefix_cache.hit_frac=null", "prefix_cache.turns=null")


def uncached(scenario: Scenario, best: ValidatedPlan, depth: Depth) -> tuple[Choice, ...]:
    """A row for the plan's precision, engine and policy with every prompt computed in full; none where no cache is.

    Args:
        scenario: the question.
        best: its answer.
        depth: how much alternatives tell; the row is simulated where others would be.
    """
    if scenario.prefix_cache.gib is None or depth is Depth.NONE or best.candidate.cells > 1:
        return ()
    loop = PlanningLoop(prepared(case_of(scenario.changed(NO_CACHE), best.candidate)), _silent)
    if not loop.serves:
        return ()
    contender = Contender(loop=loop)
    most = MOST_REQUESTS[depth] // (10 if depth is Depth.SHORT else 1)
    if best.judgement.arrived <= most:
        find_start(contender)
    loop.prove()
    if isinstance(contender.start, First) and (held := confirmed(loop, contender.start)):
        return (replace(figures(loop, *held_whole(loop, *held), allowed=True), cached=False),)
    headroom = loop.case.scenario.headroom_limits()
    solution = loop.canonical(loop.problem(headroom))
    if solution.allocation is None:
        return ()
    standing = Standing.BOUND if contender.start is None else Standing.REFUSED
    row = figures(loop, loop.lifted(solution, headroom), None, standing, allowed=True)
    return (replace(row, cached=False),)


def _silent(_words: str, _done_frac: float) -> None:
    """Nothing is told: a row takes a moment."""
