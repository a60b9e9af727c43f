"""Measured watts: public tables read into points that power curves are fitted to.

The files are not part of phasewise; where they are published is in docs/power.md.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hw_catalog.gpus import Gpu
from hw_catalog.power import Utilisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured working point of a GPU.

    Attributes:
        model: as the source names it.
        layout: dtype and GPUs.
        batch: decoding requests, or requests prefilled together.
        load: what the GPU was doing.
        watts_w: what it drew.
        prefill: whether prefill is all it did.
        sparse: whether the model is a mixture of experts.
    """

    model: str
    layout: str
    batch: float
    load: Utilisation
    watts_w: float
    prefill: bool = False
    sparse: bool = False

    @property
    def family(self) -> str:
        """The architecture: number formats, fine-tunes and point releases of one are no new models."""
        for mark, name in FAMILIES.items():
            if mark in self.model:
                return name
        return self.model


FAMILIES: Mapping[str, str] = {
    "Llama-3.1-70B": "llama-70b", "Llama-3.3-70B": "llama-70b", "Qwen3-30B": "qwen3-30b",
    "Qwen3-Coder-30B": "qwen3-30b", "Qwen3-235B": "qwen3-235b", "Llama-3.1-405B": "llama-405b",
    "DeepSeek": "deepseek", "Coder-480B": "qwen3-480b", "gpt-oss": "gpt-oss", "Nemotron-Nano": "nemotron-nano",
    "gemma-3": "gemma-3", "Llama-4": "llama-4",
}  # fmt: skip

KV_BYTES_PER_TOKEN: Mapping[str, float] = {
    "Qwen3-8B": 147_456, "Qwen3-14B": 163_840, "Qwen3-32B": 262_144, "30B-A3B": 98_304, "235B": 192_512,
    "gpt-oss-20b": 49_152, "gpt-oss-120b": 73_728, "gemma-3-12b": 131_072, "gemma-3-27b": 169_301, "3.1-8B": 131_072,
    "70B": 327_680, "405B": 516_096, "Scout": 196_608, "Maverick": 196_608, "Nano-9B": 16_384, "Nano-12B": 24_576,
    "DeepSeek": 70_272, "480B": 253_952,
}  # fmt: skip
"""bf16 KV cache by a mark in the model's name, from the published configurations; of Gemma's, a third."""

BYTES_PER_PARAM: Mapping[str, float] = {"bfloat16": 2.0, "fp8": 1.0, "mxfp4": 0.55}
DTYPES: Mapping[str, str] = {"bfloat16": "bf16", "fp8": "fp8", "mxfp4": "fp4"}

PROMPT_TOKENS: Mapping[str, float] = {"lm-arena-chat": 200, "gpqa": 400, "sourcegraph-fim": 1500}
"""Mean prompt by task (assumed: the file does not say). Tasks with images or video are left out: what their encoders
compute is unknown."""


def mlenergy_points(path: Path, gpu: Gpu, name: str) -> list[Point]:
    """The text-generation points of one GPU in an ML.ENERGY v3 table.

    Args:
        path: CSV with a row per (task, model, GPUs, largest batch).
        gpu: its peaks.
        name: of the GPU in the file, for example ``H100``.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["gpu"] == name and row["task"] in PROMPT_TOKENS]
    return [_mlenergy_point(row, gpu) for row in rows]


def _mlenergy_point(row: Mapping[str, str], gpu: Gpu) -> Point:
    gpus, batch, step_s = int(row["num_gpus"]), float(row["avg_batch"]), float(row["median_itl_ms"]) / 1000
    params, active = float(row["total_params_b"]) * 1e9, float(row["active_params_b"]) * 1e9
    prompt, output, rate = PROMPT_TOKENS[row["task"]], float(row["avg_out_len"]), float(row["out_tok_s"])
    kv = next(value for mark, value in KV_BYTES_PER_TOKEN.items() if mark in row["model"])
    weights = params * BYTES_PER_PARAM[row["precision"]]
    touched = 1 - (1 - active / params) ** batch
    flops_per_s = 2 * active * (rate + rate / output * prompt)
    bytes_per_s = weights * touched / step_s + rate * (prompt + output / 2) * kv
    return Point(
        model=row["model"], layout=f"{row['task']}/{DTYPES[row['precision']]}/tp{gpus}", batch=batch,
        load=Utilisation(
            weights_frac=weights / gpus / gpu.hbm_bytes,
            compute_frac=flops_per_s / gpus / gpu.bf16_flops,
            bandwidth_frac=bytes_per_s / gpus / gpu.hbm_bytes_per_s,
            output_tokens_per_s=rate / gpus,
        ),
        watts_w=float(row["w_per_gpu"]), sparse=active < params,
    )  # fmt: skip


_SPLITWISE_SIZES: Mapping[str, tuple[float, int, int, float]] = {
    "llama2-70b": (69e9, 80, 8192, 327_680), "bloom-176b": (176e9, 70, 14_336, 4_014_080),
}  # fmt: skip
"""Parameters, layers, width of all heads, KV bytes per token."""

_OUTPUT_TOKENS = 128


def splitwise_points(path: Path, gpu: Gpu) -> list[Point]:
    """The A100 points of Splitwise's performance table: peak watts as prefill, average watts as decode.

    Zero means not measured, and an average below the GPU's idle power that no decode was seen; both are left out, and
    so are batches of 32 and more, which have no power at all.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["hardware"] == "a100-80gb" and int(row["batch_size"]) < 32]
    points = []
    for row in rows:
        decode_w, prefill_w = float(row["average_power"]) * gpu.tdp_w, float(row["peak_power"]) * gpu.tdp_w
        points += [_splitwise_point(row, gpu, prefill_w, prefill=True)] if prefill_w > 0 else []
        points += [_splitwise_point(row, gpu, decode_w, prefill=False)] if decode_w > gpu.idle_w else []
    return points


