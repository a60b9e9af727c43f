"""A scenario that asks for a plan over time."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw_catalog.load import load_catalog
from planner.cli import build
from planner.errors import BadInput
from planner.formulate import epoch_problem, lift_schedule
from planner.planning.plan import digests, plan
from planner.report.schedule_words import sparkline
from planner.report.schedules import timetable_page
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from planner.schedules.files import read_schedule, schedule_csv, timetable_text
from planner.schedules.peaks import at_the_peak
from planner.schedules.planning import as_it_stands, timetable
from planner.schedules.question import opened
from planner.schedules.recount import recounted
from solvers.solve import solve
from tests.planner.epochs import question

EXAMPLE = Path(__file__).parents[3] / "planner" / "examples" / "dynamollm-week.yaml"
SMALL = ("catalog.machines=[dgx-h100]", "schedule.clocks_mhz=[1980]", "schedule.epoch_s=21600",
         "workload.rate_req_per_s=20", "workload.duration_s=20", "schedule.objectives=[cost]")  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("schedule.start_s=4000", "a start may not outlast an epoch"),
        ("schedule.carbon_g_per_kwh=[1, 2, 3]", "24 or 168 hours of carbon_g_per_kwh, not 3"),
        ("schedule.load=[]", "at least one hour of load above 0"),
        ("schedule.epochs=3", "epochs only with load: trace"),
        ("schedule.objectives=[cost, cost]", "each of them once"),
        ("schedule.objectives=[]", "at least one objective"),
        (f"schedule.carbon_g_per_kwh={[-1.0] * 24}", "greater than or equal to 0"),
        ("schedule.forecast_sigma=1", "unknown key"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(word: str, expected: str) -> None:
    """Each fault of the section is named with what was expected."""
    with pytest.raises(BadInput, match=expected):
        Scenario.load(EXAMPLE, [word])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("policy.name=splitwise-sim", "memory is promised at arrival"),
        ("schedule.load=trace", "needs a workload"),
    ],
)
def test_what_a_schedule_cannot_be_made_for_is_refused(word: str, expected: str) -> None:
    """Rules that promise memory, and a trace that is none, are refused before anything is solved."""
    with pytest.raises(BadInput, match=expected):
        timetable(Scenario.load(EXAMPLE, [*SMALL, word]), progress=lambda *_: None)


@pytest.mark.slow
def test_the_example_comes_out_validated() -> None:
    """The shipped week, made small, has a schedule with a proven gap whose peak the simulator confirms."""
    found = timetable(Scenario.load(EXAMPLE, SMALL), progress=lambda *_: None)
    assert found.valid
    assert found.schedule is not None
    assert len(found.schedule.epochs) == 28
    assert found.served


def test_an_autoscaler_reads_every_pool_of_every_epoch() -> None:
    """The CSV has one line per pool and epoch: instances of the schedule, rates of its peaks, and its costs."""
    asked = question({"short": [3.0, 9.0], "long": [1.0, 2.0]})
    solution = solve(epoch_problem(asked))
    assert solution.allocation is not None
    schedule = lift_schedule(asked, solution.allocation.values, solution.termination, method="monolithic")
    ratios = {name: (0.5,) * len(schedule.epochs) for name in ("short", "long")}
    lines = schedule_csv(schedule, ratios).splitlines()
    assert len(lines) == 1 + sum(len(epoch.runs) for epoch in schedule.epochs)
    assert lines[0].startswith("epoch,start_s,machine,role,layout,clock_mhz")
    rows = list(csv.DictReader(lines))
    total = sum(int(row["instances"]) for row in rows)
    assert total == sum(run.instances for epoch in schedule.epochs for run in epoch.runs)
    asked_rate = sum(sum(run.rate_req_per_s.values()) for run in schedule.epochs[1].runs) / 0.5
    assert sum(float(row["rate_req_per_s"]) for row in rows if row["epoch"] == "1") == pytest.approx(asked_rate, 1e-5)
    costs = sum(float(row["epoch_cost_usd"] or 0) for row in rows)
    assert costs == pytest.approx(schedule.cost_usd, rel=1e-4)
    energy = sum(float(row["epoch_energy_kwh"] or 0) for row in rows)
    assert energy * 3.6e6 == pytest.approx(schedule.energy_j, rel=1e-4)
    assert schedule_csv(replace(schedule, epochs=()), {}) == lines[0] + "\n"


def _sets(*words: str) -> list[str]:
    return [part for setting in words for part in ("--set", setting)]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small week, planned and written, with its page beside it."""
    path = tmp_path_factory.mktemp("week") / "week.json"
    words = ["plan", str(EXAMPLE), "--out", str(path), "--report", str(path.with_suffix(".html")), "--quiet"]
    made = CliRunner().invoke(build(), [*words, *_sets(*SMALL)])
    assert made.exit_code == 0, made.output
    return path


