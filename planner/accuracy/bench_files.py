"""Result files of benchmark clients as measured runs.

Formats, read 2026-11-21 in public repositories: the JSON of ``vllm bench serve`` (vllm-project/vllm,
``vllm/benchmarks/serve.py``; files of its forerunner ``benchmark_serving.py`` have the same keys), AIPerf's
``profile_export_aiperf.json`` (ai-dynamo/aiperf, export schema 1.3) and GenAI-Perf's of the same metric names, stage
reports of inference-perf (kubernetes-sigs/inference-perf, ``stage_N_lifecycle_metrics.json``), and GuideLLM's
``benchmarks.json`` (vllm-project/guidellm, ``benchmark/schemas``, 0.4 to 0.7). None names the GPU, the layout or the
number format.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_catalog.strict_files import MAX_JSON_BYTES, read_text
from planner.accuracy.cells import LEAST
from planner.accuracy.measured import ROUNDS, Exclusion, MeasuredRun, Workers
from planner.accuracy.names import Known, dtype_id, gpu_id, model_id
from planner.accuracy.served import STEP_TOKENS
from planner.perf.layout import Role
from workloads.counts import json_whole
from workloads.traces import MOST_TOKENS

Document = Mapping[str, Any]

_MOST = 1e15
"""No time, total of tokens or rate of a benchmark is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What served, as result files do not say.

    Attributes:
        gpu: name of the GPU; None where it was not given.
        tp: tensor-parallel GPUs of the one engine.
        dtype: of the weights.
        engine: for example ``vllm``.
        model: overrides the file's name of it.
    """

    gpu: str | None = None
    tp: int | None = None
    dtype: str | None = None
    engine: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a file says of one run; None and absent where it does not."""

    model: str | None
    prompt_tokens: float | None
    output_tokens: float | None
    rate_req_per_s: float | None
    clients: float | None
    requests: float | None
    poisson: bool
    output_tokens_per_s: float | None
    means_s: Mapping[str, float | None]


class _Skip(ValueError):  # noqa: N818  an answer, not a failure
    """A run that cannot be replayed; says why."""


def read_bench(file: Path, setup: Setup, known: Known) -> list[MeasuredRun | Exclusion]:
    """The runs of a result file, each as a run or with the reason why not.

    Args:
        file: JSON.
        setup: what served.
        known: names of the catalog.
    """
    try:
        # Benchmarks write Infinity for a rate without a limit: it is read, and refused where a number is needed.
        document = json.loads(read_text(file, "a result file", limit_bytes=MAX_JSON_BYTES), parse_int=json_whole)
    except (ValueError, RecursionError) as error:
        return [Exclusion(row=file.name, reason=f"cannot be read as JSON: {error}")]
    shape = next((read for tells, read in SHAPES if isinstance(document, dict) and tells <= document.keys()), None)
    if shape is None:
        expected = "; ".join(", ".join(sorted(tells)) for tells, _ in SHAPES)
        return [Exclusion(row=file.name, reason=f"no known result file; expected the keys of one of: {expected}")]
    return [
        _run(found, f"{file.name}:{number}", file.stem, setup, known)
        for number, found in enumerate(shape(document), start=1)
    ]


def _run(found: _Found | str, place: str, dataset: str, setup: Setup, known: Known) -> MeasuredRun | Exclusion:
    """One run in our terms."""
    if isinstance(found, str):
        return Exclusion(row=place, reason=found)
    try:
        return _matched(found, place, dataset, setup, known)
    except _Skip as reason:
        return Exclusion(row=place, reason=str(reason))


