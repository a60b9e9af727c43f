"""The fixed fleet of several models: pools for each model's own peak, on machines that are always there."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.planning.beside_time import static_plans
from planner.report.schedules import timetable_page
from planner.resolve.several import read_models
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario.fleet import Fleet
from planner.schedules.fixed import fixed_fleets, unchanged
from planner.schedules.fleet import fleet_timetable
from planner.schedules.joint import joint_ways
from planner.schedules.peaks import busiest
from planner.schedules.rivals import against_fixed
from planner.schedules.together import Together
from tests.planner.schedules.test_several_over_time import DAY, NIGHT, asked, silent


def _planned(fleet: Fleet) -> Timetable:
    return fleet_timetable(fleet, read_models(fleet), progress=silent, static=static_plans)


@pytest.fixture(scope="module")
def day() -> tuple[Fleet, Timetable]:
    """One model works by day, the other by night."""
    fleet = asked()
    return fleet, _planned(fleet)


def test_a_fixed_fleet_serves_the_peak_of_each_model(day: tuple[Fleet, Timetable]) -> None:
    """Its pools carry each model's own peak, whenever that is; it costs its machines around the clock and its watts.

    It was served in the busiest and the quietest epoch of each, and the page says what the schedule saves against it.
    """
    fleet, found = day
    fixed, schedule = found.fixed, found.schedule
    assert fixed is not None
    assert schedule is not None
    assert fixed.valid
    for name, load in (("chat", DAY), ("code", NIGHT)):
        mine = [run for run in fixed.runs if run.model == name]
        asked_for = max(load) * {"chat": 40.0, "code": 20.0}[name]
        assert sum(run.rate_req_per_s[f"{name}/all"] for run in mine) >= asked_for * (1 - 1e-9)
        there = [rate for rate in load if rate]
        assert {load.index(max(there)), load.index(min(there))} <= set(fixed.served_epochs)
    machines, hours = load_catalog(None).machines, len(schedule.epochs) * schedule.epoch_s / 3600
    prices = {name: machines[name].price(fleet.catalog.channel) for name in fixed.machines}
    paid = sum(price.usd_per_h * fixed.machines[name] for name, price in prices.items() if price)
    electricity = fixed.spent.energy_j / 3.6e6 * fleet.energy.usd_per_kwh
    assert fixed.spent.cost_usd == pytest.approx(paid * hours + electricity)
    idle_w = sum(machines[name].idle_w * count for name, count in fixed.machines.items())
    assert fixed.spent.energy_j > idle_w * hours * 3600 * fleet.energy.pue_ratio
    page = timetable_page(found, fleet)
    assert "saves" in dict(page.facts)["Fixed fleet"]
    assert any(section.name == "saving" for section in page.sections)


def test_a_cheaper_fixed_fleet_takes_the_place_of_a_schedule_of_models(day: tuple[Fleet, Timetable]) -> None:
    """Served in every epoch, model by model, it stands instead of a schedule that comes to more."""
    fleet, found = day
    (question, *_), _left_out = joint_ways(fleet, read_models(fleet))
    assert found.schedule is not None
    ended = found.schedule.termination
    dear = replace(
        found.schedule, cost_usd=10 * found.schedule.cost_usd,
        termination=replace(ended, objective=10 * (ended.objective or 0.0), bound=None),
    )  # fmt: skip
    high = replace(found, schedule=dear, termination=dear.termination)
    fleets = fixed_fleets(question, found, lambda _question, _objectives: [])
    still = against_fixed(question, high, fleets, Together(question), silent)
    assert still.valid
    assert still.schedule is not None
    assert len({str(epoch.machines) for epoch in still.schedule.epochs}) == 1
    assert {each.model for each in still.served} == {"chat", "code"}
    assert still.schedule.cost_usd == pytest.approx(fleets[0].spent.cost_usd, rel=0.02), "watts alone are estimates"


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(loads=st.lists(st.tuples(st.floats(0.3, 8), st.floats(0.3, 8)), min_size=2, max_size=3))
def test_no_fixed_fleet_of_models_is_cheaper_than_their_schedule(loads: list[tuple[float, float]]) -> None:
    """Not one of those found that the schedule may run and that is served well in every epoch of every model.

    The program of all peaks at once, whose pools are the schedule's own, is among them.
    """
    chat, code = (tuple(round(each, 3) for each in load) for load in zip(*loads, strict=True))
    fleet = asked(loads=(chat, code))
    found = _planned(fleet)
    if not found.valid:
        return
    (question, *_), _left_out = joint_ways(fleet, read_models(fleet))
    assert found.schedule is not None
    serving = Together(question)
    assert [busiest(part) for part in question.parts.values()] == [each.index(max(each)) for each in (chat, code)]
    assert found.fixed is not None, "one stands beside every schedule that is validated"
    for fixed in (found.fixed, *fixed_fleets(question, found, lambda _question, _objectives: [])):
        still = unchanged(question, found, fixed)
        if fixed.valid and isinstance(still, Schedule) and still.cost_usd < found.schedule.cost_usd * (1 - 1e-9):
            served, _unserved = serving.all(still, silent)
            assert not all(each.valid for each in served)