def _say(*words: str, code: int = 0) -> str:
    said = CliRunner().invoke(build(), list(words))
    assert said.exit_code == code, said.output
    return said.stdout if code == 0 else said.stderr


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    choice=st.randoms(use_true_random=False), value=st.sampled_from([-1, 0, 1e9, True, None, "x", [], {}, 2.5, 1e300])
)
def test_no_edit_of_a_week_breaks_its_reader_or_its_page(
    week: Path, tmp_path: Path, choice: Random, value: object
) -> None:
    """Whatever value of a plan over time is changed to whatever else, it is refused, or shown as edited."""
    data = json.loads(week.read_text())
    inner: Any = data
    while True:
        key = choice.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if not isinstance(inner[key], dict | list) or not inner[key]:
            break
        inner = inner[key]
    same = type(inner[key]) is type(value) and inner[key] == value
    inner[key] = value
    file = tmp_path / "edited.json"
    file.write_text(json.dumps(data))
    try:
        found = read_schedule(file, edited_too=True)
    except BadInput:
        return
    assert found is None or found.edited or same
    if found is not None:
        timetable_page(found.timetable, found.scenario, edited=found.edited)


def test_every_epoch_is_served(week: Path) -> None:
    """Without a word on how many, each epoch is served once or alike to one that is, changes into it included."""
    file = read_schedule(week)
    assert file is not None
    served = file.timetable.served
    assert sorted(epoch for each in served for epoch in each.epochs) == list(range(28))
    assert len(served) < 28
    assert all(each.valid and each.evidence and each.arrived for each in served)
    assert any(each.changed for each in served)
    assert "Epochs in the simulator" in week.with_suffix(".html").read_text(encoding="utf-8")


def test_a_week_is_shown_from_its_file(week: Path) -> None:
    """``show`` reads the file whole: its JSON is the file, its text the verdict and the timeline."""
    assert _say("show", str(week), "--json") == week.read_text(encoding="utf-8")
    assert "the simulator served 28 epochs" in " ".join(_say("show", str(week)).split())


def test_a_week_is_served_again(week: Path) -> None:
    """``simulate`` finds the same as ``plan`` did; with more load it says what is missed, and ends with 4."""
    again = json.loads(_say("simulate", str(week), "--json"))
    assert again["served"] == json.loads(week.read_text(encoding="utf-8"))["timetable"]["served"]
    one = json.loads(_say("simulate", str(week), "--epoch", "2", "--json"))
    assert [each["epochs"] for each in one["served"]] == [[2]]
    assert len(one["unserved"]) == 27
    said = CliRunner().invoke(build(), ["simulate", str(week), "--epoch", "2", "--set", "workload.rate_scale=3"])
    assert said.exit_code == 4
    assert "missed" in said.stdout


def test_a_late_start_is_felt(week: Path) -> None:
    """Where instances are added, coming late makes first tokens wait longer; where none are, nothing changes."""
    loose = _sets("slo.ttft_p99_s=90", "slo.tpot_p99_s=9")
    found = []
    for words in ((), _sets("schedule.start_late_s=10")):
        said = CliRunner().invoke(build(), ["simulate", str(week), "--json", *loose, *words])
        found.append(json.loads(said.stdout)["served"])
    longer = []
    for one, other in zip(*found, strict=True):
        first, then = (next(e["measured"] for e in each["evidence"] if "ttft" in e["slo"]) for each in (one, other))
        longer.append(then - first)
        assert one["changed"] or then == first
    assert max(longer) > 0.01


