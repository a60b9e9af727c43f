"""Checkpoints: which tensors of a model are stored in which format, by the checkpoint's own description."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from workloads.config_types import TORCH_NAMES, Config, block_of, check_types
from workloads.configs import language_model
from workloads.errors import WorkloadError
from workloads.formats import (
    BY_NAME,
    FP8_CHANNEL,
    FP8_TENSOR,
    INT8_CHANNEL,
    MXFP4,
    NF4,
    NVFP4,
    Format,
    fp8_blocks,
    grouped_int,
    plain,
)
from workloads.tensors import Kind, Tensor

_NEVER = (Kind.EMBEDDING, Kind.HEAD, Kind.ROUTER, Kind.OTHER)
"""What engines keep in the format of the activations whatever the rest is stored in."""

SCALED_KV = ("fp8",)
"""KV formats that a checkpoint can bring scales for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One published set of weights of a model.

    Attributes:
        repository: where it is published, as engines take it; empty where no source says.
        dtype: the number format of its linear layers, as scenarios and kernel profiles name it.
        method: ``quant_method`` of its config.json; empty where it is not quantised.
        stored: the format of the matrices that are quantised.
        rest: the format of the others.
        experts_only: only the routed experts are quantised.
        ignored: names of modules that are not: whole, as the end of a path, with ``*``, or ``re:`` and a pattern.
        kv_dtype: of a KV cache it brings scales for; None where engines choose.
        authors: whether the model's own authors published it.
        source: where its format was read.
    """

    repository: str
    dtype: str
    method: str = ""
    stored: Format
    rest: Format
    experts_only: bool = False
    ignored: tuple[str, ...] = ()
    kv_dtype: str | None = None
    authors: bool = False
    source: str = ""

    def format_of(self, tensor: Tensor) -> Format:
        """How it stores a tensor."""
        if self.stored == self.rest or tensor.kind in _NEVER or (self.experts_only and tensor.kind is not Kind.EXPERT):
            return self.rest
        return self.rest if any(_names(entry, tensor.name) for entry in self.ignored) else self.stored


def _names(entry: str, module: str) -> bool:
    """Whether an entry of an ignore list speaks of a module.

    The index of an expert is ``*`` in ``module``; an entry that names one expert speaks of all of them.
    """
    if entry.startswith("re:"):
        return re.match(entry[3:], module.replace("*", "0")) is not None
    if "*" in entry:
        return fnmatchcase(module, entry) or fnmatchcase(module, f"*{entry}") or fnmatchcase(module, f"{entry}.*")
    entry = re.sub(r"\.experts\.\d+", ".experts.*", entry)
    return module == entry or module.endswith(f".{entry}") or f".{entry}." in f".{module}."


def unquantised(dtype: str, *, repository: str = "", authors: bool = False, source: str = "") -> Checkpoint:
    """Every tensor in one format without scales."""
    stored = plain(dtype)
    return Checkpoint(
        repository=repository, dtype=dtype, stored=stored, rest=stored, authors=authors, source=source
    )  # fmt: skip


def described(config: Config, *, where: str, repository: str = "") -> Checkpoint:
    """The checkpoint that a ``config.json`` describes in ``quantization_config``, or an unquantised one.

    Raises:
        WorkloadError: the method of quantisation is unknown, or a value has a wrong type; formats are not guessed.
    """
    check_types(config, where)
    text = language_model(config)
    stated = text.get("torch_dtype", text.get("dtype")) or config.get("torch_dtype", config.get("dtype"))
    rest = TORCH_NAMES[str(stated or "auto").removeprefix("torch.")]
    quantised = text.get("quantization_config") or config.get("quantization_config")
    if not quantised:
        return unquantised(rest, repository=repository, authors=True, source=where)
    method = str(quantised.get("quant_method") or quantised.get("quant_algo") or "").lower()
    stored = _stored(quantised, method, where)
    return Checkpoint(
        repository=repository, dtype=stored.dtype, method=method, stored=stored, rest=plain(rest),
        experts_only=method == "mxfp4", ignored=_ignored(quantised), kv_dtype=_kv_dtype(quantised), authors=True,
        source=where,
    )  # fmt: skip


def _stored(quantised: Mapping[str, Any], method: str, where: str) -> Format:
    """The format of quantised matrices."""
    bits, group = quantised.get("bits") or quantised.get("w_bit") or 4, quantised.get("group_size")
    if method in ("fp8", "fbgemm_fp8"):
        block = block_of(quantised.get("weight_block_size"))
        return fp8_blocks(*block) if block else FP8_CHANNEL if method == "fbgemm_fp8" else FP8_TENSOR
    if method == "mxfp4":
        return MXFP4
    if method in ("awq", "gptq", "auto-round"):
        return grouped_int(bits, group or quantised.get("q_group_size") or 128, zeros=True)
    if method == "bitsandbytes":
        return INT8_CHANNEL if quantised.get("load_in_8bit") else NF4
    algorithm = str(quantised.get("quant_algo", "")).upper()
    if method == "modelopt" or method == "modelopt_fp4" or algorithm:
        if "NVFP4" in algorithm or method == "modelopt_fp4":
            return NVFP4
        if algorithm.startswith("FP8"):
            return _FP8_ALGORITHMS.get(algorithm, FP8_TENSOR)
    groups = quantised.get("config_groups")
    if method in ("compressed-tensors", "modelopt") and groups:
        return _of_groups(groups, where)
    if method == "modelopt":
        raise WorkloadError(
            f"{where}: quantization_config.quant_algo is '{algorithm or '(missing)'}', expected one format for all "
            "weights: NVFP4, FP8 or one of " + ", ".join(_FP8_ALGORITHMS)
        )
    raise WorkloadError(
        f"{where}: quantization_config.quant_method is '{method or '(missing)'}', expected one of awq, bitsandbytes, "
        "compressed-tensors, fbgemm_fp8, fp8, gptq, modelopt, mxfp4"
    )


_FP8_ALGORITHMS = {"FP8_PB_WO": fp8_blocks(128, 128), "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL}
"""Values of ModelOpt's ``quant_algo`` with more than one scale for a matrix. Source: modelopt/torch/export."""