def _matched(found: _Found, place: str, dataset: str, setup: Setup, known: Known) -> MeasuredRun:
    """A run whose setup and sizes are complete."""
    given = {"gpu": setup.gpu, "tp": setup.tp, "dtype": setup.dtype, "engine": setup.engine}
    if missing := [f"--{name}" for name, value in given.items() if value is None]:
        raise _Skip(f"the file does not say what served; give {', '.join(missing)}")
    name = setup.model or found.model
    model = model_id(str(name), known) if name else None
    gpu, dtype = gpu_id(str(setup.gpu), known), dtype_id(str(setup.dtype))
    unknown = [f"{what} {value!r} is unknown" for what, value, known in (
        ("model", name, model), ("GPU", setup.gpu, gpu), ("number format", setup.dtype, dtype),
    ) if known is None]  # fmt: skip
    if unknown or model is None or gpu is None or dtype is None:
        raise _Skip("; ".join(unknown))
    prompt, output = found.prompt_tokens or 0, found.output_tokens or 0
    if prompt < 1 or output < 1:
        raise _Skip("the file does not say how long prompts and answers were")
    if max(prompt, output) > MOST_TOKENS:
        raise _Skip(f"found prompts of {prompt:g} and answers of {output:,g} tokens; expected at most {MOST_TOKENS:,}")
    rate, clients = found.rate_req_per_s, found.clients
    for what, count in (("requests", found.requests), ("requests in flight", clients)):
        if count and (count < 1 or count != int(count)):
            raise _Skip(f"found {count:g} {what}; expected a whole number >= 1")
    if not rate and not clients:
        raise _Skip("neither a finite rate nor a number of requests in flight: all at once is not replayed")
    if rate and clients:
        raise _Skip("a rate held back by a limit on requests in flight is not replayed")
    figures = {metric: value for metric, value in found.means_s.items() if value}
    if found.output_tokens_per_s:
        figures["output_tokens_per_s_per_gpu"] = found.output_tokens_per_s / int(setup.tp or 1)
    if "ttft_mean_s" not in figures and "tpot_mean_s" not in figures:
        raise _Skip("neither a mean time to first token nor a mean time per token is given: was it streamed?")
    held = None if rate else int(clients or 0)
    return MeasuredRun(
        row=place, dataset=dataset, engine=str(setup.engine).lower(), engine_version="", model=model, gpu=gpu,
        dtype=dtype, kv_dtype="bf16", fleet=(Workers(role=Role.MIXED, workers=1, tp=int(setup.tp or 1), ep=1),),
        prompt_tokens=round(prompt), shared_tokens=0, distinct_prompts=None, output_tokens=round(output),
        shortest_frac=1.0, rate_req_per_s=rate or None, clients=held, poisson=found.poisson,
        requests=int(found.requests or (held or 100) * ROUNDS), warm=False, step_tokens=STEP_TOKENS, figures=figures,
    )  # fmt: skip


def _vllm(document: Document) -> Iterator[_Found]:
    """One run; milliseconds; ``request_rate`` is the word ``inf`` where a concurrency alone held it."""
    completed = _number(document, "completed")
    yield _Found(
        model=document.get("model_id"),
        prompt_tokens=_ratio(_number(document, "total_input_tokens"), completed),
        output_tokens=_ratio(_number(document, "total_output_tokens"), completed),
        rate_req_per_s=_number(document, "request_rate"), clients=_number(document, "max_concurrency"),
        requests=completed, poisson=document.get("burstiness", 1.0) == 1.0,
        output_tokens_per_s=_number(document, "output_throughput"),
        means_s={
            f"{metric}_mean_s": _milli(_number(document, f"mean_{name}_ms"))
            for metric, name in (("ttft", "ttft"), ("tpot", "tpot"), ("e2e", "e2el"))
        },
    )  # fmt: skip


def _aiperf(document: Document) -> Iterator[_Found]:
    """One run; milliseconds; the load stands in the phase ``profiling``, in ``loadgen`` or in GenAI-Perf's stimulus."""
    config = _object(document["input_config"])
    phases = [phase for phase in _list(config.get("phases")) if phase.get("name") == "profiling"]
    load = (*phases, _object(config.get("loadgen")), _object(_dig(config, "perf_analyzer", "stimulus")), config)
    patterns = [_dig(part, key) for part in load for key in ("arrival_pattern", "request_rate_mode")]
    rates, clients = ([_number(part, key) for part in load] for key in ("request_rate", "concurrency"))
    names = (
        [item.get("name") for item in _list(_dig(config, "models", "items"))],
        _dig(config, "endpoint", "model_names"), config.get("model_names"), [config.get("model")],
    )  # fmt: skip
    yield _Found(
        model=next((str(given[0]) for given in names if isinstance(given, list) and given and given[0]), None),
        prompt_tokens=_number(document, "input_sequence_length", "avg"),
        output_tokens=_number(document, "output_sequence_length", "avg"),
        rate_req_per_s=next((r for r in rates if r), None), clients=next((c for c in clients if c), None),
        requests=_number(document, "request_count", "avg"),
        poisson="constant" not in patterns,
        output_tokens_per_s=_number(document, "output_token_throughput", "avg"),
        means_s={
            metric: _milli(_number(document, name, "avg"))
            for metric, name in (("ttft_mean_s", "time_to_first_token"), ("tpot_mean_s", "inter_token_latency"),
                                 ("e2e_mean_s", "request_latency"))
        },
    )  # fmt: skip