def test_two_weeks_are_compared(week: Path, tmp_path: Path) -> None:
    """Against itself nothing differs; against a dearer one every epoch does, by what it costs."""
    assert json.loads(_say("diff", str(week), str(week), "--json"))["epochs"] == []
    data = json.loads(week.read_text(encoding="utf-8"))
    for epoch in data["timetable"]["schedule"]["epochs"]:
        epoch["cost_usd"] += 10
    data["timetable"]["schedule"]["cost_usd"] += 280
    dearer = tmp_path / "dearer.json"
    dearer.write_text(json.dumps(data), encoding="utf-8")
    assert "edited since it was simulated" in _say("diff", str(week), str(dearer), code=2)
    file = read_schedule(week)
    assert file is not None
    asked = file.scenario.changed(["catalog.price_usd_per_h={dgx-h100: 100}"])
    made = replace(file.timetable, schedule=as_it_stands(asked, file.timetable).schedule)
    dearer.write_text(timetable_text(asked, made, digests(asked)), encoding="utf-8")
    found = json.loads(_say("diff", str(week), str(dearer), "--json"))
    assert len(found["epochs"]) == 28
    assert found["after"]["cost_usd"] > found["before"]["cost_usd"]
    page = tmp_path / "weeks.html"
    said = _say("diff", str(week), str(dearer), "--report", str(page), "--quiet")
    assert "28 of 28 epochs differ" in said
    assert "28 epochs</span> differ" in page.read_text(encoding="utf-8")
    assert made.schedule is not None
    last = made.schedule.epochs[-1].cost_usd - file.schedule.epochs[-1].cost_usd
    assert f"{last:+.2f}" in _say("diff", str(week), str(dearer))


def test_auto_takes_the_better_policy_of_both_phases() -> None:
    """Under ``auto`` the schedule is as good as the best of the policies it compares, and its file says which."""
    short = ["schedule.load=[" + ", ".join(["0.5"] * 12 + ["1.0"] * 12) + "]", "workload.classes=[]"]
    found = {
        name: timetable(Scenario.load(EXAMPLE, [*SMALL, *short, f"policy.name={name}"]), progress=lambda *_: None)
        for name in ("auto", "colocated", "sarathi")
    }
    costs = {name: each.schedule.cost_usd for name, each in found.items() if each.schedule}
    assert costs["auto"] == min(costs.values())
    assert found["auto"].policy in ("colocated", "sarathi")


def test_what_a_week_is_not_for_is_said(week: Path, tmp_path: Path) -> None:
    """Stacks of one load, epochs that it has not, a plan of another kind beside it, and options it was not made of."""
    assert "is a plan over time; expected csv" in _say("export", str(week), "--format", "dynamo", code=2)
    assert "--epoch: found 99; expected 0 to 27" in _say("simulate", str(week), "--epoch", "99", code=2)
    assert "asks for a plan over time" in _say("simulate", str(EXAMPLE), code=2)
    other = ["simulate", str(week), "--set", "schedule.clocks_mhz=[1200]"]
    assert "which the scenario does not offer" in _say(*other, code=2)
    loose = tmp_path / "loose.json"
    loose.write_text('{"schema_version": 1}', encoding="utf-8")
    said = _say("diff", str(week), str(loose), code=2)
    assert f"expected two of a kind (`show {week}` has a fixed fleet beside the schedule)" in said
    assert _say("export", str(week), "--format", "csv").startswith("epoch,start_s,machine")


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        (("timetable", "schedule", "cost_usd"), 1.0, "the sum over the epochs"),
        (("timetable", "schedule", "epochs", 3, "start_s"), 1.0, "epochs.3.start_s: found 1"),
        (("timetable", "unserved"), [3], "each once"),
        (("timetable", "served", 0, "steady"), False, "misses an objective"),
        (("timetable", "schedule", "methods"), "x", "methods"),
        (("validated",), False, "no validated plan"),
    ],
)
def test_a_week_that_contradicts_itself_is_refused(
    week: Path, tmp_path: Path, where: tuple[str | int, ...], value: object, expected: str
) -> None:
    """A file that was edited in one place and not in the others is not read."""
    data = json.loads(week.read_text(encoding="utf-8"))
    *path, last = where
    inner = data
    for key in path:
        inner = inner[key]
    inner[last] = value
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BadInput, match=expected):
        read_schedule(broken)


