"""A large question over epochs in few kinds of instances: its bound is one of all kinds, and close to it."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.schedules import question as benchmark
from planner.formulate import EpochQuestion, epoch_kinds, epoch_problem, few, place
from planner.formulate.epoch_merged import merged
from planner.formulate.epoch_pricing import Pairs
from planner.formulate.epoch_typical import typical
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import EpochOption, FleetType, SpareLine, Tariff
from planner.scenario.objectives import Aim, Budgets, Transitions
from planner.schedules import programs
from planner.schedules.programs import Limits, programmed
from solvers.allocation import Reason, Solution, empty_handed
from solvers.direct import relax
from solvers.problem import Problem
from solvers.solve import solve
from solvers.stages import solve_staged
from tests.planner.epochs import question as small
from workloads.load import Load

CLASSES = ("short", "wordy", "long")


def _question(seed: int, *, types: int, epochs: int, aim: Aim, cyclic: bool, phases: bool) -> EpochQuestion:
    """Machine types of random speed, price and watts, some with prefill and decode instances of their own."""
    rng = np.random.default_rng(seed)
    fleet, options = [], []
    for number in range(types):
        speed, name = rng.uniform(0.5, 4.0), f"m{number}"
        price = speed ** rng.uniform(0.8, 1.1) * 8
        fleet.append(
            FleetType(machine=name, gpus=8, idle_w=rng.uniform(500, 3000), base_usd_per_h=price,
                      top_usd_per_h=price * rng.uniform(1.0, 2.0), most_base_machines=int(rng.integers(0, 40)),
                      available=90, most_top_machines=90, rated_w=9000.0 * speed, rack_units=8.0)
        )  # fmt: skip
        roles = (Role.PREFILL, Role.DECODE) if phases and number % 2 else (Role.MIXED,)
        for role in roles:
            for tp in (4, 8):
                served = [c for c in CLASSES if rng.random() < 0.8] or [CLASSES[0]]
                options.append(
                    EpochOption(
                        spec=InstanceSpec(role=role, machine=name, layout=Layout(tp=tp)), gpus=tp,
                        capacity_req_per_s={c: speed * tp * rng.uniform(0.1, 0.5) for c in served},
                        request_j={c: rng.uniform(200, 3000) for c in served}, floor_w=rng.uniform(0, 800),
                    )
                )  # fmt: skip
    every = replace(options[0], capacity_req_per_s=dict.fromkeys(CLASSES, 1.0), request_j=dict.fromkeys(CLASSES, 900.0))
    rates = {c: np.round(rng.uniform(0.0, 30.0, epochs), 1) * (rng.random(epochs) < 0.9) for c in CLASSES}
    return EpochQuestion(
        options=(replace(every, spec=replace(every.spec, role=Role.MIXED, clock_mhz=999)), *options),
        fleet=tuple(fleet), load=Load(epoch_s=3600.0, mean_req_per_s={c: r * 0.8 for c, r in rates.items()},
                                      peak_req_per_s=rates),
        transitions=Transitions(cyclic=cyclic, start_usd=float(rng.uniform(0, 5)),
                                min_up_epochs=int(rng.integers(1, 3)),
                                churn_machines=int(rng.integers(20, 60)) if rng.random() < 0.3 else None),
        tariff=Tariff(usd_per_kwh=0.1, carbon_g_per_kwh=tuple(rng.uniform(50, 500, epochs).tolist()), pue_ratio=1.2),
        aims=(aim,), budgets=Budgets(cost_usd_per_h=1500.0, power_w=2e6, expected_power_w=9e5, machines=80.0,
                                     rack_units=900.0) if rng.random() < 0.5 else Budgets(),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1, 3, 6]), st.sampled_from(list(Aim)), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_the_bound_of_few_kinds_is_one_of_all(
    seed: int, types: int, epochs: int, aim: Aim, cyclic: bool, phases: bool
) -> None:
    """No more than the relaxation in all kinds, and less than it by what other kinds may still gain at most."""
    asked = _question(seed, types=types, epochs=epochs, aim=aim, cyclic=cyclic, phases=phases)
    whole = relax(epoch_problem(asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
        found = few(asked)
    if whole is None or found is None:  # budgets that nothing keeps
        assert found is None
        return
    assert found.bound <= whole.bound + 1e-6 * abs(whole.bound) + 1e-9
    assert found.bound >= (1 - 2 * epoch_kinds.ENOUGH_FRAC) * whole.bound - 1e-6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([1, 2, 3]), st.sampled_from(list(Aim)), st.booleans())
def test_the_bound_in_whole_machines_is_below_every_answer(
    seed: int, types: int, epochs: int, aim: Aim, cyclic: bool
) -> None:
    """No more than the optimum in all kinds, found by a search of the whole program."""
    asked = _question(seed, types=types, epochs=epochs, aim=aim, cyclic=cyclic, phases=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
        found = few(asked)
    best = solve(epoch_problem(asked), gap_frac=1e-6, time_limit_s=2.0).termination
    if found is None or best.objective is None:
        return
    assert found.whole() <= best.objective + 1e-6 * abs(best.objective) + 1e-9


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3), st.sampled_from([2, 3]), st.booleans(), st.booleans(), st.data())
def test_options_that_take_others_in_bound_the_question(
    seed: int, types: int, epochs: int, cyclic: bool, phases: bool, data: st.DataObject
) -> None:
    """Whatever takes in what, they cost no more than the optimum in all; nor does a bound in two stages above them.

    What two stages answer in the real options keeps every row of these.
    """
    asked = _question(seed, types=types, epochs=epochs, aim=Aim.COST, cyclic=cyclic, phases=phases)
    kept = [at for at in range(len(asked.options)) if data.draw(st.booleans())]
    below = epoch_problem(merged(Pairs(asked), kept))
    best = solve(epoch_problem(asked), gap_frac=1e-6, time_limit_s=2.0).termination
    relaxed, real = relax(below), epoch_problem(asked)
    if best.objective is None:
        return
    assert relaxed is not None
    most = best.objective + 1e-6 * abs(best.objective)
    least = solve(below, gap_frac=1e-6, time_limit_s=2.0).termination
    assert (least.bound or 0.0) <= most
    found = solve_staged(real, place, relaxed, time_limit_s=5.0, gap_frac=0.01, below=below)
    if found is None:
        return
    assert relaxed.bound - 1e-6 * abs(relaxed.bound) <= found.bound <= most
    if found.values is not None:
        assert (best.bound or 0.0) <= real.objective(found.values) * (1 + 1e-6)
        assert all(row.lower - 1e-6 <= row.activity(found.values) <= row.upper + 1e-6 for row in real.rows)


def test_rounding_in_the_prices_of_blocks_bounds_nothing() -> None:
    """A price of 1e-15 that a block puts on a column is rounding: it decides no unit of a program, and no bound.

    In such units a solver's tolerance was more than 0.1: 266.21 was called proven, of 266.04.
    """
    problem = epoch_problem(_question(966389, types=4, epochs=2, aim=Aim.COST, cyclic=False, phases=False))
    best, relaxed = solve(problem, gap_frac=1e-6, time_limit_s=5.0).termination, relax(problem)
    assert best.objective is not None
    assert relaxed is not None
    found = solve_staged(problem, place, relaxed, time_limit_s=5.0, gap_frac=0.01)
    assert found is not None
    assert found.bound <= best.objective * (1 + 1e-9)


def test_whole_machines_bound_few_of_them_tighter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load of a fraction of a machine costs a whole one, which no relaxation says."""
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
    found = few(replace(benchmark(150.0, 6, 12, 1), aims=(Aim.COST,)))
    assert found is not None
    assert found.whole() > found.bound * 1.005


