import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hw_catalog.engines import PROFILE_SETS, EngineTiming, load_engines
from hw_catalog.load import load_catalog
from hw_catalog.provenance import Kind, Provenance
from planner.accuracy.measured import Exclusion, MeasuredRun
from planner.accuracy.names import Known, dtype_id, gpu_id, model_id
from planner.accuracy.replay import Unmatched, predicted
from planner.accuracy.runs import read_runs
from planner.accuracy.table import accuracy
from planner.errors import BadInput
from planner.perf.layout import Role
from tests.planner.measured_rows import APART, AT_ONCE, CLOSED_LOOP, OPEN_LOOP
from workloads.models import known_models

CATALOG = load_catalog(None)
KNOWN = Known(models=known_models(), gpus=CATALOG.gpus)
NONE = Provenance(kind=Kind.ASSUMED, source="a test", date="2026-01-01")


def table(directory: Path, *rows: Mapping[str, str], name: str = "runs.csv") -> Path:
    path = directory / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(directory: Path, *rows: Mapping[str, str]) -> tuple[list[MeasuredRun], list[Exclusion]]:
    return read_runs(table(directory, *rows), KNOWN)


def only(directory: Path, row: Mapping[str, str]) -> MeasuredRun:
    runs, excluded = read(directory, row)
    assert not excluded
    return runs[0]


def reason(directory: Path, row: Mapping[str, str]) -> str:
    runs, excluded = read(directory, row)
    assert not runs
    return excluded[0].reason


def silent(_words: str, _done_frac: float) -> None:
    """Nobody watches."""


def test_names_lose_what_says_nothing_of_the_architecture() -> None:
    """Organisation, tuning and number format do not tell models apart; a model without profiles is unknown."""
    known = Known(models=known_models())
    assert model_id("mistralai/Mistral-Nemo-Instruct-2407", known) == "mistral-nemo"
    assert model_id("Qwen/Qwen3-235B-A22B-FP8", known) == "qwen3-235b-a22b"
    assert model_id("LLaMA v3.1 70B", known) == "llama-3.1-70b"
    assert model_id("deepseek-ai/DeepSeek-R1-0528", known) == "deepseek-v3"
    assert model_id("someone/Llama-9-1T", known) is None


def test_a_pcie_card_is_not_its_sxm_sister() -> None:
    """A GPU counts as known only where the table's name means the catalog's board."""
    assert gpu_id("A100-PCIE-80GB", KNOWN) is None
    assert gpu_id("A100-SXM4-80GB", KNOWN) == gpu_id("A100-80GB", KNOWN) == "a100-sxm"
    assert gpu_id("H200 141GB", KNOWN) == "h200-sxm"
    assert gpu_id("MI300X", KNOWN) is None
    assert dtype_id("FP16") == "bf16"
    assert dtype_id("int3") is None


def test_an_open_loop_row_is_read_whole(tmp_path: Path) -> None:
    """Rate, lengths, shared prompts and step limit of a row all reach the run."""
    run = only(tmp_path, OPEN_LOOP)
    assert (run.rate_req_per_s, run.clients, run.requests, run.step_tokens) == (4.0, None, 400, 2048)
    assert (run.shared_tokens, run.distinct_prompts, run.kind) == (100, 90, "open loop")
    assert run.figures == {"ttft_mean_s": 0.026, "tpot_mean_s": 0.0078, "e2e_mean_s": 0.5}


def test_a_later_stage_finds_its_prompts_in_the_cache(tmp_path: Path) -> None:
    """Requests of an open loop come at random; only in the first stage of an experiment are prompts new, and dearer."""
    first, later = (only(tmp_path, {**OPEN_LOOP, "stage_index": stage}) for stage in ("0", "1"))
    assert first == only(tmp_path, OPEN_LOOP)
    assert (first.poisson, first.distinct_prompts, later.distinct_prompts) == (True, 90, 0)
    cold, warm, mild = (
        predicted(run, CATALOG, load_engines())["ttft_p99_s"] for run in (first, later, replace(first, cold_ratio=1.0))
    )
    assert cold > mild > warm


def test_trtllm_admits_whom_it_need_not_evict(tmp_path: Path) -> None:
    """TensorRT-LLM sets aside memory of whole answers, so that requests wait for it where others would be thrown out.

    Llama-3.1-70B in fp8 on one H200, 1,024 tokens in, 8,192 out, 64 clients: measured 79.5 s to the first token and
    30.5 ms between tokens (InferenceX); with memory taken block by block it would be 1 s.
    """
    row = {
        **CLOSED_LOOP, "backend": "trtllm", "backend_version": "", "system": "h200_sxm", "isl": "1024", "osl": "8192",
        "conc": "64", "tp_size": "1",
    }  # fmt: skip
    run = only(tmp_path, row)
    ours = predicted(run, CATALOG, load_engines())
    assert ours["ttft_mean_s"] == pytest.approx(79.5, rel=0.1)
    assert ours["tpot_mean_s"] == pytest.approx(0.0305, rel=0.1)


def test_percentiles_are_of_the_whole_run(tmp_path: Path) -> None:
    """Where a row has percentiles they are compared; ours hold the first requests, whose prompts no cache knows."""
    run = only(tmp_path, {**OPEN_LOOP, "ttft_p90_ms": "30", "ttft_p99_ms": "40", "e2e_p99_ms": "600"})
    assert run.figures.items() >= {"ttft_p90_s": 0.03, "ttft_p99_s": 0.04, "e2e_p99_s": 0.6}.items()
    ours = predicted(run, CATALOG, load_engines())
    assert ours["ttft_mean_s"] < ours["ttft_p90_s"] <= ours["ttft_p99_s"]  # 45 of 400 prompts are new
    assert ours["e2e_p90_s"] <= ours["e2e_p99_s"]