def test_an_epoch_of_a_trace_is_served_as_it_came(tmp_path: Path) -> None:
    """With ``load: trace`` each epoch is its own requests, after the minutes before it; all of them are served once."""
    rng = np.random.default_rng(1)
    arrivals = np.sort(rng.uniform(0, 1190, 3000))
    rows = "".join(f"{at:.3f},{rng.integers(100, 900)},{rng.integers(20, 200)}\n" for at in arrivals)
    trace = tmp_path / "t.csv"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n" + rows, encoding="utf-8")
    words = [f"workload.trace={trace}", "workload.rate_req_per_s=null", "workload.duration_s=60", "schedule.load=trace",
             "schedule.epoch_s=600", "schedule.start_s=300", "schedule.min_up_epochs=1", "schedule.clocks_mhz=[1410]",
             "catalog.machines=[dgx-h100]", "workload.classes=[]"]  # fmt: skip
    found = timetable(Scenario.load(EXAMPLE, words), progress=lambda *_: None)
    assert [each.epochs for each in found.served] == [(0,), (1,)]
    assert sum(each.arrived for each in found.served) >= 3000
    assert found.served[0].arrived == int((arrivals < 600).sum())


def test_a_timeline_is_as_long_as_its_epochs() -> None:
    """One bar per epoch, empty at nothing and full at the most."""
    assert sparkline([0, 4, 8], 8) == " ▄█"
    assert sparkline([0, 0], 0) == "  "


def test_planned_watts_are_those_of_the_simulator(week: Path) -> None:
    """Every served epoch draws within 5 % of what was planned, nights as days; totals are told with both."""
    file = read_schedule(week)
    assert file is not None
    ratios = [each.watts_ratio for each in file.timetable.served]
    assert all(ratio is not None and abs(ratio - 1) < 0.05 for ratio in ratios)
    metered = file.timetable.simulated
    assert metered is not None
    least, most = (end(ratio for ratio in ratios if ratio) for end in (min, max))
    assert least <= metered.energy_j / file.schedule.energy_j <= most
    assert "As simulated" in _say("show", str(week))
    assert "Against a fixed fleet" in week.with_suffix(".html").read_text(encoding="utf-8")


def test_a_fixed_fleet_is_set_beside_a_schedule(week: Path) -> None:
    """The validated plan for the peak is paid around the clock; its energy lies between quietest and busiest hour."""
    file = read_schedule(week)
    assert file is not None
    fixed, schedule = file.timetable.fixed, file.schedule
    assert fixed is not None
    assert fixed.valid
    scenario = file.scenario
    hours = len(schedule.epochs) * schedule.epoch_s / 3600
    price = load_catalog(None).machines["dgx-h100"].price(scenario.catalog.channel)
    assert price is not None
    electricity = fixed.spent.energy_j / 3.6e6 * scenario.energy.usd_per_kwh
    machines = fixed.machines["dgx-h100"]
    assert fixed.spent.cost_usd == pytest.approx(machines * price.usd_per_h * hours + electricity)
    idle_j = machines * load_catalog(None).machines["dgx-h100"].idle_w * hours * 3600 * scenario.energy.pue_ratio
    assert idle_j < fixed.spent.energy_j < machines * 10200 * hours * 3600 * scenario.energy.pue_ratio
    assert "Fixed fleet" in _say("show", str(week))