def test_few_kinds_answer_what_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule in few kinds costs what its program counts, and no less than the bound that it states of all."""
    asked = _question(11, types=4, epochs=2, aim=Aim.COST, cyclic=True, phases=False)
    pairs = sum(len(option.capacity_req_per_s) for option in asked.options)
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", pairs)
    found = programmed(asked, Limits(time_limit_s=0.1, gap_frac=0.05))
    assert sum(len(option.capacity_req_per_s) for option in found.question.options) < pairs
    ended, schedule = found.solution.termination, found.schedule()
    assert schedule is not None
    assert ended.bound is not None
    assert ended.objective is not None
    whole = relax(epoch_problem(asked))
    assert whole is not None
    assert ended.bound <= whole.bound + 1e-6 <= ended.objective + 2e-6
    assert schedule.cost_usd == pytest.approx(ended.objective)


def test_more_kinds_never_cost_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kinds that the relaxation uses come to is bettered in more: a search of its own may find nothing."""
    asked = _question(3, types=3, epochs=5, aim=Aim.COST, cyclic=True, phases=False)
    limits = Limits(time_limit_s=0.1, gap_frac=1e-3, prove=False)
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
    some = few(asked)
    assert some is not None
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 10**6)
    narrow = programmed(some.used, limits).solution.termination.objective
    own, columns = programs.solve_decomposed, len(epoch_problem(some.used).columns)

    def nothing(part: Problem, *arguments: Any, start: Mapping[str, float], **how: Any) -> Solution:
        if not start and not how["known"] and len(part.columns) > columns:
            return empty_handed(Reason.NO_SOLUTION_FOUND, backend="highs", detail="nothing found in time")
        return own(part, *arguments, start=start, **how)

    monkeypatch.setattr(programs, "solve_decomposed", nothing)
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", sum(len(o.capacity_req_per_s) for o in asked.options) * 4)
    wide = programmed(asked, limits)
    assert len(epoch_problem(wide.question).columns) > columns
    assert narrow is not None
    assert wide.solution.termination.objective is not None
    assert some.bound <= wide.solution.termination.objective + 1e-6 <= narrow + 2e-6