def _of_groups(groups: Mapping[str, Mapping[str, Any]], where: str) -> Format:
    """The one format that the groups of compressed-tensors state.

    Which matrices belong to which group is not read, so groups of several formats cannot be sized.
    """
    found = list(dict.fromkeys(_of_group(group, where) for group in groups.values() if group.get("weights")))
    if len(found) != 1:
        formats = " and ".join(each.name for each in found) or "no weights"
        raise WorkloadError(
            f"{where}: quantization_config.config_groups: found {formats}, expected one format of weights for all"
        )
    return found[0]


def _of_group(group: Mapping[str, Any], where: str) -> Format:
    """The format that a group of compressed-tensors states."""
    weights = group["weights"]
    bits, kind, size = weights.get("num_bits"), weights.get("type"), weights.get("group_size")
    if (bits, kind) == (8, "float"):
        block = block_of(weights.get("block_structure"))
        return fp8_blocks(*block) if block else (
            FP8_TENSOR if weights.get("strategy") == "tensor" else FP8_CHANNEL
        )  # fmt: skip
    if (bits, kind) == (4, "float"):
        return MXFP4 if size == 32 else NVFP4
    if kind == "int" and bits in (4, 8):
        return grouped_int(bits, size or 0, zeros=not weights.get("symmetric", True))
    raise WorkloadError(
        f"{where}: quantization_config.config_groups: found weights of {bits} bits of type {kind}, expected 4 or 8 "
        "bits of type float or int"
    )


def _ignored(quantised: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules that the description leaves out."""
    lists = (quantised.get(key) for key in ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"))
    return tuple(str(entry) for found in lists if isinstance(found, list) for entry in found)


def _kv_dtype(quantised: Mapping[str, Any]) -> str | None:
    """The format of the KV cache that the checkpoint brings scales for."""
    scheme, algorithm = quantised.get("kv_cache_scheme"), quantised.get("kv_cache_quant_algo")
    if isinstance(scheme, Mapping) and (scheme.get("num_bits"), scheme.get("type")) == (8, "float"):
        return "fp8"
    return "fp8" if str(algorithm).upper() == "FP8" else None


class _Row(BaseModel):
    """One entry of ``data/checkpoints.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str
    stored: str
    rest: str = "bf16"
    method: str = ""
    experts_only: bool = False
    ignored: tuple[str, ...] = ()
    kv_dtype: str | None = None
    authors: bool = False
    source: str


def published(model: str) -> tuple[Checkpoint, ...]:
    """Known checkpoints of a model, its authors' first: the first one is what the model is published in."""
    return _checkpoints(_rows().get(model, ()))


def checkpoints_named(repository: str) -> tuple[tuple[str, Checkpoint], ...]:
    """Known checkpoints of that repository, each with the id of its model."""
    return tuple(
        (model, found)
        for model, rows in _rows().items()
        for found in _checkpoints(rows)
        if found.repository == repository
    )


def _rows() -> dict[str, tuple[_Row, ...]]:
    """Every entry of ``data/checkpoints.json``, by model."""
    text = files("workloads").joinpath("data", "checkpoints.json").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, tuple[_Row, ...]]).validate_json(text)


def _checkpoints(rows: Iterable[_Row]) -> tuple[Checkpoint, ...]:
    """Entries as checkpoints."""
    return tuple(
        Checkpoint(
            repository=row.repository, dtype=BY_NAME[row.stored].dtype, method=row.method, stored=BY_NAME[row.stored],
            rest=BY_NAME[row.rest], experts_only=row.experts_only, ignored=row.ignored, kv_dtype=row.kv_dtype,
            authors=row.authors, source=row.source,
        )
        for row in rows
    )  # fmt: skip


def assumed(dtype: str, *, block_scaled: bool) -> Checkpoint:
    """The checkpoint of a format without a known publication: all linear layers quantised."""
    stored = {
        "fp8": fp8_blocks(128, 128) if block_scaled else FP8_CHANNEL, "fp4": NVFP4, "int8": INT8_CHANNEL,
        "int4": grouped_int(4, 128, zeros=True),
    }.get(dtype)  # fmt: skip
    if stored is None:
        return unquantised(dtype, source="assumed: every tensor in this format")
    return Checkpoint(
        repository="", dtype=dtype, stored=stored, rest=plain("bf16"),
        source="assumed: linear layers in this format; embeddings, output head and routers in bf16",
    )  # fmt: skip
