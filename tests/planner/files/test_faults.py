"""Plan files edited and sealed anew: what follows from other figures is worked out again when they are read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.errors import BadInput
from planner.files.faults import impossible, row_faults
from planner.files.fleet_file import fleet_text, read_fleet_file
from planner.files.plan_file import plan_text, read_plan, sealed
from planner.results.availability import Availability, Nine
from planner.results.evidence import ValidatedPlan
from planner.results.fleet import FleetPlan, ModelPlan
from planner.scenario import Scenario
from planner.scenario.digest import digest_of
from planner.scenario.power import CONTROLS, PowerSection
from tests.planner import plans
from tests.planner.planning.test_oversubscribe import series, study

Edit = Callable[[dict[str, Any]], object]


def asked() -> Scenario:
    """The question, with a share of time in it."""
    return plans.scenario().changed(["availability=0.99"])


def answer() -> ValidatedPlan:
    """Its answer: the hand-made plan, up often enough without a spare machine."""
    plan = plans.plan()
    totals = plan.candidate.totals
    nine = Nine(
        target_frac=0.99, up_frac=0.995, machines=totals.machines, spare_machines=0,
        cost_usd_per_h=totals.cost_usd_per_h, power_w=totals.power_w, domains=1, chosen=True,
    )  # fmt: skip
    found = Availability(
        target_frac=0.99, up_frac=0.995, spare_machines=0, racks=1, domains=1, failures_per_h=0.01, recovery_s=0.0,
        nines=(nine, replace(nine, target_frac=0.999, up_frac=0.9995, chosen=False)), outages=(), assumptions=(),
    )  # fmt: skip
    return replace(plan, availability=found)


def resealed(path: Path, text: str, edit: Edit) -> Path:
    """A file after an edit, with the digest of what it says then."""
    data = json.loads(text)
    edit(data)
    del data["content_sha256"]
    path.write_text(sealed(data), encoding="utf-8")
    return path


def one() -> str:
    """The file of one model."""
    return plan_text(asked(), answer(), plans.digests(asked()))


LIES: dict[str, Edit] = {
    "availability.target_frac": lambda d: d["plan"]["availability"].update(target_frac=0.9999),
    "availability.up_frac": lambda d: d["plan"]["availability"].update(up_frac=0.99999),
    "availability.spare_machines": lambda d: d["plan"]["availability"].update(spare_machines=3),
    "availability.nines": lambda d: d["plan"]["availability"]["nines"][0].update(cost_usd_per_h=1.0),
    "certificate.bound": lambda d: d["plan"]["certificate"].update(bound=1e6),
    "certificate.gap_frac": lambda d: d["plan"]["certificate"].update(gap_frac=0.9),
    "scenario: found another": lambda d: d["scenario"]["model"].update(name="llama-3.1-8b"),
    "candidate.cells: found 0": lambda d: d["plan"]["candidate"].update(cells=0),
    "digests.scenario": lambda d: d["digests"].update(scenario="0" * 64),
    "plan.power: found none": lambda d: d["scenario"]["power"].update(row_limit_w=20000.0),
}


@pytest.mark.parametrize("place", LIES)
def test_a_lie_that_was_sealed_is_refused(place: str, tmp_path: Path) -> None:
    """A share of time, a bound or a question that is not the plan's is named, though the file's digest is right."""
    assert not read_plan(resealed(tmp_path / "honest.json", one(), lambda _: None)).edited
    with pytest.raises(BadInput) as found:
        read_plan(resealed(tmp_path / "plan.json", one(), LIES[place]))
    assert any(place in problem for problem in found.value.problems)


def test_a_row_is_that_of_the_question_and_holds_the_plan() -> None:
    """Another limit, more machines than it was studied with, or a number of machines that failed: each is named."""
    row = replace(study(), plan_machines=60, needed_rows=2, rows=2, placed=({"a": 52}, {"a": 8}))
    section = PowerSection(row_limit_w=180_000.0, rows=2)
    assert not list(row_faults(section, row, 60, "row"))
    wrong = {
        "row.row_limit_w": replace(row, row_limit_w=1.0), "row.plan_machines": replace(row, plan_machines=61),
        "row.placed": replace(row, placed=({"a": 52},)), "row.needed_rows": replace(row, needed_rows=1),
        "row.machines": replace(row, machines=54, needed_rows=2), "row.rows": replace(row, rows=3),
        "row.series.machines": replace(row, series=replace(series(), machines=51)),
        "row.series.peak_frac": replace(row, series=replace(series(), peak_frac=(0.8,) * 24)),
    }  # fmt: skip
    for place, each in wrong.items():
        assert any(place in fault for fault in row_faults(section, each, 60, "row")), place
    assert list(row_faults(PowerSection(), row, 60, "row"))
    assert list(row_faults(section, None, 60, "row"))


FLEET_LIES: dict[str, Edit] = {
    "fleet.bound": lambda d: d["fleet"].update(bound=1e6),
    "fleet.gap_frac": lambda d: d["fleet"].update(gap_frac=0.9),
    "fleet.objective: found power": lambda d: d["fleet"].update(objective="power"),
    "chat: scenario: found another": lambda d: d["scenario"]["models"][0]["model"].update(name="llama-3.1-8b"),
}


@pytest.mark.parametrize("place", FLEET_LIES)
def test_lies_about_several_models_are_refused(place: str, tmp_path: Path) -> None:
    """A bound above the objective, or another model in the question: the file of several models says so, too."""
    from planner.scenario.fleet import Fleet
    from planner.scenario.reading import Document

    question = plans.scenario().model_dump(mode="json")
    own = {key: question.pop(key) for key in ("model", "workload", "slo", "slo_by_class", "policy", "prefix_cache")}
    shared = {key: value for key, value in question.items() if key not in ("schedule", "uncertainty")}
    fleet = Fleet.parse(Document(data={**shared, "models": [{**own, "name": "chat"}]}, places={(): "fleet"}))
    plan = plans.plan()
    found = FleetPlan(
        models=(ModelPlan(name="chat", plan=plan),), objective=plan.objective, objective_value=plan.objective_value,
        bound=plan.certificate.bound, gap_frac=plan.certificate.gap_frac, shared=(),
    )  # fmt: skip
    text = fleet_text(fleet, found, {"chat: scenario": digest_of(fleet.parts()["chat"])})
    assert read_fleet_file(resealed(tmp_path / "honest.json", text, lambda _: None))
    with pytest.raises(BadInput) as wrong:
        read_fleet_file(resealed(tmp_path / "fleet.json", text, FLEET_LIES[place]))
    assert any(place in problem for problem in wrong.value.problems)


@pytest.mark.parametrize("word", ["", "auto", "col\0located", "Splitwise", "splitwise "])
def test_a_policy_that_does_not_exist_is_refused(tmp_path: Path, word: str) -> None:
    """A plan, of one model or several, is served by a policy that there is; ``auto`` is none."""

    def edit(data: dict[str, Any]) -> None:
        data["plan"]["candidate"]["policy"] = word

    with pytest.raises(BadInput, match=r"plan\.candidate\.policy: found"):
        read_plan(resealed(tmp_path / "p.json", one(), edit), edited_too=True)


@pytest.mark.parametrize("law", [*CONTROLS, "sarathi"])
def test_a_row_is_controlled_by_a_law_that_there_is(tmp_path: Path, law: str) -> None:
    """The policy of a row is none of those that serve requests; a plan with a row is read back whichever it has."""
    rows, plan = asked().changed(["power.row_limit_w=180000"]), answer()
    machines = plan.candidate.totals.machines
    power = replace(study(), policy=law, plan_machines=machines, needed_rows=1, placed=({"a": machines},))
    path = tmp_path / "plan.json"
    path.write_text(plan_text(rows, replace(plan, power=power), plans.digests(rows)), encoding="utf-8")
    if law in CONTROLS:
        found = read_plan(path).plan.power
        assert found is not None
        assert found.policy == law
    else:
        with pytest.raises(BadInput, match=r"plan\.power\.policy: found"):
            read_plan(path)


def test_several_models_over_time_say_in_words_how_each_is_served() -> None:
    """A schedule of several models has no policy of its own; that of each model is one that there is."""
    words = "chat sarathi in bf16 weights, bf16 KV cache; small colocated in fp8 weights, bf16 KV cache"
    whole = {"policy": words, "variant": None, "tried": [{"policy": words, "variant": None}]}
    known, unknown = ({"models": [{"policy": name, "variant": {}}]} for name in ("sarathi", "Sarathi"))
    assert not list(impossible({"fleet_timetable": whole | known}))
    (fault,) = impossible({"fleet_timetable": whole | unknown})
    assert fault.startswith("fleet_timetable.models.0.policy: found 'Sarathi'")
