"""How much more load a plan carries than it was made for, by simulation."""

from dataclasses import replace

from planner.planning.loop import PlanningLoop
from planner.planning.tighten import faster
from planner.results.evidence import Margin
from planner.results.failings import failures
from planner.results.plan import CandidatePlan
from workloads.counts import number, plural

RATIOS = (1.02, 1.05, 1.1, 1.2, 1.35, 1.5, 2.0)
"""Loads that are tried, as shares of the planned one."""


def unsure_of_load(found: Margin | None, *, most: bool = False, spare_machines: int = 0) -> tuple[str, ...]:
    """That a plan is sold without room for a busier day, in a sentence; nothing where it has some.

    Args:
        found: its load margin.
        most: its rate is the most that was found to hold, so that what chance adds to it is in it, too.
        spare_machines: that are down where the margin was found; all serve otherwise, so that more is carried then.
    """
    if found is None or found.holds_ratio > 1 or found.misses_ratio is None:
        return ()
    why = found.fails[0] if found.fails else "it fails"
    down = f" with {plural(spare_machines, 'spare machine')} down" if spare_machines else ""
    words = f"no load margin{down}: at {number(found.misses_ratio)} times the load {why}"
    if most:
        seeds = "the rate is the most that the simulated seeds carry, others may miss an objective at it"
        return (f"{words}; {seeds}: count on less (validation.seeds takes more of them)",)
    return (f"{words}; plan for more (workload.rate_scale) where the load is not certain",)


def _late(loop: PlanningLoop, candidate: CandidatePlan, ratio: float) -> tuple[str, ...]:
    """What a longer window misses at a load."""
    return failures(loop.judged(replace(candidate, rate_scale=candidate.rate_scale * ratio)))


def margin(loop: PlanningLoop, candidate: CandidatePlan) -> Margin:
    """The largest of ``RATIOS`` at which a valid plan still meets every objective, and what the next one misses.

    Bisection: a plan that fails at one load is taken to fail at every higher one.
    """
    low, high, fails = 0, len(RATIOS), tuple[str, ...]()
    while low < high:
        middle = (low + high) // 2
        more, lower = (
            replace(candidate, rate_scale=candidate.rate_scale * RATIOS[at]) for at in (middle, (low + middle) // 2)
        )
        loop.look_ahead([lower] if low < middle else [], beside=more)  # what is next where this fails
        judgement = loop.judged(more, brief=True)
        wrong = (*failures(judgement), *loop.overloads(faster(candidate, RATIOS[middle], loop.options)))
        if not wrong:
            low = middle + 1
        else:
            high, fails = middle, wrong
    while low and (late := _late(loop, candidate, RATIOS[low - 1])):
        low, fails = low - 1, late
    tried = (1.0, *RATIOS)
    return Margin(holds_ratio=tried[low], misses_ratio=None if low == len(RATIOS) else tried[low + 1], fails=fails)
