"""Rules of units: what is true of a problem does not depend on the units that it is told in."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.allocation import Reason, Solution, Termination, empty_handed
from solvers.direct import relax
from solvers.exhaustive import solve_exhaustive
from solvers.problem import Problem, Sense
from solvers.scaling import equilibrated
from solvers.solve import Backend, solve
from tests.soak.exact import exact
from tests.soak.programs import SOLVERS, wrong
from tests.soak.scales import scaled

SEEDS = st.integers(0, 10**6)
ONCE_WRONG = (5, 348, 529, 734, 1253)
"""Of these HiGHS 1.16 called three infeasible and two solved that were not, in the units in which they are told."""


@pytest.mark.parametrize("seed", ONCE_WRONG)
@pytest.mark.parametrize("name", ["highs", "highs-direct"])
def test_what_was_once_wrong_is_right(seed: int, name: str) -> None:
    """Problems that have a solution are solved, whatever the units: no solver is believed in unsuitable ones."""
    case = scaled(seed)
    assert (truth := exact(case.plain)).reason is Reason.OPTIMAL
    assert not wrong(truth, SOLVERS[name](case.problem), case.objective)


def test_an_optimum_of_cbc_has_a_second_opinion() -> None:
    """CBC 2.10.3 calls 16 the best where 16 1/3 is: HiGHS is asked, too, and its answer is told."""
    case = scaled(985)
    truth = exact(case.plain)
    found = solve(case.plain, backend=Backend.CBC).termination
    assert not wrong(truth, found, 1.0)
    assert "cbc had said" in found.detail


@settings(max_examples=40)
@given(seed=SEEDS)
def test_exhaustive_search_is_right_in_any_units(seed: int) -> None:
    """What exact arithmetic says of whole numbers, exhaustive search says of them, and of the same in other units."""
    case = scaled(seed)
    truth = exact(case.plain)
    assert not wrong(truth, solve_exhaustive(case.plain).termination, 1.0)
    assert not wrong(truth, solve_exhaustive(case.problem).termination, case.objective)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_units_change_no_answer(seed: int) -> None:
    """HiGHS says of a problem in any units what is so of it in units in which its numbers are whole and small."""
    case = scaled(seed)
    truth = exact(case.plain)
    said = SOLVERS["highs"](case.problem)
    assert said.reason is not Reason.ERROR
    assert not wrong(truth, said, case.objective)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_other_units_round_nothing(seed: int) -> None:
    """Every number of the problem in other units is the old one times a power of two; whole numbers keep their unit."""
    problem = scaled(seed).problem
    made = equilibrated(problem)
    for old, new in zip(problem.columns, made.problem.columns, strict=True):
        unit = made.units[old.name]
        assert math.frexp(unit)[0] == 0.5
        assert not old.integer or unit == 1.0
        assert (new.lower * unit, new.upper * unit) == (old.lower, old.upper)
        assert new.objective / unit * made.objective == old.objective
    for one, other in zip(problem.rows, made.problem.rows, strict=True):
        size = made.rows[one.name]
        assert math.frexp(size)[0] == 0.5
        assert (other.lower / size, other.upper / size) == (one.lower, one.upper)
        assert [c / size / made.units[name] for name, c in other.terms] == [c for _, c in one.terms]


@settings(max_examples=60)
@given(seed=SEEDS)
def test_duals_are_in_the_units_of_the_problem(seed: int) -> None:
    """At the optimum of a relaxation an objective coefficient is what the rows are worth times theirs, and a rest."""
    problem = scaled(seed).problem
    found = relax(problem) if problem.sense is Sense.MIN else None
    if found is None:
        return
    for column in problem.columns:
        priced = [found.duals[row.name] * c for row in problem.rows for name, c in row.terms if name == column.name]
        largest = max((abs(part) for part in (*priced, column.objective)), default=0.0)
        assert math.fsum((*priced, found.reduced[column.name])) == pytest.approx(
            column.objective, abs=1e-6 * largest + 1e-12
        )


def test_nothing_is_proven_against_a_second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one solver says that there is nothing and another one finds something, what it found is the answer."""

    def denied(_problem: Problem, *, time_limit_s: float, gap_frac: float) -> Solution:
        return empty_handed(Reason.INFEASIBLE, backend="highs", detail=f"no, in {time_limit_s} s at {gap_frac}")

    monkeypatch.setattr("solvers.ask.solve_highs", denied)
    case = scaled(5)
    truth = exact(case.plain)
    found: Termination = solve(case.problem).termination
    assert not wrong(truth, found, case.objective)
    assert (found.reason, found.backend) == (Reason.OPTIMAL, "cbc")
    assert "highs had said: no" in found.detail
    assert solve(case.problem, backend=Backend.CBC).termination.reason is Reason.OPTIMAL
