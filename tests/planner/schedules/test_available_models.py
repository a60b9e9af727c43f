"""Availability of several models over time: spare machines of each model's own pools, failures injected into each."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.capacity.redundancy import up_frac
from planner.cli import build
from planner.report.availability import nines
from planner.resolve.several import read_models
from planner.results.timetable import Timetable
from planner.scenario.fleet import Fleet
from planner.schedules.available import stocks
from planner.schedules.fleet import fleet_timetable, serve_fleet_again
from planner.schedules.joint import joint_ways
from planner.schedules.opened import open_schedule
from planner.schedules.question import Opened
from tests.planner.schedules.test_several_over_time import asked, silent

WORDS = ("catalog.tp=[4,8]", "energy.usd_per_kwh=0.0")
HOURS = (0.5, 3.0, 1.0), (2.0, 0.3, 1.0)


def _question(*words: str) -> tuple[Fleet, Opened]:
    fleet = asked(*WORDS, *words, loads=HOURS)
    return fleet, joint_ways(fleet, read_models(fleet))[0][0]


@pytest.fixture(scope="module")
def spared() -> Timetable:
    """Three nines of each of two models."""
    fleet, _ = _question("availability=0.999")
    return fleet_timetable(fleet, read_models(fleet), progress=silent)


def test_every_model_has_spare_machines_of_its_own(spared: Timetable) -> None:
    """In every epoch the pools of each model, without those of others, are up as often as was asked.

    A machine of each model fails in simulation; no machine holds instances of two pools.
    """
    _, question = _question("availability=0.999")
    schedule, study = spared.schedule, spared.availability
    assert spared.valid
    assert schedule is not None
    assert study is not None
    assert question.rule is not None
    options = {option.name: option for option in question.options}
    least = 1.0
    for epoch in schedule.epochs:
        for model in ("chat", "code"):
            mine = [run for run in epoch.runs if run.model == model]
            assert sum(run.spare_machines for run in mine) >= 1
            least = min(least, up_frac(stocks(question, mine, question.rule), question.rule))
        pools = [options[r.name].machines_for(r.instances - r.spare_instances) + r.spare_machines for r in epoch.runs]
        assert sum(pools) <= sum(epoch.machines.values())
    assert least >= 0.999
    assert study.up_frac <= least
    assert study.up_frac == min(study.models.values())
    assert set(study.models) == {"chat", "code"}
    assert {each.words.split(":")[0] for each in study.outages} == {"chat", "code"}
    assert not any(each.fails for each in study.outages)


def test_each_nine_of_all_models_has_its_price(spared: Timetable) -> None:
    """More of the time costs no less; the one that was asked for is that of the plan, and costs more than none."""
    fleet, _ = _question()
    plain = fleet_timetable(fleet, read_models(fleet), progress=silent)
    assert spared.availability is not None
    assert spared.schedule is not None
    assert plain.schedule is not None
    prices = [each.cost_usd_per_h for each in spared.availability.nines]
    assert [each.target_frac for each in spared.availability.nines] == [0.99, 0.999, 0.9999]
    assert prices == sorted(prices)
    hours = len(spared.schedule.epochs) * spared.schedule.epoch_s / 3600
    assert [each.cost_usd_per_h for each in spared.availability.nines if each.chosen] == [
        pytest.approx(spared.schedule.cost_usd / hours)
    ]
    assert plain.schedule.cost_usd < spared.schedule.cost_usd


def test_failures_are_injected_when_a_schedule_of_models_is_served_again(spared: Timetable, tmp_path: Path) -> None:
    """Read, counted and served again the file says the same; for another nine it is too rarely up."""
    fleet, _ = _question("availability=0.999")
    scenario, out = tmp_path / "two.json.yaml", tmp_path / "two.json"
    scenario.write_text(json.dumps(fleet.model_dump(mode="json")))
    said = CliRunner().invoke(build(), ["plan", str(scenario), "--out", str(out), "--quiet"])
    assert said.exit_code == 0, said.output
    told = " ".join(said.output.split())
    assert spared.availability is not None
    for name, share in spared.availability.models.items():
        assert f"{name} {nines(share)}" in told
    assert "of the time (0.999 asked of each), all at once at least 0.99" in told
    raw = json.loads(out.read_text())["fleet_timetable"]
    assert [each.partition(" ")[0] for each in raw["policy"]] == ["chat", "code"]
    file = open_schedule(out)
    assert file is not None
    assert file.timetable.availability is not None
    assert spared.availability is not None
    assert file.timetable.availability.up_frac == pytest.approx(spared.availability.up_frac)
    told = [[each.words for each in found.outages] for found in (file.timetable.availability, spared.availability)]
    assert told[0] == told[1]
    again = serve_fleet_again(read_models(fleet), spared, progress=silent)
    assert again.valid
    assert again.availability is not None
    assert again.availability.up_frac == pytest.approx(spared.availability.up_frac)
    more, _ = _question("availability=0.99999")
    rarely = serve_fleet_again(read_models(more), spared, progress=silent)
    assert not rarely.valid
    assert any("availability.target_frac is 0.99999" in line for line in rarely.over)
