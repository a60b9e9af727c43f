"""Splits: every way to divide what two pools of a plan cost, tried in the simulator.

A search that steps a few machines at a time stops where several at once have to go for a better split.
"""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise

from planner.planning.local_search import Held, Machines, Neighbourhood
from planner.planning.loop import PlanningLoop
from planner.planning.shrink import RATE_STEP_FRAC, stretch
from planner.scenario.objectives import Objective

BETTER_FRAC = 1e-9
"""Share by which a split is better, or a bound missed, through more than rounding."""

MOST_TIMES = 100
"""So many times the machines of a plan are in no pool of a split: a budget that leaves a pool free names no split."""


def split_anew(loop: PlanningLoop, held: Held, most_requests: float, *, in_full: bool = False) -> Held:
    """The best plan among the splits of the two pools of one that holds.

    With each count of one pool the most of the other is tried that is still better, or, where throughput is asked for,
    that the budgets still allow, at ``RATE_STEP_FRAC`` more requests. The splits nearest to the plan's own come first.
    What is no larger in either pool than a split that failed is not tried, as if more machines never hurt: so, as far
    as ``most_requests`` simulated requests go, there is no better plan of these two options.

    Args:
        loop: that judges.
        held: the plan.
        most_requests: that may be simulated for it.
        in_full: the first better split is wanted that holds on a longer look too; no more requests are tried with it.

    Returns:
        What was given, or something better at the same objective; plans of one pool or of three are given back, and
        those with a machine that counts nothing.
    """
    end, failed, better = loop.simulated_requests + most_requests, list[Machines](), len(held[0].pools) == 2
    fastest = loop.case.scenario.objective is Objective.THROUGHPUT
    while better:
        scale = held[0].rate_scale * (1 + RATE_STEP_FRAC) if fastest else None
        made, better = Neighbourhood(loop, held, scale=scale), False
        points = _nearest_first(loop, made, made.affordable if fastest else _cheaper(made))
        for point, following in pairwise(chain(points, (made.start,))):
            made.expect((point, following) if following != made.start else (point,))
            if point == made.start or any(_within(point, other) for other in failed):
                continue
            if loop.simulated_requests >= end:
                return held
            if made.holds(point, in_full=in_full):
                held, better = (made.plan(point), made.judged(point)), not in_full
                held = stretch(loop, held)[0] if fastest and better else held
                loop.note("search", *held)
                break
            failed.append(point)
    return held


def _within(one: Machines, other: Machines) -> bool:
    """Whether neither pool of the first has more machines than in the second."""
    return all(a <= b for (_, a), (_, b) in zip(one, other, strict=True))


def _cheaper(made: Neighbourhood) -> Callable[[Machines], bool]:
    """What says of a split whether it is better than the plan."""
    worth = made.worth(made.start)
    return lambda point: made.weight(point) <= worth - BETTER_FRAC * abs(worth)


def _nearest_first(loop: PlanningLoop, made: Neighbourhood, fits: Callable[[Machines], bool]) -> Iterator[Machines]:
    """Splits worth trying, alternately with fewer and with more machines in the first pool."""
    bound = -1.0 if loop.case.scenario.objective is Objective.THROUGHPUT else (loop.bound or 0.0) * (1 - BETTER_FRAC)
    sides = [_side(loop, made, step, fits) for step in (-1, 1)]
    while sides:
        for side in tuple(sides):
            point = next(side, None)
            if point is None:
                sides.remove(side)
            elif made.made(point) and (bound < 0 or made.worth(point) >= bound):
                yield point


def _side(loop: PlanningLoop, made: Neighbourhood, step: int, fits: Callable[[Machines], bool]) -> Iterator[Machines]:
    """From the plan's own split on: for each count of the first pool the most of the second that fits."""
    (first, count), (second, most) = made.start
    by, at_once = (loop.options[name].machines_per_instance for name in (first, second))
    end = MOST_TIMES * (count + most)
    count += max(0, step) * by  # the plan's own count is on one side alone
    while 0 < count < end:
        while fits(((first, count), (second, most + at_once))):
            most += at_once
            if most > end:
                return
        while most > 0 and not fits(((first, count), (second, most))):
            most -= at_once
        if most <= 0 < step:
            return
        if most > 0:
            yield (first, count), (second, most)
        count += step * by
