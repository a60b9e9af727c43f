"""Measured runs of real engines, from tables in the documented columns."""

import csv
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from planner.accuracy.names import dtype_id, gpu_id, model_id
from planner.errors import BadInput
from planner.plan import Role

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Equal engine processes of a run.

    Attributes:
        role: phase they work on.
        workers: how many.
        tp: tensor-parallel GPUs of each.
        ep: expert-parallel ways inside those.
    """

    role: Role
    workers: int
    tp: int
    ep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One row of a table, in our terms.

    Attributes:
        row: file and line.
        dataset: name of the file, without its ending.
        engine: for example ``vllm``.
        engine_version: as the table gives it; empty where it does not.
        model: catalog id.
        gpu: catalog id.
        dtype: of the weights.
        kv_dtype: of the KV cache.
        fleet: what served.
        prompt_tokens: nominal length of a prompt.
        shared_tokens: of those, a system prompt that many requests begin with.
        distinct_prompts: after as many requests the same prompts come again, whole; None where no prompt does.
        output_tokens: nominal length of an answer.
        shortest_frac: lengths were drawn evenly between this share of the nominal ones and all of it.
        rate_req_per_s: open loop at this rate; None in a closed loop.
        clients: closed loop with as many requests in flight; None in an open loop.
        requests: how many were sent.
        warm: what is reported begins in steady state; False where it begins with all clients at once.
        step_tokens: most tokens in one step.
        poisson: requests of an open loop come at random; otherwise evenly spaced.
        figures: metric -> measured value, for example ``ttft_mean_s`` or ``output_tokens_per_s_per_gpu``.
    """

    row: str
    dataset: str
    engine: str
    engine_version: str
    model: str
    gpu: str
    dtype: str
    kv_dtype: str
    fleet: tuple[Workers, ...]
    prompt_tokens: int
    shared_tokens: int
    distinct_prompts: int | None
    output_tokens: int
    shortest_frac: float
    rate_req_per_s: float | None
    clients: int | None
    requests: int
    warm: bool
    step_tokens: int
    figures: Mapping[str, float]
    poisson: bool = False

    @property
    def kind(self) -> str:
        """How it was run."""
        if any(w.role is Role.PREFILL for w in self.fleet):
            return "disaggregated"
        if self.rate_req_per_s is not None:
            return "open loop"
        return "maximum load" if self.clients is None else "closed loop"

    @property
    def gpus(self) -> int:
        """GPUs of the fleet."""
        return sum(w.workers * w.tp for w in self.fleet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A row that is not compared, and why."""

    row: str
    reason: str


class _Skip(ValueError):  # noqa: N818  an answer, not a failure
    """A row that cannot be replayed as it was run; says why."""


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
    read: Callable[[Row, str, str, Collection[str]], MeasuredRun]


STEP_TOKENS = 8192
"""Most tokens of a step where a table is silent: today's default of the three engines on these GPUs. Assumed."""
MOST_REQUESTS = 2000
"""Sent in one open-loop replay; the tables' runs are longer but stationary."""
ROUNDS = 10
"""Requests of a closed-loop replay per client: what InferenceX sends."""


def read_measured(path: Path, models: Collection[str]) -> tuple[list[MeasuredRun], list[Exclusion]]:
    """Every row of a table, or of every table of a directory, as a run or with the reason why not.

    Args:
        path: a CSV file, or a directory of them.
        models: catalog ids with kernel profiles.

    Raises:
        BadInput: there is no such file, or no table in the directory.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise BadInput(f"--data {path}: no such table; expected a CSV file, or a directory with some")
    runs: list[MeasuredRun] = []
    excluded: list[Exclusion] = []
    for file in files:
        for found in _read_file(file, models):
            (runs if isinstance(found, MeasuredRun) else excluded).append(found)  # type: ignore[arg-type]
    return runs, excluded


def _read_file(file: Path, models: Collection[str]) -> Iterator[MeasuredRun | Exclusion]:
    """The rows of one table."""
    with file.open(newline="", encoding="utf-8-sig") as handle:
        table = csv.DictReader(handle)
        header = frozenset(table.fieldnames or ())
        form = next((f for f in FORMATS if f.columns <= header), None)
        for number, row in enumerate(table, start=2):
            place = f"{file.name}:{number}"
            if form is None:
                yield Exclusion(row=place, reason=_unknown_table(header))
                continue
            try:
                yield form.read(row, place, file.stem, models)
            except _Skip as reason:
                yield Exclusion(row=place, reason=str(reason))


def _unknown_table(header: frozenset[str]) -> str:
    """Which columns are missing from the kind of table this is most like."""
    nearest = min(FORMATS, key=lambda f: len(f.columns - header))
    missing = ", ".join(sorted(nearest.columns - header))
    return f"no known table: for {nearest.name} these columns are missing: {missing}"


# --- one row --------------------------------------------------------------------------------------------------------


_OPEN_LOOP_METRICS = {"ttft_mean_s": "ttft_mean_ms", "tpot_mean_s": "itl_mean_ms", "e2e_mean_s": "e2e_mean_ms"}


def _open_loop(row: Row, place: str, dataset: str, models: Collection[str]) -> MeasuredRun:
    """A constant rate on one vLLM instance, with a shared system prompt (sim-to-real validation runs)."""
    if (row.get("dp") or "1") not in ("1", "1.0"):
        raise _Skip("data parallelism inside one engine is not modelled")
    rate, seconds = _number(row, "rate_rps"), _number(row, "duration_s")
    engine, _, version = row["engine"].partition(" v")
    tp = _whole(row, "tp")
    return MeasuredRun(
        row=place, dataset=dataset, engine=engine.lower(), engine_version=version, model=_model(row["model"], models),
        gpu=_gpu(row["hardware"]), dtype=_dtype(row["precision"]), kv_dtype="bf16",
        fleet=(Workers(role=Role.MIXED, workers=1, tp=tp, ep=1),),
        prompt_tokens=_whole(row, "isl_cfg"), shared_tokens=int(_number(row, "system_prompt_len")),
        distinct_prompts=_whole(row, "n_sys_prompts") * _whole(row, "users_per_sys_prompt"),
        output_tokens=_whole(row, "output_len"), shortest_frac=1.0, rate_req_per_s=rate, clients=None,
        requests=int(min(MOST_REQUESTS, rate * seconds)), warm=True, step_tokens=_whole(row, "max_num_batched_tokens"),
        figures=_metrics(row, _OPEN_LOOP_METRICS),
    )  # fmt: skip


def _closed_loop(row: Row, place: str, dataset: str, models: Collection[str]) -> MeasuredRun:
    """As many requests in flight as there are clients, one engine (InferenceX and alike)."""
    if float(row.get("attention_dp_size") or 1) > 1:
        raise _Skip("attention data parallelism has no kernel profile")
    if float(row.get("pp_size") or 1) > 1:
        raise _Skip("pipeline parallelism is not replayed")
    tp, ep = _whole(row, "tp_size"), int(float(row.get("moe_ep_size") or 1))
    fleet = (Workers(role=Role.MIXED, workers=1, tp=tp, ep=max(1, ep)),)
    run = _serving(row, place, dataset, models, fleet)
    ttft, tpot = run.figures.get("ttft_mean_s"), run.figures.get("tpot_mean_s")
    if ttft is None or tpot is None or run.clients is None:
        return run
    # Little's law: every client always has one request in flight
    e2e_s = ttft + (run.output_tokens - 1) * tpot
    speed = run.clients * run.output_tokens / e2e_s / run.gpus
    return replace(run, figures={**run.figures, "e2e_mean_s": e2e_s, "output_tokens_per_s_per_gpu": speed})


def _disaggregated(row: Row, place: str, dataset: str, models: Collection[str]) -> MeasuredRun:
    """Prefill and decode workers apart, as many requests in flight as there are clients."""
    for phase in ("prefill", "decode"):
        if not row.get(f"{phase}_num_workers"):
            raise _Skip("the row does not say how many prefill and decode workers there were")
        if float(row.get(f"{phase}_attention_dp_size") or 1) > 1:
            raise _Skip("attention data parallelism has no kernel profile")
    fleet = tuple(
        Workers(
            role=role,
            workers=_whole(row, f"{role}_num_workers"),
            tp=_whole(row, f"{role}_tp_size"),
            ep=max(1, int(float(row.get(f"{role}_moe_ep_size") or 1))),
        )
        for role in (Role.PREFILL, Role.DECODE)
    )
    return _serving(row, place, dataset, models, fleet)


def _serving(row: Row, place: str, dataset: str, models: Collection[str], fleet: tuple[Workers, ...]) -> MeasuredRun:
    """What aggregated and disaggregated closed-loop rows share."""
    if not row.get("conc"):
        raise _Skip("the row does not say how many requests were in flight")
    clients = _whole(row, "conc")
    return MeasuredRun(
        row=place, dataset=dataset, engine=row["backend"].lower(), engine_version=row.get("backend_version") or "",
        model=_model(row["model_path"], models), gpu=_gpu(row["system"]), dtype=_weights(row), kv_dtype=_cache(row),
        fleet=fleet,
        prompt_tokens=_whole(row, "isl"), shared_tokens=0, distinct_prompts=None, output_tokens=_whole(row, "osl"),
        shortest_frac=0.8 if "InferenceX" in row.get("src_kind", "") else 1.0, rate_req_per_s=None, clients=clients,
        requests=ROUNDS * clients, warm="InferenceX" not in row.get("src_kind", ""), step_tokens=STEP_TOKENS,
        figures=_metrics(row, {"ttft_mean_s": "silicon_ttft_ms", "tpot_mean_s": "silicon_tpot_ms"}),
    )  # fmt: skip


def _weights(row: Row) -> str:
    """The number format of the weights; where the table is silent, the one the checkpoint is published in."""
    name = row["model_path"].lower()
    if "gpt-oss" in name:
        return "fp4"  # published so, whatever the table calls it
    if row["precision"]:
        return _dtype(row["precision"])
    return "fp4" if "fp4" in name else "fp8" if "fp8" in name or "deepseek" in name else "bf16"


def _cache(row: Row) -> str:
    """The number format of the KV cache: TensorRT-LLM takes fp8 from the quantized checkpoints, the others bf16."""
    quantized = _weights(row) in ("fp8", "fp4") and "gpt-oss" not in row["model_path"].lower()
    return "fp8" if quantized and row["backend"].lower() == "trtllm" else "bf16"


def _no_lengths(*_: object) -> MeasuredRun:
    """MLPerf logs."""
    raise _Skip("MLPerf: the row gives no request lengths")


def _max_load(row: Row, place: str, dataset: str, models: Collection[str]) -> MeasuredRun:
    """All requests at once, throughput alone (TensorRT-LLM's overview)."""
    if float(row.get("pp") or 1) > 1:
        raise _Skip("pipeline parallelism is not replayed")
    dtype = _dtype(row["precision"])
    tp, ep = _whole(row, "tp"), int(float(row.get("ep") or 1))
    speed = {"output_tokens_per_s_per_gpu": _number(row, "out_tok_s_gpu")}
    return MeasuredRun(
        row=place, dataset=dataset, engine="trtllm", engine_version=row["version"].removeprefix("TRT-LLM "),
        model=_model(row["model"], models), gpu=_gpu(row["gpu"]), dtype=dtype,
        kv_dtype="fp8" if dtype in ("fp8", "fp4") else "bf16",
        fleet=(Workers(role=Role.MIXED, workers=1, tp=tp, ep=max(1, ep)),),
        prompt_tokens=_whole(row, "isl"), shared_tokens=0, distinct_prompts=None, output_tokens=_whole(row, "osl"),
        shortest_frac=1.0, rate_req_per_s=None, clients=None, requests=MOST_REQUESTS, warm=False,
        step_tokens=STEP_TOKENS, figures=speed,
    )  # fmt: skip


FORMATS = (
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


def _metrics(row: Row, columns: Mapping[str, str]) -> dict[str, float]:
    """The measured values that a row has, in seconds."""
    found = {metric: _number(row, column) / 1e3 for metric, column in columns.items() if row.get(column)}
    if not found:
        raise _Skip(f"none of {', '.join(columns.values())} is given")
    return found


def _model(name: str, models: Collection[str]) -> str:
    found = model_id(name, models)
    if found is None:
        raise _Skip(f"model {name} has no kernel profile")
    return found


def _gpu(name: str) -> str:
    found = gpu_id(name)
    if found is None:
        raise _Skip(f"GPU {name} is not in the catalog")
    return found


def _dtype(name: str) -> str:
    found = dtype_id(name)
    if found is None:
        raise _Skip(f"number format {name!r} is unknown")
    return found


def _number(row: Row, column: str) -> float:
    try:
        found = float(row[column])
    except (TypeError, ValueError):
        raise _Skip(f"{column}: found {row[column]!r}, expected a number") from None
    if not 0 <= found < float("inf"):
        raise _Skip(f"{column}: found {row[column]!r}, expected a finite number that is not negative")
    return found


def _whole(row: Row, column: str) -> int:
    found = _number(row, column)
    if found < 1:
        raise _Skip(f"{column}: found {row[column]!r}, expected 1 or more")
    return int(found)
