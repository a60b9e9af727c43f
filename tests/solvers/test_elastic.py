"""An infeasible problem names the smallest set of limits to raise."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings

from solvers.allocation import Limit, Reason, Solution, Termination
from solvers.elastic import NotProven, StillInfeasible, smallest_raise
from solvers.problem import INF, Column, Problem, Row, Sense
from solvers.solve import solve
from tests.solvers.problems import problems


def _boxed(problem: Problem) -> Problem:
    """The problem with every column bounded, as the columns of a plan are."""
    return replace(
        problem, columns=tuple(replace(c, lower=max(c.lower, -4.0), upper=min(c.upper, 6.0)) for c in problem.columns)
    )


def _least_total(problem: Problem, chosen: tuple[Row, ...]) -> float | None:
    """The least sum of relative raises when exactly the chosen limits may be raised; None where that does not help."""
    size = {row.name: max(1.0, abs(row.upper)) for row in chosen}
    floors = [replace(row, name=f"floor of {row.name}", upper=INF) for row in chosen if row.lower > -INF]
    rows = [
        replace(row, lower=-INF, terms=(*row.terms, (f"s {row.name}", -size[row.name]))) if row in chosen else row
        for row in problem.rows
    ]
    columns = [replace(column, objective=0.0) for column in problem.columns]
    columns += [Column(name=f"s {row.name}", objective=1.0) for row in chosen]
    elastic = Problem(name="e", sense=Sense.MIN, columns=tuple(columns), rows=(*rows, *floors))
    return solve(elastic).termination.objective


@settings(max_examples=80, deadline=None)
@given(problem=problems())
def test_the_smallest_set_is_the_brute_force_one(problem: Problem) -> None:
    """No smaller set of limits helps, and no set of that size helps with a smaller total relative raise."""
    problem = _boxed(problem)
    limits = [row for row in problem.rows if row.family == "red" and row.upper < INF]
    totals = {
        size: [t for chosen in itertools.combinations(limits, size) if (t := _least_total(problem, chosen)) is not None]
        for size in range(len(limits) + 1)
    }
    smallest = next((size for size, found in totals.items() if found), None)
    if smallest is None:
        with pytest.raises(StillInfeasible):
            smallest_raise(problem, families=["red"], solve=solve)
        return
    raises = smallest_raise(problem, families=["red"], solve=solve)
    assert len(raises) == smallest
    total = sum((r.needed - r.limit) / max(1.0, abs(r.limit)) for r in raises)
    assert total == pytest.approx(min(totals[smallest]), rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_raising_as_told_makes_it_feasible(problem: Problem) -> None:
    """With exactly the named limits at what is needed there is an allocation."""
    problem = _boxed(problem)
    assume(solve(problem).termination.reason is Reason.INFEASIBLE)
    try:
        raises = {r.row: r.needed for r in smallest_raise(problem, families=["red", "blue"], solve=solve)}
    except StillInfeasible:
        return
    assert raises
    raised = replace(problem, rows=tuple(replace(r, upper=raises.get(r.name, r.upper)) for r in problem.rows))
    assert solve(raised).termination.reason is Reason.OPTIMAL


def _need(upper: float) -> Problem:
    return Problem(
        name="p",
        sense=Sense.MIN,
        columns=(Column(name="n", integer=True, upper=upper),),
        rows=(
            Row(name="need", family="demand", terms=(("n", 1.0),), lower=5.0),
            Row(name="cost", family="cost", terms=(("n", 3.0),), upper=10.0),
        ),
    )


def test_a_raise_says_what_is_needed_in_whole_machines() -> None:
    """What is needed is what a whole-number allocation costs, not what a fractional one would."""
    (found,) = smallest_raise(_need(9.0), families=["cost"], solve=solve)
    assert (found.row, found.family, found.limit, found.needed) == ("cost", "cost", 10.0, 15.0)


def test_an_unbounded_column_is_refused() -> None:
    """A raise that nothing bounds is refused by name instead of being given an arbitrary ceiling."""
    with pytest.raises(ValueError, match="column 'n' has none"):
        smallest_raise(_need(INF), families=["cost"], solve=solve)


def test_a_stopped_search_is_not_called_smallest() -> None:
    """A solve that stops early yields NotProven with its termination, never a set."""

    def stopped(_problem: Problem) -> Solution:
        return Solution(termination=Termination(reason=Reason.NO_SOLUTION_FOUND, limit=Limit.TIME), allocation=None)

    with pytest.raises(NotProven, match="no solution found") as caught:
        smallest_raise(_need(9.0), families=["cost"], solve=stopped)
    assert caught.value.termination.limit is Limit.TIME


@pytest.mark.parametrize("prices", [(3.0, 2.0), (2.0, 3.0)])
def test_of_two_stocks_to_raise_by_one_the_cheaper_is_named(prices: tuple[float, float]) -> None:
    """Where either of two limits may be raised by as much, the objective decides, whichever row comes first."""
    names = ("a", "b")
    columns = tuple(
        Column(name=name, objective=price, upper=9.0, integer=True) for name, price in zip(names, prices, strict=True)
    )
    stock = tuple(Row(name=f"stock {name}", family="stock", terms=((name, 1.0),), upper=1.0) for name in names)
    asked = Row(name="asked", family="load", terms=tuple((name, 1.0) for name in names), lower=3.0)
    problem = Problem(name="stocks", sense=Sense.MIN, columns=columns, rows=(*stock, asked))
    (told,) = smallest_raise(problem, families=["stock"], solve=solve)
    assert (told.row, told.needed) == ("stock a" if prices[0] < prices[1] else "stock b", 2.0)