def test_a_closed_loop_keeps_littles_law(tmp_path: Path) -> None:
    """Measured throughput of a closed loop is clients times answer over the time a request takes."""
    run = only(tmp_path, CLOSED_LOOP)
    tokens = 0.9 * 32  # drawn between 80 and 100 %
    e2e_s = 0.060 + (tokens - 1) * 0.011
    assert run.figures["e2e_mean_s"] == pytest.approx(e2e_s)
    assert run.figures["output_tokens_per_s_per_gpu"] == pytest.approx(4 * tokens / e2e_s / 8)


def test_disaggregated_rows_keep_their_workers(tmp_path: Path) -> None:
    """Prefill and decode workers are counted apart, and all their GPUs."""
    run = only(tmp_path, APART)
    assert [(w.role, w.workers, w.tp) for w in run.fleet] == [(Role.PREFILL, 2, 2), (Role.DECODE, 1, 4)]
    assert (run.gpus, run.kind) == (8, "disaggregated")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({**OPEN_LOOP, "model": "a/B"}, "model a/B has no kernel profile"),
        ({**OPEN_LOOP, "hardware": "TPU"}, "GPU TPU is not in the catalog"),
        ({**OPEN_LOOP, "dp": "2"}, "data parallelism inside one engine is not modelled"),
        ({**OPEN_LOOP, "rate_rps": "fast"}, "rate_rps: found 'fast', expected a number"),
        ({**OPEN_LOOP, "rate_rps": "0"}, "rate_rps '0' over duration_s '100': expected both above 0"),
        ({**OPEN_LOOP, "system_prompt_len": "548"}, "system_prompt_len is above isl_cfg"),
        ({**CLOSED_LOOP, "precision": "int3"}, "number format 'int3' is unknown"),
        ({**CLOSED_LOOP, "attention_dp_size": "4"}, "attention data parallelism has no kernel profile"),
        ({**CLOSED_LOOP, "conc": ""}, "the row does not say how many requests were in flight"),
        (
            {**APART, "prefill_num_workers": ""},
            "the row does not say how many prefill and decode workers there were",
        ),
        ({"engine": "vLLM", "model": "x"}, "no known table: for open-loop runs these columns are missing:"),
    ],
)
def test_rows_that_cannot_be_replayed_say_why(tmp_path: Path, row: dict[str, str], expected: str) -> None:
    """No row is guessed at and none vanishes: each is excluded with what is wrong with it."""
    assert reason(tmp_path, row).startswith(expected)


def test_a_missing_table_is_bad_input(tmp_path: Path) -> None:
    """A path without tables is named, not taken for an empty one."""
    with pytest.raises(BadInput, match="no such table"):
        read_runs(tmp_path / "nothing.csv", KNOWN)
    with pytest.raises(BadInput, match="no such table"):
        read_runs(tmp_path, KNOWN)


@pytest.mark.parametrize("row", [OPEN_LOOP, CLOSED_LOOP, APART, AT_ONCE])
def test_every_way_of_running_is_replayed(tmp_path: Path, row: dict[str, str]) -> None:
    """A row of each kind of table is served to the end, and what it measured is predicted."""
    run = only(tmp_path, row)
    ours = predicted(run, CATALOG, load_engines())
    assert all(ours[metric] > 0 for metric in run.figures)
    assert ours["ttft_mean_s"] < ours["e2e_mean_s"]


def test_prompts_seen_before_are_not_computed_again(tmp_path: Path) -> None:
    """Where the same prompts come again the first token comes sooner than where every prompt is new."""
    again, new = only(tmp_path, OPEN_LOOP), only(tmp_path, {**OPEN_LOOP, "users_per_sys_prompt": "1000"})
    engines = load_engines()
    assert predicted(again, CATALOG, engines)["ttft_mean_s"] < predicted(new, CATALOG, engines)["ttft_mean_s"]


def test_a_layout_without_profile_is_unmatched(tmp_path: Path) -> None:
    """A run on a layout nobody measured is refused with its name."""
    run = only(tmp_path, {**CLOSED_LOOP, "tp_size": "3"})
    with pytest.raises(Unmatched, match=r"no kernel profile of fp8 llama-3\.1-70b"):
        predicted(run, CATALOG, {})


def test_host_time_reaches_every_answer(tmp_path: Path) -> None:
    """Time per request delays the first token by itself; time per step delays every token."""
    run = only(tmp_path, OPEN_LOOP)
    name = PROFILE_SETS["vllm"]
    base = predicted(run, CATALOG, {})
    late = predicted(run, CATALOG, {name: EngineTiming(request_s=0.01, provenance=NONE)})
    slow = predicted(run, CATALOG, {name: EngineTiming(step_s=0.001, provenance=NONE)})
    assert late["ttft_mean_s"] == pytest.approx(base["ttft_mean_s"] + 0.01)
    assert late["e2e_mean_s"] == pytest.approx(base["e2e_mean_s"] + 0.01)
    assert late["tpot_mean_s"] == pytest.approx(base["tpot_mean_s"])
    assert slow["tpot_mean_s"] >= base["tpot_mean_s"] + 0.001


def test_every_row_is_compared_or_excluded(tmp_path: Path) -> None:
    """The rows behind the errors and the rows left out together are the rows of the table."""
    path = table(tmp_path, CLOSED_LOOP, {**CLOSED_LOOP, "conc": "2"}, {**CLOSED_LOOP, "system": "TPU"})
    found = accuracy(path, progress=silent)
    assert {(g.metric, g.n) for g in found.groups if g.metric == "tpot_mean_s"} == {("tpot_mean_s", 2)}
    assert [e.row for e in found.excluded] == ["runs.csv:4"]
