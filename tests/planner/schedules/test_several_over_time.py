"""Several models over time: one schedule of one fleet, each model's requests served on its own pools."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planner.api import Scheduled, plan
from planner.cli import build
from planner.cli.exports import Stack, _of_schedule
from planner.errors import BadInput
from planner.formulate import EpochQuestion, epoch_problem
from planner.resolve.several import read_models
from planner.results.schedule import scoped
from planner.results.timetable import watts_ratios
from planner.scenario.fleet import Fleet
from planner.scenario.reading import Document
from planner.schedules import joint
from planner.schedules.compare import schedule_diff
from planner.schedules.files import AnyScheduleFile, read_schedule
from planner.schedules.fleet import serve_fleet_again
from planner.schedules.joint import joint_ways
from planner.schedules.opened import open_schedule
from planner.schedules.planning import _proposed, timetable
from planner.schedules.provision import level
from planner.schedules.question import ways
from planner.schedules.together import of_model
from solvers.direct import relax
from solvers.solve import solve
from tests.planner.epochs import question
from tests.planner.two_models import data
from workloads.load import Load

DAY, NIGHT = (6.0, 8.0, 3.0, 1.0, 0.5, 1.0), (1.0, 0.5, 0.0, 6.0, 8.0, 3.0)
"""Hours on the mean rates of the two models; one has an hour without requests."""


def asked(*words: str, loads: tuple[object, object] = (DAY, NIGHT)) -> Fleet:
    """Two models with limits of their own, one at work by day and one by night."""
    found: dict[str, Any] = {**data(), "schedule": {"clocks_mhz": [1410]}}
    for each, load in zip(found["models"], loads, strict=True):
        each["load"] = load
    return Fleet.parse(Document(data=found, places={(): "two"})).changed(words)


def silent(_words: str, _done_frac: float) -> None:
    """Nothing is told."""


def _say(*words: str, code: int = 0) -> str:
    said = CliRunner().invoke(build(), list(words))
    assert said.exit_code == code, said.output
    return said.output


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their schedule, planned and written, with its page beside it."""
    folder = tmp_path_factory.mktemp("several")
    scenario, out = folder / "two.json.yaml", folder / "two.json"
    scenario.write_text(json.dumps(asked().model_dump(mode="json")))
    _say("plan", str(scenario), "--out", str(out), "--report", str(folder / "two.html"), "--quiet")
    return out


@pytest.fixture(scope="module")
def file(path: Path) -> AnyScheduleFile:
    """The same, read."""
    found = open_schedule(path)
    assert found is not None
    return found


def test_every_model_is_validated_in_every_epoch(path: Path, file: AnyScheduleFile) -> None:
    """Evidence names each objective of each model in each epoch that has requests of it; the page shows them."""
    parts = asked().parts()
    for name, load in (("chat", DAY), ("code", NIGHT)):
        rows = [each for each in file.timetable.served if each.model == name]
        assert sorted(epoch for each in rows for epoch in each.epochs) == list(range(6))
        for each in rows:
            expected = {slo.name for slo in parts[name].slos()} if load[each.epochs[0]] else set()
            assert {seen.slo.name for seen in each.evidence} == expected
            assert each.valid
    page = path.with_name("two.html").read_text()
    assert "VALIDATED" in page
    assert "code/all" in page


def test_pools_of_all_models_stand_on_the_machines_of_the_epoch(file: AnyScheduleFile) -> None:
    """GPUs of all pools of a type fit on the machines powered; every model's load is routed, and none where it is 0."""
    for number, epoch in enumerate(file.schedule.epochs):
        for machine, count in epoch.machines.items():
            used = sum(run.instances * run.spec.layout.gpus for run in epoch.runs if run.spec.machine == machine)
            assert used <= 8 * count
        for name, load, rate in (("chat", DAY, 40.0), ("code", NIGHT, 20.0)):
            runs = of_model(file.schedule, name).epochs[number].runs
            provided = file.timetable.provided_ratio[scoped(name, "all")][number]
            assert sum(run.rate_req_per_s["all"] for run in runs) == pytest.approx(load[number] * rate * provided)


