"""Among plans that are equally good, every solver gives the same one."""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.formulate import canonical, lift, problem
from planner.perf.layout import Role
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.allocation import Reason, Solution
from solvers.problem import Problem
from solvers.solve import Backend, solve
from tests.planner.options import envelope, machine, option

CLASSES = ("chat", "code")
HEADROOM = Headroom()


def _exact(part: Problem, backend: Backend = Backend.HIGHS) -> Solution:
    return solve(part, backend=backend, gap_frac=1e-9)


def _shuffled(part: Problem, seed: int) -> Solution:
    """HiGHS on the same program in another order: it walks another way, as another version does."""
    dice = random.Random(seed)
    columns, rows = list(part.columns), list(part.rows)
    dice.shuffle(columns)
    dice.shuffle(rows)
    return _exact(replace(part, columns=tuple(columns), rows=tuple(rows)))


def _plan(
    offered: tuple[Option, ...], rates: Mapping[str, float], solver: Callable[[Problem], Solution],
    objective: Objective = Objective.COST, budgets: Budgets | None = None, available: Mapping[str, int] | None = None,
) -> CandidatePlan | Reason:  # fmt: skip
    program = problem(
        offered, rates, budgets=budgets or Budgets(), headroom=HEADROOM, objective=objective, available=available or {}
    )
    found = canonical(program, offered, rates, solve=solver, exact=solver)
    if found.allocation is None:
        return found.termination.reason
    return lift(found, offered, policy="toy", headroom=HEADROOM)


@st.composite
def alike(draw: st.DrawFn) -> tuple[Option, ...]:
    """Options on three machine types, with so few prices and speeds that many plans cost the same."""
    rated = {name: draw(st.sampled_from([1000.0, 2000.0])) for name in "abc"}
    found = []
    for role, name, per_machine in product(Role, "abc", (1, 2)):
        if not draw(st.booleans()):
            continue
        split = role is not Role.MIXED
        served = draw(st.sampled_from([CLASSES, CLASSES[:1], CLASSES[1:]]))
        work = {
            each: envelope(
                prefill_s=0.0 if role is Role.DECODE else draw(st.sampled_from([0.1, 0.2])),
                decode_s=0.0 if role is Role.PREFILL else draw(st.sampled_from([0.2, 0.4])),
                link_bytes=1e8 * split,
            )
            for each in served
        }
        price = draw(st.sampled_from([10.0, 20.0]))
        found.append(option(role, machine(name, rated_w=rated[name]), work, price=price, per_machine=per_machine))
    for each in CLASSES:  # each class can be served
        assume(any(each in o.envelopes and o.spec.role is Role.MIXED for o in found))
    return tuple(found)


RATES = st.fixed_dictionaries({name: st.integers(1, 40).map(lambda n: n / 3) for name in CLASSES})


@settings(max_examples=40, deadline=None)
@given(
    offered=alike(), rates=RATES, seed=st.integers(0, 999),
    objective=st.sampled_from([Objective.COST, Objective.MACHINES, Objective.POWER, Objective.ENERGY]),
)  # fmt: skip
def test_the_order_in_which_a_solver_searches_does_not_matter(
    offered: tuple[Option, ...], rates: dict[str, float], seed: int, objective: Objective
) -> None:
    """A program given in another order has the same answer: pools, rates and totals, to the last bit."""
    one = _plan(offered, rates, _exact, objective)
    other = _plan(offered[::-1], rates, lambda part: _shuffled(part, seed), objective)
    assert one == other


@settings(max_examples=10, deadline=None)
@given(offered=alike(), rates=RATES)
def test_cbc_gives_the_plan_of_highs(offered: tuple[Option, ...], rates: dict[str, float]) -> None:
    """CBC, which shares no code with HiGHS, buys the same machines and routes the same rates."""
    one, other = _plan(offered, rates, _exact), _plan(offered, rates, lambda part: _exact(part, Backend.CBC))
    assert isinstance(one, CandidatePlan)
    assert isinstance(other, CandidatePlan)
    assert (one.pools, one.totals) == (other.pools, other.totals)


