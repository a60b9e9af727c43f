"""Plans over time: rows under review, laws of the optimum, and the decomposition against the whole model."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.formulate.epoch_program import epoch_problem, later_aims, lift_schedule, place, thinned
from planner.formulate.epoch_question import EpochQuestion, base
from planner.formulate.epochs import EPOCH_FAMILIES
from planner.perf.layout import Layout, Role
from planner.resolve.interruptions import missing, missing_frac, spare_line
from planner.results.schedule import Epoch, Schedule, SpareLine
from planner.scenario.objectives import Aim, Budgets
from solvers.allocation import Reason, Solution, empty_handed
from solvers.decomposition import solve_decomposed
from solvers.lexicographic import lexicographic
from solvers.lp_format import lp_text
from solvers.problem import Problem
from solvers.solve import solve
from tests.planner.epochs import coarser, question, split
from tests.planner.epochs import kind as machine_kind
from tests.planner.goldens import same_as_golden
from workloads.load import Load, hedged

GOLDEN = Path(__file__).parents[2] / "golden" / "epochs"
MANUAL = Path(__file__).parents[3] / "docs" / "maths.md"
FAMILY_NAMES = [family.__name__ for family in EPOCH_FAMILIES]
OF_SPARES = ("epoch_whole_machines", "epoch_redundancy")
"""Families that are written where availability is asked for only."""
RATES = st.lists(st.integers(0, 12).map(float), min_size=4, max_size=4)
EXACT = 1e-6


def _scheduled(asked: EpochQuestion) -> Schedule:
    problem = epoch_problem(asked)
    solution = solve(problem, gap_frac=EXACT)
    assert solution.allocation is not None
    return lift_schedule(asked, solution.allocation.values, solution.termination, method="monolithic")


def _value(asked: EpochQuestion) -> float:
    found = solve(epoch_problem(asked), gap_frac=EXACT).termination.objective
    assert found is not None
    return found


def _showcase() -> Problem:
    asked = question(
        {"short": [3.0, 9.0, 0.0], "long": [1.0, 2.0, 1.0]}, aims=(Aim.COST, Aim.CARBON), min_up_epochs=2,
        ramp_machines=3, churn_machines=5, start_usd=1.0,
    )  # fmt: skip
    fast, slow = asked.fleet
    budgets = Budgets(
        cost_usd_per_h=200.0, power_w=30000.0, expected_power_w=20000.0, rack_units=80.0, machines=9, machine_types=1
    )
    fleet = (fast, replace(slow, spare_machines=0.5, spare_ratio=0.25))
    asked = split(asked, "short")
    return epoch_problem(replace(asked, fleet=fleet, budgets=budgets, apart=((Layout(tp=4), Layout(tp=2)),)))


def _spared() -> Problem:
    """The same with spare machines in every pool, of one class more than the line asks."""
    asked = split(question({"short": [3.0, 9.0], "long": [1.0, 2.0]}), "short")
    line = SpareLine(machines=1.0, ratio=0.5)
    options = tuple(replace(option, spares=line, instances_per_machine=2) for option in asked.options)
    least = {(options[0].name, 1): 3}
    return epoch_problem(replace(asked, options=options, least_spares=least))


@pytest.mark.parametrize("name", [*FAMILY_NAMES, "objective"])
def test_rows_over_epochs_are_the_reviewed_ones(name: str) -> None:
    """A family's rows, coefficients and bounds are exactly those of its golden file."""
    program = _spared() if name in OF_SPARES else _showcase()
    rows = tuple(row for row in program.rows if row.family == name)
    assert rows or name == "objective"
    named = {term for row in rows for term, _ in row.terms}
    keep = program.columns if name == "objective" else tuple(c for c in program.columns if c.name in named)
    columns = keep if name == "objective" else tuple(replace(column, objective=0.0) for column in keep)
    text = lp_text(replace(program, columns=columns, rows=rows))
    path = GOLDEN / f"{name}.lp"
    same_as_golden(text, path)


def test_every_family_over_epochs_is_documented_and_has_a_golden_file() -> None:
    """No family without a golden file and a place in the manual, and no file without a family."""
    assert {path.stem for path in GOLDEN.glob("*.lp")} == {*FAMILY_NAMES, "objective"}
    manual = MANUAL.read_text(encoding="utf-8")
    assert [name for name in FAMILY_NAMES if f"`{name}`" not in manual] == []