def test_one_fleet_serves_day_and_night(file: AnyScheduleFile) -> None:
    """Where one model works by day and one by night, the fleet of both is smaller than their two fleets."""
    alone = [timetable(inputs, progress=silent) for inputs in read_models(asked()).values()]
    assert all(each.valid and each.schedule for each in alone)
    fleets = [max(sum(e.machines.values()) for e in each.schedule.epochs) for each in alone if each.schedule]
    assert max(sum(epoch.machines.values()) for epoch in file.schedule.epochs) < sum(fleets)
    assert file.schedule.cost_usd < sum(each.schedule.cost_usd for each in alone if each.schedule)
    bound = file.schedule.termination.bound
    assert bound is not None
    assert bound <= file.schedule.cost_usd


def test_the_file_is_read_by_every_verb(path: Path, file: AnyScheduleFile) -> None:
    """Simulate, show, diff and export know such a file; formats that hold one load or one model say so."""
    assert '"valid": true' in _say("simulate", str(path), "--quiet", "--epoch", "2", "--json")
    assert "code" in _say("show", str(path), "--sections", "served")
    assert schedule_diff(file, file).unchanged == 6
    assert "chat/all" in _of_schedule(file, Stack.CSV, path, None)
    for stack, model, expected in (
        (Stack.KEDA, None, "expected --model with one"), (Stack.KEDA, "chat", "expected 24 or 168"),
        (Stack.KEDA, "x", "expected one of chat, code"), (Stack.DYNAMO, None, "hold one load"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=expected):
            _of_schedule(file, stack, path, model)


def _edited(path: Path, change: Any) -> Path:
    found = json.loads(path.read_text())
    change(found["fleet_timetable"])
    out = path.with_name("edited.json")
    out.write_text(json.dumps(found))
    return out


def test_ways_of_all_models_are_a_list_and_one_string_is_still_read(path: Path, file: AnyScheduleFile) -> None:
    """A file has the way of each model by itself; those that have all in one string say the same."""
    found = file.timetable
    assert [words.partition(" ")[0] for words in found.policy] == ["chat", "code"]
    older = read_schedule(_edited(path, lambda data: data.update(policy=found.policies)), edited_too=True)
    assert older is not None
    assert older.timetable.policy == older.timetable.policies == found.policies


def test_a_machine_less_is_refused(path: Path) -> None:
    """An edited file whose pools no longer fit on its machines is not served."""

    def smaller(found: dict[str, Any]) -> None:
        epochs = found["schedule"]["epochs"]
        machines = max((epoch["machines"] for epoch in epochs), key=lambda each: max(each.values()))
        machines[max(machines, key=lambda name: machines[name])] -= 1

    edited = _edited(path, smaller)
    assert "GPUs in use on" in _say("simulate", str(edited), "--quiet", code=2)
    with pytest.raises(BadInput, match="edited"):
        open_schedule(edited)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda found: found["models"].pop(), "as in the question"),
        (lambda found: found["served"].pop(), "each once"),
        (lambda found: found["served"][0].update(model="x"), "found one of the model 'x'"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(path: Path, change: Any, expected: str) -> None:
    """Models, epochs and evidence have to be those of the question."""
    with pytest.raises(BadInput, match=expected):
        read_schedule(_edited(path, change), edited_too=True)


def test_watts_of_all_models_share_their_budget(file: AnyScheduleFile) -> None:
    """An epoch passes the budget of expected watts where all models together do, though none alone does."""
    total = {at: sum(s.simulated_w or 0 for s in file.timetable.served if at in s.epochs) for at in range(6)}
    busiest = max(total, key=lambda at: total[at])
    limit_w = 0.99 * total[busiest]
    models = read_models(asked(f"budgets.expected_power_w={limit_w}"))
    found = serve_fleet_again(models, file.timetable, progress=silent, epoch=busiest)
    assert all(each.simulated_w is not None and each.simulated_w < limit_w for each in found.served)
    assert sum(each.excess_w for each in found.served) == pytest.approx(total[busiest] - limit_w, rel=1e-3)
    assert watts_ratios(found.served).keys() == {busiest}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["power.row_limit_w=100000", "budgets.machines=9"], "power.row_limit_w: found beside models and schedule"),
        (["models.0.load=trace"], "models, chat: schedule.load: found trace"),
        (["models.1.load=[1, 2]"], "models, code: load: found 2 epochs; expected 6"),
        (["models.1.load=[1, -2]"], "models.1.load.1: found -2"),
        (["models.1.load=5"], "models.1.load: found 5"),
        (["schedule=null"], "models.0.load: found one; expected schedule"),
        (["models.0.schedule={load: [1, 2]}"], "expected it once beside models"),
        (["solver.gap_frac=0.2"], "solver.gap_frac: found 0.2; expected it left out beside schedule"),
        (["objective=throughput", "budgets.machines=9"], "objective: found throughput"),
        (["models.0.policy.name=splitwise-sim"], "memory is promised at arrival"),
        (["schedule.clocks_mhz={gpu: [1410]}"], "schedule.clocks_mhz.gpu"),
        (["uncertainty={workload.rate_scale: [-1, 2]}"], "uncertainty.workload.rate_scale"),
    ],
)
def test_what_several_models_over_time_cannot_be_asked_is_refused(words: list[str], expected: str) -> None:
    """Each key that no schedule of several models honours is named, with the reason."""

    def ways() -> None:
        fleet = asked(*words)
        joint_ways(fleet, read_models(fleet))

    with pytest.raises(BadInput, match=re.escape(expected)):
        ways()


