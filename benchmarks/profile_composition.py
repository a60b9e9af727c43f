"""How closely a step composed from the surfaces of a profile comes to the source's own price of that step.

Needs the extra ``bake``: ``python benchmarks/profile_composition.py [BATCHES_PER_PROFILE]``. The source's forward-pass
model prices a whole batch; ours adds overhead, linear and attention times read off the committed tables.
"""

import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hw_catalog.bake import model_config
from hw_catalog.bake_recipe import read_recipe
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import Floats, Ints, KernelProfile

CASES = (
    ("llama-3.1-70b", "a100-sxm", "bf16", 4),
    ("llama-3.1-70b", "h100-sxm", "bf16", 4),
    ("llama-3.1-70b", "h100-sxm", "fp8", 4),
    ("llama-3.1-70b", "h200-sxm", "bf16", 8),
    ("llama-3.1-8b", "l40s", "bf16", 1),
    ("llama-3.1-8b", "b200-sxm", "fp8", 1),
    ("qwen3-32b", "h100-sxm", "bf16", 2),
    ("mixtral-8x7b", "h100-sxm", "fp8", 2),
    ("gpt-oss-120b", "h200-sxm", "fp4", 2),
    ("bloom-176b", "h100-sxm", "bf16", 8),
    ("deepseek-v3", "h200-sxm", "fp8", 8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A step: ``prefills`` requests with ``new`` tokens on ``past``, and ``decodes`` requests at ``context``."""

    kind: str
    prefills: int
    new: int
    past: int
    decodes: int
    context: int


def batches(count: int, *, max_tokens: int, seed: int = 0) -> Iterator[Batch]:
    """Random steps, log-uniform in every size: prefill, decode, mixed, and many short prompts on long pasts."""
    rng = np.random.default_rng(seed)

    def size(low: int, high: int) -> int:
        return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

    for number in range(count):
        kind = ("prefill", "decode", "mixed", "short")[number % 4]
        if kind == "short":
            prefills, new, past = size(4, 64), size(16, 128), size(512, 16_384)
            yield Batch(kind=kind, prefills=prefills, new=new, past=past, decodes=0, context=0)
            continue
        prefills = 0 if kind == "decode" else size(1, 4)
        decodes = 0 if kind == "prefill" else size(1, 256)
        past = 0 if rng.random() < 0.5 else size(256, 8192)
        new = size(64, min(8192, max_tokens // 4 - 64))
        yield Batch(kind=kind, prefills=prefills, new=new, past=past, decodes=decodes, context=size(64, 8192))


def bilinear(rows: Ints, columns: Ints, table: Floats, row: float, column: float) -> float:
    """A table read between its knots."""
    along = [np.interp(column, columns, line) for line in table]
    return float(np.interp(row, rows, along))


def composed_s(p: KernelProfile, b: Batch) -> float:
    """Overhead + linear + prefill attention of each request + decode attention."""
    tokens = b.prefills * b.new + b.decodes
    linear = np.interp(tokens, p.tokens, p.linear_prefill_s) if b.prefills else None
    total = p.overhead_s + float(np.interp(tokens, p.batch, p.linear_decode_s) if linear is None else linear)
    if b.prefills:
        total += b.prefills * bilinear(p.new_tokens, p.past_tokens, p.prefill_attention_s, b.new, b.past)
    if b.decodes:
        total += bilinear(p.attention_batch, p.context_tokens, p.decode_attention_s, b.decodes, b.context)
    return total


class ForwardPass(Protocol):
    """What is used of the source's forward-pass model."""

    def estimate_forward_pass_time_ms(self, batch: dict[str, object]) -> float:
        """Milliseconds of one step."""


def source_s(model: ForwardPass, b: Batch) -> float:
    """The source's price of the same step."""
    requests = {
        "num_prefill_requests": b.prefills,
        "sum_prefill_tokens": b.prefills * b.new,
        "sum_prefill_kv_tokens": b.prefills * b.past,
        "num_decode_requests": b.decodes,
        "sum_decode_kv_tokens": b.decodes * b.context,
    }
    return model.estimate_forward_pass_time_ms({"version": 1, "scheduled_requests": requests}) * 1e-3


def source_model(profile: KernelProfile, config: Mapping[str, Any], directory: Path) -> ForwardPass:
    """The source's forward-pass model for the combination of a profile."""
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    recipe = read_recipe()
    quant = {**recipe.quant, **recipe.models[profile.model].quant}[profile.dtype]
    sdk = importlib.import_module("aiconfigurator_core.sdk")
    model: ForwardPass = sdk.RustForwardPassPerfModel.from_native(
        {
            "schema_version": 1,
            "model_name": str(directory),
            "system_name": recipe.systems[profile.gpu],
            "backend": profile.engine,
            "backend_version": profile.engine_version,
            "tp_size": profile.tp,
            "pp_size": 1,
            "moe_tp_size": profile.tp // profile.ep,
            "moe_ep_size": profile.ep,
            "weight_dtype": quant.gemm,
            "moe_dtype": quant.moe,
            "kv_cache_dtype": "bfloat16",
            "activation_dtype": "bfloat16",
        }
    )
    return model


def main(count: int) -> None:
    """Print a table of relative errors."""
    print("| model | GPU | dtype | tp | step | median | p90 | max |\n|---|---|---|---|---|---|---|---|")
    for name, gpu, dtype, tp in CASES:
        profile = next(p for p in load_profiles(None, model=name, gpu=gpu) if (p.dtype, p.tp, p.ep) == (dtype, tp, 1))
        errors: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            model = source_model(profile, model_config(name), Path(scratch))
            for batch in batches(count, max_tokens=int(profile.tokens[-1])):
                error = composed_s(profile, batch) / source_s(model, batch) - 1
                errors.setdefault(batch.kind, []).append(error)
        for kind, found in errors.items():
            size = np.abs(found)
            p50, p90, worst = (f"{100 * value:.1f} %" for value in (*np.quantile(size, [0.5, 0.9]), size.max()))
            print(f"| {name} | {gpu} | {dtype} | {tp} | {kind} | {p50} | {p90} | {worst} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 800)
