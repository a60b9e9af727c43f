"""Baking kernel profiles from aiconfigurator-core, the optional extra ``bake``."""

import importlib
import importlib.metadata
import itertools
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from hw_catalog.bake_experts import OtherExperts
from hw_catalog.bake_range import MeasuredRange, experts, measured_range
from hw_catalog.bake_recipe import KV_MODES, ModelRecipe, Quant, Target, language_model, read_recipe
from hw_catalog.bake_surfaces import (
    ATTENTION_BATCH,
    BATCH,
    CONTEXT_TOKENS,
    NEW_TOKENS,
    PAST_TOKENS,
    Handle,
    surfaces,
)
from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from hw_catalog.rows import nearest
from hw_catalog.strict_files import Unreadable, json_document, read_text

SOURCE_VERSION = "0.12.0"
PROFILE_SET = "aiconfigurator-0.12"
"""Of vLLM; other engines append their name, because a file holds one profile per layout."""
_MOST_CHARACTERS = 300
"""Of what the source says of one failure."""
HBM_FRAC = 0.92
"""Of the memory, what weights, activations, runtime and at least one KV block may fill together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked:
    """What a bake gave.

    Attributes:
        profiles: one per combination that the source has measured and that fits in memory.
        failures: a sentence for each other combination.
        remarks: what the source logged meanwhile, each once; most of it is of tables that the model does not use.
    """

    profiles: tuple[KernelProfile, ...]
    failures: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def bake(
    model: str,
    *,
    gpu: str,
    date: str,
    config: Path | None = None,
    tps: Sequence[int] = (1, 2, 4, 8),
    dtypes: Sequence[str] | None = None,
    engine: Literal["vllm", "sglang", "trtllm"] = "vllm",
    kv_dtype: Literal["bf16", "fp8"] = "bf16",
) -> Baked:
    """Times of a model on a GPU from published kernel measurements, as kernel profiles.

    A mixture of experts is baked with its experts split as tensors and, where the source has it, as experts (ep = tp).

    Args:
        model: id the profiles will carry; a model of ``bake.yaml`` unless ``config`` is given.
        gpu: catalog id.
        date: ISO date to stamp on the profiles.
        config: a Hugging Face ``config.json``; its architecture must be one the source knows.
        tps: tensor-parallel widths to try.
        dtypes: of the weights; None is what the recipe says (bf16 for a ``config``).
        engine: whose kernels.
        kv_dtype: of the KV cache.

    Raises:
        CatalogError: the source is not installed, a name is unknown, or no combination succeeded.
    """
    if wrong := unbakeable(model, gpu, dtypes or (), own=config is not None):
        raise CatalogError(*wrong)
    recipe = read_recipe()
    known = recipe.models[model] if config is None else ModelRecipe(dtypes=("bf16",))
    profiles, failed = list[KernelProfile](), dict[str, list[str]]()
    with tempfile.TemporaryDirectory() as scratch, heard("aiconfigurator_core") as remarks:
        directory = Path(scratch)  # a new one each time: the source caches a configuration by its path
        (directory / "config.json").write_text(json.dumps(hf_config := model_config(model, config)), encoding="utf-8")
        for dtype, (tp, ep) in itertools.product(dtypes or known.dtypes, _splits(hf_config, tps)):
            try:
                here = f"{engine}/{gpu}"
                quant = quant_of(dtype, {**recipe.quant, **known.quant, **known.quant_on.get(here, {})})
                target = Target(
                    model=model, gpu=gpu, system=recipe.systems[gpu], dtype=dtype, quant=quant, tp=tp, ep=ep,
                    kv_dtype=kv_dtype, engine=engine, date=date, hf_config=hf_config, directory=directory,
                    experts=known.experts_on.get(here), load=known.load_on.get(f"{dtype}/{gpu}", ""),
                )  # fmt: skip
                profiles.append(_bake_one(target))
            except (ValueError, RuntimeError, OSError) as error:  # no such measurement, or it does not fit
                failed.setdefault(reason(error, directory), []).append(f"{dtype} tp {tp} ep {ep}")
    failures = [f"{model} on {gpu}, {', '.join(who)}: {why}" for why, who in failed.items()]
    if not profiles:
        raise CatalogError(*failures)
    return Baked(profiles=tuple(profiles), failures=tuple(failures), remarks=tuple(dict.fromkeys(remarks)))


def unbakeable(model: str, gpu: str, dtypes: Sequence[str], *, own: bool) -> tuple[str, ...]:
    """What keeps a bake from beginning, a sentence each: names that are not known, the source that is not installed.

    Args:
        model: id of the profiles.
        gpu: catalog id.
        dtypes: of the weights.
        own: the model comes with a config.json.
    """
    recipe, found = read_recipe(), list[str]()
    if not own and model not in recipe.models:
        found.append(
            f"model {model!r} is not in bake.yaml and comes without config.json; {nearest(model, recipe.models)}"
        )
    if gpu not in recipe.systems:
        found.append(f"gpu {gpu!r} has no kernel measurements; {nearest(gpu, recipe.systems)}")
    known = recipe.models.get(model, ModelRecipe(dtypes=("bf16",)))
    formats = {*recipe.quant, *known.quant, *(each for more in known.quant_on.values() for each in more)}
    found += [f"dtype {each!r}: unknown; {nearest(each, formats)}" for each in dtypes if each not in formats]
    try:
        require_source()
    except CatalogError as absent:
        found += absent.problems
    return tuple(found)


@contextmanager
def heard(package: str) -> Iterator[list[str]]:
    """What a package logs from warnings on, kept in a list instead of printed among the lines of a verb."""
    logger, handler = logging.getLogger(package), _Kept(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


class _Kept(logging.Handler):
    """Messages of a logger, in order."""

    def __init__(self, level: int) -> None:
        """None yet."""
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.messages.append(record.getMessage())


def reason(error: Exception, directory: Path) -> str:
    """What the source said, in whole words and without the place of its copy of the configuration.

    Where it has no table for a GPU it says no more than the path of one.
    """
    if isinstance(error, FileNotFoundError):
        return f"the source has no table {Path(str(error.filename or error)).stem} of this GPU and engine"
    words = " ".join(str(error).replace(str(directory), "config.json").split())
    return words if len(words) <= _MOST_CHARACTERS else f"{words[:_MOST_CHARACTERS].rsplit(' ', 1)[0]} ..."


def _bake_one(target: Target) -> KernelProfile:
    """The profile of one combination."""
    sdk = importlib.import_module("aiconfigurator_core.sdk")
    _require_room(sdk, target)
    place, handles = str(target.directory), sdk.EngineHandle
    with loaded(target.load):
        handle: Handle = handles.compile(place, target.system, target.engine, **target.options)
    if target.experts:
        options = {**target.options, "moe_quant_mode": target.experts.moe, "kvcache_quant_mode": KV_MODES["bf16"]}
        handle = OtherExperts(handle, handles.compile(place, target.system, target.experts.engine, **options))
    return profile_of(target, handle)


@contextmanager
def loaded(distribution: str) -> Iterator[None]:
    """Compile with a distribution of tokens over experts that the source measured and ``compile`` cannot be told."""
    engine: Any = importlib.import_module("aiconfigurator_core.sdk.engine")
    whole = engine.build_model_config

    def chosen(**options: object) -> object:
        found = whole(**options)
        found.workload_distribution = distribution or found.workload_distribution
        return found

    engine.build_model_config = chosen
    try:
        yield
    finally:
        engine.build_model_config = whole


def profile_of(target: Target, handle: Handle) -> KernelProfile:
    """The profile of one combination from the source's compiled model."""
    span = measured_range(target)
    tables = surfaces(handle, max_tokens=span.linear_max_tokens)
    reach = np.array([span.decode_max_context_tokens.get(batch, 0) for batch in ATTENTION_BATCH])
    return KernelProfile(
        gpu=target.gpu,
        model=target.model,
        dtype=target.dtype,
        kv_dtype=target.kv_dtype,
        tp=target.tp,
        ep=target.ep,
        engine=target.engine,
        engine_version=span.engine_version,
        profile_set=PROFILE_SET if target.engine == "vllm" else f"{PROFILE_SET}-{target.engine}",
        overhead_s=0.0,
        tokens=tables.tokens,
        linear_prefill_s=tables.linear_prefill_s,
        batch=np.array(BATCH),
        linear_decode_s=tables.linear_decode_s,
        new_tokens=np.array(NEW_TOKENS),
        past_tokens=np.array(PAST_TOKENS),
        prefill_attention_s=tables.prefill_attention_s,
        attention_batch=np.array(ATTENTION_BATCH),
        context_tokens=np.array(CONTEXT_TOKENS),
        decode_attention_s=tables.decode_attention_s,
        decode_extrapolated=np.array(CONTEXT_TOKENS)[None, :] > reach[:, None],
        prefill_extrapolated=np.add.outer(NEW_TOKENS, PAST_TOKENS) > span.prefill_max_tokens,
        measured_frac=tables.measured_frac,
        provenance=_provenance(target, span, tables.disturbed / tables.decode_attention_s.size),
        dp=target.dp,
    )