@settings(max_examples=10, deadline=None)
@given(RATES)
def test_dearer_starts_never_increase_churn(rates: list[float]) -> None:
    """At the optimum, starts and stops do not grow as a start's fee does."""
    churns = [
        _scheduled(question({"all": [r + 1 for r in rates]}, start_usd=fee, start_s=0.0)).churn_machines
        for fee in (0.01, 1.0, 30.0)
    ]
    assert churns == sorted(churns, reverse=True)


@settings(max_examples=10, deadline=None)
@given(RATES)
def test_a_longer_epoch_is_never_cheaper_than_the_finer_plan_with_free_transitions(rates: list[float]) -> None:
    """What serves grouped epochs serves each of them, so the finer optimum is no dearer."""
    fine = question({"all": [r + 1 for r in rates]}, start_s=0.0, epoch_s=1800.0)
    for times in (2, 4):
        load = coarser(fine.load, times)
        tariff = replace(fine.tariff, carbon_g_per_kwh=fine.tariff.carbon_g_per_kwh[: load.epochs])
        assert _value(replace(fine, load=load, tariff=tariff)) >= _value(fine) * (1 - 1e-5) - 1e-6


@settings(max_examples=10, deadline=None)
@given(RATES, st.sampled_from([0.05, 0.2]))
def test_a_certain_forecast_never_costs_more(rates: list[float], sigma: float) -> None:
    """Planning for the forecast alone is no dearer than planning for its error too."""
    sure = question({"all": [r + 1 for r in rates]})
    unsure = replace(sure, load=hedged(sure.load, forecast_sigma_frac=sigma, confidence_frac=0.95))
    assert _value(sure) <= _value(unsure) * (1 + 1e-5) + 1e-6


@settings(max_examples=12, deadline=None)
@given(RATES, st.sampled_from([1, 2]), st.sampled_from([Aim.COST, Aim.ENERGY]))
def test_the_decomposition_brackets_the_optimum_of_the_whole_model(rates: list[float], up: int, aim: Aim) -> None:
    """Its bound is no more, and its value no less, than the optimum that the monolithic model proves."""
    problem = epoch_problem(question({"all": [r + 1 for r in rates]}, min_up_epochs=up, aims=(aim, Aim.COST)))
    whole = solve(problem, gap_frac=EXACT).termination
    parts = solve_decomposed(problem, place, time_limit_s=60.0, gap_frac=0.001).termination
    assert whole.objective is not None
    assert parts.objective is not None
    assert parts.bound is not None
    slack = 1e-5 * abs(whole.objective) + 1e-6
    assert parts.bound <= whole.objective + slack
    assert parts.objective >= whole.objective - slack


def test_what_a_schedule_counts_is_what_it_was_charged() -> None:
    """The lifted schedule's dollars are the objective that the solver made small."""
    asked = question({"short": [3.0, 9.0, 0.0, 4.0], "long": [1.0, 2.0, 1.0, 1.0]}, start_usd=0.5)
    schedule = _scheduled(asked)
    assert schedule.cost_usd == pytest.approx(schedule.termination.objective, rel=1e-6)
    assert schedule.churn_machines == sum(sum(e.started.values()) + sum(e.stopped.values()) for e in schedule.epochs)
    for epoch, plan in enumerate(schedule.epochs):
        for name in asked.load.peak_req_per_s:
            served = sum(run.rate_req_per_s.get(name, 0.0) for run in plan.runs)
            assert served == pytest.approx(asked.peak(name, epoch), abs=1e-5)
        for machine, powered in plan.machines.items():
            gpus = sum(r.instances * r.spec.layout.gpus for r in plan.runs if r.spec.machine == machine)
            assert gpus <= 8 * powered


@settings(max_examples=8, deadline=None)
@given(RATES)
def test_phases_of_their_own_are_balanced_and_counted_once(rates: list[float]) -> None:
    """What is prefilled apart is decoded apart in every epoch, and its energy is that of each request once."""
    asked = split(question({"short": [r + 1 for r in rates], "long": [1.0] * 4}), "short")
    schedule = _scheduled(asked)
    assert schedule.cost_usd == pytest.approx(schedule.termination.objective, rel=1e-5)
    for epoch, plan in enumerate(schedule.epochs):
        by_role = Counter[Role]()
        for run in plan.runs:
            by_role[run.spec.role] += run.rate_req_per_s.get("short", 0.0)
        peak = asked.peak("short", epoch)
        assert (by_role[Role.PREFILL], by_role[Role.DECODE]) == pytest.approx((peak, peak), abs=1e-4)
        assert by_role[Role.MIXED] == 0


