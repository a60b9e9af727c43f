"""Rows of the documented tables as measured runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.accuracy.cells import Row, dtype_of, gpu_of, metrics, model_of, number, number_or, optional, whole
from planner.accuracy.cluster_rows import AGGREGATED, DISAGGREGATED, aggregated, disaggregated
from planner.accuracy.measured import (
    COLD_RATIO,
    COLD_ROUNDS,
    MOST_CLIENTS,
    MOST_REQUESTS,
    ROUNDS,
    MeasuredRun,
    Skip,
    Workers,
)
from planner.accuracy.names import Known
from planner.accuracy.served import STEP_TOKENS, Asked, server_of
from planner.perf.layout import Role

Reader = Callable[[Row, str, str, Known], "MeasuredRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of table: the columns that tell it, and how one of its rows is read.

    Attributes:
        name: in words.
        columns: all of them must be there.
        read: a row as a run.
    """

    name: str
    columns: frozenset[str]
    read: Reader


_OPEN_LOOP_METRICS = {"ttft_mean_s": "ttft_mean_ms", "tpot_mean_s": "itl_mean_ms", "e2e_mean_s": "e2e_mean_ms"} | {
    f"{metric}_{at}_s": f"{metric}_{at}_ms" for metric in ("ttft", "e2e") for at in ("p90", "p99")
}