def _require_room(sdk: ModuleType, target: Target) -> None:
    """Let the source's memory model raise where weights, activations and runtime leave no room for KV blocks."""
    sdk.estimate_kv_cache(
        str(target.directory),
        target.system,
        target.engine,
        "current",
        max_num_tokens=2048,
        max_batch_size=64,
        memory_fraction_kind="of_free" if target.engine == "trtllm" else "of_total",
        memory_fraction_value=HBM_FRAC,
        gpu_memory_capacity_bytes_override=int(load_catalog().gpus[target.gpu].hbm_bytes),
        **target.options,
    )


def quant_of(dtype: str, quants: Mapping[str, Quant]) -> Quant:
    """The source's modes for a dtype."""
    if dtype not in quants:
        raise ValueError(f"unknown dtype; {nearest(dtype, quants)}")
    return quants[dtype]


def require_source() -> None:
    """Refuse early and plainly where the source is absent or another version."""
    try:
        found = importlib.metadata.version("aiconfigurator-core")
    except importlib.metadata.PackageNotFoundError:
        raise CatalogError("baking needs aiconfigurator-core: pip install 'phasewise[bake]'") from None
    if found != SOURCE_VERSION:
        raise CatalogError(
            f"baking needs aiconfigurator-core {SOURCE_VERSION}, found {found}: pip install 'phasewise[bake]'"
        )