def _inference_perf(document: Document) -> Iterator[_Found | str]:
    """One stage; seconds; a summary over several stages has no single rate."""
    load, good = document["load_summary"], document["successes"]
    rate, clients = _number(load, "requested_rate"), _number(load, "concurrency")
    if not rate and not clients:
        yield "inference-perf: no rate in it; expected a stage_N_lifecycle_metrics.json"
        return
    count = _number(good, "count")
    tokens = {}
    for side, old, new in (("prompt", "prompt_len", "prompt_tokens"), ("output", "output_len", "output_tokens")):
        total = _ratio(_number(good, new, "total"), count)
        tokens[side] = _number(good, new, "mean") or total or _number(good, old, "mean")
    yield _Found(
        model=None, prompt_tokens=tokens["prompt"], output_tokens=tokens["output"],
        rate_req_per_s=None if clients else rate, clients=clients, requests=count, poisson=False,
        output_tokens_per_s=_number(good, "throughput", "output_tokens_per_sec"),
        means_s={
            metric: _number(good, "latency", name, "mean")
            for metric, name in (("ttft_mean_s", "time_to_first_token"), ("tpot_mean_s", "time_per_output_token"),
                                 ("e2e_mean_s", "request_latency"))
        },
    )  # fmt: skip


def _guidellm(document: Document) -> Iterator[_Found | str]:
    """One run per benchmark; its ``time_per_output_token_ms`` counts the first token, so the gaps are read instead."""
    for bench in _list(document["benchmarks"]):
        strategy = _object(_dig(bench, "config", "strategy") or _dig(bench, "args", "strategy"))
        kind, metrics = strategy.get("type_"), bench.get("metrics")
        if kind == "throughput":
            yield "GuideLLM: strategy throughput sends all at once, which is not replayed"
            continue
        clients = {"synchronous": 1.0, "concurrent": _number(strategy, "streams")}.get(str(kind))
        itl = _milli(_number(metrics, "inter_token_latency_ms", "successful", "mean"))
        yield _Found(
            model=_dig(bench, "config", "backend", "model") or _dig(document, "config", "spec", "backend", "model"),
            prompt_tokens=_number(metrics, "prompt_token_count", "successful", "mean"),
            output_tokens=_number(metrics, "output_token_count", "successful", "mean"),
            rate_req_per_s=_number(strategy, "rate"), clients=clients,
            requests=_number(metrics, "request_totals", "successful"), poisson=kind == "poisson",
            output_tokens_per_s=_number(metrics, "output_tokens_per_second", "successful", "mean"),
            means_s={
                "ttft_mean_s": _milli(_number(metrics, "time_to_first_token_ms", "successful", "mean")),
                "tpot_mean_s": itl, "e2e_mean_s": _number(metrics, "request_latency", "successful", "mean"),
            },
        )  # fmt: skip


SHAPES: tuple[tuple[frozenset[str], Callable[[Document], Iterator[_Found | str]]], ...] = (
    (frozenset({"model_id", "request_rate", "mean_ttft_ms"}), _vllm),
    (frozenset({"request_throughput", "request_latency", "input_config"}), _aiperf),
    (frozenset({"load_summary", "successes"}), _inference_perf),
    (frozenset({"benchmarks"}), _guidellm),
)
"""Keys that tell a kind of file, and how it is read."""


def _dig(value: object, *keys: str) -> Any:  # noqa: ANN401  whatever the file holds there
    """What is found at the end of a path of keys; None where it ends early."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: object, *keys: str) -> float | None:
    """A number above zero that can be measured, at the end of a path, or of the list of one that stands there."""
    found = _dig(value, *keys)
    found = found[0] if isinstance(found, list) and len(found) == 1 else found
    usable = isinstance(found, int | float) and not isinstance(found, bool) and LEAST <= found <= _MOST
    return float(found) if usable else None


def _object(value: object) -> dict[str, Any]:
    """An object; an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none where it is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _milli(value: float | None) -> float | None:
    return value / 1e3 if value else None
