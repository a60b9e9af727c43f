"""What-ifs and frontiers of schedules: each point is the schedule that ``plan`` finds of the changed question."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw_catalog.load import load_catalog
from planner.api.grids import Swept
from planner.cli import build
from planner.compare.frontier import route, walked
from planner.compare.frontier_over_time import at_price, between
from planner.compare.journal import Journal
from planner.compare.over_time import scheduled
from planner.compare.regret_over_time import on_owned
from planner.compare.sweep import sweep, swept
from planner.errors import BadInput
from planner.executor.here import Here
from planner.planning.beside_time import row_of, static_plans
from planner.report.frontiers import frontier_page
from planner.report.sweeps import whatif_page
from planner.resolve.several import read_models
from planner.results.frontier import Frontier
from planner.results.schedule import Spent
from planner.results.sweep import VALIDATED, Outcome, OverTime, WhatIf
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.schedules.fleet import fleet_timetable
from planner.schedules.planning import timetable
from tests.planner.schedules.test_several_over_time import asked, silent
from tests.planner.small import small

HOURS = "schedule={load: [0.5, 4.0], clocks_mhz: [1410]}"


def one(*words: str) -> Scenario:
    """A small question about one model over two hours."""
    return small(HOURS, "workload.rate_scale=10", "energy.usd_per_kwh=0.1", *words)


@cache
def weighed(*vary: str, worlds: int | None = None) -> WhatIf:
    """A what-if of it."""
    sure = () if worlds is None else ("uncertainty={workload.rate_scale: [8, 14]}",)
    with Journal(None) as journal:
        wanted = sweep(one(*sure), vary, drawn_worlds=worlds)
        return swept(wanted, journal=journal, executor=Here(), progress=silent)


def planned(question: Scenario | Fleet) -> tuple[float, float]:
    """Dollars and joules of the schedule that ``plan`` finds."""
    if isinstance(question, Fleet):
        found = fleet_timetable(question, read_models(question), progress=silent, static=static_plans)
    else:
        found = timetable(question, progress=silent, static=static_plans, study=row_of)
    assert found.valid
    assert found.schedule is not None
    return found.schedule.cost_usd, found.schedule.energy_j


def test_every_point_is_the_schedule_that_plan_finds() -> None:
    """Price, rate, types and objectives: cost, energy and machines of the schedule, and a refusal with its reason."""
    found = weighed("catalog.machines=[dgx-h100]", "slo.ttft_p90_s=0.0001,1")
    assert [point.outcome.verdict == VALIDATED for point in found.points] == [False, True]
    for point in found.points:
        over = point.outcome.over_time
        if over is None:
            assert point.outcome.explanation
            continue
        words = tuple(f"{key}={value}" for key, value in point.settings.items())
        assert (over.planned.cost_usd, over.planned.energy_j) == pytest.approx(planned(one(*words)))
        assert point.outcome.objective_value == pytest.approx(over.planned.cost_usd)
        assert over.epochs_served == over.duration_h == 2
        assert over.mean_machines <= over.most_machines_at_once == sum(over.most_machines.values())
        assert min(point.outcome.margin_frac.values()) >= 0


def test_a_notebook_has_what_each_schedule_comes_to() -> None:
    """Columns of the hours, empty where there is no schedule."""
    found = weighed("catalog.machines=[dgx-h100]", "slo.ttft_p90_s=0.0001,1")
    rows = Swept(found=found).frame()
    over = found.points[1].outcome.over_time
    assert over is not None
    assert rows["cost_usd"].tolist()[1] == over.cost_usd
    assert rows["energy_kwh"].isna().tolist() == [True, False]


def test_several_models_over_time_are_asked_again_together() -> None:
    """A key of each is set in all; the point is the schedule of all models, objectives named by model."""
    hours = ((1.0, 2.0), (2.0, 1.0))
    with Journal(None) as journal:
        wanted = sweep(asked(loads=hours), ["workload.rate_scale=2"])
        (point,) = swept(wanted, journal=journal, executor=Here(), progress=silent).points
    over = point.outcome.over_time
    assert over is not None
    words = (f"models.{at}.workload.rate_scale=2" for at in range(2))
    assert (over.planned.cost_usd, over.planned.energy_j) == pytest.approx(planned(asked(*words, loads=hours)))
    assert {key.partition(": ")[0] for key in point.outcome.margin_frac} == {"chat", "code"}


def test_keys_that_a_schedule_repeats_are_varied_in_either_place() -> None:
    """The price of electricity in ``schedule`` or in ``energy`` is one price, whichever a file gave."""
    given = one("schedule.usd_per_kwh=0.1")
    for key in ("schedule.usd_per_kwh", "energy.usd_per_kwh"):
        (asked_again,) = sweep(given, [f"{key}=0.4"]).grid
        assert asked_again.scenario.energy.usd_per_kwh == 0.4
    (thrifty,) = sweep(given, ["schedule.objectives=[energy]"]).grid
    assert thrifty.scenario.objective == "energy"
    (cheap,) = sweep(thrifty.scenario, ["objective=cost"]).grid
    assert cheap.scenario.schedule is not None
    assert cheap.scenario.schedule.objectives is None


def test_text_and_page_are_of_the_whole_schedule(tmp_path: Path) -> None:
    """Dollars of the hours, not of an hour, with kWh and machines beside them."""
    path, page = tmp_path / "hours.yaml", tmp_path / "hours.html"
    path.write_text(json.dumps(one("catalog.machines=[dgx-h100]").model_dump(mode="json")), encoding="utf-8")
    files = ["--journal", str(tmp_path / "j.jsonl"), "--report", str(page)]
    done = CliRunner().invoke(build(), ["whatif", str(path), "--vary", "energy.usd_per_kwh=0.2", "--quiet", *files])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "1 OF 1 POINT VALIDATED: schedule's cost $" in said
    assert "kWh" in said
    assert "/h" not in said
    assert "energy of the schedule" in page.read_text(encoding="utf-8")


def test_a_tornado_moves_what_it_moves_of_one_load() -> None:
    """Load, lengths, prices and objectives of a schedule, one at a time."""
    wanted = sweep(one(), tornado_frac=0.2)
    assert {"load", "prompt length", "price of dgx-h100", "objective ttft_p90_s"} <= {p.name for p in wanted.tornado}
    assert all(side.scenario.schedule is not None for p in wanted.tornado for side in (p.low, p.high))


def test_worlds_of_a_schedule_are_planned_each() -> None:
    """Every world has a schedule of its own; a larger load costs no less."""
    found = weighed(worlds=2)
    assert [point.outcome.verdict for point in found.points] == [VALIDATED] * 3
    by_load = sorted((float(p.settings["workload.rate_scale"]), p.outcome.objective_value or 0.0) for p in found.points)
    assert [cost for _, cost in by_load] == sorted(cost for _, cost in by_load)
    assert len(found.regret) == 9
    for happens in {each.happens for each in found.regret}:
        row = [each.regret for each in found.regret if each.happens == happens and each.regret is not None]
        assert min(row) == 0.0
    assert "least regret: " in whatif_page(found).headline


def test_what_hours_come_to_on_a_base_fleet_is_what_its_machines_cost() -> None:
    """A base fleet larger than any epoch needs is paid for all the same; one of no offered type has no price."""
    question = one("catalog.machines=[dgx-h100]", "schedule.top_channel=reserved")
    over = scheduled(question, "").over_time
    assert over is not None
    own = dict(over.base_machines)
    more = {name: count + 1 for name, count in own.items()}
    same, larger, unknown = on_owned(question, over, [own, more, {"dgx-a100": 1}])
    assert unknown is None
    assert same is not None
    assert larger is not None
    assert same == pytest.approx(over.cost_usd, rel=0.02)
    price = load_catalog(None).machines["dgx-h100"].price("reserved")
    assert price is not None
    assert larger - same <= price.usd_per_h * over.duration_h * (1 + 1e-6)
    assert larger >= same * (1 - 1e-6)


@cache
def traced(x: str, y: str, most: int = 3) -> Frontier:
    """A frontier of it."""
    with Journal(None) as journal:
        return walked(
            route(one("catalog.machines=[dgx-h100]"), x, y, most=most),
            journal=journal,
            executor=Here(),
            progress=silent,
        )


def test_a_frontier_bounds_the_most_machines_of_any_epoch() -> None:
    """Fewer machines at once never cost less; below the last, no schedule is found, and a sentence says why."""
    found = traced("machines", "cost")
    efficient = [design for design in found.designs if design.efficient]
    assert efficient
    costs = [design.values["cost"] for design in sorted(efficient, key=lambda each: each.values["machines"])]
    assert costs == sorted(costs, reverse=True)
    for design in found.designs:
        assert design.bound is None or design.values["machines"] <= design.bound
    assert found.units == {"machines": "machines", "cost": "USD"}
    assert found.ended


def test_a_frontier_of_cost_and_energy_begins_and_ends_at_the_least_of_either() -> None:
    """Nothing is cheaper than the first, nothing takes less energy than the last."""
    found = traced("cost", "energy")
    ends = [planned(one("catalog.machines=[dgx-h100]", f"objective={goal}")) for goal in ("cost", "energy")]
    assert min(d.values["cost"] for d in found.designs) == pytest.approx(ends[0][0], rel=1e-6)
    assert min(d.values["energy"] for d in found.designs) == pytest.approx(ends[1][1] / 3.6e6, rel=0.01)


def test_a_frontier_of_schedules_is_shown_in_the_units_of_its_hours() -> None:
    """Dollars and kWh of all hours, machines of the fullest one: no dollars an hour, no watts."""
    totals = frontier_page(traced("cost", "energy")).headline
    assert "kWh" in totals
    assert "/h" not in totals
    assert " W" not in totals
    assert "/h" not in frontier_page(traced("machines", "cost")).headline


def test_a_price_at_which_no_schedule_is_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that was asked for and has no plan is named with the reason, whether or not the walk goes on."""

    def dear(scenario: Scenario | Fleet, digest: str) -> Outcome:
        """Refused at any price but the question's; else a design of the least asked for."""
        if scenario.energy.usd_per_kwh > 0.1:
            return replace(
                _design(0.0, 0.0), verdict="not validated", explanation=("too few machines",), over_time=None
            )
        return replace(_design(*((10.0, 10.0) if scenario.objective == "cost" else (20.0, 5.0))), digest=digest)

    monkeypatch.setattr("planner.compare.frontier.scheduled", dear)
    for most in (50, 3):
        with Journal(None) as journal:
            wanted = route(one(), "cost", "energy", most=most)
            found = walked(wanted, journal=journal, executor=Here(), progress=silent)
        assert len(found.designs) == 2
        assert "Least cost at 2 USD/kWh more: not validated; too few machines." in found.ended
        assert "other price" in found.ended if most == 50 else "Stopped" in found.ended