def test_mixes_that_promise_most_are_planned_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more mixes of ways than are planned, each model's most promising ways are in; the rest is counted."""
    fleet = asked("models.0.policy.name=auto", "models.1.policy.name=[sarathi, colocated]")
    models = read_models(fleet)
    each = {name: ways(inputs) for name, inputs in models.items()}
    monkeypatch.setattr(joint, "MOST_WAYS", 1)
    made, left_out = joint_ways(fleet, models)
    assert len(made) + left_out == len(each["chat"]) * len(each["code"]) > 2
    for name, found in each.items():
        assert joint.promise(made[0].parts[name]) == min(joint.promise(way) for way in found)
        policies = {way.policies for way in found}
        assert {way.policies for way in joint._ranked(found)[: len(policies)]} == policies


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_mixes_that_are_left_out_are_worth_less_than_the_gap(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random loads under every policy in two precisions: the best program of 8 mixes is within 0.2 % of that of 32."""
    rng = np.random.default_rng(seed)
    loads = [tuple(float(x) for x in np.round(rng.uniform(0.3, 8, 2), 1)) for _ in range(2)]
    words = [f"models.{at}.policy.name=auto" for at in range(2)]
    words += [f"models.{at}.model.dtype=[bf16,fp8]" for at in range(2)]
    words += [f"models.{at}.workload.rate_scale={rng.uniform(0.5, 6):.1f}" for at in range(2)]
    fleet = asked(*words, loads=(loads[0], loads[1]))
    monkeypatch.setattr(joint, "MOST_WAYS", 32)
    made, _ = joint_ways(fleet, read_models(fleet))
    assert len(made) == 32
    full = [level(way.load.peak_req_per_s, way.case.scenario.headroom.mixed_frac) for way in made]
    values = [_proposed(way, ratios, 1.0).termination.objective for way, ratios in zip(made, full, strict=True)]
    known = [float("inf") if each is None else each for each in values]
    assert min(known[:8]) <= min(known) * 1.002


def test_no_schedule_names_what_is_lacking() -> None:
    """Too few machines for all models end without a schedule, and never as one model's."""
    fleet = asked("budgets.machines=2", loads=((1.0, 2.0), (4.0, 8.0)))
    found = plan(fleet)
    assert isinstance(found, Scheduled)
    assert found.found.schedule is None
    assert found.found.lacking


def test_rows_of_a_notebook_name_the_model(path: Path, file: AnyScheduleFile) -> None:
    """From Python pools and evidence name their model, and what is saved is what the command line writes."""
    found = Scheduled(scenario=asked(), found=file.timetable)
    assert set(found.pools()["model"]) == set(found.evidence()["model"]) == {"chat", "code"}
    saved = path.with_name("saved.json")
    found.save(saved)
    assert json.loads(saved.read_text())["fleet_timetable"] == json.loads(path.read_text())["fleet_timetable"]


def _shared(one: EpochQuestion, names: tuple[str, ...]) -> EpochQuestion:
    """The options of a question once for each model, every class with an equal share of its load."""
    options = tuple(
        replace(
            option, model=model, capacity_req_per_s={scoped(model, n): c for n, c in option.capacity_req_per_s.items()},
            request_j={scoped(model, n): joules for n, joules in option.request_j.items()},
        )
        for model in names for option in one.options
    )  # fmt: skip

    def split(rates: Any) -> dict[str, Any]:
        return {scoped(model, name): each / len(names) for model in names for name, each in rates.items()}

    load = Load(
        epoch_s=one.load.epoch_s, mean_req_per_s=split(one.load.mean_req_per_s),
        peak_req_per_s=split(one.load.peak_req_per_s),
    )  # fmt: skip
    return replace(one, options=tuple(sorted(options, key=lambda o: o.name)), load=load)


@settings(max_examples=8, deadline=None)
@given(
    short=st.lists(st.floats(1, 30), min_size=2, max_size=3),
    names=st.sampled_from([("a", "b"), ("a,b", "a]"), ("x y", "x/y")]),
)
def test_one_model_under_two_names_is_bounded_as_one(short: list[float], names: tuple[str, ...]) -> None:
    """A model listed twice with half its load each has the relaxed program of one; whole pools never cost less.

    Whole counts may cost more, as no instance serves both: by no more than an instance of each name in each epoch.
    """
    one = question({"all": short})
    two = _shared(one, names)
    relaxed = [relax(epoch_problem(each)) for each in (one, two)]
    assert relaxed[0] is not None
    assert relaxed[1] is not None
    assert relaxed[1].bound == pytest.approx(relaxed[0].bound, rel=1e-6)
    single, double = (solve(epoch_problem(each), gap_frac=1e-4).termination for each in (one, two))
    assert single.objective is not None
    assert double.objective is not None
    assert double.objective >= single.objective * (1 - 1e-3)
    # A machine of the slow type more, powered all the time, and one of its instances at work for the other name.
    more = 10.0 * len(short) + 0.1 * 1.2 * (1.0 + 0.1 + 3.6e-6 * 800 * 3.6e3) * len(short) * 2
    assert double.objective <= single.objective + more


@settings(max_examples=8, deadline=None)
@example(day=[23.02729470341192, 20.435878533356394], peak=36.738943138)
@given(day=st.lists(st.floats(1, 25), min_size=2, max_size=3), peak=st.floats(5, 40))
def test_sharing_a_fleet_never_costs_more(day: list[float], peak: float) -> None:
    """The program of two models costs no more than those of each alone, where it may reserve what both may."""
    night = [peak - rate if rate < peak else 1.0 for rate in day]
    both = {"m": question({"all": day}), "n": question({"all": night})}
    parts = {name: _shared(one, (name,)) for name, one in both.items()}
    stock = [
        replace(each, available=2 * each.available, most_base_machines=2 * each.most_base_machines)
        for each in parts["m"].fleet
    ]
    joint = replace(
        parts["m"], options=(*parts["m"].options, *parts["n"].options), fleet=tuple(stock),
        load=Load(
            epoch_s=parts["m"].load.epoch_s,
            mean_req_per_s={**parts["m"].load.mean_req_per_s, **parts["n"].load.mean_req_per_s},
            peak_req_per_s={**parts["m"].load.peak_req_per_s, **parts["n"].load.peak_req_per_s},
        ),
    )  # fmt: skip
    alone = [solve(epoch_problem(each), gap_frac=1e-4).termination.objective for each in parts.values()]
    together = solve(epoch_problem(joint), gap_frac=1e-4).termination.objective
    assert together is not None
    assert together <= sum(each or 0.0 for each in alone) * (1 + 2e-4)
