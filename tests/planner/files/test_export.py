"""Rules of plan.json."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.files.plan_file import dumps, no_plan_text, plain, plan_text, read_plan, schemas, write_plan
from planner.results.evidence import ValidatedPlan
from tests.planner import plans
from tests.planner.goldens import GOLDEN, same_as_golden
from tests.planner.planning.test_oversubscribe import study

TEXT = plan_text(plans.scenario(), plans.plan(), plans.DIGESTS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "plan.json"


def problems(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read_plan(path)
    return str(caught.value)


def edited(path: Path, keys: str, value: object) -> Path:
    """The plan file with one value changed by hand."""
    data = json.loads(TEXT)
    spot: Any = data
    *outer, last = (int(key) if key.isdigit() else key for key in keys.split("."))
    for key in outer:
        spot = spot[key]
    spot[last] = value
    path.write_text(json.dumps(data))
    return path


def undigested(text: str) -> str:
    """The text without the digest of its scenario, which is in it."""
    return text.replace(plans.DIGESTS["scenario"], "ab" * 32)


def test_plan_file_is_golden() -> None:
    """The same plan is the same bytes, release after release."""
    data = json.loads(undigested(TEXT))
    digests = data.pop("content_sha256"), *data["evidence_sha256"].values()  # of the rest: they would say nothing more
    data["evidence_sha256"] = dict.fromkeys(data["evidence_sha256"], "0" * 16)
    assert [len(each) for each in digests] == [64, *[16] * len(data["evidence_sha256"])]
    same_as_golden(dumps(data), GOLDEN / "plan.json")


def test_no_plan_is_golden() -> None:
    """So is the answer that there is none."""
    text = no_plan_text(plans.scenario(), plans.no_plan(), plans.DIGESTS)
    same_as_golden(undigested(text), GOLDEN / "no-plan.json")


def test_a_gain_is_no_negative_loss(path: Path) -> None:
    """A row whose control finishes a request more reads back: of all shares, losses alone may lie below zero."""
    trial = replace(study().trials[0], throughput_loss_frac={"low": 0.0, "high": -6e-7})
    asked = plans.scenario().changed([f"power.row_limit_w={study().row_limit_w}"])
    row = replace(study(), trials=(trial,), plan_machines=3, placed=({"prefill": 1, "decode": 2},))
    write_plan(path, asked, replace(plans.plan(), power=row), plans.digests(asked))
    read = read_plan(path).plan.power
    assert read
    assert read.trials[0].throughput_loss_frac["high"] == -6e-7


@pytest.mark.parametrize("what", ["plan", "scenario"])
def test_schema_is_a_schema(what: str) -> None:
    """The published schemas are JSON Schemas, and what is written agrees with them."""
    schema = schemas()[what]
    jsonschema.validators.validator_for(schema).check_schema(schema)
    data = json.loads(TEXT)
    jsonschema.validate(data if what == "plan" else data["scenario"], schema)


def test_file_is_read_as_written(path: Path) -> None:
    """A plan that is written, read and written again is the same bytes, and holds the same scenario."""
    write_plan(path, plans.scenario(), plans.plan(), plans.DIGESTS)
    file = read_plan(path)
    assert file.scenario == plans.scenario()
    assert plan_text(file.scenario, file.plan, file.digests) == path.read_text()


@settings(max_examples=30)  # writes and reads a whole plan each time
@given(st.floats(1e-6, 1e9), st.floats(0, 1), st.floats(1e-9, 0.06), st.integers(7213, 10**9))
def test_numbers_survive(path: Path, cost: float, load: float, tbt_s: float, requests: int) -> None:
    """Every number of a plan comes back to nine digits, whatever it is."""
    plan = plans.plan()
    pools = tuple(replace(pool, load_frac=load) for pool in plan.candidate.pools)
    totals = replace(plan.candidate.totals, cost_usd_per_h=cost)
    judged = plans.judgement(tbt_s)
    described = judged.latency_s | dict.fromkeys(("tbt_p50_s", "tbt_p90_s"), tbt_s)
    made = replace(
        plan,
        candidate=replace(plan.candidate, pools=pools, totals=totals),
        objective_value=cost,
        certificate=replace(plan.certificate, bound=cost, gap_frac=0.0),
        judgement=replace(judged, arrived=requests, finished=requests, latency_s=described),
    )
    write_plan(path, plans.scenario(), made, plans.DIGESTS)
    read = read_plan(path).plan
    assert close(plain(read), plain(made))
    assert read.judgement.arrived == requests
    assert read.candidate.pools[0].spec == plans.DECODE


def close(a: object, b: object) -> bool:
    """Equal, floats to nine digits."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == pytest.approx(b, rel=1e-8) if isinstance(a, float) else a == b


