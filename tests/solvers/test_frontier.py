"""Rules of frontiers."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.allocation import Reason
from solvers.frontier import Placed, efficient, walk
from solvers.problem import INF, Column, Problem, Row, Sense
from solvers.solve import Backend, solve

small_numbers = st.integers(1, 9)
items = st.lists(st.tuples(small_numbers, small_numbers, small_numbers), min_size=1, max_size=3)
BOX = 4
"""Most of each item."""


def program(things: list[tuple[int, int, int]], need: int, bound: float) -> Problem:
    """Cheapest items that together are worth ``need``, of a weight of at most ``bound``; (cost, weight, worth)."""
    named = [(f"n{i}", *(float(number) for number in thing)) for i, thing in enumerate(things)]
    weigh, worth = (tuple((item[0], item[k]) for item in named) for k in (2, 3))
    return Problem(
        name="bag", sense=Sense.MIN,
        columns=tuple(Column(name=n, upper=BOX, integer=True, objective=c) for n, c, _, _ in named),
        rows=(
            Row(name="need", family="need", lower=need, terms=worth),
            Row(name="weight", family="weight", upper=min(bound, 1e6), terms=weigh),
        ),
    )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(items, st.integers(1, 30), st.sampled_from([Backend.EXHAUSTIVE, Backend.HIGHS]))
def test_a_walk_finds_what_trying_everything_finds(
    things: list[tuple[int, int, int]], need: int, backend: Backend
) -> None:
    """On small integer programs the walk's efficient points are exactly those of all feasible points."""

    def answer(bound: float) -> Placed[None] | None:
        found = solve(program(things, need, bound), backend=backend)
        if found.allocation is None:
            assert found.termination.reason is Reason.INFEASIBLE
            return None
        counts = [found.allocation.values[f"n{i}"] for i in range(len(things))]
        cost, weight = (sum(n * t[k] for n, t in zip(counts, things, strict=True)) for k in (0, 1))
        return Placed(goal=cost, bounded=weight, answer=None)

    found = walk(answer, start=INF, step=lambda _: 1.0, most=1000)
    assert found.complete
    visited = [(p.goal, p.bounded) for p in found.visited]
    mine = {point for point, good in zip(visited, efficient(visited), strict=True) if good}
    points = set()
    for counts in itertools.product(range(BOX + 1), repeat=len(things)):
        cost, weight, worth = (sum(n * t[k] for n, t in zip(counts, things, strict=True)) for k in range(3))
        if worth >= need:
            points.add((float(cost), float(weight)))
    everything = sorted(points)
    assert mine == {p for p, good in zip(everything, efficient(everything), strict=True) if good}


@given(st.lists(st.tuples(small_numbers, small_numbers), max_size=8))
def test_no_efficient_point_dominates_another(points: list[tuple[int, int]]) -> None:
    """Efficient points do not beat each other, and whatever is not efficient is beaten by one that is."""
    marked = list(zip(points, efficient(points), strict=True))
    good = {point for point, kept in marked if kept}
    assert not any(a != b and a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.permutations(good, 2))
    for (x, y), kept in marked:
        assert kept or any(a <= x and b <= y and (a, b) != (x, y) for a, b in good)


def test_a_walk_stops_when_it_is_told() -> None:
    """A walk that was long enough says that it is not complete; a longer stride visits fewer points."""

    def answer(bound: float) -> Placed[None] | None:
        return None if bound < 0 else Placed(goal=100 - int(bound), bounded=float(int(bound)), answer=None)

    short = walk(answer, start=10.0, step=lambda _: 1.0, most=3)
    assert ([p.bounded for p in short.visited], short.complete) == ([10, 9, 8], False)
    strides = walk(answer, start=10.0, step=lambda _: 4.0, most=30)
    assert ([p.bounded for p in strides.visited], strides.complete) == ([10, 6, 2], True)


def test_an_answer_beyond_its_bound_is_refused() -> None:
    """A solver that ignores its bound, or a step that goes nowhere, is an error and not an endless walk."""
    with pytest.raises(ValueError, match="at most"):
        walk(lambda _: Placed(goal=1.0, bounded=5.0, answer=None), start=4.0, step=lambda _: 1.0, most=9)
    with pytest.raises(ValueError, match="expected more than 0"):
        walk(lambda _: Placed(goal=1.0, bounded=1.0, answer=None), start=4.0, step=lambda _: 0.0, most=9)