def test_axes_that_a_schedule_has_not_are_refused() -> None:
    """Throughput is given by the load; two limits of an epoch are no frontier; no budget bounds a total."""
    for x, y, limit, words in (
        ("cost", "throughput", None, "a schedule's load is given"),
        ("power", "machines", None, "expected cost, energy, carbon as one of the two"),
        ("cost", "energy", 3.0, "no budget bounds cost or energy"),
        ("cost", "price", None, "--y price: no such axis"),
    ):
        with pytest.raises(BadInput, match=words):
            route(one(), x, y, limit=limit)


def _design(cost_usd: float, kwh: float) -> Outcome:
    over = OverTime(
        duration_h=1.0, planned=Spent(cost_usd=cost_usd, energy_j=kwh * 3.6e6, carbon_g=0.0), simulated=None,
        base_machines={}, most_machines={}, most_machines_at_once=1, mean_machines=1.0, most_rated_w=0.0,
        epochs_served=1,
    )  # fmt: skip
    return Outcome(
        digest="", verdict=VALIDATED, explanation=(), candidate=None, objective_value=cost_usd, served_req_per_s=None,
        bound=None, evidence=(), margin_frac={}, binds=(), over_time=over,
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), min_size=2, max_size=30))
def test_all_corners_of_the_hull_are_found(places: list[tuple[int, int]]) -> None:
    """Between least cost and least energy every design is found that is of least cost at some price of electricity."""
    first, last = min(places), min(places, key=lambda place: (place[1], place[0]))

    def priced(more: float) -> Outcome:
        cost, kwh = min(places, key=lambda place: (place[0] + more * place[1], place))
        return at_price(_design(cost + more * kwh, kwh), more)

    made = between(_design(*first), _design(*last), priced, 100)
    found = {first, last, *((round(o.over_time.cost_usd), round(o.over_time.energy_kwh)) for o in made if o.over_time)}
    for more in (0.01, 0.1, 0.5, 1.0, 2.0, 10.0):
        best = min(cost + more * kwh for cost, kwh in places)
        assert min(cost + more * kwh for cost, kwh in found) <= best * (1 + 2e-3) + 1e-9
