"""What a scenario makes of the trace file that it names."""

import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import BadInput
from planner.planning.plan import check
from planner.scenario import Scenario

QUESTION = {
    "schema_version": 1, "name": "trace", "model": {"name": "llama-3.1-8b", "dtype": "bf16"},
    "slo": {"ttft_p99_s": 2.0}, "catalog": {"machines": ["dgx-h100"], "tp": [1]}, "policy": {"name": "colocated"},
}  # fmt: skip


def asked(trace: Path, **workload: object) -> Scenario:
    return Scenario.model_validate({**QUESTION, "workload": {"trace": str(trace), **workload}})


def rows(path: Path, times: list[float], **more: object) -> Path:
    lines = [{"timestamp": t, "input_length": 512, "output_length": 64, **more} for t in times]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_check_tells_what_was_inferred_and_what_repeats(tmp_path: Path) -> None:
    """A unit that was inferred, rows that were sorted and prefixes that no cache serves are said before any plan."""
    times = np.round(np.random.default_rng(1).uniform(0, 20, 80), 3).tolist()
    report = check(asked(rows(tmp_path / "t.jsonl", times, hash_ids=[1, 2])))
    assert report.rate_req_per_s["all"] == pytest.approx(4, rel=0.1)
    for words in ("were sorted", "read as seconds", "99% of the prompt tokens"):
        assert any(words in warning for warning in report.warnings)


def test_a_replay_too_short_to_judge_is_refused(tmp_path: Path) -> None:
    """A tenth of a second of load says nothing of a steady state, whatever unit was stated."""
    times = np.linspace(0, 100, 400).tolist()
    with pytest.raises(BadInput, match="time_unit"):
        check(asked(rows(tmp_path / "t.jsonl", times), time_unit="ms"))


def test_rows_that_all_arrive_at_once_give_no_rate(tmp_path: Path) -> None:
    """Lengths without times are no 1,500 req/s: refused, unless the scenario states a process and a rate."""
    file = rows(tmp_path / "t.jsonl", [0.0] * 1500)
    for workload in ({}, {"rate_req_per_s": 3.0}, {"arrivals": {"process": "poisson"}}):
        with pytest.raises(BadInput, match="arrive at the same time"):
            check(asked(file, **workload))
    report = check(asked(file, rate_req_per_s=3.0, arrivals={"process": "poisson"}))
    assert report.rate_req_per_s["all"] == pytest.approx(3.0)
