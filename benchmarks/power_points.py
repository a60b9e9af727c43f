"""Measured watts: public tables read into points that power curves are fitted to.

The files are not part of phasewise; where they are published is in docs/power.md.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hw_catalog.gpus import Gpu
from hw_catalog.power import BLOCK_SCALED_TILE_TOKENS, TILE_TOKENS, Utilisation, expert_work


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a model, as far as they decide what a step computes and reads.

    Attributes:
        layers: with attention or a state.
        dim: width of all query heads.
        kv_bytes: of a token's bf16 KV cache.
        state_bytes: of what a request keeps besides, read and written at every token.
        experts: a token may be routed to, per layer; 1 in a dense model.
        experts_used: of them, by one token.
        routed_params: of all those experts.
    """

    layers: int
    dim: int
    kv_bytes: float
    state_bytes: float = 0.0
    experts: int = 1
    experts_used: int = 1
    routed_params: float = 0.0


def _mixture(
    layers: int, width: int, kv_bytes: float, *, experts: int, used: int, hidden: int, inner: int,
    routed_layers: int | None = None,
) -> Shape:  # fmt: skip
    """A mixture of gated experts in every layer, or in some: 3 · hidden · inner parameters each."""
    routed = (routed_layers or layers) * experts * 3.0 * hidden * inner
    return Shape(
        layers=layers, dim=width, kv_bytes=kv_bytes, experts=experts, experts_used=used, routed_params=routed
    )  # fmt: skip


_MAMBA_STATE_BYTES = 128 * 80 * 128 * 4.0
"""Of one Mamba-2 layer of Nemotron Nano v2: heads, their width, state size, in fp32 (recalled)."""

SHAPES: Mapping[str, Shape] = {
    "Qwen3-8B": Shape(layers=36, dim=4096, kv_bytes=147_456),
    "Qwen3-14B": Shape(layers=40, dim=5120, kv_bytes=163_840),
    "Qwen3-32B": Shape(layers=64, dim=8192, kv_bytes=262_144),
    "30B-A3B": _mixture(48, 4096, 98_304, experts=128, used=8, hidden=2048, inner=768),
    "235B": _mixture(94, 8192, 192_512, experts=128, used=8, hidden=4096, inner=1536),
    "480B": _mixture(62, 12_288, 253_952, experts=160, used=8, hidden=6144, inner=2560),
    "gpt-oss-20b": _mixture(24, 4096, 49_152, experts=32, used=4, hidden=2880, inner=2880),
    "gpt-oss-120b": _mixture(36, 4096, 73_728, experts=128, used=4, hidden=2880, inner=2880),
    "gemma-3-12b": Shape(layers=48, dim=4096, kv_bytes=131_072),
    "gemma-3-27b": Shape(layers=62, dim=4096, kv_bytes=169_301),
    "3.1-8B": Shape(layers=32, dim=4096, kv_bytes=131_072),
    "70B": Shape(layers=80, dim=8192, kv_bytes=327_680),
    "405B": Shape(layers=126, dim=16_384, kv_bytes=516_096),
    "Scout": _mixture(48, 5120, 196_608, experts=16, used=1, hidden=5120, inner=8192),
    "Maverick": _mixture(48, 5120, 196_608, experts=128, used=1, hidden=5120, inner=8192, routed_layers=24),
    "Nano-9B": Shape(layers=4, dim=5120, kv_bytes=16_384, state_bytes=27 * _MAMBA_STATE_BYTES),
    "Nano-12B": Shape(layers=6, dim=5120, kv_bytes=24_576, state_bytes=28 * _MAMBA_STATE_BYTES),
    "DeepSeek": _mixture(61, 16_384, 70_272, experts=256, used=8, hidden=7168, inner=2048, routed_layers=58),
}
"""By a mark in the model's name, from the published configurations (recalled); KV of Gemma's is a third, as most of
its layers look back a window only."""

BLOCK_SCALED: tuple[str, ...] = ("Qwen3", "DeepSeek")
"""Marks of models whose 8-bit checkpoints have a scale per block of weights."""

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
    shape = next(value for mark, value in SHAPES.items() if mark in row["model"])
    computed, read = _linear(row, shape, params, batch)
    context = prompt + output / 2
    computed += 4 * shape.layers * shape.dim * batch * context
    flops_per_s = computed / step_s + 2 * active * rate / output * prompt
    bytes_per_s = (read + batch * (context * shape.kv_bytes + 2 * shape.state_bytes)) / step_s
    return Point(
        model=row["model"], layout=f"{row['task']}/{DTYPES[row['precision']]}/tp{gpus}", batch=batch,
        load=Utilisation(
            weights_frac=params * BYTES_PER_PARAM[row["precision"]] / gpus / gpu.hbm_bytes,
            compute_frac=flops_per_s / gpus / gpu.bf16_flops,
            bandwidth_frac=bytes_per_s / gpus / gpu.hbm_bytes_per_s,
            output_tokens_per_s=rate / gpus,
        ),
        watts_w=float(row["w_per_gpu"]), sparse=active < params,
    )  # fmt: skip


