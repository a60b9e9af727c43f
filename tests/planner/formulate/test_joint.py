"""Several questions in one program: apart where nothing is shared, else never worse than a fixed split."""

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.formulate import joint, lift, part, problem
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.allocation import Reason
from solvers.problem import Problem
from solvers.solve import solve
from tests.planner.options import options

HEADROOM = Headroom()
EXACT = 1e-6
"""Relative: the gap at which solvers stop."""

MINIMISED = st.sampled_from([each for each in Objective if each is not Objective.THROUGHPUT])


def program(
    offered: tuple[Option, ...], rate: float, objective: Objective, budgets: Budgets, available: Mapping[str, int]
) -> Problem:
    """The question of one model with one class."""
    return problem(
        offered, {"all": rate}, budgets=budgets, headroom=HEADROOM, objective=objective, available=available
    )  # fmt: skip


def worth(asked: Problem) -> float | None:
    """The optimum; None where there is none."""
    ended = solve(asked).termination
    assert ended.reason in (Reason.OPTIMAL, Reason.INFEASIBLE)
    return ended.objective


@settings(max_examples=25)
@given(one=options(), other=options(), rates=st.tuples(st.floats(1.0, 30.0), st.floats(1.0, 30.0)), objective=MINIMISED)
def test_without_shared_limits_the_joint_answer_is_that_of_each(
    one: tuple[Option, ...], other: tuple[Option, ...], rates: tuple[float, float], objective: Objective
) -> None:
    """Nothing joins two questions but what they share: the optimum is the sum, and each part costs its own optimum."""
    programs = {
        name: program(offered, rate, objective, Budgets(), {})
        for name, offered, rate in zip("ab", (one, other), rates, strict=True)
    }
    alone = {name: worth(each) for name, each in programs.items()}
    solution = solve(joint(programs))
    total = solution.termination.objective
    assert total == pytest.approx(sum(value or 0.0 for value in alone.values()), rel=2 * EXACT)
    for name, offered in (("a", one), ("b", other)):
        lifted = lift(part(solution, name, programs[name]), offered, policy="p", headroom=HEADROOM)
        assert sum(pool.rate_req_per_s["all"] for pool in lifted.pools if pool.spec.role != "decode") == pytest.approx(
            rates["ab".index(name)], rel=1e-6
        )


@settings(max_examples=25)
@given(offered=options(), rates=st.tuples(st.floats(1.0, 12.0), st.floats(1.0, 12.0)), objective=MINIMISED,
       stock=st.integers(1, 5))  # fmt: skip
def test_no_fixed_split_of_the_stock_is_better(
    offered: tuple[Option, ...], rates: tuple[float, float], objective: Objective, stock: int
) -> None:
    """Of every way to divide the machines of the first type between two models none is better than the program's."""
    kind = offered[0].machine.name

    def with_stock(rate: float, count: int) -> Problem:
        return program(offered, rate, objective, Budgets(), {kind: count})

    found = worth(joint({"a": with_stock(rates[0], stock), "b": with_stock(rates[1], stock)}))
    splits = [(worth(with_stock(rates[0], n)), worth(with_stock(rates[1], stock - n))) for n in range(stock + 1)]
    sums = [one + other for one, other in splits if one is not None and other is not None]
    assert (found is None) == (not sums)
    if found is not None:
        assert found == pytest.approx(min(sums), rel=3 * EXACT)


@settings(max_examples=15)
@given(offered=options(), rates=st.tuples(st.floats(1.0, 12.0), st.floats(1.0, 12.0)), machines=st.integers(1, 6),
       types=st.integers(1, 3))  # fmt: skip
def test_budgets_are_those_of_all_together(
    offered: tuple[Option, ...], rates: tuple[float, float], machines: int, types: int
) -> None:
    """Machines of both count against one budget, and a type that both buy is one type."""
    budgets = Budgets(machines=machines, machine_types=types)
    programs = {
        name: program(offered, rate, Objective.COST, budgets, {}) for name, rate in zip("ab", rates, strict=True)
    }
    solution = solve(joint(programs))
    if solution.allocation is None:
        return
    plans = [
        lift(part(solution, name, each), offered, policy="p", headroom=HEADROOM) for name, each in programs.items()
    ]
    assert sum(plan.totals.machines for plan in plans) <= machines
    assert len({pool.spec.machine for plan in plans for pool in plan.pools}) <= types


@settings(max_examples=15)
@given(offered=options(), rates=st.tuples(st.floats(1.0, 12.0), st.floats(1.0, 12.0)), machines=st.integers(2, 6))
def test_the_most_throughput_is_one_factor_on_all_rates(
    offered: tuple[Option, ...], rates: tuple[float, float], machines: int
) -> None:
    """All models grow alike: as much as the best of all ways to divide the machines lets the slower one grow."""

    def on(rate: float, count: int) -> Problem:
        return program(offered, rate, Objective.THROUGHPUT, Budgets(machines=count), {})

    programs = {name: on(rate, machines) for name, rate in zip("ab", rates, strict=True)}
    solution = solve(joint(programs))
    splits = [(worth(on(rates[0], n)), worth(on(rates[1], machines - n))) for n in range(1, machines)]
    factors = [min(one / rates[0], other / rates[1]) for one, other in splits if one and other]
    assert (solution.allocation is None) == (not factors)
    if solution.allocation is not None:
        best = max(factors)
        assert solution.termination.objective == pytest.approx(best * sum(rates), rel=3 * EXACT)
        plans = [lift(part(solution, n, each), offered, policy="p", headroom=HEADROOM) for n, each in programs.items()]
        assert [plan.rate_scale for plan in plans] == pytest.approx([best, best], rel=3 * EXACT)


def test_questions_that_disagree_about_a_limit_are_no_question() -> None:
    """The limit of a shared row is one number."""
    from tests.planner.options import showcase

    offered = showcase()
    made = [
        problem(offered, {"short": 5.0}, budgets=Budgets(machines=n), headroom=HEADROOM, objective=goal, available={})
        for n, goal in ((3, Objective.COST), (4, Objective.COST), (3, Objective.THROUGHPUT))
    ]
    for one, other in product(made, made):
        if one is not other:
            with pytest.raises(ValueError, match="joint"):
                joint({"a": one, "b": other})
    with pytest.raises(ValueError, match="at least one"):
        joint({})