def test_layouts_that_exchange_no_kv_never_stand_together() -> None:
    """Of two layouts between which no KV travels a schedule runs one at most, in whatever epochs."""
    asked = split(question({"short": [2.0, 30.0, 2.0, 8.0]}), "short")
    free = _scheduled(asked)
    apart = _scheduled(replace(asked, apart=((Layout(tp=4), Layout(tp=2)),)))
    layouts = [
        {run.spec.layout.tp for epoch in each.epochs for run in epoch.runs if run.spec.role is Role.DECODE}
        for each in (free, apart)
    ]
    assert 2 in layouts[0]
    assert layouts[1] == {4}
    assert apart.cost_usd >= free.cost_usd - 1e-6


def test_bounds_on_change_are_kept() -> None:
    """Minimum up time, ramp and churn hold in the schedule as they were given."""
    asked = question({"all": [2.0, 14.0, 2.0, 14.0, 2.0, 2.0]}, min_up_epochs=2, ramp_machines=2, churn_machines=6)
    schedule = _scheduled(asked)
    assert schedule.churn_machines <= 6
    assert all(max([*e.started.values(), *e.stopped.values()]) <= 2 for e in schedule.epochs)
    for kind in asked.fleet:
        on = [e.machines[kind.machine] for e in schedule.epochs]
        begun = [e.started[kind.machine] for e in schedule.epochs]
        assert all(on[t] >= begun[t] + begun[t - 1] for t in range(len(on)))


