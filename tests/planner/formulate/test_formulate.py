"""The integer program finds the plan that brute force finds, and its laws hold."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.formulate import BUDGET_FAMILIES, EPOCH_BUDGET_FAMILIES, FAMILIES, lift, problem, unservable
from planner.formulate import BUDGETS as KNOWN_BUDGETS
from planner.perf.layout import Role
from planner.results.plan import Pool
from planner.scenario.objectives import Budgets, Headroom, Objective
from planner.scenario.sections import BudgetSection
from solvers.allocation import Reason, Solution
from solvers.elastic import StillInfeasible, smallest_raise
from solvers.lp_format import lp_text
from solvers.solve import Backend, solve
from tests.planner.options import envelope, machine, option, options, showcase

RATES = {"short": 20.0, "long": 2.0}
NO_LIMITS = Budgets()
FREE: Mapping[str, int] = {}
DEFAULT = Headroom()


def _solved(
    offered: tuple[Option, ...], rates: Mapping[str, float], *, budgets: Budgets = NO_LIMITS,
    headroom: Headroom = DEFAULT, objective: Objective = Objective.COST, available: Mapping[str, int] = FREE,
) -> Solution:  # fmt: skip
    return solve(problem(offered, rates, budgets=budgets, headroom=headroom, objective=objective, available=available))


def _capacity(offered: Option, count: int, headroom: Headroom) -> float:
    """Req/s of class ``all`` that machines of an option carry."""
    each, replicas = offered.envelopes["all"], count * offered.instances_per_machine
    limits = [
        (each.prefill_s + each.decode_s, headroom.of(offered.spec.role) * replicas),
        (each.kv_tokens_s, headroom.kv_frac * offered.kv_tokens * replicas),
        (each.link_bytes, headroom.link_frac * offered.machine.inter_link.bandwidth_bytes_per_s * count),
    ]
    return min(capacity / taken for taken, capacity in limits if taken)


def _served(offered: tuple[Option, ...], counts: tuple[int, ...], headroom: Headroom) -> float:
    """Req/s of class ``all``: what starts mixed, and what is both prefilled and decoded."""
    total = dict.fromkeys(Role, 0.0)
    for each, count in zip(offered, counts, strict=True):
        total[each.spec.role] += _capacity(each, count, headroom)
    return total[Role.MIXED] + min(total[Role.PREFILL], total[Role.DECODE])


def _fits(offered: tuple[Option, ...], counts: tuple[int, ...], budgets: Budgets, available: Mapping[str, int]) -> bool:
    def total(each: list[float]) -> float:
        return sum(count * value for count, value in zip(counts, each, strict=True))

    bought = {
        name: total([float(o.machine.name == name) for o in offered]) for name in {o.machine.name for o in offered}
    }
    needs = [
        (total([o.price_usd_per_h for o in offered]), budgets.cost_usd_per_h),
        (total([o.machine.rated_w for o in offered]), budgets.power_w),
        (total([o.machine.rack_units for o in offered]), budgets.rack_units),
        (float(sum(counts)), budgets.machines),
        (float(sum(1 for count in bought.values() if count)), budgets.machine_types),
        *((bought.get(name, 0.0), limit) for name, limit in available.items()),
    ]
    return all(limit is None or need <= limit + 1e-9 for need, limit in needs)


BUDGETS = st.builds(
    Budgets,
    cost_usd_per_h=st.none() | st.integers(10, 90).map(float),
    power_w=st.none() | st.integers(2, 30).map(lambda n: n * 1000.0),
    rack_units=st.none() | st.integers(4, 30).map(float),
    machines=st.none() | st.integers(1, 6),
    machine_types=st.none() | st.integers(1, 2),
)
LIMITED = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 4))
ROUND = Headroom(prefill_frac=0.8, decode_frac=1.0, mixed_frac=0.7, kv_frac=0.9, link_frac=0.5)


@settings(max_examples=100, deadline=None)
@given(
    offered=options(),
    rate=st.integers(1, 12).map(lambda n: n / 3 + 0.01),
    budgets=BUDGETS,
    available=LIMITED,
    objective=st.sampled_from([Objective.COST, Objective.POWER, Objective.MACHINES]),
)
def test_the_optimum_is_the_brute_force_one(
    offered: tuple[Option, ...], rate: float, budgets: Budgets, available: dict[str, int], objective: Objective
) -> None:
    """No count of machines that serves the rate within the budgets is better; where none serves, none is found."""
    most = [math.ceil(rate / _capacity(each, 1, ROUND)) for each in offered]
    assume(math.prod(count + 1 for count in most) < 20_000)
    weight = {
        Objective.COST: lambda o: o.price_usd_per_h,
        Objective.POWER: lambda o: o.machine.rated_w,
        Objective.MACHINES: lambda _: 1.0,
    }[objective]
    values = [
        sum(count * weight(each) for count, each in zip(counts, offered, strict=True))
        for counts in itertools.product(*(range(count + 1) for count in most))
        if _fits(offered, counts, budgets, available) and _served(offered, counts, ROUND) >= rate * (1 - 1e-9)
    ]
    found = _solved(
        offered, {"all": rate}, budgets=budgets, headroom=ROUND, objective=objective, available=available
    ).termination
    assert found.objective == (pytest.approx(min(values), rel=1e-6) if values else None)
    assert found.reason is (Reason.OPTIMAL if values else Reason.INFEASIBLE)


@settings(max_examples=60, deadline=None)
@given(offered=options(), budgets=BUDGETS, available=LIMITED, machines=st.integers(1, 6))
def test_the_largest_throughput_is_the_brute_force_one(
    offered: tuple[Option, ...], budgets: Budgets, available: dict[str, int], machines: int
) -> None:
    """Of all counts of machines within the budgets, none serves more; the objective is in req/s."""
    budgets = replace(budgets, machines=machines)
    served = [
        _served(offered, counts, ROUND)
        for counts in itertools.product(range(machines + 1), repeat=len(offered))
        if _fits(offered, counts, budgets, available)
    ]
    solution = _solved(
        offered, {"all": 2.0}, budgets=budgets, headroom=ROUND, objective=Objective.THROUGHPUT, available=available
    )
    if not max(served):
        assert solution.termination.reason is Reason.INFEASIBLE
        return
    assert solution.termination.objective == pytest.approx(max(served), rel=1e-5)
    plan = lift(solution, offered, policy="p", headroom=ROUND)
    assert plan.rate_scale * 2.0 == pytest.approx(solution.termination.objective)
    assert _fits(offered, _counts(plan.pools, offered), budgets, available)


def _counts(pools: tuple[Pool, ...], offered: tuple[Option, ...]) -> tuple[int, ...]:
    bought = {pool.spec: pool.machines for pool in pools}
    return tuple(bought.get(each.spec, 0) for each in offered)


@settings(max_examples=40, deadline=None)
@given(offered=options(("short", "long")), budgets=BUDGETS, more=st.floats(1.0, 3.0))
def test_more_budget_never_costs_more(offered: tuple[Option, ...], budgets: Budgets, more: float) -> None:
    """A larger budget never makes the optimum worse, nor feasible infeasible."""
    rates = {"short": 1.0, "long": 0.3}
    tight = _solved(offered, rates, budgets=budgets, objective=Objective.POWER).termination
    assume(tight.objective is not None)
    for name in ("cost_usd_per_h", "power_w", "rack_units"):
        if (limit := getattr(budgets, name)) is not None:
            budgets = replace(budgets, **{name: limit * more})
    loose = _solved(offered, rates, budgets=budgets, objective=Objective.POWER).termination
    assert loose.objective is not None
    assert tight.objective is not None
    assert loose.objective <= tight.objective * (1 + 2e-6)


@settings(max_examples=40, deadline=None)
@given(offered=options(("short", "long")), more=st.floats(1.0, 4.0), less=st.floats(0.3, 1.0))
def test_more_work_or_less_headroom_never_costs_less(offered: tuple[Option, ...], more: float, less: float) -> None:
    """The optimum grows with every class's rate and with every load limit lowered, and shrinks with another option."""
    rates = {"short": 1.0, "long": 0.3}
    base = _solved(offered, rates).termination.objective
    assert base is not None
    busier = _solved(offered, rates | {"long": 0.3 * more}).termination.objective
    cautious = _solved(offered, rates, headroom=Headroom(decode_frac=0.95 * less, mixed_frac=0.85 * less))
    fewer = _solved(tuple(o for o in offered if o.spec.role is Role.MIXED), rates).termination.objective
    assert busier is not None
    assert cautious.termination.objective is not None
    assert fewer is not None
    slack = base * 2e-6
    assert min(busier, cautious.termination.objective, fewer) >= base - slack


