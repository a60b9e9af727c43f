"""What to bake: the recipe of the committed profiles, and one combination of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quant(_Strict):
    """Quantization modes of the source that make up one dtype."""

    gemm: str
    moe: str


class Experts(_Strict):
    """Expert kernels that were measured under another engine, which calls the same ones."""

    engine: str
    moe: str


class ModelRecipe(_Strict):
    """How one model is presented to the source: a configuration it ships, or one of ours.

    ``quant_on`` holds what differs with one engine on one GPU, under ``engine/gpu``, and ``experts_on`` whose expert
    kernels stand in there. ``load_on`` holds, under ``dtype/gpu``, how tokens fall on experts in the measurements that
    are taken; elsewhere it is the source's own choice, a power law.
    """

    dtypes: tuple[str, ...]
    source_config: str | None = None
    config: dict[str, Any] | None = None
    quant: dict[str, Quant] = {}
    quant_on: dict[str, dict[str, Quant]] = {}
    experts_on: dict[str, Experts] = {}
    load_on: dict[str, str] = {}


class Recipe(_Strict):
    """The contents of ``bake.yaml``."""

    systems: dict[str, str]
    machine_gpus: dict[str, int]
    quant: dict[str, Quant]
    models: dict[str, ModelRecipe]


def read_recipe() -> Recipe:
    """The recipe of the committed profiles."""
    text = resources.files("hw_catalog").joinpath("data", "bake.yaml").read_text(encoding="utf-8")
    return Recipe.model_validate(yaml.safe_load(text))


def language_model(hf_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that describes the language model: all of it, unless it sees too."""
    found: Mapping[str, Any] = hf_config.get("text_config", hf_config)
    return found


KV_MODES = {"bf16": "bfloat16", "fp8": "fp8"}
"""Number format of the KV cache -> the source's mode. Attention itself is computed in bf16 either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Kernels that carry tokens to the ranks of their experts and back, measured over a whole link domain.

    Attributes:
        engine: whose kernels.
        system: the source's name of the GPU they were measured on.
        prefill: the source's name of those of prompts.
        decode: the source's name of those of decode steps.
        ways: expert-parallel ways they were measured with, of a layout with ``ep`` or near it.
        gpus: of a machine, as the source counts them there.
    """

    engine: str
    system: str
    prefill: str
    decode: str
    ways: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One combination to bake.

    Attributes:
        model: id the profile will carry.
        gpu: catalog id.
        system: the source's name of the GPU.
        dtype: of the weights.
        quant: the source's modes for it.
        tp: tensor-parallel GPUs.
        ep: expert-parallel ways; divides ``tp`` times ``dp``.
        kv_dtype: of the KV cache.
        engine: whose kernels.
        date: ISO date of the bake.
        hf_config: the model's configuration.
        directory: where the source finds that configuration.
        dp: ranks of attention data parallelism.
        exchange: whose all-to-all kernels carry tokens to experts; None is what the engine does in one machine.
        experts: whose expert kernels stand in for its own; None where they are its own.
        load: how tokens fall on experts, as the source calls it; empty is its own choice.
    """

    model: str
    gpu: str
    system: str
    dtype: str
    quant: Quant
    tp: int
    ep: int
    kv_dtype: str
    engine: str
    date: str
    hf_config: Mapping[str, Any]
    directory: Path
    dp: int = 1
    exchange: Exchange | None = None
    experts: Experts | None = None
    load: str = ""

    @property
    def text(self) -> Mapping[str, Any]:
        """Configuration of the language model."""
        return language_model(self.hf_config)

    @property
    def options(self) -> dict[str, Any]:
        """Compile options of the source; every mode is named, because the source's defaults vary."""
        return {
            "tp_size": self.tp,
            "attention_dp_size": self.dp,
            "moe_tp_size": self.tp * self.dp // self.ep,
            "moe_ep_size": self.ep,
            "gemm_quant_mode": self.quant.gemm,
            "moe_quant_mode": self.quant.moe,
            "kvcache_quant_mode": KV_MODES[self.kv_dtype],
            "fmha_quant_mode": "bfloat16",
        }