def model_config(model: str, config: Path | None = None) -> Mapping[str, Any]:
    """The Hugging Face configuration a model is presented with: the file given, else the recipe's, else the source's.

    Raises:
        CatalogError: the file cannot be read as one.
    """
    known = read_recipe().models.get(model, ModelRecipe(dtypes=()))
    if config is None and known.config is not None:
        return known.config
    if config is None:
        package = Path(importlib.import_module("aiconfigurator_core").__path__[0])
        config = package / "model_configs" / f"{known.source_config}_config.json"
    try:
        found = json_document(read_text(config, "a config.json"), str(config), "a config.json")
    except Unreadable as error:
        raise CatalogError(*error.problems) from None
    if not isinstance(found, dict) or "num_attention_heads" not in language_model(found):
        raise CatalogError(f"{config}: expected a Hugging Face config.json, found no num_attention_heads")
    return found


def _splits(hf_config: Mapping[str, Any], tps: Sequence[int]) -> list[tuple[int, int]]:
    """(tp, ep) pairs: experts split as tensors and, above one GPU, as experts."""
    pairs = [(tp, 1) for tp in tps]
    return pairs + [(tp, tp) for tp in tps if tp > 1] if experts(hf_config) else pairs


def _provenance(target: Target, span: MeasuredRange, disturbed_frac: float) -> Provenance:
    """Where the numbers come from and under which licence."""
    return Provenance(
        kind=Kind.DERIVED,
        source=f"aiconfigurator-core {SOURCE_VERSION}, {target.system} tables, {target.engine} {span.engine_version}",
        date=target.date,
        note=f"sums of measured kernel times, GEMM {target.quant.gemm}"
        + (f", experts {_experts(target)}" if experts(target.text) else "")
        + (f", {100 * disturbed_frac:.1f} % of decode attention lowered as disturbed" if disturbed_frac else "")
        + _exchanged(target)
        + "; NVIDIA, Apache-2.0",
    )


def _experts(target: Target) -> str:
    """The kernels of the experts, in words, and whose tables they are transferred from."""
    found, load = target.experts, f" under a {target.load} load" if target.load else ""
    return f"{found.moe} transferred from {found.engine}, same kernel" if found else target.quant.moe + load


def _exchanged(target: Target) -> str:
    """Whose all-to-all and expert kernels stand in, in words."""
    found = target.exchange
    if found is None:
        return ""
    where = f"{found.engine} on {found.system}, {found.decode}, {found.ways} ways"
    same = (found.engine, found.system, found.ways) == (target.engine, target.system, target.ep)
    return f", all-to-all of {where}" + ("" if same else f" transferred to {target.engine}, {target.ep} ways")