@pytest.mark.slow
@settings(max_examples=100 if os.environ.get("PHASEWISE_LAWS") == "wide" else 15, deadline=None)
@given(
    offered=alike(), rates=RATES, objective=st.sampled_from(list(Objective)), machines=st.none() | st.integers(2, 6)
)  # fmt: skip
def test_three_solvers_give_one_plan(
    offered: tuple[Option, ...], rates: dict[str, float], objective: Objective, machines: int | None
) -> None:
    """HiGHS, CBC and SCIP, the last in a process of its own, buy the same machines and route the same rates."""
    budgets = Budgets(machines=machines or (6 if objective is Objective.THROUGHPUT else None))
    one, *others = [
        _plan(offered, rates, lambda part, backend=backend: _exact(part, backend), objective, budgets)  # type: ignore[misc]
        for backend in (Backend.HIGHS, Backend.CBC, Backend.MATHOPT)
    ]
    event("a plan" if isinstance(one, CandidatePlan) else f"{one}")
    for other in others:
        if isinstance(one, CandidatePlan) and isinstance(other, CandidatePlan):
            assert (one.pools, one.totals, one.rate_scale) == (other.pools, other.totals, other.rate_scale)
        else:
            assert one == other


@settings(max_examples=20, deadline=None)
@given(offered=alike(), rates=RATES, seed=st.integers(0, 999), machines=st.integers(2, 5))
def test_throughput_has_one_answer(
    offered: tuple[Option, ...], rates: dict[str, float], seed: int, machines: int
) -> None:
    """The most throughput under a budget is served by the same machines at the same rates, whatever the order."""
    budgets = Budgets(machines=machines)
    one = _plan(offered, rates, _exact, Objective.THROUGHPUT, budgets)
    assert one == _plan(offered, rates, lambda part: _shuffled(part, seed), Objective.THROUGHPUT, budgets)


def _mixed(name: str, *, price: float = 10.0, work_s: float = 0.17, rated_w: float = 1000.0) -> Option:
    body = {"chat": envelope(prefill_s=work_s / 2, decode_s=work_s / 2)}
    return option(Role.MIXED, machine(name, rated_w=rated_w), body, price=price)


HOT = _mixed("hot", price=20.0, work_s=0.085, rated_w=3000.0)
COOL = _mixed("cool", price=20.0, work_s=0.085, rated_w=2000.0)
SMALL = _mixed("small", price=10.0, rated_w=500.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("offered", "available", "bought"),
    [((HOT, COOL, SMALL), {}, ("cool", 2)), ((HOT, SMALL), {}, ("hot", 2)), ((HOT, SMALL), {"hot": 1}, ("small", 4))],
)
def test_of_equal_costs_fewest_pools_then_fewest_watts(
    offered: tuple[Option, ...], available: dict[str, int], bought: tuple[str, int], seed: int
) -> None:
    """Of the mixes of machines that cost 40 an hour, one pool is bought, even where two draw less."""
    found = _plan(offered, {"chat": 18.0}, lambda part: _shuffled(part, seed), available=available)
    assert isinstance(found, CandidatePlan)
    assert [(p.spec.machine, p.machines, dict(p.rate_req_per_s)) for p in found.pools] == [(*bought, {"chat": 18.0})]


@pytest.mark.parametrize("seed", range(5))
def test_of_twins_the_same_one_is_bought(seed: int) -> None:
    """Options that differ in nothing but their name: the choice is arbitrary, and always the same."""
    offered = tuple(_mixed(name) for name in ("one", "two", "three"))
    found = _plan(offered, {"chat": 4.0}, lambda part: _shuffled(part, seed))
    assert found == _plan(offered, {"chat": 4.0}, _exact)
    assert isinstance(found, CandidatePlan)
    assert len(found.pools) == 1