def _linear(row: Mapping[str, str], shape: Shape, params: float, batch: float) -> tuple[float, float]:
    """FLOP and weight bytes of the token-wise operations of a decode step, as ``planner/perf/work.py`` counts."""
    always = params - shape.routed_params
    flops, read = 2 * always * batch, always
    if shape.routed_params:
        fine = row["precision"] == "fp8" and any(mark in row["model"] for mark in BLOCK_SCALED)
        tile = BLOCK_SCALED_TILE_TOKENS if fine else TILE_TOKENS
        touched, rows = expert_work(batch, shape.experts, shape.experts_used, tile)
        flops += 2 * shape.routed_params * touched * rows
        read += shape.routed_params * touched
    return flops, read * BYTES_PER_PARAM[row["precision"]]


_V2_SHAPES: Mapping[str, tuple[float, Shape]] = {
    "Phi-3-small": (7.4e9, Shape(layers=32, dim=4096, kv_bytes=131_072)),
    "Phi-3-medium": (14e9, Shape(layers=40, dim=5120, kv_bytes=204_800)),
    "Phi-3-mini": (3.8e9, Shape(layers=32, dim=3072, kv_bytes=393_216)),
    "3.1-70B": (70.6e9, SHAPES["70B"]), "3.1-8B": (8.03e9, SHAPES["3.1-8B"]),
    "gemma-2-9b": (9.24e9, Shape(layers=42, dim=4096, kv_bytes=344_064)),
    "gemma-2-27b": (27.2e9, Shape(layers=46, dim=4096, kv_bytes=376_832)),
    "gemma-2-2b": (2.6e9, Shape(layers=26, dim=2048, kv_bytes=106_496)),
    "Mistral-Nemo": (12.2e9, Shape(layers=40, dim=4096, kv_bytes=163_840)),
    "Mistral-Large": (123e9, Shape(layers=88, dim=12_288, kv_bytes=360_448)),
    "Mistral-7B": (7.25e9, Shape(layers=32, dim=4096, kv_bytes=131_072)),
    "8x7B": (46.7e9, _mixture(32, 4096, 131_072, experts=8, used=2, hidden=4096, inner=14_336)),
    "8x22B": (141e9, _mixture(56, 6144, 229_376, experts=8, used=2, hidden=6144, inner=16_384)),
}  # fmt: skip
"""Parameters and shapes of the models of the ML.ENERGY v2 table, from published configurations (recalled)."""

V2_PROMPT_TOKENS = 250.0
"""Mean prompt of its chat task (assumed: the file does not say)."""


def mlenergy_v2_points(path: Path, gpu: Gpu, name: str) -> list[Point]:
    """The chat points of one GPU in an ML.ENERGY v2 table, steady at their largest batch.

    A step takes batch / rate: what prefill takes from decodes, and what the engine of 2024 left idle, is in it.

    Args:
        path: CSV with a row per (model, GPUs, largest batch), watts per GPU.
        gpu: its peaks; shares of a board with other memory are taken of this one's.
        name: part of the GPU's name in the file, for example ``A100``.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if name in row["gpu"]]
    sizes = [next(found for mark, found in _V2_SHAPES.items() if mark in row["model"]) for row in rows]
    return [_mlenergy_v2_point(row, *found, gpu) for row, found in zip(rows, sizes, strict=True)]


def _mlenergy_v2_point(row: Mapping[str, str], params: float, shape: Shape, gpu: Gpu) -> Point:
    gpus, batch, rate = int(row["tp"]) * int(row["pp"]), float(row["avg_bs"]), float(row["tok_s"])
    step_s, context = batch / rate, V2_PROMPT_TOKENS + float(row["avg_out"]) / 2
    computed, read = _linear({**row, "precision": "bfloat16"}, shape, params, batch)
    computed += 4 * shape.layers * shape.dim * batch * context
    active = params - shape.routed_params * (1 - shape.experts_used / shape.experts)
    prompts = rate / float(row["avg_out"]) * V2_PROMPT_TOKENS
    return Point(
        model=row["model"].rpartition("/")[2], layout=f"bf16/{gpus} GPUs", batch=batch,
        load=Utilisation(
            weights_frac=2 * params / gpus / gpu.hbm_bytes,
            compute_frac=(computed / step_s + 2 * active * prompts) / gpus / gpu.bf16_flops,
            bandwidth_frac=(read + batch * context * shape.kv_bytes) / step_s / gpus / gpu.hbm_bytes_per_s,
            output_tokens_per_s=rate / gpus,
        ),
        watts_w=float(row["w_per_gpu"]), sparse=shape.experts > 1,
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
