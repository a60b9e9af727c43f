"""What starts cost over time: every one its fee and idle watts, and rent where a machine is newly rented on top."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.formulate.epoch_program import counted, epoch_problem, lift_schedule, place
from planner.formulate.epoch_question import EpochQuestion
from planner.results.schedule import FleetType, Schedule
from planner.scenario.objectives import Aim
from planner.schedules.question import opened, question_of
from solvers.allocation import Reason, Termination
from solvers.decomposition import solve_decomposed
from solvers.problem import Problem
from solvers.solve import solve
from tests.planner.epochs import choice, kind, question
from tests.planner.small import small

EXACT = 1e-6
MOST = 2
"""Machines of a type in a search of all ways to power them."""

RATES = st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, 4.0, 6.0]), min_size=4, max_size=4).filter(any)
COUNTS = st.lists(st.integers(0, 4), min_size=4, max_size=4)


def _asked(rates: Sequence[float], *, cyclic: bool, fee: float, start_s: float, top_ratio: float) -> EpochQuestion:
    """Two machine types that spend alike on a request, so that a bill is one of the machines that are powered."""
    asked = question({"all": rates}, cyclic=cyclic, start_usd=fee, start_s=start_s)
    few = {"available": MOST, "most_base_machines": MOST, "most_top_machines": MOST}
    fleet = [replace(kind("fast", price=7.0, idle_w=9000.0), **few), replace(kind("slow", price=3.0), **few)]
    return replace(
        asked, fleet=tuple(replace(each, top_usd_per_h=top_ratio * each.base_usd_per_h) for each in fleet),
        options=(choice("fast", 8, {"all": 4.0}, floor_w=0.0), choice("slow", 8, {"all": 1.5}, floor_w=0.0)),
    )  # fmt: skip


def _machine_by_machine(asked: EpochQuestion, own: FleetType, on: Sequence[int], bought: int) -> float:
    """Dollars of a machine type, each machine on its own: the k-th is powered where there are k, its requests apart."""
    load, changes, kwh_usd = asked.load, asked.transitions, asked.tariff.usd_per_kwh * asked.tariff.pue_ratio
    idle_usd_per_s = own.idle_w / 3.6e6 * kwh_usd
    usd = 0.0
    for number in range(1, max(*on, bought) + 1):
        base = number <= bought
        usd += own.base_usd_per_h * load.duration_s / 3600 if base else 0.0
        for epoch in (epoch for epoch in range(load.epochs) if on[epoch] >= number):
            usd += idle_usd_per_s * load.epoch_s + (0.0 if base else own.top_usd_per_h * load.epoch_s / 3600)
            before = epoch - 1 if epoch else load.epochs - 1 if changes.cyclic else None
            if before is not None and on[before] < number:
                usd += changes.start_usd + idle_usd_per_s * changes.start_s
                usd += 0.0 if base else own.top_usd_per_h * changes.start_s / 3600
    return usd


def _billed(asked: EpochQuestion, on: Sequence[Sequence[int]], bought: Sequence[int]) -> float:
    """Dollars that a schedule states of machines on which nothing runs."""
    names = [own.machine for own in asked.fleet]
    blank = Schedule(
        epoch_s=asked.load.epoch_s, aims=asked.aims, base_machines=dict(zip(names, bought, strict=True)), epochs=(),
        energy_j=0.0, carbon_g=0.0, cost_usd=0.0, churn_machines=0, termination=Termination(reason=Reason.FEASIBLE),
        method="",
    )  # fmt: skip
    machines = [dict(zip(names, each, strict=True)) for each in zip(*on, strict=True)]
    return counted(asked, asked.options, blank, machines, [()] * len(machines)).cost_usd


def _cheapest(asked: EpochQuestion) -> float:
    """Dollars of the best schedule, of all ways to power machines of each type with the base fleet that is best."""
    epochs, fast_req_per_s, slow_req_per_s = asked.load.epochs, 4.0, 1.5
    ways = np.array(list(product(range(MOST + 1), repeat=epochs)))
    fast, slow = (
        np.array([min(_machine_by_machine(asked, own, on, n) for n in range(MOST + 1)) for on in ways.tolist()])
        for own in asked.fleet
    )
    carried = fast_req_per_s * ways[:, None, :] + slow_req_per_s * ways[None, :, :]
    enough = (carried >= asked.load.peak_req_per_s["all"] - 1e-9).all(axis=2)
    machines_usd = float(np.where(enough, fast[:, None] + slow[None, :], np.inf).min())
    joules = sum(own.request_j["all"] for own in asked.options[:1]) * asked.load.mean_req_per_s["all"].sum()
    kwh = joules * asked.load.epoch_s / 3.6e6 * asked.tariff.pue_ratio
    return machines_usd + float(kwh) * asked.tariff.usd_per_kwh


def _rent_for_every_start(asked: EpochQuestion) -> Problem:
    """The program in which a machine of the base fleet, too, pays rent of one on top while it starts."""
    program = epoch_problem(asked)
    rent = {column.name.replace("rented", "start"): column.objective for column in program.columns
            if column.name.startswith("rented")}  # fmt: skip
    columns = (
        replace(c, objective=0.0 if c.name.startswith("rented") else c.objective + rent.get(c.name, 0.0))
        for c in program.columns
    )
    return replace(program, columns=tuple(columns))


def _value(program: Problem) -> float:
    found = solve(program, gap_frac=EXACT).termination.objective
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(
    COUNTS, COUNTS, st.tuples(st.integers(0, 4), st.integers(0, 4)), st.booleans(),
    st.sampled_from([0.0, 0.8]), st.sampled_from([0.0, 420.0, 3600.0]), st.sampled_from([0.5, 1.0, 1.6]),
)  # fmt: skip
def test_a_bill_is_that_of_each_machine(
    fast: list[int], slow: list[int], bought: tuple[int, int], cyclic: bool, fee: float, start_s: float, top: float
) -> None:
    """Whatever is powered: rent all day or while powered, idle watts, and starts, counted machine by machine."""
    asked = _asked([1.0] * 4, cyclic=cyclic, fee=fee, start_s=start_s, top_ratio=top)
    each = [_machine_by_machine(asked, *of) for of in zip(asked.fleet, (fast, slow), bought, strict=True)]
    assert _billed(asked, (fast, slow), bought) == pytest.approx(sum(each))


@settings(max_examples=6, deadline=None)
@given(
    RATES, st.booleans(), st.sampled_from([0.0, 0.8]), st.sampled_from([420.0, 3600.0]), st.sampled_from([0.8, 1.6])
)  # fmt: skip
def test_no_schedule_is_cheaper_than_the_optimum(
    rates: list[float], cyclic: bool, fee: float, start_s: float, top: float
) -> None:
    """The optimum of the program is the least bill of all schedules, and epochs taken apart bracket it.

    Hours may be empty, and machines on top cheaper or dearer than those of the base fleet.
    """
    asked = _asked(rates, cyclic=cyclic, fee=fee, start_s=start_s, top_ratio=top)
    least, program = _cheapest(asked), epoch_problem(asked)
    assert _value(program) == pytest.approx(least, rel=1e-5)
    parts = solve_decomposed(program, place, time_limit_s=10.0, gap_frac=0.001).termination
    assert parts.bound is not None
    assert parts.objective is not None
    assert parts.bound <= least * (1 + 1e-6)
    assert parts.objective >= least * (1 - 1e-6)


@settings(max_examples=6, deadline=None)
@given(RATES, st.booleans(), st.sampled_from([1, 2]), st.sampled_from([0.8, 1.6]))
def test_starts_that_pay_no_rent_make_no_plan_dearer(rates: list[float], cyclic: bool, up: int, top: float) -> None:
    """The optimum is at most that of a bill in which every start pays rent."""
    asked = _asked(rates, cyclic=cyclic, fee=0.2, start_s=420.0, top_ratio=top)
    asked = replace(asked, transitions=replace(asked.transitions, min_up_epochs=up))
    assert _value(epoch_problem(asked)) <= _value(_rent_for_every_start(asked)) * (1 + 1e-5)


def test_machines_that_are_paid_for_are_switched_off_in_empty_hours() -> None:
    """An hour of idle watts is dearer than a start, though not than a start and its rent, which is paid already."""
    asked = _asked([6.0, 0.0, 0.0, 6.0], cyclic=True, fee=0.0, start_s=420.0, top_ratio=3.0)
    found = solve(epoch_problem(asked), gap_frac=EXACT)
    assert found.allocation is not None
    schedule = lift_schedule(asked, found.allocation.values, found.termination, method="monolithic")
    assert [sum(epoch.machines.values()) for epoch in schedule.epochs[1:3]] == [0, 0]
    assert all(not any(epoch.top_machines.values()) for epoch in schedule.epochs)
    assert schedule.cost_usd == pytest.approx(found.termination.objective, rel=1e-6)
    fleet_usd = sum(own.base_usd_per_h * schedule.base_machines[own.machine] * 4 for own in asked.fleet)
    watts = {own.machine: own.idle_w for own in asked.fleet}
    idle_j = sum(
        watts[name] * (3600.0 * count + 420.0 * epoch.started[name])
        for epoch in schedule.epochs for name, count in epoch.machines.items()
    )  # fmt: skip
    spent_j = 1.2 * (idle_j + 12.0 * 3600.0 * 500.0)
    assert schedule.cost_usd == pytest.approx(fleet_usd + spent_j / 3.6e6 * 0.1)


def test_an_interruption_pays_the_fee_of_a_start_alone() -> None:
    """A machine that is taken away is no longer paid when the next one starts; the base fleet keeps its price."""
    words = ("catalog.machines=[dgx-h100]", "schedule.load=[1.0]", "schedule.start_s=360", "schedule.start_usd=3")
    (calm,), (taken,) = (
        question_of(opened(small(*words, f"schedule.interruptions_per_h_ratio={often}"), "colocated")).fleet
        for often in (0.0, 0.5)
    )
    assert taken.top_usd_per_h == pytest.approx(calm.top_usd_per_h + 0.5 * 3)
    assert taken.base_usd_per_h == calm.base_usd_per_h


def test_rent_of_starts_is_asked_only_where_there_is_any() -> None:
    """Without money among the aims, seconds of a start, a price or machines on top, no column counts them."""
    asked = _asked([4.0, 0.0, 2.0, 6.0], cyclic=False, fee=0.0, start_s=420.0, top_ratio=1.6)
    changes = asked.transitions

    def rented(some: EpochQuestion) -> list[str]:
        program = epoch_problem(some)
        assert sum(row.family == "rented" for row in program.rows) == sum("rented" in c.name for c in program.columns)
        return [column.name for column in program.columns if column.name.startswith("rented")]

    assert rented(asked) == [f"rented[{name},{epoch}]" for epoch in (1, 2, 3) for name in ("fast", "slow")]
    assert rented(replace(asked, aims=(Aim.ENERGY, Aim.COST))) == rented(asked)
    assert len(rented(replace(asked, transitions=replace(changes, cyclic=True)))) == 8
    nothing = (
        replace(asked, aims=(Aim.ENERGY, Aim.CARBON)), replace(asked, transitions=replace(changes, start_s=0.0)),
        replace(asked, fleet=tuple(replace(own, top_usd_per_h=0.0) for own in asked.fleet)),
        replace(asked, fleet=tuple(replace(own, most_top_machines=0) for own in asked.fleet)),
    )  # fmt: skip
    assert [rented(each) for each in nothing] == [[], [], [], []]
