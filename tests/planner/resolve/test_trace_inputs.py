"""What a scenario makes of the trace file that it names."""

import json
from pathlib import Path

import numpy as np
import pytest

from planner.errors import BadInput
from planner.planning.plan import check
from planner.scenario import Scenario
from planner.scenario.sections import ValidationSection
from workloads.errors import WorkloadError

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
    for words in ("were sorted", "read as seconds", "99 % of the prompt tokens"):
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


SLIPS = {
    "rate": {"rate_req_per_s": 1e9}, "scale": {"rate_scale": 1e9}, "window": {"rate_req_per_s": 5.0, "duration_s": 1e9},
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
@pytest.mark.parametrize("source", ["built-in", "trace file"])
def test_more_requests_than_can_be_drawn_are_refused(slip: dict[str, float], source: str, tmp_path: Path) -> None:
    """A slip of nine zeros is bad input that names the keys, and no bug of phasewise that fills the memory."""
    if source == "built-in":
        question = asked(Path("azure-conv-2023"), **slip)
    else:
        replay = {} if "duration_s" not in slip else {"arrivals": {"process": "poisson"}}
        question = asked(rows(tmp_path / "t.jsonl", np.linspace(0, 1e5, 500).tolist()), time_unit="s", **slip, **replay)
    with pytest.raises(WorkloadError, match=r"requests in one trace.*rate_req_per_s, rate_scale or duration_s"):
        check(question)


def test_few_requests_of_a_high_rate_are_drawn() -> None:
    """It is the requests of a seed that are bounded, not the rate."""
    question = asked(Path("azure-conv-2023"), rate_req_per_s=1e6)
    report = check(question.model_copy(update={"validation": ValidationSection(requests=1000)}))
    assert report.rate_req_per_s["all"] == pytest.approx(1e6)