def test_what_prices_do_not_say_is_written_in_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare machines of pools and a number of machine types leave every kind in; so does a small question.

    Many machine types over a day are no small one, in an epoch they are.
    """
    assert few(benchmark(600.0, 1, 16, 3)) is None
    assert few(benchmark(600.0, 24, 16, 3)) is not None
    asked = small({"short": [3.0, 9.0], "long": [1.0, 2.0]})
    assert few(asked) is None
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
    assert few(asked) is not None
    assert few(replace(asked, budgets=Budgets(machine_types=1))) is None
    spared = tuple(replace(option, spares=SpareLine(machines=1.0, ratio=0.0)) for option in asked.options)
    assert few(replace(asked, options=spared)) is None


def test_few_machines_are_beside_smaller_ones_that_work_more_dearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the relaxation uses, and smaller types, each cheaper than the last by a step; none where machines abound."""
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
    asked = benchmark(20.0, 6, 12, 1)
    found, many = few(asked), few(benchmark(2e4, 6, 12, 1))
    assert found is not None
    assert found.mixed is not None
    assert many is not None
    assert many.mixed is None
    used = {kind.machine for kind in found.used.fleet}
    prices = {kind.machine: kind.base_usd_per_h for kind in found.mixed.fleet}
    assert used < prices.keys()
    smaller = sorted((usd for name, usd in prices.items() if name not in used), reverse=True)
    assert all(less < more / 1.2 for more, less in pairwise([min(prices[name] for name in used), *smaller]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 12), st.integers(2, 12))
def test_typical_epochs_ask_what_all_ask_together(seed: int, epochs: int, typical_epochs: int) -> None:
    """Hours and requests over all of them are those of the whole."""
    asked = _question(seed, types=2, epochs=epochs, aim=Aim.COST, cyclic=True, phases=False)
    some = typical(asked, typical_epochs)
    assert some.load.epochs == min(epochs, typical_epochs)
    assert some.load.duration_s == pytest.approx(asked.load.duration_s)
    if epochs % some.load.epochs == 0:
        for name, rates in asked.load.mean_req_per_s.items():
            assert float(some.load.mean_req_per_s[name].mean()) == pytest.approx(float(rates.mean()), abs=1e-9)


@pytest.mark.parametrize("staged", [0, programs.MOST_STAGED])
def test_few_machines_are_planned_epoch_after_epoch(monkeypatch: pytest.MonkeyPatch, staged: int) -> None:
    """Smaller machines beside those that the relaxation uses cost less than these alone, and no less than the bound.

    So they do where machines of all types and epochs are decided in one program, and where they are too many for it.
    """
    monkeypatch.setattr(epoch_kinds, "MOST_COLUMNS", 0)
    monkeypatch.setattr(programs, "MOST_STAGED", staged)
    asked = replace(benchmark(20.0, 6, 12, 1), aims=(Aim.COST,))
    limits = Limits(time_limit_s=1.0, gap_frac=1e-3)
    some, found = few(asked), programmed(asked, limits)
    assert some is not None
    narrow = programs._programmed(some.used, limits, bound=some.bound).solution.termination.objective
    ended, schedule = found.solution.termination, found.schedule()
    assert schedule is not None
    assert narrow is not None
    assert ended.objective is not None
    assert ended.bound is not None
    assert ended.bound <= ended.objective + 1e-6 < narrow
    assert schedule.cost_usd == pytest.approx(ended.objective)
    powered = {name for epoch in schedule.epochs for name, count in epoch.machines.items() if count}
    assert powered - {kind.machine for kind in some.used.fleet}