@pytest.mark.parametrize("cap_w", [450, 400, 350])
def test_a_tighter_cap_of_equal_speed_never_costs_machines_or_throughput_under_a_power_budget(cap_w: int) -> None:
    """A cap that slows nothing down lets a power budget hold as many machines or more, and carry as much or more."""
    on = machine("a", rated_w=6000.0)
    loose = option(Role.MIXED, on, {"all": envelope(prefill_s=0.1, decode_s=0.4)})
    tight = replace(loose, spec=replace(loose.spec, cap_w=cap_w))
    assert tight.rated_w == 6000.0 - 8 * (500 - cap_w)
    for watts in (6000.0, 20_000.0, 60_000.0, 61_234.0):
        budgets = Budgets(power_w=watts)
        before, after = (
            _solved((each,), {"all": 1.0}, budgets=budgets, objective=Objective.THROUGHPUT) for each in (loose, tight)
        )
        both = _solved((loose, tight), {"all": 1.0}, budgets=budgets, objective=Objective.THROUGHPUT)
        served = [solution.termination.objective or 0.0 for solution in (before, after, both)]
        assert served[0] <= served[1] + 1e-6
        assert max(served[:2]) <= served[2] + 1e-6
    fewest = [
        _solved((each,), {"all": 50.0}, objective=Objective.POWER).termination.objective for each in (loose, tight)
    ]
    assert fewest[1] is not None
    assert fewest[0] is not None
    assert fewest[1] <= fewest[0]


