"""Frontiers of two objectives: every point that is not beaten on both, by bounding one and optimising the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Generic[Answer]):
    """An answer and where it stands; both values are better the smaller they are.

    Attributes:
        goal: value of the objective that was optimised.
        bounded: value of the objective that was bounded.
        answer: what has these values.
    """

    goal: float
    bounded: float
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk(Generic[Answer]):
    """A walk along a frontier.

    Attributes:
        visited: every answer in the order found, ``bounded`` falling; some may be dominated by a later one.
        complete: the walk ended because nothing meets a tighter bound, not because it was long enough.
    """

    visited: tuple[Placed[Answer], ...]
    complete: bool


def walk(
    solve: Callable[[float], Placed[Answer] | None], *, start: float, step: Callable[[float], float], most: int
) -> Walk[Answer]:
    """Walk along a frontier: solve, then ask for strictly less of the bounded objective, until there is no answer.

    Every non-dominated point is visited if ``solve`` is exact and no two values of the bounded objective lie closer
    together than the step: a point missed between two bounds would be no better than the answer to the looser one.

    Args:
        solve: bound -> the answer with the smallest goal among those with ``bounded <= bound``; None where there is
            none.
        start: the first bound.
        step: value of the bounded objective -> how much less of it to ask for next, > 0.
        most: answers after which to stop, >= 1.

    Returns:
        The walk.

    Raises:
        ValueError: an answer is beyond its bound, or a step is not positive.
    """
    visited: list[Placed[Answer]] = []
    bound = start
    while len(visited) < most:
        found = solve(bound)
        if found is None:
            return Walk(visited=tuple(visited), complete=True)
        if found.bounded > bound + 1e-6 * max(1.0, abs(bound)):
            raise ValueError(f"an answer with {found.bounded} was given where at most {bound} was asked for")
        visited.append(found)
        less = step(found.bounded)
        if not less > 0:
            raise ValueError(f"the step below {found.bounded} is {less}; expected more than 0")
        bound = min(bound, found.bounded) - less
    return Walk(visited=tuple(visited), complete=False)


def efficient(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """For each point whether no other is at least as good on both values and better on one; smaller is better."""
    return tuple(
        not any(a <= x and b <= y and (a < x or b < y) for a, b in points) for x, y in points
    )  # fmt: skip
