"""Rules of DynamoLLM's reproduction: which hours are asked, what a control may turn, and the claims."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.reproduce.dynamollm_lab import SERVICES, day_hours, least_energy, open_lab, total_req_per_s
from planner.scenario import Scenario
from planner.schedules.knobs import on_fleet
from planner.schedules.question import Opened, one_epoch, opened, question_of
from workloads.load import DAY_HOURS, WEEK_HOURS, template

DAY = """
name: day
model: {name: llama-3.1-70b}
workload: {trace: azure-conv-2023, rate_req_per_s: 20, duration_s: 20}
slo: {ttft_p99_s: 2.0, tpot_p99_s: 0.2}
catalog: {machines: [dgx-h100], tp: [4, 8]}
policy: {name: sarathi, chunk_tokens: [1024]}
schedule: {load: [0.4, 1.0, 1.7, 0.6], clocks_mhz: [1200, 1980], objectives: [energy]}
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    path = Path(tmp_path_factory.mktemp("day")) / "day.yaml"
    path.write_text(DAY)
    return opened(Scenario.load(path, ()), "sarathi")


@pytest.mark.parametrize("service", SERVICES)
def test_the_hours_stand_for_the_week(service: str) -> None:
    """Eight hours, each of another hour of the day, on all seven days; peak and valley within 3 % of the week's."""
    hours, week = day_hours(service), template(service)
    assert [hour % DAY_HOURS for hour in hours] == list(range(0, DAY_HOURS, 3))
    assert {hour // DAY_HOURS for hour in hours} == set(range(WEEK_HOURS // DAY_HOURS))
    assert max(week[hours]) == pytest.approx(week.max(), rel=0.03)
    assert min(week[hours]) == pytest.approx(week.min(), rel=0.03)


def test_a_fleet_that_never_changes_turns_only_what_it_may(asked: Opened) -> None:
    """On the machines of the peak every hour is served whole; a wider choice of options costs no more energy."""
    top = tuple(o for o in asked.options if o.spec.clock_mhz == 1980 and o.spec.layout.tp == 8)
    narrow, wide = question_of(replace(asked, options=top)), question_of(asked)
    peak = least_energy(asked, one_epoch(narrow, int(np.argmax(total_req_per_s(asked)))))
    found = {name: on_fleet(asked, q, peak, peak.epochs[0].machines) for name, q in (("n", narrow), ("w", wide))}
    still, turned = found["n"], found["w"]
    assert still is not None
    assert turned is not None
    for schedule in (still, turned):
        assert {tuple(e.machines.items()) for e in schedule.epochs} == {tuple(peak.epochs[0].machines.items())}
        served = [sum(sum(run.rate_req_per_s.values()) for run in e.runs) for e in schedule.epochs]
        assert served == pytest.approx(total_req_per_s(asked).tolist())
    assert {run.spec.clock_mhz for e in still.epochs for run in e.runs} == {1980}
    assert turned.energy_j <= still.energy_j * (1 + asked.section.gap_frac)


def test_a_fleet_that_is_too_small_serves_nothing(asked: Opened) -> None:
    """Machines that an hour does not fit on give no schedule, rather than one that leaves requests out."""
    question = question_of(asked)
    assert on_fleet(asked, question, least_energy(asked, one_epoch(question, 0)), {"dgx-h100": 0}) is None


@pytest.mark.slow
def test_every_hour_of_the_answer_is_validated() -> None:
    """The schedule that the claims rest on is one that the engine served in every hour, every objective met."""
    lab = open_lab("conversation", lambda *_: None)
    assert lab.found.valid
    assert not lab.found.unserved
    assert lab.planned("DynamoLLM").energy_j < lab.planned("SinglePool").energy_j
    assert {tuple(e.machines.items()) for e in lab.planned("ScaleFreq").epochs} == {
        tuple(e.machines.items()) for e in lab.planned("MultiPool").epochs
    }


@pytest.mark.slow
def test_the_command_prints_every_claim() -> None:
    """``reproduce dynamollm --json`` gives 24 rows with a source each, and savings that fall as the load rises."""
    done = CliRunner().invoke(build(), ["reproduce", "dynamollm", "--json"])
    rows = json.loads(done.stdout)["claims"]
    assert done.exit_code == 0
    assert len(rows) == 24
    assert all(row["source"] for row in rows)
    assert next(row for row in rows if row["name"].startswith("savings fall"))["verdict"] == "reproduced"