def test_infinity_is_null(path: Path) -> None:
    """A percentile among requests that never finished is null in the file and infinite again when read."""
    plan = replace(plans.plan(), rounds=plans.plan().rounds[:1])
    write_plan(path, plans.scenario(), plan, plans.DIGESTS)
    assert "Infinity" not in path.read_text()
    assert read_plan(path).plan.rounds[0].judgement.evidence[2].measured == float("inf")


@given(st.integers(0, len(TEXT) - 3))
def test_cut_off_file_is_bad_input(path: Path, length: int) -> None:
    """A file cut off anywhere is refused with its name."""
    path.write_text(TEXT[:length])
    assert str(path) in problems(path)


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ("schema_version", 2, "schema_version: found 2; expected 1"),
        ("validated", False, "validated: found False; expected true"),
        ("extra", 1, "extra: unknown key"),
        ("plan.candidate.pols", [], "plan.candidate.pols: unknown key; did you mean 'pools'?"),
        ("plan.candidate.pools.0.machines", "two", "plan.candidate.pools.0.machines: found 'two'; expected"),
        ("plan.candidate.pools.0.spec.role", "decod", "found 'decod'; did you mean 'decode'?"),
        ("plan.candidate.totals.machines", 2, "totals.machines: found 2; expected 3, the sum over the pools"),
        ("plan.candidate.totals.gpus", 8, "totals.gpus: found 8; expected at least 24"),
        ("plan.candidate.totals.cost_usd_per_h", 1, "plan.objective_value: found 106; expected 1"),
        ("plan.objective", "power", "plan.objective: found power; expected the scenario's cost"),
        ("scenario.budgets.machines", 2, "totals.machines: found 3; expected at most the budget of 2"),
        ("scenario.slo.ttft_p99_s", 0.5, "expected one entry per objective of the scenario"),
        ("plan.judgement.evidence.0.unit", "slowdown", "unit 'slowdown'; expected 's', as ttft_p99_s ends"),
        ("plan.judgement.evidence.0.slo", "ttft_p99_q", "slo 'ttft_p99_q'; expected a name such as ttft_p99_s"),
        ("plan.judgement.evidence.0.slo", {"metric": "ttft"}, "expected a name such as ttft_p99_s"),
        ("plan.judgement.evidence.0.limit", "one", "limit: found 'one'; expected"),
        ("plan.judgement.evidence.0.high", 1.5, "ttft_p99_s: met, though 1.5 > 1"),
        ("plan.judgement.evidence.0.verdict", "missed", "found an objective that is not met"),
        ("plan.judgement.unfinished", 1, "unfinished requests"),
        ("scenario.nam", 1, "scenario.nam: unknown key; did you mean 'name'?"),
    ],
)
def test_hand_edited_file_is_caught(path: Path, keys: str, value: object, words: str) -> None:
    """A file of another version, with keys nobody knows, or that contradicts itself, is refused with the reason."""
    assert words in problems(edited(path, keys, value))


@pytest.mark.parametrize("text", ["[]", "3", '"plan"', "null"])
def test_other_json_is_refused(path: Path, text: str) -> None:
    """JSON that is no plan is bad input."""
    path.write_text(text)
    assert "expected a plan.json" in problems(path)


def test_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be put in place, the old one stays and no part of a new one remains."""
    path = tmp_path / "plan.json"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BadInput, match="No space left on device; nothing was written"):
        write_plan(path, plans.scenario(), plans.plan(), plans.DIGESTS)
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]
    assert path.read_text() == "old"


def test_scenario_is_kept_to_the_digit() -> None:
    """What the user wrote is not rounded, so that the plan can be made again."""
    exact = plans.scenario().changed(["workload.rate_scale=1.00000000000001"])
    assert json.loads(plan_text(exact, plans.plan(), {}))["scenario"]["workload"]["rate_scale"] == 1.00000000000001


def test_nan_is_a_bug() -> None:
    """A number that is none is never written down as if it were unlimited."""
    plan: ValidatedPlan = replace(plans.plan(), objective_value=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(plan)
