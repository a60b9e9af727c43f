"""Problems that are solved in two stages: what blocks share, then the blocks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.formulate import epoch_problem, later_aims, place
from planner.scenario.objectives import Aim
from solvers import blocks
from solvers.allocation import Solution
from solvers.direct import relax
from solvers.lexicographic import lexicographic
from solvers.problem import Column, Problem, Row
from solvers.solve import solve
from solvers.stages import solve_staged
from tests.planner.epochs import question, split

RATES = st.lists(st.sampled_from([0.0, 1.0, 2.4, 4.0, 7.5]), min_size=3, max_size=5).filter(
    lambda rates: sum(map(bool, rates)) > 1
)


@settings(max_examples=12, deadline=None)
@given(RATES, st.integers(1, 2), st.booleans())
@example([1.0, 0.0, 7.5, 7.5, 4.0], 2, True)  # no answer where the first stage is: others are priced, 5.0 % without
@example([4.0, 1.0, 4.0, 1.0, 4.0], 2, True)  # likewise, 22 % without
@example([0.0, 1.0, 0.0, 4.0, 7.5], 2, True)  # found at the second prices, 4.9 % without
def test_two_stages_bracket_the_optimum(rates: list[float], min_up: int, phases: bool) -> None:
    """No answer is below the optimum, no bound above it, the answer keeps every row, and the two are near each other.

    Hours with the same load share what is learned of one of them. Of 4,000 draws two are more than 1 % above it, 4.9 %:
    there parts of answers combine better than whole ones, and their prices ask for nothing more.
    """
    asked = question({"a": rates, "b": [rate / 2 for rate in rates]}, min_up_epochs=min_up)
    problem = epoch_problem(split(asked, "a") if phases else asked)
    best, relaxed = solve(problem, gap_frac=1e-7).termination.objective, relax(problem)
    assert best is not None
    assert relaxed is not None
    found = solve_staged(problem, place, relaxed, time_limit_s=10.0, gap_frac=0.01)
    assert found is not None
    assert found.values is not None
    assert relaxed.bound - 1e-6 <= found.bound <= best + 1e-6 <= problem.objective(found.values) + 2e-6
    assert problem.objective(found.values) <= 1.05 * best
    for row in problem.rows:
        assert row.lower - 1e-6 <= row.activity(found.values) <= row.upper + 1e-6
    for column in problem.columns:
        assert column.lower - 1e-9 <= found.values[column.name] <= column.upper + 1e-9
        assert not column.integer or found.values[column.name] == pytest.approx(round(found.values[column.name]))


def test_what_has_no_second_stage_is_not_solved_in_two() -> None:
    """A row over all columns of all blocks leaves none for the blocks."""
    problem = epoch_problem(question({"a": [1.0, 2.0, 3.0]}))
    relaxed = relax(problem)
    assert relaxed is not None
    assert solve_staged(problem, lambda name: (name, None), relaxed, time_limit_s=1.0, gap_frac=0.01) is None


@settings(max_examples=6, deadline=None)
@given(RATES)
def test_a_ceiling_over_all_blocks_is_shared_out(rates: list[float]) -> None:
    """A later aim under a ceiling: no worse than the start, every row kept, no bound above the optimum."""
    asked = replace(question({"a": rates, "b": [rate / 2 for rate in rates]}), aims=(Aim.COST, Aim.ENERGY))
    problems: list[Problem] = []

    def solver(part: Problem, _: Mapping[str, float]) -> Solution:
        problems.append(part)
        return solve(part, gap_frac=0.02)

    _, (later,) = lexicographic(epoch_problem(asked), later_aims(asked), solver, gap_frac=0.02)
    first, problem = solve(problems[0], gap_frac=0.02), problems[1]
    relaxed = relax(problem)
    assert relaxed is not None
    assert first.allocation is not None
    start = first.allocation.values
    found = solve_staged(problem, place, relaxed, time_limit_s=10.0, gap_frac=0.01, lift=False, start=start)
    assert found is not None
    assert found.values is not None
    assert later.termination.objective is not None
    assert found.bound <= later.termination.objective + 1e-6
    assert problem.objective(found.values) <= problem.objective(start) + 1e-6
    assert set(found.values) == {column.name for column in problem.columns}
    for row in problem.rows:
        assert row.lower - 1e-6 <= row.activity(found.values) <= row.upper + 1e-6 * max(1.0, abs(row.upper))


def test_blocks_that_are_alike_ask_for_what_is_near_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a point has no whole answer the nearest that has one is learned, and is not looked for again."""
    own, asked = blocks.solve_direct, list[float]()

    def counted(problem: Problem, **limits: Any) -> object:
        asked.append(problem.columns[-1].objective)
        return own(problem, **limits)

    monkeypatch.setattr(blocks, "solve_direct", counted)
    even = Row(name="even", family="even", terms=(("own", 2.0), ("shared", -1.0)), lower=0.0, upper=0.0)
    block = blocks.Block(
        [Column(name="own", upper=9.0, integer=True, objective=5.0)], [Column(name="shared", upper=18.0)], [even]
    )
    for prices in ([1.0], [1.0], [7.0], [1.0], [7.0]):
        block.nearest((3.0,), prices)
        ((point, values),) = block.answers
        assert (point, values["own"]) == (pytest.approx((4.0,)), 2.0)
    assert asked == [1.0, 7.0]
