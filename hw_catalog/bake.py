"""Baking kernel profiles from aiconfigurator-core, the optional extra ``bake``."""

import importlib
import importlib.metadata
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hw_catalog.bake_range import MeasuredRange, experts, measured_range
from hw_catalog.bake_recipe import ModelRecipe, Target, read_recipe
from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog, nearest
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance

SOURCE_VERSION = "0.12.0"
HBM_FRAC = 0.92
"""Of the memory, what weights, activations, runtime and at least one KV block may fill together."""

# Both sides of each edge at which the source measured a GEMM tile to fill up, so that linear interpolation is exact.
TOKENS = (
    *(1, 4, 8, 16, 17, 32, 33, 48, 49, 64, 65, 96, 97, 128, 129, 160, 161, 192, 193, 224, 225, 256, 257, 384, 512, 513),
    *(768, 769, 1024, 1025, 1280, 1281, 1536, 1537, 1792, 1793, 2048, 2049, 2304, 2305, 2560, 2561, 2816, 2817, 3072),
    *(3073, 3328, 3329, 3584, 3585, 3840, 3841, 4096, 4097, 4352, 4353, 6144, 8192, 12288, 16384, 32768),
)
BATCH = (
    *(1, 2, 4, 8, 16, 17, 24, 32, 33, 48, 49, 64, 65, 96, 97, 128, 129, 192, 193, 256, 257, 384, 512, 513, 768, 769),
    1024,
)
NEW_TOKENS = (1, 32, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768)
PAST_TOKENS = (0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
ATTENTION_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONTEXT_TOKENS = (1, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)

ATTENTION_WORDS = ("attention", "mla")
"""What marks an operation of the source as attention; a multi-head latent block includes its own projections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked:
    """What a bake gave.

    Attributes:
        profiles: one per combination that the source has measured and that fits in memory.
        failures: a sentence for each other combination.
    """

    profiles: tuple[KernelProfile, ...]
    failures: tuple[str, ...]


def bake(
    model: str,
    *,
    gpu: str,
    date: str,
    config: Path | None = None,
    tps: Sequence[int] = (1, 2, 4, 8),
    dtypes: Sequence[str] | None = None,
    engine: Literal["vllm", "sglang", "trtllm"] = "vllm",
) -> Baked:
    """Measure-table times of a model on a GPU, as kernel profiles.

    A mixture of experts is baked with its experts split as tensors and, where the source has it, as experts (ep = tp).

    Args:
        model: id the profiles will carry; a model of ``bake.yaml`` unless ``config`` is given.
        gpu: catalog id.
        date: ISO date to stamp on the profiles.
        config: a Hugging Face ``config.json``; its architecture must be one the source knows.
        tps: tensor-parallel widths to try.
        dtypes: of the weights; None is what the recipe says (bf16 for a ``config``).
        engine: whose kernels.

    Raises:
        CatalogError: the source is not installed, a name is unknown, or no combination succeeded.
    """
    _require_source()
    recipe = read_recipe()
    if gpu not in recipe.systems:
        raise CatalogError(f"gpu {gpu!r} has no kernel measurements; {nearest(gpu, recipe.systems)}")
    if config is None and model not in recipe.models:
        raise CatalogError(
            f"model {model!r} is not in bake.yaml and comes without config; {nearest(model, recipe.models)}"
        )
    known = recipe.models[model] if config is None else ModelRecipe(dtypes=("bf16",))
    quants = {**recipe.quant, **known.quant}
    hf_config = _config(known, config)
    profiles: list[KernelProfile] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        (directory := Path(scratch, model)).mkdir()  # the source caches a configuration by its path
        (directory / "config.json").write_text(json.dumps(hf_config), encoding="utf-8")
        for dtype, (tp, ep) in itertools.product(dtypes or known.dtypes, _splits(hf_config, tps)):
            label = f"{model} {dtype} on {gpu}, tp {tp}, ep {ep}"
            if dtype not in quants:
                failures.append(f"{label}: unknown dtype; {nearest(dtype, quants)}")
                continue
            target = Target(
                model=model,
                gpu=gpu,
                system=recipe.systems[gpu],
                dtype=dtype,
                quant=quants[dtype],
                tp=tp,
                ep=ep,
                engine=engine,
                date=date,
                hf_config=hf_config,
                directory=directory,
            )
            try:
                profiles.append(_bake_one(target))
            except (ValueError, RuntimeError) as error:  # no such measurement, or it does not fit
                failures.append(f"{label}: {' '.join(str(error).split())[:200]}")
    if not profiles:
        raise CatalogError(*failures)
    return Baked(profiles=tuple(profiles), failures=tuple(failures))


def _bake_one(target: Target) -> KernelProfile:
    """The profile of one combination."""
    sdk = importlib.import_module("aiconfigurator_core.sdk")
    hbm_bytes = load_catalog().gpus[target.gpu].hbm_bytes
    sdk.estimate_kv_cache(  # raises where the weights leave no room
        str(target.directory),
        target.system,
        target.engine,
        "current",
        max_num_tokens=2048,
        max_batch_size=64,
        memory_fraction_kind="of_free" if target.engine == "trtllm" else "of_total",
        memory_fraction_value=HBM_FRAC,
        gpu_memory_capacity_bytes_override=int(hbm_bytes),
        **target.options,
    )
    handle = sdk.EngineHandle.compile(str(target.directory), target.system, target.engine, **target.options)
    span = measured_range(target)
    tokens = [n for n in TOKENS if n <= span.linear_max_tokens]
    prefill = [_prefill(handle, n, 0) for n in tokens]
    decode = [_decode(handle, n, 2048) for n in BATCH]
    return KernelProfile(
        gpu=target.gpu,
        model=target.model,
        dtype=target.dtype,
        kv_dtype="bf16",
        tp=target.tp,
        ep=target.ep,
        engine=target.engine,
        engine_version=span.engine_version,
        profile_set=f"aiconfigurator-{SOURCE_VERSION.rpartition('.')[0]}",
        overhead_s=0.0,
        tokens=np.array(tokens),
        linear_prefill_s=np.array([step.linear_s for step in prefill]),
        batch=np.array(BATCH),
        linear_decode_s=np.array([step.linear_s for step in decode]),
        new_tokens=np.array(NEW_TOKENS),
        past_tokens=np.array(PAST_TOKENS),
        prefill_attention_s=np.array([[_prefill(handle, n, p).attention_s for p in PAST_TOKENS] for n in NEW_TOKENS]),
        attention_batch=np.array(ATTENTION_BATCH),
        context_tokens=np.array(CONTEXT_TOKENS),
        decode_attention_s=np.array(
            [[_decode(handle, b, c).attention_s for c in CONTEXT_TOKENS] for b in ATTENTION_BATCH]
        ),
        decode_extrapolated=_decode_extrapolated(span),
        prefill_extrapolated=np.add.outer(NEW_TOKENS, PAST_TOKENS) > span.prefill_max_tokens,
        measured_frac=_measured_frac(handle),
        provenance=_provenance(target, span),
    )


def _require_source() -> None:
    """Refuse early and plainly where the source is absent or another version."""
    try:
        found = importlib.metadata.version("aiconfigurator-core")
    except importlib.metadata.PackageNotFoundError:
        raise CatalogError("baking needs aiconfigurator-core: pip install 'phasewise[bake]'") from None
    if found != SOURCE_VERSION:
        raise CatalogError(
            f"baking needs aiconfigurator-core {SOURCE_VERSION}, found {found}: pip install 'phasewise[bake]'"
        )


def _config(known: ModelRecipe, config: Path | None) -> Mapping[str, Any]:
    """The Hugging Face configuration of the model."""
    if known.config is not None:
        return known.config
    if config is None:
        package = Path(importlib.import_module("aiconfigurator_core").__path__[0])
        config = package / "model_configs" / f"{known.source_config}_config.json"
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{config}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict) or "num_attention_heads" not in found:
        raise CatalogError(f"{config}: expected a Hugging Face config.json, found no num_attention_heads")
    return found


def _splits(hf_config: Mapping[str, Any], tps: Sequence[int]) -> list[tuple[int, int]]:
    """(tp, ep) pairs: experts split as tensors and, above one GPU, as experts."""
    pairs = [(tp, 1) for tp in tps]
    return pairs + [(tp, tp) for tp in tps if tp > 1] if experts(hf_config) else pairs


Operations = Sequence[tuple[str, float, float, str]]


class Handle(Protocol):
    """What is used of the source's compiled model."""

    def run_static_per_op(
        self, *, batch_size: int, isl: int, osl: int, prefix: int, mode: str
    ) -> tuple[Operations, Operations]:
        """Operations of a prefill step and of the decode steps after it."""

    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Operations:
        """Operations of one decode step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One step as the source prices it, seconds."""

    linear_s: float
    attention_s: float
    measured_s: float


def _step(operations: Operations) -> _Step:
    """Operations (name, milliseconds, energy, source) summed by kind."""
    attention = sum(ms for name, ms, _, _ in operations if any(word in name for word in ATTENTION_WORDS))
    total = sum(ms for _, ms, _, _ in operations)
    measured = sum(ms for _, ms, _, source in operations if source == "silicon")
    return _Step(linear_s=(total - attention) * 1e-3, attention_s=attention * 1e-3, measured_s=measured * 1e-3)


def _prefill(handle: Handle, new_tokens: int, past_tokens: int) -> _Step:
    """A step on ``new_tokens`` of one request after ``past_tokens``; the source counts both as input."""
    operations, _ = handle.run_static_per_op(
        batch_size=1, isl=new_tokens + past_tokens, osl=2, prefix=past_tokens, mode="static_ctx"
    )
    return _step(operations)


def _decode(handle: Handle, batch: int, context_tokens: int) -> _Step:
    """A decode step; the source attends to its input plus the new token, so a context of n is an input of n - 1."""
    return _step(handle.decode_step_per_op(batch, context_tokens - 1, 2))


def _decode_extrapolated(span: MeasuredRange) -> NDArray[np.bool_]:
    """(batch, context) True where no measurement reaches."""
    reach = np.array([span.decode_max_context.get(batch, 0) for batch in ATTENTION_BATCH])
    return np.array(CONTEXT_TOKENS)[None, :] > reach[:, None]


def _measured_frac(handle: Handle) -> float:
    """Share of time from measured tables over a 2048-token prefill and a decode of 32 at context 2048.

    Operations the source mixes from measured and analytic parts count as not measured.
    """
    steps = (_prefill(handle, 2048, 0), _decode(handle, 32, 2048))
    return float(np.mean([step.measured_s / (step.linear_s + step.attention_s) for step in steps]))


def _provenance(target: Target, span: MeasuredRange) -> Provenance:
    """Where the numbers come from and under which licence."""
    return Provenance(
        kind=Kind.DERIVED,
        source=f"aiconfigurator-core {SOURCE_VERSION}, {target.system} tables, {target.engine} {span.engine_version}",
        date=target.date,
        note=f"sums of measured kernel times, GEMM {target.quant.gemm}"
        + (f", experts {target.quant.moe}" if experts(target.hf_config) else "")
        + "; NVIDIA, Apache-2.0",
    )
