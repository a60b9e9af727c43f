"""Kernel profiles of one's own: measured here, then planned with, served, compared and calibrated."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import hw_catalog.profiler
from planner.cli import build
from planner.errors import ExitCode
from tests.hw_catalog.test_profiler import KNOTS, TINY

HEADER = "backend,model_path,system,precision,isl,osl,conc,tp_size,silicon_ttft_ms,silicon_tpot_ms"
FORMATS = (("bf16", 1), ("bf16", 4), ("fp8", 4))


def say(*words: object) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words])


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a model of one's own, its profile measured on the CPU in a GPU's name, and runs of it."""
    monkeypatch.setattr(hw_catalog.profiler, "QUICK_CPU", replace(KNOTS, point_s=0.0))
    config = tmp_path / "tiny/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(TINY))
    done = say("profile", "--model", "tiny", "--config", config, "--device", "cpu", "--quick", "--gpu", "h100-sxm",
               "--out", tmp_path / "cat")  # fmt: skip
    assert done.exit_code == ExitCode.VALIDATED, done.output
    rows = [
        f"mine,{config},h100-sxm,{dtype},16,8,{conc},1,5,1" for dtype, conc in (("bf16", 1), ("bf16", 4), ("fp8", 4))
    ]
    (tmp_path / "runs.csv").write_text("\n".join([HEADER, *rows]))
    return tmp_path


def test_measured_runs_are_compared_with_a_set_of_ones_own(mine: Path) -> None:
    """Once directory and profile set are named, an unknown engine is replayed on them; other formats are not."""
    alone = say("accuracy", "--data", mine / "runs.csv", "--json")
    assert alone.exit_code == ExitCode.BAD_INPUT
    assert "found no row that can be compared" in alone.stderr
    own = ("--directory", mine / "cat", "--profile-set", "measured")
    found = json.loads(say("accuracy", "--data", mine / "runs.csv", *own, "--json").stdout)
    assert {g["n"] for g in found["groups"]} == {2}
    assert [e["row"] for e in found["excluded"]] == ["runs.csv:4"]
    assert "no kernel profile of fp8" in found["excluded"][0]["reason"]


def test_a_set_of_ones_own_is_calibrated(mine: Path) -> None:
    """Calibration writes the entry of that set, and the next comparison reads it."""
    own = ("--directory", mine / "cat", "--profile-set", "measured")
    before = json.loads(say("accuracy", "--data", mine / "runs.csv", *own, "--json").stdout)
    done = say("calibrate", "--measurements", mine / "runs.csv", *own, "--out", mine / "cat")
    assert done.exit_code == ExitCode.VALIDATED, done.output
    assert "measured/h100-sxm/tiny" in (mine / "cat/engines.yaml").read_text()
    after = json.loads(say("accuracy", "--data", mine / "runs.csv", *own, "--json").stdout)
    assert after["groups"] != before["groups"]
    made = say("calibrate", "--measurements", mine / "runs.csv", *own, "--out", mine / "new" / "cat")
    assert made.exit_code == ExitCode.VALIDATED, made.output
    assert "measured/h100-sxm/tiny" in (mine / "new/cat/engines.yaml").read_text()
    said = say("calibrate", "--measurements", mine / "runs.csv", "--out", mine / "runs.csv")
    assert (said.exit_code, "is a file" in said.stderr) == (ExitCode.BAD_INPUT, True)


def test_a_set_of_ones_own_is_planned_with(mine: Path) -> None:
    """A scenario that names directory, model file and profile set resolves to layouts of the measured profile."""
    scenario = mine / "mine.yaml"
    scenario.write_text(
        f"schema_version: 1\nname: mine\nmodel: {{name: {mine / 'tiny/config.json'}, profile_set: measured}}\n"
        "workload: {trace: azure-conv-2023, prompt_scale: 0.01, output_scale: 0.01, rate_req_per_s: 1, duration_s: 5}\n"
        "slo: {ttft_p99_s: 5}\ncatalog: {machines: [dgx-h100], directory: cat}\n"
        "policy: {name: colocated, longer_context: true}\n"
    )
    done = say("check", scenario, "--sections", "all")
    assert "tp1" in done.output, done.output


def test_a_directory_is_checked_for_its_own_findings(tmp_path: Path) -> None:
    """What deserves a second look in the built-in files is counted, and does not bury what is said of one's own."""
    (tmp_path / "machines.yaml").write_text(
        "machines: {dgx-h100: {rack_units: 6, provenance: {rack_units: made-up}}}\n"
        "sources: {made-up: {kind: vendor, date: 2026-01-01, source: ours}}\n"
    )
    told = say("catalog", "check", "--directory", tmp_path).stdout
    assert "Yours: dgx-h100; nothing of it deserves a second look" in told
    assert "stale-price" not in told
    (tmp_path / "gpus.yaml").write_text(
        "gpus: {h200-sxm: {hbm_bytes_per_s: 1.0e+12, provenance: {hbm_bytes_per_s: made-up}}}\n"
        "sources: {made-up: {kind: vendor, date: 2026-01-01, source: ours}}\n"
    )
    found = json.loads(say("catalog", "check", "--directory", tmp_path, "--json").stdout)
    assert found["yours"][:1] == ["h200-sxm"]
    assert found["findings"][0]["subject"] == "h200-sxm.hbm_bytes_per_s"
