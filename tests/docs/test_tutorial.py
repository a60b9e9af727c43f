"""The tutorial's steps on the public trace that it names, where that file is at hand."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.errors import ExitCode
from tests.docs.examples import ROOT

TRACE = ROOT.parent / "shared" / "data" / "traces" / "azure_2023_conv.csv"


def run(*words: object) -> Result:
    return CliRunner().invoke(build(), [str(word) for word in words])


@pytest.mark.slow
@pytest.mark.skipif(not TRACE.exists(), reason=f"{TRACE} is not there: the tutorial is NOT tried on a public trace")
def test_a_public_trace_becomes_a_purchase_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the hour of 19,366 conversations to a scenario, a plan, a check at twice the load, and a list to order."""
    monkeypatch.chdir(tmp_path)
    made = run("new", "--from", TRACE, "--out", "log.yaml")
    assert made.exit_code == 0, made.stderr
    text = Path("log.yaml").read_text(encoding="utf-8")
    assert "19,366 requests" in text
    assert Path(yaml.safe_load(text)["workload"]["trace"]).resolve() == TRACE.resolve()
    changes = ("--set", "model.name=llama-3.1-8b", "--set", "catalog.machines=[dgx-h100, dgx-a100]")
    planned = run("plan", "log.yaml", *changes, "--quiet", "--out", "plan.json", "--report", "plan.html")
    assert planned.exit_code == ExitCode.VALIDATED, planned.output
    assert planned.stdout.startswith("VALIDATED: ")
    again = run("simulate", "plan.json", "--quiet", "--set", "workload.rate_scale=40")
    assert again.exit_code == ExitCode.NOT_VALIDATED
    assert "NOT MET" in again.stdout
    order = run("export", "plan.json", "--format", "csv")
    assert order.exit_code == 0
    assert len(order.stdout.splitlines()) >= 2
    assert (tmp_path / "plan.html").read_text(encoding="utf-8").startswith("<!doctype html>")