def test_a_schedule_is_no_dearer_than_one_knob_alone(week: Path) -> None:
    """More freedom never costs more: no knob that moves is planned for less than the schedule that may turn all.

    They are set beside it, the best first, in text, file and page.
    """
    file = read_schedule(week)
    assert file is not None
    knobs, cost = file.timetable.knobs, file.schedule.cost_usd
    assert knobs
    assert [each.spent.cost_usd for each in knobs] == sorted(each.spent.cost_usd for each in knobs)
    assert all(cost <= each.spent.cost_usd * (1 + 1e-9) for each in knobs)
    assert "One knob alone" in _say("show", str(week))
    assert "changed with the load" in week.with_suffix(".html").read_text(encoding="utf-8")


def test_a_budget_of_watts_holds_in_simulation() -> None:
    """No served epoch of a validated schedule draws more than ``budgets.expected_power_w``, though plans err.

    One that the best schedule without it keeps changes nothing, whatever the estimates.
    """
    words = [*SMALL, "workload.classes=[]", "schedule.load=[0.5, 1.0, 1.4]", "schedule.epoch_s=3600.0"]
    free = timetable(Scenario.load(EXAMPLE, words), progress=lambda *_: None)
    most_w = max(each.simulated_w or 0.0 for each in free.served)
    for limit_w, held in ((most_w * 0.98, False), (most_w, True)):
        budget = f"budgets.expected_power_w={limit_w}"
        kept = timetable(Scenario.load(EXAMPLE, [*words, budget]), progress=lambda *_: None)
        assert not kept.valid or all((each.simulated_w or 0.0) <= limit_w for each in kept.served)
        assert not held or (kept.valid and kept.schedule == free.schedule)


def test_a_budget_that_a_fixed_fleet_keeps_is_feasible_over_time() -> None:
    """As many machines as the validated plan for the peak has are enough over time, and the budget betters nothing."""
    words = [*SMALL, "workload.classes=[]", "schedule.load=[0.5, 1.7]", "schedule.epoch_s=3600.0", "catalog.tp=[4]",
             "policy.name=sarathi", "policy.chunk_tokens=[1024]", "schedule.clocks_mhz=[1980]"]  # fmt: skip
    fixed = plan(at_the_peak(opened(Scenario.load(EXAMPLE, words), "sarathi")), progress=lambda *_: None)
    assert isinstance(fixed, ValidatedPlan)
    limited = f"budgets.machines={fixed.candidate.totals.machines}"
    free, kept = (
        timetable(Scenario.load(EXAMPLE, each), progress=lambda *_: None) for each in (words, [*words, limited])
    )
    assert free.valid
    assert kept.valid
    assert free.schedule is not None
    assert kept.schedule is not None
    assert free.schedule.cost_usd <= kept.schedule.cost_usd * 1.02


def test_an_edited_week_comes_to_what_its_machines_come_to(week: Path, tmp_path: Path) -> None:
    """A plan over time costs what is powered in it; counted again it is as planned, with more machines it is dearer."""
    file = read_schedule(week)
    assert file is not None
    asked, planned = opened(file.scenario, file.timetable.policy), file.schedule
    again = recounted(asked, planned)
    assert again.cost_usd == pytest.approx(planned.cost_usd, rel=1e-6)
    assert (again.energy_j, again.rated_w) == pytest.approx((planned.energy_j, planned.rated_w), rel=1e-6)
    assert again.churn_machines == planned.churn_machines
    data = json.loads(week.read_text())
    for epoch in data["timetable"]["schedule"]["epochs"]:
        epoch["machines"] = {name: count + 3 for name, count in epoch["machines"].items()}
    edited = tmp_path / "week.json"
    edited.write_text(json.dumps(data))
    shown = json.loads(CliRunner().invoke(build(), ["show", str(edited), "--json"]).stdout)
    assert shown["timetable"]["schedule"]["cost_usd"] > planned.cost_usd * 1.01
    assert shown["timetable"]["served"] == []
    for epoch in data["timetable"]["schedule"]["epochs"]:
        epoch["machines"] = dict.fromkeys(epoch["machines"], 1)
        epoch["runs"][0]["instances"] = 99
    edited.write_text(json.dumps(data))
    for verb in ("show", "simulate"):
        assert "GPUs in use on 1 dgx-h100; expected at most 8" in _say(verb, str(edited), code=2)