def _open_loop(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """A rate on one vLLM instance, with a shared system prompt (sim-to-real validation runs).

    Its client draws gaps from an exponential distribution where it calls a rate constant (``ConstantLoadTimer`` of
    kubernetes-sigs/inference-perf, read 2026-11-29). A stage after the first finds its prompts, the same, in the cache.
    """
    if optional(row, "dp") > 1:
        raise Skip("data parallelism inside one engine is not modelled")
    rate, seconds = number(row, "rate_rps"), number(row, "duration_s")
    if not rate or not seconds:
        raise Skip(f"rate_rps {row['rate_rps']!r} over duration_s {row['duration_s']!r}: expected both above 0")
    if number(row, "system_prompt_len") > number(row, "isl_cfg"):
        raise Skip("system_prompt_len is above isl_cfg, of which it is a part")
    engine, _, version = row["engine"].partition(" v")
    tp = whole(row, "tp")
    return MeasuredRun(
        row=place, dataset=dataset, engine=engine.lower(), engine_version=version, model=model_of(row["model"], known),
        gpu=gpu_of(row["hardware"], known), dtype=dtype_of(row["precision"]), kv_dtype="bf16",
        fleet=(Workers(role=Role.MIXED, workers=1, tp=tp, ep=1),),
        prompt_tokens=whole(row, "isl_cfg"), shared_tokens=int(number(row, "system_prompt_len")),
        distinct_prompts=0 if number_or(row, "stage_index", 0.0) else _distinct(row),
        output_tokens=whole(row, "output_len"), shortest_frac=1.0, rate_req_per_s=rate, clients=None,
        requests=max(1, int(min(MOST_REQUESTS, rate * seconds))), warm=True, poisson=True,
        cold_ratio=COLD_RATIO,
        step_tokens=whole(row, "max_num_batched_tokens"), figures=metrics(row, _OPEN_LOOP_METRICS),
    )  # fmt: skip


def _distinct(row: Row) -> int:
    """Requests of a stage before all of its prompts, which come round after round, are in the cache."""
    return COLD_ROUNDS * whole(row, "n_sys_prompts") * whole(row, "users_per_sys_prompt")


def _closed_loop(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """As many requests in flight as there are clients, one engine (InferenceX and alike)."""
    if optional(row, "attention_dp_size") > 1:
        raise Skip("attention data parallelism has no kernel profile")
    if optional(row, "pp_size") > 1:
        raise Skip("pipeline parallelism is not replayed")
    fleet = (Workers(role=Role.MIXED, workers=1, tp=whole(row, "tp_size"), ep=optional(row, "moe_ep_size")),)
    run = _serving(row, place, dataset, known, fleet)
    ttft, tpot = run.figures.get("ttft_mean_s"), run.figures.get("tpot_mean_s")
    if ttft is None or (tpot is None and run.output_tokens > 1) or run.clients is None:
        return run
    # Little's law: every client always has one request in flight
    output_tokens = run.output_tokens * (1 + run.shortest_frac) / 2
    e2e_s = ttft + max(0.0, output_tokens - 1) * (tpot or 0.0)
    speed = run.clients * output_tokens / e2e_s / run.gpus
    return replace(run, figures={**run.figures, "e2e_mean_s": e2e_s, "output_tokens_per_s_per_gpu": speed})


def _disaggregated(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """Prefill and decode workers apart, as many requests in flight as there are clients."""
    for phase in ("prefill", "decode"):
        if not row.get(f"{phase}_num_workers"):
            raise Skip("the row does not say how many prefill and decode workers there were")
        if optional(row, f"{phase}_attention_dp_size") > 1:
            raise Skip("attention data parallelism has no kernel profile")
    fleet = tuple(
        Workers(
            role=role,
            workers=whole(row, f"{role}_num_workers"),
            tp=whole(row, f"{role}_tp_size"),
            ep=optional(row, f"{role}_moe_ep_size"),
        )
        for role in (Role.PREFILL, Role.DECODE)
    )
    return _serving(row, place, dataset, known, fleet)


def _serving(row: Row, place: str, dataset: str, known: Known, fleet: tuple[Workers, ...]) -> MeasuredRun:
    """What aggregated and disaggregated closed-loop rows share."""
    if not row.get("conc"):
        raise Skip("the row does not say how many requests were in flight")
    clients = whole(row, "conc")
    if clients > MOST_CLIENTS:
        raise Skip(f"conc: found {clients}, expected {MOST_CLIENTS} or fewer")
    asked = Asked(
        source=row.get("src_kind", ""), engine=row["backend"].lower(), version=row.get("backend_version", ""),
        model=model_of(row["model_path"], known), gpu=gpu_of(row["system"], known), dtype=_weights(row), tp=fleet[0].tp,
        prompt_tokens=whole(row, "isl"), output_tokens=whole(row, "osl"), clients=clients,
    )  # fmt: skip
    server = server_of(asked)
    return MeasuredRun(
        row=place, dataset=dataset, engine=asked.engine, engine_version=asked.version, model=asked.model, gpu=asked.gpu,
        dtype=asked.dtype, kv_dtype=server.kv_dtype,
        fleet=tuple(replace(workers, max_batch_size=server.max_batch_size) for workers in fleet),
        prompt_tokens=asked.prompt_tokens, shared_tokens=0,
        distinct_prompts=None, output_tokens=asked.output_tokens,
        shortest_frac=0.8 if "InferenceX" in asked.source else 1.0, rate_req_per_s=None, clients=clients,
        requests=ROUNDS * clients, warm=False, step_tokens=server.step_tokens, form=server.form, mode=server.mode,
        wait_steps=server.wait_steps,
        figures=metrics(row, {"ttft_mean_s": "silicon_ttft_ms", "tpot_mean_s": "silicon_tpot_ms"}),
    )  # fmt: skip


def _weights(row: Row) -> str:
    """The number format of the weights; where the table is silent, the one the checkpoint is published in."""
    name = row["model_path"].lower()
    if "gpt-oss" in name:
        return "fp4"  # published so, whatever the table calls it
    if row["precision"]:
        return dtype_of(row["precision"])
    return "fp4" if "fp4" in name else "fp8" if "fp8" in name or "deepseek" in name else "bf16"


def _no_lengths(*_: object) -> MeasuredRun:
    """MLPerf logs."""
    raise Skip("MLPerf: the row gives no request lengths")


def _max_load(row: Row, place: str, dataset: str, known: Known) -> MeasuredRun:
    """All requests at once, throughput alone (TensorRT-LLM's overview)."""
    if optional(row, "pp") > 1:
        raise Skip("pipeline parallelism is not replayed")
    dtype = dtype_of(row["precision"])
    speed = {"output_tokens_per_s_per_gpu": number(row, "out_tok_s_gpu")}
    return MeasuredRun(
        row=place, dataset=dataset, engine="trtllm", engine_version=row["version"].removeprefix("TRT-LLM "),
        model=model_of(row["model"], known), gpu=gpu_of(row["gpu"], known), dtype=dtype,
        kv_dtype="fp8" if dtype in ("fp8", "fp4") else "bf16",
        fleet=(Workers(role=Role.MIXED, workers=1, tp=whole(row, "tp"), ep=optional(row, "ep")),),
        prompt_tokens=whole(row, "isl"), shared_tokens=0, distinct_prompts=None, output_tokens=whole(row, "osl"),
        shortest_frac=1.0, rate_req_per_s=None, clients=None, requests=MOST_REQUESTS, warm=False,
        step_tokens=STEP_TOKENS, form=None, figures=speed,
    )  # fmt: skip


FORMATS = (
    Format(name="disaggregated runs with layouts", columns=DISAGGREGATED, read=disaggregated),
    Format(name="aggregated runs with layouts", columns=AGGREGATED, read=aggregated),
    Format(
        name="open-loop runs",
        columns=frozenset({"engine", "model", "hardware", "tp", "precision", "max_num_batched_tokens", "rate_rps",
                           "duration_s", "system_prompt_len", "n_sys_prompts", "users_per_sys_prompt", "isl_cfg",
                           "output_len"}),
        read=_open_loop,
    ),
    Format(
        name="disaggregated closed-loop runs",
        columns=frozenset({"backend", "model_path", "system", "precision", "isl", "osl", "conc", "prefill_num_workers",
                           "prefill_tp_size", "decode_num_workers", "decode_tp_size"}),
        read=_disaggregated,
    ),
    Format(
        name="closed-loop runs",
        columns=frozenset({"backend", "model_path", "system", "precision", "isl", "osl", "conc", "tp_size"}),
        read=_closed_loop,
    ),
    Format(
        name="maximum throughput",
        columns=frozenset({"version", "model", "gpu", "precision", "tp", "isl", "osl", "out_tok_s_gpu"}),
        read=_max_load,
    ),
    Format(name="MLPerf logs", columns=frozenset({"round", "submitter", "accelerator", "scenario"}), read=_no_lengths),
)  # fmt: skip
