"""Result files of benchmark clients, made up in their shapes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from planner.accuracy.bench_files import SHAPES, Setup
from planner.accuracy.measured import Exclusion, MeasuredRun
from planner.accuracy.names import Known
from planner.accuracy.replay import _trace
from planner.accuracy.runs import read_runs
from planner.errors import BadInput
from workloads.models import known_models

NAME = "meta-llama/Llama-3.1-8B-Instruct"
SETUP = Setup(gpu="H100", tp=2, dtype="bf16", engine="vLLM")
VLLM = {
    "date": "20261121-000000", "backend": "vllm", "model_id": NAME, "num_prompts": 10, "request_rate": 4.0,
    "burstiness": 1.0, "max_concurrency": None, "completed": 10, "total_input_tokens": 5000,
    "total_output_tokens": 1000, "output_throughput": 390.0, "mean_ttft_ms": 25.0, "mean_tpot_ms": 8.0,
    "mean_e2el_ms": 817.0,
}  # fmt: skip


def stats(unit: str, avg: float) -> dict[str, Any]:
    return {"unit": unit, "avg": avg, "p99": 2 * avg}


AIPERF = {
    "schema_version": "1.3", "request_throughput": stats("requests/sec", 4.0), "request_count": stats("requests", 10),
    "input_sequence_length": stats("tokens", 500), "output_sequence_length": stats("tokens", 100),
    "time_to_first_token": stats("ms", 25.0), "inter_token_latency": stats("ms", 8.0),
    "request_latency": stats("ms", 817.0), "output_token_throughput": stats("tokens/sec", 390.0),
    "input_config": {
        "models": {"items": [{"name": NAME}]},
        "phases": [{"name": "warmup", "concurrency": 1}, {"name": "profiling", "request_rate": 4.0}],
    },
}  # fmt: skip
STAGE = {
    "load_summary": {"count": 10, "requested_rate": 4.0, "achieved_rate": 3.9},
    "successes": {
        "count": 10, "prompt_tokens": {"total": 5000.0}, "output_len": {"mean": 100.0},
        "latency": {"request_latency": {"mean": 0.817}, "time_to_first_token": {"mean": 0.025},
                    "time_per_output_token": {"mean": 0.008}},
        "throughput": {"output_tokens_per_sec": 390.0},
    },
    "failures": {"count": 0},
}  # fmt: skip


def good(mean: float) -> dict[str, Any]:
    return {"successful": {"mean": mean}}


def guide(strategy: dict[str, Any]) -> dict[str, Any]:
    metrics = {
        "prompt_token_count": good(500), "output_token_count": good(100), "time_to_first_token_ms": good(25.0),
        "inter_token_latency_ms": good(8.0), "time_per_output_token_ms": good(8.2), "request_latency": good(0.817),
        "output_tokens_per_second": good(390.0), "request_totals": {"successful": 10, "errored": 0},
    }  # fmt: skip
    return {"config": {"strategy": strategy, "backend": {"model": NAME}}, "metrics": metrics}


GUIDELLM = {"metadata": {"version": 2}, "benchmarks": [guide({"type_": "poisson", "rate": 4.0})]}


def read(directory: Path, document: object, setup: Setup = SETUP) -> tuple[list[MeasuredRun], list[Exclusion]]:
    file = directory / "mine.json"
    file.write_text(json.dumps(document))
    return read_runs(file, Known(models=known_models()), setup)


@pytest.mark.parametrize("document", [VLLM, AIPERF, STAGE, GUIDELLM], ids=["vllm", "aiperf", "inference-perf", "guide"])
def test_four_clients_say_the_same(tmp_path: Path, document: dict[str, Any]) -> None:
    """One and the same run reads the same from the files of all clients."""
    (run,), excluded = read(tmp_path, document, Setup(gpu="H100", tp=2, dtype="bf16", engine="vLLM", model=NAME))
    assert excluded == []
    assert (run.model, run.gpu, run.engine, run.gpus) == ("llama-3.1-8b", "h100-sxm", "vllm", 2)
    assert (run.prompt_tokens, run.output_tokens, run.requests) == (500, 100, 10)
    assert (run.rate_req_per_s, run.clients) == (4.0, None)
    assert run.poisson == (document is not STAGE)
    assert run.figures == pytest.approx(
        {"ttft_mean_s": 0.025, "tpot_mean_s": 0.008, "e2e_mean_s": 0.817, "output_tokens_per_s_per_gpu": 195.0}
    )


@pytest.mark.parametrize(
    "document",
    [
        {**VLLM, "request_rate": "inf", "max_concurrency": 16},
        {**AIPERF, "input_config": {"endpoint": {"model_names": [NAME]}, "loadgen": {"concurrency": 16}}},
        {**AIPERF, "input_config": {"model_names": [NAME], "perf_analyzer": {"stimulus": {"concurrency": [16]}}}},
        {"benchmarks": [guide({"type_": "concurrent", "streams": 16, "max_concurrency": 16})]},
    ],
    ids=["vllm", "aiperf", "genai-perf", "guidellm"],
)
def test_closed_loops_have_clients(tmp_path: Path, document: dict[str, Any]) -> None:
    """A number of requests in flight is a closed loop, wherever the client writes it."""
    (run,), _ = read(tmp_path, document)
    assert (run.clients, run.rate_req_per_s, run.kind) == (16, None, "closed loop")


@pytest.mark.parametrize(
    ("document", "setup", "says"),
    [
        (VLLM, Setup(gpu="H100"), "--tp, --dtype, --engine"),
        (VLLM, Setup(gpu="H100 PCIe", tp=1, dtype="bf16", engine="vllm"), "GPU 'H100 PCIe' is unknown"),
        ({**VLLM, "model_id": "acme/none"}, SETUP, "model 'acme/none' is unknown"),
        ({**VLLM, "request_rate": "inf"}, SETUP, "all at once"),
        ({**VLLM, "max_concurrency": 8}, SETUP, "held back"),
        ({**VLLM, "completed": 0}, SETUP, "how long"),
        ({**VLLM, "completed": 0.01}, SETUP, "found 0.01 requests; expected a whole number >= 1"),
        ({**VLLM, "request_rate": "inf", "max_concurrency": 2.5}, SETUP, "found 2.5 requests in flight"),
        ({**VLLM, "mean_ttft_ms": 0.0, "mean_tpot_ms": 0.0}, SETUP, "streamed"),
        ({**STAGE, "load_summary": {"count": 10}}, SETUP, "stage_N"),
        ({"benchmarks": [guide({"type_": "throughput"})]}, SETUP, "throughput"),
        ({"hello": 1}, SETUP, "mean_ttft_ms, model_id, request_rate"),
        ([1, 2], SETUP, "no known result file"),
    ],
)  # fmt: skip
def test_what_cannot_be_replayed_is_left_out_with_the_reason(
    tmp_path: Path, document: object, setup: Setup, says: str
) -> None:
    """A run that lacks something, or a file of another shape, is never guessed at."""
    runs, (excluded,) = read(tmp_path, document, setup)
    assert runs == []
    assert says in excluded.reason


def test_any_hole_in_a_file_is_an_answer(tmp_path: Path) -> None:
    """Files with any one key emptied, or beyond all that is measured, are read or left out, never a failure."""
    for document in (VLLM, AIPERF, STAGE, GUIDELLM):
        for key in document:
            for hole in (None, [], {}, "x", -1, 1e308, 1e-308, 10**400):
                runs, excluded = read(tmp_path, {**document, key: hole})
                assert len(runs) + len(excluded) in (0, 1)


@pytest.mark.parametrize(
    ("key", "value"), [("mean_tpot_ms", 1e-308), ("mean_ttft_ms", 1e308), ("output_throughput", 10**400)]
)
def test_no_figure_is_beyond_what_is_measured(tmp_path: Path, key: str, value: float) -> None:
    """Errors are shares of the measured value: one near zero made them no number, which JSON cannot hold."""
    (run,), _ = read(tmp_path, {**VLLM, key: value})
    assert len(run.figures) == 3
    assert all(1e-12 <= figure <= 1e15 for figure in run.figures.values())
    (excluded,) = read(tmp_path, {**VLLM, "total_input_tokens": 1e14})[1]
    assert "expected at most 1,073,741,824" in excluded.reason


def test_shapes_tell_files_apart() -> None:
    """No file of one client has the telling keys of another."""
    for document in (VLLM, AIPERF, STAGE, GUIDELLM):
        assert sum(tells <= document.keys() for tells, _ in SHAPES) == 1


def test_broken_and_missing_files(tmp_path: Path) -> None:
    """A file that is no JSON is left out with the reason; one that is not there is bad input."""
    (tmp_path / "mine.json").write_text("{")
    _, (excluded,) = read_runs(tmp_path, Known(models=known_models()), SETUP)
    assert "JSON" in excluded.reason
    with pytest.raises(BadInput, match="no such table or result file"):
        read_runs(tmp_path / "none.json", Known(models=known_models()), SETUP)


def test_poisson_runs_are_replayed_at_random(tmp_path: Path) -> None:
    """Random arrivals keep the rate within their noise and spread like a Poisson process; others are even."""
    (run,), _ = read(tmp_path, {**VLLM, "completed": 2000, "total_input_tokens": 10**6, "total_output_tokens": 10**5})
    pools: Any = [SimpleNamespace(physics=SimpleNamespace(block_tokens=16))]
    gaps = np.diff(_trace(run, pools).arrival_s)
    assert gaps.mean() == pytest.approx(0.25, rel=0.1)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)
    assert np.diff(_trace(replace(run, poisson=False), pools).arrival_s) == pytest.approx(0.25)