@settings(max_examples=10, deadline=None)
@given(RATES, st.sampled_from(list(Aim)))
def test_what_a_schedule_comes_to_is_what_was_made_small(rates: list[float], aim: Aim) -> None:
    """Whatever the aim, the solver's objective is the figure that the schedule states, busy floors included."""
    asked = question({"all": [r + 1 for r in rates]}, aims=(aim,), start_usd=0.5)
    schedule = _scheduled(asked)
    stated = {
        Aim.COST: schedule.cost_usd, Aim.ENERGY: schedule.energy_j / 3.6e6, Aim.CARBON: schedule.carbon_g / 1000,
        Aim.POWER: schedule.rated_w, Aim.MACHINES: schedule.powered_machines,
    }  # fmt: skip
    assert stated[aim] == pytest.approx(schedule.termination.objective, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(RATES, st.sampled_from([Aim.COST, Aim.ENERGY]), st.data())
def test_budgets_hold_in_every_epoch(rates: list[float], aim: Aim, data: st.DataObject) -> None:
    """A budget at what a schedule takes is feasible and changes nothing; below it every epoch keeps it, at a price."""
    asked = question({"all": [r + 1 for r in rates]}, aims=(aim,))
    free = _scheduled(asked)
    taken = _taken(asked, free)
    key = data.draw(st.sampled_from(sorted(taken)))
    least = _value(replace(asked, budgets=Budgets(**{key: taken[key]})))
    assert least == pytest.approx(free.termination.objective, rel=1e-5)
    lower = replace(asked, budgets=Budgets(**{key: type(taken[key])(0.8 * taken[key])}))
    solution = solve(epoch_problem(lower), gap_frac=EXACT)
    if solution.allocation is None:
        assert solution.termination.reason is Reason.INFEASIBLE
        return
    kept = lift_schedule(lower, solution.allocation.values, solution.termination, method="")
    limit = getattr(lower.budgets, key)
    assert limit is not None
    assert _taken(lower, kept)[key] <= limit * (1 + 1e-6)
    assert solution.termination.objective is not None
    assert solution.termination.objective >= least * (1 - 1e-5)


def _taken(asked: EpochQuestion, schedule: Schedule) -> dict[str, float]:
    """What a schedule takes of each budget in the epoch in which it takes most."""
    by_type = {kind.machine: kind for kind in asked.fleet}
    options = {option.name: option for option in asked.options}

    def there(epoch: Epoch) -> dict[str, int]:
        return {name: base + epoch.top_machines[name] for name, base in schedule.base_machines.items()}

    watts = [
        sum(by_type[name].idle_w * count for name, count in epoch.machines.items())
        + sum(
            options[run.spec.name].floor_w * run.instances
            + sum(options[run.spec.name].request_j[c] * rate for c, rate in run.rate_req_per_s.items())
            for run in epoch.runs
        )
        for epoch in schedule.epochs
    ]
    return {
        "cost_usd_per_h": max(
            sum(by_type[n].base_usd_per_h * c for n, c in schedule.base_machines.items())
            + sum(by_type[n].top_usd_per_h * c for n, c in epoch.top_machines.items())
            for epoch in schedule.epochs
        ),
        "power_w": max(sum(by_type[n].rated_w * c for n, c in e.machines.items()) for e in schedule.epochs),
        "expected_power_w": max(watts),
        "rack_units": max(sum(by_type[n].rack_units * c for n, c in there(e).items()) for e in schedule.epochs),
        "machines": max(sum(there(e).values()) for e in schedule.epochs),
    }


@settings(max_examples=12, deadline=None)
@given(RATES, st.sampled_from([(Aim.COST, Aim.ENERGY), (Aim.ENERGY, Aim.COST), (Aim.CARBON, Aim.COST)]))
def test_no_aim_pays_for_a_later_one(rates: list[float], aims: tuple[Aim, Aim]) -> None:
    """The first aim keeps what its own solve came to, and the second is no worse than there, by both ways."""
    asked = question({"all": [r + 1 for r in rates]}, aims=aims)
    first, second = epoch_problem(asked), epoch_problem(replace(asked, aims=aims[1:]))
    for how in (_whole, _apart):
        alone = how(first, {}).allocation
        both, (later,) = lexicographic(first, later_aims(asked), how)
        assert alone is not None
        assert both.allocation is not None
        assert first.objective(both.allocation.values) <= first.objective(alone.values) + 1e-4
        assert second.objective(both.allocation.values) <= second.objective(alone.values) + 1e-4
        assert later.termination.objective == pytest.approx(second.objective(both.allocation.values), abs=1e-6)


def test_a_base_fleet_that_the_first_aim_ignores_is_no_larger_than_it_must_be() -> None:
    """Least energy says nothing of machines that are bought and off; least cost after it does, or nothing after it."""
    asked = question({"all": [2.0, 9.0, 4.0, 2.0]}, aims=(Aim.ENERGY, Aim.COST))
    for how, free in ((_whole, {}), (_apart, {}), (_whole, {base(kind.machine): 1e4 for kind in asked.fleet})):
        solution, _ = lexicographic(epoch_problem(asked), later_aims(asked), how)
        assert solution.allocation is not None
        values = {**solution.allocation.values, **free}
        schedule = lift_schedule(asked, values, solution.termination, method="")
        for machine, bought in schedule.base_machines.items():
            assert bought <= max(epoch.machines[machine] for epoch in schedule.epochs)


def test_the_second_aim_chooses_among_equals() -> None:
    """Of two machines at one price, the one that draws less is taken; by price alone either may be."""
    asked = question({"all": [2.0, 2.0]}, aims=(Aim.COST, Aim.ENERGY))
    thirsty, modest = machine_kind("fast", idle_w=3000.0), machine_kind("slow", idle_w=500.0)
    free = replace(asked.tariff, usd_per_kwh=0.0)
    same = tuple(replace(option, capacity_req_per_s={"all": 2.5}, gpus=8) for option in asked.options)
    asked = replace(asked, fleet=(thirsty, modest), tariff=free, options=same)
    solution, _ = lexicographic(epoch_problem(asked), later_aims(asked), _whole)
    assert solution.allocation is not None
    schedule = lift_schedule(asked, solution.allocation.values, solution.termination, method="monolithic")
    assert all(epoch.machines == {"fast": 0, "slow": 1} for epoch in schedule.epochs)


def _whole(problem: Problem, _start: Mapping[str, float]) -> Solution:
    return solve(problem, gap_frac=EXACT)


def _apart(problem: Problem, start: Mapping[str, float]) -> Solution:
    return solve_decomposed(problem, place, time_limit_s=60.0, gap_frac=EXACT, start=start)


def test_a_later_solve_that_finds_nothing_changes_nothing() -> None:
    """Where the second solve ends empty-handed, the plan of the first stands, and that is on record."""
    asked = question({"all": [3.0, 8.0]}, aims=(Aim.COST, Aim.ENERGY))

    def solver(problem: Problem, start: Mapping[str, float]) -> Solution:
        if start:
            return empty_handed(Reason.NO_SOLUTION_FOUND, backend="none", detail="gave up")
        return solve(problem)

    solution, (later,) = lexicographic(epoch_problem(asked), later_aims(asked), solver)
    assert solution.allocation is not None
    assert solution.termination.reason is Reason.OPTIMAL
    assert later.termination.reason is Reason.NO_SOLUTION_FOUND


@settings(max_examples=10, deadline=None)
@given(RATES)
def test_more_interruptions_never_cost_less(rates: list[float]) -> None:
    """The more machines on top may be gone at once, the dearer the optimum; with none gone it is the usual one."""
    asked = question({"all": [r + 4 for r in rates]})
    few = tuple(replace(kind, most_base_machines=1) for kind in asked.fleet)
    values = [
        _value(replace(asked, fleet=tuple(replace(k, spare_machines=fixed, spare_ratio=share) for k in few)))
        for fixed, share in ((0.0, 0.0), (0.4, 0.1), (0.9, 0.3))
    ]
    assert all(a <= b * (1 + 1e-5) + 1e-6 for a, b in pairwise(values))


@settings(max_examples=10, deadline=None)
@given(RATES)
def test_what_runs_fits_without_the_machines_that_may_be_gone(rates: list[float]) -> None:
    """In every epoch the instances stand on the machines that are left once the spare ones are gone."""
    asked = question({"all": [r + 4 for r in rates]})
    fleet = tuple(replace(k, most_base_machines=1, spare_machines=0.6, spare_ratio=0.2) for k in asked.fleet)
    for epoch in _scheduled(replace(asked, fleet=fleet)).epochs:
        for machine, powered in epoch.machines.items():
            on_top = epoch.top_machines[machine]
            left = powered - (0.6 + 0.2 * on_top if on_top else 0.0)
            used = sum(run.instances * run.spec.layout.gpus for run in epoch.runs if run.spec.machine == machine)
            assert used <= 8 * left + 1e-6


@given(st.floats(0.001, 6.0), st.sampled_from([0.9, 0.99, 0.999]))
def test_spares_are_at_least_the_binomial_quantile(per_h: float, confidence: float) -> None:
    """Whatever the number on top, the line provides for all that may be gone with the confidence asked for."""
    fixed, ratio = spare_line(per_h, 420.0, confidence)
    gone = missing_frac(per_h, 420.0)
    for machines in (1, 2, 3, 7, 20, 90, 200, 400):
        assert fixed + ratio * machines >= missing(machines, gone, confidence) - 1e-9


def test_without_interruptions_nothing_is_spare() -> None:
    """No rate, no spares; a rate at which machines are gone for most of the time is refused."""
    assert spare_line(0.0, 420.0, 0.99) == (0.0, 0.0)
    with pytest.raises(BadInput, match="no number of them is enough"):
        spare_line(1e6, 420.0, 0.99)


def test_an_unservable_class_is_named() -> None:
    """A class that no option serves is refused by name."""
    asked = question({"all": [1.0]})
    stranger = Load(epoch_s=3600.0, mean_req_per_s={"odd": asked.load.mean_req_per_s["all"]},
                    peak_req_per_s={"odd": asked.load.peak_req_per_s["all"]})  # fmt: skip
    with pytest.raises(ValueError, match="'odd'"):
        epoch_problem(replace(asked, load=stranger))


def test_what_no_relaxation_allows_is_proven_infeasible() -> None:
    """More load than every machine together carries is said to be infeasible by both ways."""
    problem = epoch_problem(question({"all": [500.0]}))
    assert solve(problem).termination.reason is Reason.INFEASIBLE
    assert solve_decomposed(problem, place, time_limit_s=10, gap_frac=0.01).termination.reason is Reason.INFEASIBLE


def test_thinning_costs_nothing() -> None:
    """Options that others beat on every count change no optimum when they are left out."""
    asked = question({"all": [3.0, 8.0, 5.0]}, aims=(Aim.ENERGY, Aim.COST))
    worse = replace(asked.options[1], spec=replace(asked.options[1].spec, clock_mhz=1000),
                    capacity_req_per_s={"all": 1.9}, request_j={"all": 300.0})  # fmt: skip
    more = (*asked.options, worse)
    kept = thinned(more, ("all",))
    assert worse.name not in {option.name for option in kept}
    assert _value(replace(asked, options=more)) == pytest.approx(_value(replace(asked, options=kept)), rel=1e-5)