@settings(max_examples=40, deadline=None)
@given(offered=options(("short", "long")), objective=st.sampled_from(Objective))
def test_a_lifted_plan_carries_what_was_asked(offered: tuple[Option, ...], objective: Objective) -> None:
    """Rates add up to the demand, phases balance, loads stay within headroom, and totals are the sums of the pools."""
    rates, headroom = {"short": 1.0, "long": 0.3}, Headroom()
    solution = _solved(offered, rates, objective=objective, budgets=Budgets(machines=40))
    plan = lift(solution, offered, policy="p", headroom=headroom)
    by_name = {o.spec.name: o for o in offered}
    assert [p.spec.name for p in plan.pools] == sorted(p.spec.name for p in plan.pools)

    def routed(name: str, *roles: Role) -> float:
        return sum(p.rate_req_per_s.get(name, 0.0) for p in plan.pools if p.spec.role in roles)

    for name, rate in rates.items():
        assert routed(name, Role.PREFILL, Role.MIXED) == pytest.approx(rate * plan.rate_scale, rel=1e-6, abs=1e-6)
        assert routed(name, Role.PREFILL) == pytest.approx(routed(name, Role.DECODE), rel=1e-6, abs=1e-6)
    for pool in plan.pools:
        assert pool.machines >= 1
        assert pool.instances == pool.machines * by_name[pool.spec.name].instances_per_machine
        assert pool.load_frac <= headroom.of(pool.spec.role) + 1e-6
        assert pool.kv_load_frac <= headroom.kv_frac + 1e-6
    totals = {
        Objective.COST: plan.totals.cost_usd_per_h,
        Objective.POWER: plan.totals.power_w,
        Objective.ENERGY: plan.totals.expected_power_w,
        Objective.CARBON: plan.totals.carbon_g_per_h,
        Objective.MACHINES: float(plan.totals.machines),
        Objective.THROUGHPUT: plan.rate_scale * sum(rates.values()),
    }
    assert totals[objective] == pytest.approx(solution.termination.objective, rel=1e-6)
    assert plan.totals.gpus == plan.totals.machines * 8


def test_the_order_of_the_options_does_not_matter() -> None:
    """The program is the same text whatever order the options come in."""
    budgets = Budgets(machine_types=1, cost_usd_per_h=900.0)
    texts = {
        lp_text(
            problem(
                order, RATES, budgets=budgets, headroom=Headroom(), objective=Objective.COST, available={"slow-8": 3}
            )
        )
        for order in itertools.permutations(showcase())
    }
    assert len(texts) == 1


def test_an_independent_solver_agrees() -> None:
    """SCIP finds the optimum that HiGHS finds for the showcase, every budget in play."""
    program = problem(
        showcase(), RATES, headroom=Headroom(), objective=Objective.COST, available={"slow-8": 9},
        budgets=Budgets(cost_usd_per_h=1500.0, power_w=2e5, rack_units=200.0, machines=30, machine_types=2),
    )  # fmt: skip
    ours, theirs = (solve(program, backend=backend).termination for backend in (Backend.HIGHS, Backend.MATHOPT))
    assert ours.reason is theirs.reason is Reason.OPTIMAL
    assert ours.objective == pytest.approx(theirs.objective)


@settings(max_examples=40, deadline=None)
@given(offered=options(("short", "long")), share=st.floats(0.1, 0.95))
def test_an_infeasible_budget_is_raised_to_the_optimum(offered: tuple[Option, ...], share: float) -> None:
    """With only the cost limited, what is needed is the cost of the cheapest plan."""
    rates = {"short": 1.0, "long": 0.3}
    cheapest = _solved(offered, rates).termination.objective
    assert cheapest is not None
    program = problem(
        offered, rates, budgets=Budgets(cost_usd_per_h=cheapest * share), headroom=DEFAULT, objective=Objective.POWER,
        available=FREE,
    )  # fmt: skip
    (found,) = smallest_raise(program, families=BUDGET_FAMILIES, solve=solve)
    assert found.row == "cost"
    assert found.needed == pytest.approx(cheapest, rel=1e-6)


