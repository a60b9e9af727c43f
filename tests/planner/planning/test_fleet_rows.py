"""Rows that hold the machines of several models, and what each nine of all models costs."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from planner.files.fleet_file import fleet_text, read_fleet_file
from planner.planning.fleet import plan_fleet, row_of
from planner.planning.fleet_question import read_fleet
from planner.planning.fleet_serve import simulate_fleet
from planner.results.fleet import FleetPlan, NoFleetPlan, machines_of
from planner.results.plan import CandidatePlan
from planner.results.row import RowStudy
from planner.scenario.fleet import Fleet
from tests.planner.two_models import two

EXAMPLES = Path(__file__).parents[3] / "planner" / "examples"
ROW = ("power.weeks=1", "power.week_s=120.0", "power.row_limit_w=22000", "power.policy=no-cap")
NINES = ("availability=0.99", "validation.max_rounds=6")


def quiet(_words: str, _done_frac: float) -> None:
    """Progress that is not shown."""


@cache
def planned(*settings: str) -> FleetPlan | NoFleetPlan:
    """The answer to the small question, changed."""
    return plan_fleet(read_fleet(two(*settings)), progress=quiet)


def found(*settings: str) -> tuple[FleetPlan, RowStudy]:
    """Plans, and the row of all."""
    answer = planned(*settings)
    assert isinstance(answer, FleetPlan), answer
    assert answer.power is not None
    return answer, answer.power


def test_a_row_holds_machines_of_all_models() -> None:
    """One row bears the machines of both, all of them placed, and no model has a row of its own."""
    answer, row = found(*ROW)
    assert row.fits
    assert row.plan_machines == answer.totals.machines
    places = {name: sum(row_places.get(name, 0) for row_places in row.placed) for name in row.placed[0]}
    assert sum(places.values()) == answer.totals.machines
    assert {name.split(": ")[0] for name in places} == {"chat", "code"}
    assert all(each.plan.power is None for each in answer.models)


def test_clocks_tried_for_a_row_are_simulated_too() -> None:
    """A clock that is on offer because a row limits watts is one that the plans can be served again at."""
    answer, _ = found(*ROW)
    candidates = {name: each.candidate for name, each in answer.plans.items()}
    assert any(pool.spec.clock_mhz for each in candidates.values() for pool in each.pools)
    assert simulate_fleet(read_fleet(two(*ROW)), candidates, progress=quiet).valid


@pytest.mark.slow
def test_one_row_too_small_for_all_is_refused_with_the_rows_they_take() -> None:
    """A row that bears the machine of each alone but not both together: the refusal names power.rows."""
    small = (*ROW[:2], "power.row_limit_w=10300", "power.max_ratio=1", "power.policy=no-cap")
    none = planned(*small)
    assert isinstance(none, NoFleetPlan)
    assert none.answer.explanation[0].startswith("2 machines of the plan need 2 rows, power.rows is 1")
    assert none.answer.explanation[1:] == (
        "raise power.rows from 1 to at least 2",
        "power.rows: with 2 in plans, in machines chat 1, code 1; with 1 no plans of all were found",
    )
    _, row = found(*small, "power.rows=2")
    assert row.needed_rows == 2


def test_priorities_are_compared_across_models() -> None:
    """A model whose requests all have less than the highest priority of another's gives way with all its machines."""
    candidates = {name: each.candidate for name, each in found(*ROW)[0].plans.items()}
    alike = row_of(read_fleet(two(*ROW)), candidates, quiet).assumptions[1]
    assert alike == (
        "priorities: low priority, compared across models, is served by 50 % of those of chat, 50 % of those of code; "
        "requests are spread evenly"
    )
    classes = "models.0.workload.classes=[{name: now, priority: 1}]"
    row = row_of(read_fleet(two(*ROW, classes, "models.0.workload.rate_req_per_s=40")), renamed(candidates), quiet)
    assert row.assumptions[1] == (
        "priorities: low priority, compared across models, is served by 0 % of those of chat, 100 % of those of code; "
        "requests are spread evenly"
    )


def renamed(candidates: dict[str, CandidatePlan]) -> dict[str, CandidatePlan]:
    """The same plans, for a question that calls the requests of the first model ``now``."""
    chat = candidates["chat"]
    pools = tuple(replace(pool, rate_req_per_s={"now": sum(pool.rate_req_per_s.values())}) for pool in chat.pools)
    return {**candidates, "chat": replace(chat, pools=pools)}


