"""Rows of tables that say what served: workers, layouts with attention ranks, engine limits, draft length."""

from dataclasses import replace

from planner.accuracy.cells import Row, dtype_of, gpu_of, metrics, model_of, number, optional, whole
from planner.accuracy.measured import MOST_CLIENTS, ROUNDS, MeasuredRun, Skip, Workers
from planner.accuracy.names import Known
from planner.accuracy.served import STEP_TOKENS
from planner.perf.layout import Role
from planner.policies.batching import ChunkForm
from workloads.models import load_model

FIGURES = {"ttft_mean_s": "ttft_mean_ms", "tpot_mean_s": "tpot_mean_ms"}
_SHARED = {"engine", "engine_version", "model", "system", "precision", "isl", "osl", "concurrency", "kv_dtype",
           "mtp_draft_tokens", *FIGURES.values()}  # fmt: skip
_SIDE = ("workers", "gpus_per_worker", "dp", "ep", "max_batch", "max_tokens")
DISAGGREGATED = frozenset(_SHARED | {f"{side}_{what}" for side in ("prefill", "decode") for what in _SIDE})
"""Columns of disaggregated runs; others may stand beside them."""
AGGREGATED = frozenset(_SHARED | {"gpus", "tp", "attention_dp", "ep", "max_batch", "max_tokens"})
"""Columns of runs of one instance."""
SHORTEST_FRAC = 0.8
"""Lengths are drawn evenly from this share of the nominal ones on. Source: InferenceX, random-range-ratio."""
UNSAID_TOKENS = 16384
"""Prompt tokens of a step where a table does not say. Assumed: the budget that most of its rows state."""


def disaggregated(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """Prefill and decode workers apart, as many requests in flight as there are clients.

    Raises:
        Skip: a cell cannot be read, or the row cannot be replayed.
    """
    engine = row["engine"].lower()
    fleet = (_side(row, Role.PREFILL, engine), _side(row, Role.DECODE, engine))
    return _with_speed(replace(_run(row, place, dataset, known, fleet), answered_by=Role.DECODE))


def aggregated(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """One instance, as many requests in flight as there are clients.

    Raises:
        Skip: a cell cannot be read, or the row cannot be replayed.
    """
    dp = optional(row, "attention_dp")
    tp, gpus = whole(row, "tp"), whole(row, "gpus")
    if tp * dp != gpus:
        raise Skip(f"gpus: found {gpus}, expected tp {tp} times attention_dp {dp}")
    batch = _given(row, "max_batch")
    by_rank = dp if row["engine"].lower() != "sglang" else 1
    workers = Workers(
        role=Role.MIXED, workers=1, tp=tp, ep=_ep(row, "ep", gpus), dp=dp, max_batch_size=batch and batch * by_rank
    )
    run = _run(row, place, dataset, known, (workers,))
    tokens = _given(row, "max_tokens") or STEP_TOKENS
    whole_prompts = run.engine == "trtllm"
    form = {"trtllm": None, "sglang": ChunkForm.PREFILL_FIRST}.get(run.engine, ChunkForm.STALL_FREE)
    return _with_speed(replace(run, step_tokens=tokens, form=None if whole_prompts else form))


def _run(row: Row, place: str, dataset: str, known: Known, fleet: tuple[Workers, ...]) -> MeasuredRun:
    """What both kinds share."""
    if not row["concurrency"]:
        raise Skip("the row does not say how many requests were in flight")
    clients = whole(row, "concurrency")
    if clients > MOST_CLIENTS:
        raise Skip(f"concurrency: found {clients}, expected {MOST_CLIENTS} or fewer")
    model, engine, dtype = model_of(row["model"], known), row["engine"].lower(), dtype_of(row["precision"])
    return MeasuredRun(
        row=place, dataset=dataset, engine=engine, engine_version=row["engine_version"], model=model,
        gpu=gpu_of(row["system"], known), dtype="fp4" if model.startswith("gpt-oss") else dtype,
        kv_dtype=_kv_dtype(row["kv_dtype"], engine, model, dtype), fleet=fleet,
        prompt_tokens=whole(row, "isl"), shared_tokens=0, distinct_prompts=None, output_tokens=whole(row, "osl"),
        shortest_frac=SHORTEST_FRAC, rate_req_per_s=None, clients=clients, requests=ROUNDS * clients, warm=False,
        step_tokens=max(w.max_batch_tokens or UNSAID_TOKENS for w in fleet), form=None,
        draft_tokens=int(number(row, "mtp_draft_tokens")) if row["mtp_draft_tokens"] else 0,
        figures=metrics(row, FIGURES), layouts_said=True,
    )  # fmt: skip


def _kv_dtype(said: str, engine: str, model: str, dtype: str) -> str:
    """What is said; else 8 bits under TensorRT-LLM and where the checkpoint brings scales for it."""
    brought = load_model(model).checkpoint(dtype).kv_dtype if dtype == "fp4" else None
    return "fp8" if "fp8" in said or engine == "trtllm" or brought == "fp8" else "bf16"


def _side(row: Row, role: Role, engine: str) -> Workers:
    """The workers of one phase.

    TensorRT-LLM and vLLM count limits by attention rank, SGLang by worker and divides them over its ranks.
    """
    gpus, dp = whole(row, f"{role}_gpus_per_worker"), optional(row, f"{role}_dp")
    if gpus % dp:
        raise Skip(f"{role}_dp: found {dp}, expected a divisor of {gpus} GPUs")
    batch, tokens = _given(row, f"{role}_max_batch"), _given(row, f"{role}_max_tokens")
    by_rank = engine != "sglang"
    return Workers(
        role=role, workers=whole(row, f"{role}_workers"), tp=gpus // dp, ep=_ep(row, f"{role}_ep", gpus), dp=dp,
        max_batch_size=batch and (batch * dp if by_rank else batch),
        max_batch_tokens=tokens and (tokens if by_rank else max(1, tokens // dp)),
    )  # fmt: skip


def _ep(row: Row, column: str, gpus: int) -> int:
    """Expert-parallel ways: 1 where the table is silent."""
    ways = optional(row, column)
    if gpus % ways:
        raise Skip(f"{column}: found {ways}, expected a divisor of {gpus} GPUs")
    return ways


def _given(row: Row, column: str) -> int | None:
    """A limit, or None where the table is silent."""
    return whole(row, column) if row[column] else None


def _with_speed(run: MeasuredRun) -> MeasuredRun:
    """With end-to-end time and throughput by Little's law: every client always has one request in flight."""
    ttft, tpot = run.figures.get("ttft_mean_s"), run.figures.get("tpot_mean_s")
    if ttft is None or tpot is None or run.clients is None:
        return run
    tokens = run.output_tokens * (1 + run.shortest_frac) / 2
    e2e_s = ttft + max(0.0, tokens - 1) * tpot
    speed = run.clients * tokens / e2e_s / run.gpus
    return replace(run, figures={**run.figures, "e2e_mean_s": e2e_s, "output_tokens_per_s_per_gpu": speed})