def test_of_several_budgets_only_the_guilty_one_is_named() -> None:
    """Where the power alone is short, the answer names power, although cost, space and availability are limited too."""
    least = _solved(showcase(), RATES, objective=Objective.POWER).termination.objective
    assert least is not None
    program = problem(
        showcase(), RATES, headroom=Headroom(), objective=Objective.COST, available={"slow-8": 1000},
        budgets=Budgets(cost_usd_per_h=1e5, rack_units=1e4, machines=1000, machine_types=2, power_w=least - 1.0),
    )  # fmt: skip
    (found,) = smallest_raise(program, families=BUDGET_FAMILIES, solve=solve)
    assert (found.row, found.needed) == ("power", pytest.approx(least))


def test_no_budget_helps_where_the_limit_is_not_a_budget() -> None:
    """Families that are not budgets are never relaxed: without any budget row the answer is StillInfeasible."""
    program = problem(
        showcase(), RATES, budgets=Budgets(machines=1), headroom=Headroom(), objective=Objective.COST, available=FREE
    )
    with pytest.raises(StillInfeasible):
        smallest_raise(program, families=["availability"], solve=solve)


def test_a_throughput_budget_too_small_for_anything_can_be_raised() -> None:
    """Where not even one machine fits the budget the answer is infeasible, and names what one way to serve costs."""
    mixed = tuple(o for o in showcase() if o.spec.role is Role.MIXED)
    program = problem(
        mixed, {"short": 5.0}, budgets=Budgets(cost_usd_per_h=39.0), headroom=Headroom(),
        objective=Objective.THROUGHPUT, available=FREE,
    )  # fmt: skip
    assert solve(program).termination.reason is Reason.INFEASIBLE
    (found,) = smallest_raise(program, families=BUDGET_FAMILIES, solve=solve)
    assert (found.limit, found.needed) == (39.0, 40.0)


def test_throughput_needs_a_limit() -> None:
    """Without a budget or availability on every machine type, throughput is refused, naming the types' options."""
    with pytest.raises(ValueError, match="bounds the machines of decode/fast-8/tp8, prefill/fast-8/tp8"):
        problem(
            showcase(), RATES, budgets=Budgets(machine_types=1), headroom=Headroom(), objective=Objective.THROUGHPUT,
            available={"slow-8": 3},
        )  # fmt: skip


def test_a_class_nobody_serves_is_found_before_solving() -> None:
    """Prefill without decode is no service; the mixed option of the showcase serves short requests only."""
    assert unservable(showcase(), ["short", "long", "other"]) == ("other",)
    halves = tuple(o for o in showcase() if o.spec.role is not Role.DECODE)
    assert unservable(halves, ["short", "long"]) == ("long",)


def test_every_fault_of_a_question_is_named_at_once() -> None:
    """Rates that are not positive, options given twice and classes nobody serves appear in one error."""
    twice = (*showcase(), showcase()[0])
    with pytest.raises(ValueError, match="no option serves class 'huge'") as caught:
        problem(
            twice, {"short": 0.0, "huge": 1.0}, budgets=Budgets(), headroom=Headroom(), objective=Objective.COST,
            available=FREE,
        )  # fmt: skip
    assert len(str(caught.value).splitlines()) == 3


def test_a_solve_without_allocation_is_not_lifted() -> None:
    """Lifting the answer "infeasible" is an error, never an empty plan."""
    nothing = _solved(showcase(), RATES, budgets=Budgets(machines=1))
    with pytest.raises(ValueError, match="infeasible"):
        lift(nothing, showcase(), policy="p", headroom=Headroom())


def test_machines_bought_beyond_need_are_not_lifted() -> None:
    """Free machines that the optimiser counts without need are left in the shop."""
    free = option(Role.MIXED, machine("free"), {"all": envelope(prefill_s=0.5, decode_s=0.2)}, price=0.0)
    solution = _solved((free,), {"all": 1.0})
    assert solution.allocation is not None
    padded = {**solution.allocation.values, f"machines[{free.spec.name}]": 7.0}
    solution = replace(solution, allocation=replace(solution.allocation, values=padded))
    (pool,) = lift(solution, (free,), policy="p", headroom=Headroom()).pools
    assert pool.machines == 1


def test_no_budget_is_forgotten() -> None:
    """Every budget that a scenario may set is held by one family of each program, with epochs and without."""
    keys = set(BudgetSection.model_fields)
    assert {each.name for each in fields(Budgets)} == keys
    assert sorted(budget.key for budget in KNOWN_BUDGETS.values()) == sorted(keys)
    assert sorted(EPOCH_BUDGET_FAMILIES.values()) == sorted(keys)
    assert {family.__name__ for family in FAMILIES} >= set(KNOWN_BUDGETS)