@pytest.mark.slow
def test_a_row_of_two_types_is_ordered_by_the_clocks_of_its_first_pool() -> None:
    """Where another type has more machines than that of the first pool, orders still find its clocks."""
    settings = (
        *ROW[:2],
        "power.row_limit_w=40000",
        "catalog.available={dgx-h100: 1}",
        "catalog.price_usd_per_h={dgx-h100: power}",
    )
    answer = planned(*settings, "power.policy=polca")
    assert isinstance(answer, FleetPlan)
    candidates = {name: each.candidate for name, each in answer.plans.items()}
    kinds = machines_of(candidates.values())
    assert set(kinds) == {"dgx-h100", "dgx-a100"}
    first = next(iter(candidates.values())).pools[0]
    other = next(name for name, each in candidates.items() if each.pools[0].spec.machine != first.spec.machine)
    pool = replace(candidates[other].pools[0], machines=3, instances=3 * candidates[other].pools[0].instances)
    many = {**candidates, other: replace(candidates[other], pools=(pool,))}
    row = row_of(read_fleet(two(*settings, "power.policy=polca")), many, quiet)
    assert row.machine.split(" + ")[0] == pool.spec.machine != first.spec.machine
    assert row.plan_machines == 4


@pytest.mark.slow
def test_plans_read_back_are_held_against_their_row(tmp_path: Path) -> None:
    """A file says what the row of all models is; simulated in a smaller row the plans exceed it."""
    answer, _ = found(*ROW)
    asked = two(*ROW)
    path = tmp_path / "fleet.json"
    path.write_text(fleet_text(asked, answer, {}), encoding="utf-8")
    file = read_fleet_file(path)
    assert file is not None
    assert file.fleet.power == answer.power or file.fleet.power is not None
    candidates = {name: each.candidate for name, each in file.fleet.plans.items()}
    assert simulate_fleet(read_fleet(asked), candidates, progress=quiet).valid
    less = asked.changed(("power.row_limit_w=10300", "power.max_ratio=1", "power.policy=no-cap"))
    assert any("power.rows is 1" in line for line in simulate_fleet(read_fleet(less), candidates, progress=quiet).over)


def test_nines_of_all_models_are_sums_held_against_the_stock() -> None:
    """Each nine costs what it costs all models, more for more nines; machines beyond the stock are said to be so."""
    answer = planned(*NINES)
    assert isinstance(answer, FleetPlan)
    studies = [each.plan.availability for each in answer.models]
    assert len(answer.nines) >= 3
    for nine in answer.nines:
        each = [one for study in studies if study for one in study.nines if one.target_frac == nine.target_frac]
        assert nine.machines == sum(one.machines for one in each)
        assert nine.cost_usd_per_h == pytest.approx(sum(one.cost_usd_per_h for one in each))
        assert nine.up_frac <= min(one.up_frac for one in each)
    costs = [nine.cost_usd_per_h for nine in answer.nines]
    assert costs == sorted(costs)
    assert next(nine for nine in answer.nines if nine.chosen).cost_usd_per_h == pytest.approx(
        answer.totals.cost_usd_per_h
    )
    kinds = machines_of(each.plan.candidate for each in answer.models)
    kind, stock = max(kinds.items())
    limited = planned(*NINES, f"catalog.available={{{kind}: {stock}}}")
    assert isinstance(limited, FleetPlan)
    dearest = limited.nines[-1]
    assert (dearest.machine_types.get(kind, 0) > stock) is any("catalog.available" in words for words in dearest.over)


@pytest.mark.slow
def test_machines_of_two_models_stand_in_one_row_at_three_nines() -> None:
    """Two models, two tiers, 0.999, 120 kW: the owned machines suffice, none is rented, and one row holds them all."""
    answer = plan_fleet(read_fleet(Fleet.load(EXAMPLES / "shared-row.yaml")), progress=quiet)
    assert isinstance(answer, FleetPlan), answer
    bought = machines_of(each.plan.candidate for each in answer.models)
    assert bought["dgx-h100"] <= 12
    assert bought["dgx-a100"] == 0  # a bound that was none, 102 % of what chat's instances carry, once asked for five
    assert answer.power is not None
    assert answer.power.fits
    assert answer.totals.power_w > 120_000  # more is rated than the row bears: it is oversubscribed
    assert [nine.target_frac for nine in answer.nines] == [0.99, 0.999, 0.9999]
    costs = [nine.cost_usd_per_h for nine in answer.nines]
    assert costs == sorted(costs)
    for each in answer.models:
        assert each.plan.availability is not None
        assert each.plan.availability.up_frac >= 0.999
