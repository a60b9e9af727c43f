"""Splits: every way to divide a little less between the two pools of a plan, tried in the simulator.

A search that steps a few machines at a time stops where several at once have to go for a better split.
"""

from collections.abc import Iterator

from planner.planning.local_search import Held, Machines, Neighbourhood
from planner.planning.loop import PlanningLoop

BETTER_FRAC = 1e-9
"""Share by which a split is better, or a bound missed, through more than rounding."""


def split_anew(loop: PlanningLoop, held: Held, most_requests: float) -> Held:
    """The best plan among the splits of the two pools of one that holds.

    With each count of one pool the most of the other is tried that is still better, the splits nearest to the plan's
    own first. What is no larger in either pool than a split that failed is not tried, as if more machines never hurt:
    so, as far as ``most_requests`` simulated requests go, there is no better plan of these two options.

    Returns:
        What was given, or something better at the same objective; plans of one pool or of three are given back, and
        those with a machine that counts nothing.
    """
    end, failed, better = loop.simulated_requests + most_requests, list[Machines](), len(held[0].pools) == 2
    while better:
        made, better = Neighbourhood(loop, held), False
        for point in _nearest_first(loop, made):
            if any(_within(point, other) for other in failed):
                continue
            if loop.simulated_requests >= end:
                return held
            if made.holds(point):
                held, better = (made.plan(point), made.judged(point)), True
                loop.note("search", *held)
                break
            failed.append(point)
    return held


def _within(one: Machines, other: Machines) -> bool:
    """Whether neither pool of the first has more machines than in the second."""
    return all(a <= b for (_, a), (_, b) in zip(one, other, strict=True))


def _nearest_first(loop: PlanningLoop, made: Neighbourhood) -> Iterator[Machines]:
    """Splits worth trying, alternately with fewer and with more machines in the first pool."""
    sides = [_side(loop, made, step) for step in (-1, 1)]
    while sides:
        for side in tuple(sides):
            point = next(side, None)
            if point is None:
                sides.remove(side)
            else:
                yield point


def _side(loop: PlanningLoop, made: Neighbourhood, step: int) -> Iterator[Machines]:
    """From the plan's own split on: for each count of the first pool the most of the second that is better."""
    (first, count), (second, most) = made.start
    by, at_once = (loop.options[name].machines_per_instance for name in (first, second))

    def weight(here: int, there: int) -> float:
        return made.weight(((first, here), (second, there)))

    worth = made.worth(made.start)
    if min(weight(count + by, most), weight(count, most + at_once)) <= worth:
        return
    limit, bound = worth - BETTER_FRAC * abs(worth), (loop.bound or 0.0) * (1 - BETTER_FRAC)
    count += max(0, step) * by  # the plan's own count is on one side alone
    while count > 0:
        while weight(count, most + at_once) <= limit:
            most += at_once
        while most > 0 and weight(count, most) > limit:
            most -= at_once
        if most <= 0 < step:
            return
        point = (first, count), (second, most)
        if most > 0 and made.made(point) and made.worth(point) >= bound:
            yield point
        count += step * by
