"""Availability over time: spare machines of every epoch, failures injected, the price of each nine."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.capacity.redundancy import up_frac
from planner.cli import build
from planner.planning.plan import plan
from planner.results.evidence import ValidatedPlan
from planner.results.schedule import Run, Schedule
from planner.results.timetable import Timetable
from planner.schedules.available import stated_again, stocks, studied
from planner.schedules.planning import as_planned, serve_again, timetable
from planner.schedules.question import opened
from planner.schedules.serving import Serving
from tests.planner.small import TEXT, small

DAY = ("schedule.load=[0.5, 30.0, 1.0]", "energy.usd_per_kwh=0.0")


def _silent(_words: str, _done: float) -> None:
    pass


@cache
def planned(*words: str) -> Timetable:
    """The schedule of the small question."""
    return timetable(small(*words), progress=_silent)


def schedule_of(found: Timetable) -> Schedule:
    """The schedule, which there is."""
    assert found.schedule is not None, found.lacking
    return found.schedule


SLOW = [
    pytest.param(asked, objective, marks=pytest.mark.slow)
    for asked in ("0.99", "0.999", "0.9999", "{spares: n+1}", "{target_frac: 0.999, spares: n+2}")
    for objective in ("cost", "machines", "power")
]


@pytest.mark.parametrize(("asked", "objective"), [("0.999", "cost"), ("{spares: n+1}", "machines"), *SLOW])
def test_a_static_plan_is_a_schedule_of_one_epoch(asked: str, objective: str) -> None:
    """Both have the same machines and the same spare ones in every pool, and are up the same share of the time."""
    words = (f"availability={asked}", f"objective={objective}", "energy.usd_per_kwh=0.0")
    still = plan(small(*words), progress=_silent, with_margin=False)
    moving = planned(*words, "schedule.load=[1.0]")
    assert isinstance(still, ValidatedPlan)
    assert still.availability is not None
    assert moving.availability is not None
    (epoch,) = schedule_of(moving).epochs
    pools = [(pool.spec, pool.machines, pool.spares) for pool in still.candidate.pools]
    case = opened(small(*words, "schedule.load=[1.0]"), moving.policy)
    assert case.rule is not None
    held = stocks(case, epoch.runs, case.rule)
    assert pools == [(run.spec, at.machines, run.spare_machines) for run, at in zip(epoch.runs, held, strict=True)]
    assert sum(epoch.machines.values()) == still.candidate.totals.machines
    assert moving.availability.up_frac == pytest.approx(still.availability.up_frac, abs=1e-9)


def test_every_epoch_is_up_as_often_as_asked() -> None:
    """Each has spare machines of its own; with one spare machine fewer in any of them it would be up too rarely."""
    found = planned("availability=0.999", *DAY)
    asked = opened(small("availability=0.999", *DAY), found.policy)
    assert found.valid
    assert asked.rule is not None
    for epoch in schedule_of(found).epochs:
        held = stocks(asked, epoch.runs, asked.rule)
        assert up_frac(held, asked.rule) >= 0.999
        assert sum(each.machines for each in held) <= sum(epoch.machines.values())
        fewer = [replace(held[0], machines=held[0].machines - held[0].span), *held[1:]]
        assert up_frac(fewer, asked.rule) < 0.999


def test_failures_are_injected_into_the_worst_epochs() -> None:
    """The fullest epoch is among them, every failure is survived, and epochs are served with spares down and up."""
    found = planned("availability=0.999", *DAY)
    assert found.availability is not None
    assert any(each.words.startswith("epoch 1: ") for each in found.availability.outages)
    assert all(not each.fails for each in found.availability.outages)
    assert found.availability.up_frac >= 0.999


def test_each_nine_costs_as_much_or_more() -> None:
    """A larger share of time has no lower price; the one asked for is marked, and is the schedule."""
    found = planned("availability=0.999", *DAY)
    assert found.availability is not None
    nines, hours = found.availability.nines, 3
    assert [nine.target_frac for nine in nines] == [0.99, 0.999, 0.9999]
    assert [nine.cost_usd_per_h for nine in nines] == sorted(nine.cost_usd_per_h for nine in nines)
    (chosen,) = [nine for nine in nines if nine.chosen]
    assert chosen.cost_usd_per_h == pytest.approx(schedule_of(found).cost_usd / hours)
    assert all(nine.up_frac >= nine.target_frac for nine in nines)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(st.sampled_from([0.9, 0.99, 0.999]), st.lists(st.sampled_from([0.3, 0.8, 1.5, 2.5]), min_size=2, max_size=3))
def test_spare_machines_cost_money_and_never_save_it(target: float, hours: list[float]) -> None:
    """With availability asked a schedule costs no less than without, within the gap that is stated."""
    words = (f"schedule.load={hours}", "energy.usd_per_kwh=0.0")
    plain, safe = planned(*words), planned(f"availability={target}", *words)
    gap = schedule_of(plain).termination.gap_frac or 0.0
    assert schedule_of(safe).cost_usd >= schedule_of(plain).cost_usd * (1 - gap) - 1e-6


def test_a_schedule_with_a_spare_machine_fewer_is_not_validated() -> None:
    """What a file says is spare is not believed: failures are injected and shares of time counted anew."""
    found, words = planned("availability=0.999", *DAY), ("availability=0.999", *DAY)
    schedule = schedule_of(found)

    def less(run: Run) -> Run:
        each = run.spare_instances // run.spare_machines
        return replace(
            run, instances=run.instances - each, spare_instances=run.spare_instances - each,
            spare_machines=run.spare_machines - 1,
        )  # fmt: skip

    epochs = tuple(replace(epoch, runs=tuple(map(less, epoch.runs))) for epoch in schedule.epochs)
    again = serve_again(small(*words), replace(found, schedule=replace(schedule, epochs=epochs)), progress=_silent)
    assert not again.valid
    assert any("availability.target_frac is 0.999" in line for line in again.over)
    assert serve_again(small(*words), found, progress=_silent).valid


@pytest.mark.slow
def test_racks_are_counted_in_every_epoch() -> None:
    """With racks of one machine, whatever fails takes one: racks that fail often ask for more machines."""
    often = ("availability=0.999", "availability.rack={machines: 1, mtbf_h: 100.0, mttr_h: 5.0}")
    plain, safe = planned("availability=0.999", *DAY), planned(*often, *DAY)
    assert safe.availability is not None
    assert schedule_of(safe).powered_machines > schedule_of(plain).powered_machines


def test_a_schedule_asks_no_more_machines_than_there_are(tmp_path: Path) -> None:
    """Stock counts for spare machines too: where they do not fit, no schedule is sold."""
    path = tmp_path / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    words = ["availability=0.999", DAY[0], "catalog.available={dgx-a100: 1, dgx-h100: 0}"]
    done = CliRunner().invoke(build(), ["plan", str(path), *(part for word in words for part in ("--set", word))])
    assert done.exit_code in (3, 4)
    assert "VALIDATED" not in done.stdout


@pytest.mark.slow
def test_studies_of_a_schedule_say_what_fails() -> None:
    """A pool without the spare machines that a role must have is named, with its epoch."""
    words = ("availability={spares: n+1}", *DAY)
    found, asked = planned(*words), opened(small(*words), planned(*words).policy)
    schedule = schedule_of(found)
    bare = replace(
        schedule, epochs=tuple(
            replace(e, runs=tuple(replace(r, spare_machines=0, spare_instances=0) for r in e.runs))
            for e in schedule.epochs
        ),
    )  # fmt: skip
    serving = Serving(asked.case, asked.section, asked.load, asked.options)
    lines = studied(asked, bare, serving, _silent).lines
    assert any(line.startswith("availability.spares: ") and "epoch 0" in line for line in lines)


def test_the_share_of_time_of_a_file_is_counted_again() -> None:
    """What an untouched schedule states follows from its machines; another share of time does not."""
    words = ("availability=0.999", *DAY)
    found = planned(*words)
    assert found.availability is not None
    asked = as_planned(small(*words), found)
    assert stated_again(asked, schedule_of(found), found.availability) == found.availability
    surer = replace(found.availability, up_frac=0.999999, target_frac=0.999999)
    assert stated_again(asked, schedule_of(found), surer) == found.availability