def _splitwise_point(row: Mapping[str, str], gpu: Gpu, watts: float, *, prefill: bool) -> Point:
    params, layers, width, kv = _SPLITWISE_SIZES[row["model"]]
    tp, batch, prompt = int(row["tensor_parallel"]), int(row["batch_size"]), int(row["prompt_size"])
    seconds = float(row["prompt_time" if prefill else "token_time"]) / 1000
    context = prompt + _OUTPUT_TOKENS / 2
    attention = 4 * layers * width * batch
    flops = 2 * params * batch * prompt + attention * prompt**2 / 2 if prefill else 2 * params * batch
    flops += 0 if prefill else attention * context
    read = 2 * params + (0 if prefill else kv * batch * context)
    return Point(
        model=row["model"], layout=f"bf16/tp{tp}", batch=batch,
        load=Utilisation(
            weights_frac=2 * params / tp / gpu.hbm_bytes,
            compute_frac=flops / seconds / tp / gpu.bf16_flops,
            bandwidth_frac=read / seconds / tp / gpu.hbm_bytes_per_s,
            output_tokens_per_s=batch / seconds / tp,
        ),
        watts_w=watts, prefill=prefill,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPoint:
    """One row of a clock table.

    Attributes:
        phase: ``prefill`` or ``decode``.
        tokens: prompt tokens of a prefill; for a decode, its batch.
        clock_mhz: locked SM clock.
        step_s: measured time.
        watts_w: measured power.
    """

    phase: str
    tokens: int
    clock_mhz: float
    step_s: float
    watts_w: float


def clock_points(path: Path) -> list[ClockPoint]:
    """Every row of a table of clock x phase x batch."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            ClockPoint(
                phase=row["phase"], tokens=int(row["tokens_or_batch"]), clock_mhz=float(row["freq_mhz"]),
                step_s=float(row["ms"]) / 1000, watts_w=float(row["watts"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


CLOCK_MODEL = (7.6e9, 28, 3584, 57_344.0)
"""Qwen2.5-7B, the model of the clock table: parameters, layers, width of all heads, KV bytes per token."""

CLOCK_CONTEXT_TOKENS = 1024
"""Context of its decodes."""


def clock_load(point: ClockPoint, gpu: Gpu) -> Utilisation:
    """What the GPU of a clock table did in a row, over the time of that row."""
    params, layers, width, kv = CLOCK_MODEL
    prefill = point.phase == "prefill"
    context = point.tokens / 2 if prefill else CLOCK_CONTEXT_TOKENS
    flops = 2 * params * point.tokens + 4 * layers * width * point.tokens * context
    read = 2 * params + (0 if prefill else kv * point.tokens * context)
    return Utilisation(
        weights_frac=2 * params / gpu.hbm_bytes,
        compute_frac=flops / point.step_s / gpu.bf16_flops,
        bandwidth_frac=read / point.step_s / gpu.hbm_bytes_per_s,
        output_tokens_per_s=(1 if prefill else point.tokens) / point.step_s,
    )


def by_row(points: Iterable[ClockPoint]) -> dict[tuple[str, int], list[ClockPoint]]:
    """The points of each phase and size, by clock."""
    rows: dict[tuple[str, int], list[ClockPoint]] = {}
    for point in sorted(points, key=lambda p: (p.phase, p.tokens, p.clock_mhz)):
        rows.setdefault((point.phase, point.tokens), []).append(point)
    return rows
