"""Neighbourhood search with an external judge: best first, nothing tried twice, nothing tried that cannot win."""

import heapq
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

Point = TypeVar("Point", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[Point]):
    """Where a search ended.

    Attributes:
        best: the point of least worth that was seen to hold; the start where nothing better did.
        worth: its worth.
        path: every point that was the best for a while after the start, first to last.
        judged: how often the judge was asked.
        exhausted: no neighbour worth trying was left, so the judge was not needed more often.
    """

    best: Point
    worth: float
    path: tuple[Point, ...]
    judged: int
    exhausted: bool


def search(
    start: Point,
    neighbours: Callable[[Point], Iterable[Point]],
    worth: Callable[[Point], float],
    holds: Callable[[Point], bool],
    *,
    evaluations: int,
    bound: float = -inf,
    slack_frac: float = 0.0,
    below: Callable[[Point, Point], bool] = lambda one, other: one == other,
) -> Found[Point]:
    """Make ``worth`` small among the points that hold, from a start that does.

    Points that hold wait in a queue, the best in front. Of the one in front every neighbour is judged, in the order in
    which they come; a new best goes to the front at once. Never judged, because they cannot win: points no better than
    the best, points better than ``bound``, and points below one that failed. When nothing is left, it begins again at
    the best and takes points up to ``slack_frac`` worse as steps to others.

    Args:
        start: holds.
        neighbours: of a point, the most promising first; the same for the same point.
        worth: of a point; cheap.
        holds: the judge; dear, and of one mind.
        evaluations: how often the judge may be asked.
        bound: proven: no point that holds is worth less.
        slack_frac: how much worse than the best a point may be and still be a step to others.
        below: whether the first point can hold only if the second does.

    Returns:
        The best point seen; never worse than the start.
    """
    best, path, judged = start, list[Point](), 0
    seen, failed = {start}, list[Point]()
    for slack in dict.fromkeys((0.0, slack_frac)):
        queue = [(worth(best), 0, best)]
        while queue and worth(best) > bound:
            _, _, here = heapq.heappop(queue)
            for there in neighbours(here):
                value, limit = worth(there), worth(best) * (1 + slack)
                if there in seen or not bound <= value <= limit or (value >= worth(best) and not slack):
                    continue
                if any(below(there, other) for other in failed):
                    continue
                if judged == evaluations:
                    return Found(best=best, worth=worth(best), path=tuple(path), judged=judged, exhausted=False)
                judged += 1
                seen.add(there)
                if not holds(there):
                    failed.append(there)
                    continue
                heapq.heappush(queue, (value, judged, there))
                if value < worth(best):
                    best = there
                    path.append(there)
                    heapq.heappush(queue, (worth(here), -judged, here))  # to be looked at again, after the new best
                    break
    return Found(best=best, worth=worth(best), path=tuple(path), judged=judged, exhausted=True)
