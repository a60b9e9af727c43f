"""Models: what a configuration file says about sizes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from workloads.errors import WorkloadError

DTYPE_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}

Config = Mapping[str, Any]
"""What a Hugging Face ``config.json`` holds."""

_LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe", "gpt_oss")
_DEEPSEEK_LIKE = ("deepseek_v2", "deepseek_v3", "kimi_k2")
_GPT_LIKE = {
    "gpt2": ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions"),
    "bloom": ("n_layer", "hidden_size", "n_head", "vocab_size", "seq_length"),
}
_EXPERT_KEYS = {
    "mixtral": ("num_local_experts", "num_experts_per_tok", "intermediate_size"),
    "gpt_oss": ("num_local_experts", "num_experts_per_tok", "intermediate_size"),
    "qwen3_moe": ("num_experts", "num_experts_per_tok", "moe_intermediate_size"),
}


_BLOCK_SCALED = (*_DEEPSEEK_LIKE, "qwen3_moe")
"""Families whose published 8-bit checkpoints have scales for blocks of 128 x 128 weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Sizes of one model.

    Attributes:
        name: id, for example ``llama-3.1-70b``.
        layers: transformer layers.
        hidden: model width.
        heads: query heads.
        kv_heads: key/value heads (equal to ``heads`` without grouped-query attention).
        head_dim: width of a head.
        params: parameters in all.
        active_params: parameters one token uses (equal to ``params`` for dense models).
        max_context_tokens: longest context the model was made for.
        kv_latent_dim: width of the compressed KV of multi-head latent attention; 0 where there is none.
        experts: a token may be routed to, per layer; 1 in a dense model.
        experts_used: of them, by one token.
        routed_params: parameters of all those experts, shared ones left out; 0 in a dense model.
        block_scaled: its 8-bit checkpoint holds a scale for every small block of weights, not one per row.
        source: where the sizes were read.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    params: float
    active_params: float
    max_context_tokens: int
    kv_latent_dim: int = 0
    experts: int = 1
    experts_used: int = 1
    routed_params: float = 0.0
    block_scaled: bool = False
    source: str = ""

    def weight_bytes(self, dtype: str) -> float:
        """Bytes of all weights stored as ``dtype``."""
        return self.params * DTYPE_BYTES[dtype]

    def kv_bytes_per_token(self, kv_dtype: str = "bf16") -> float:
        """Bytes of KV cache one token holds, all layers, before any sharding.

        bytes = 2 · layers · kv_heads · head_dim · dtype, or layers · latent · dtype with latent attention.
        """
        if self.kv_latent_dim:
            return self.layers * self.kv_latent_dim * DTYPE_BYTES[kv_dtype]
        return 2 * self.layers * self.kv_heads * self.head_dim * DTYPE_BYTES[kv_dtype]

    def kv_shards(self, tp: int) -> int:
        """Over how many of ``tp`` GPUs one token's KV is divided (the rest hold copies)."""
        return 1 if self.kv_latent_dim else min(tp, self.kv_heads)


class ModelCard(BaseModel):
    """One entry of ``data/models.json``: the size-bearing keys of a public config and the counts its authors publish.

    Attributes:
        source: where the config was published.
        published_params: parameters in all as published, the check on those computed from the shapes.
        published_active_params: parameters one token uses, input embedding included, as published.
        config: keys and values as in ``config.json``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    published_params: float
    published_active_params: float
    config: dict[str, int | str]


def model_cards() -> dict[str, ModelCard]:
    """The model cards that ship with phasewise, by id."""
    text = files("workloads").joinpath("data", "models.json").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, ModelCard]).validate_json(text)


def known_models() -> tuple[str, ...]:
    """Ids that ``load_model`` takes without a file."""
    return tuple(sorted(model_cards()))


def load_model(name_or_path: str | Path) -> ModelSpec:
    """The sizes of a known model, or of one described by a Hugging Face ``config.json``.

    Args:
        name_or_path: an id of ``known_models()``, a ``config.json``, or a directory that holds one.

    Raises:
        WorkloadError: neither a known id nor such a file, the file is not a JSON object, or keys are missing or wrong.
    """
    cards = model_cards()
    card = cards.get(str(name_or_path))
    if card is not None:
        return model_from_config(card.config, str(name_or_path), source=card.source)
    path = Path(name_or_path)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        near = get_close_matches(str(name_or_path), cards, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WorkloadError(
            f"model '{name_or_path}': found neither a known model nor a Hugging Face config.json of that path; "
            f"expected a path or one of {', '.join(sorted(cards))}{hint}"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkloadError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise WorkloadError(f"{file}: found a JSON {type(config).__name__}, expected an object of model sizes")
    name = file.resolve().parent.name if file.name == "config.json" else file.stem
    return model_from_config(config, name, source=str(file))


def model_from_config(config: Config, name: str, *, source: str = "") -> ModelSpec:
    """The sizes a Hugging Face config states, with parameters counted from the shapes.

    Norms and biases are left out of the count: together they stay under 0.1 % of it.

    Args:
        config: the keys of ``config.json``; those that say nothing about sizes are ignored.
        name: id to give the model.
        source: where the config was read.

    Raises:
        WorkloadError: the architecture is unknown, or size keys are missing or not whole numbers (all are listed).
    """
    family = str(config.get("model_type") or _family_of(config))
    where = source or name
    if family in _LLAMA_LIKE:
        return _llama_like(config, name, where)
    if family in _DEEPSEEK_LIKE:
        return _deepseek_like(config, name, where)
    if family in _GPT_LIKE:
        return _gpt_like(config, name, where, _GPT_LIKE[family])
    known = (*_LLAMA_LIKE, *_DEEPSEEK_LIKE, *_GPT_LIKE)
    near = get_close_matches(family, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise WorkloadError(f"{where}: model_type '{family}' is unknown, expected one of {', '.join(known)}{hint}")


def _family_of(config: Config) -> str:
    """The ``model_type`` that the first entry of ``architectures`` implies, for configs that do not state it."""
    architectures = config.get("architectures") or [""]
    stem = str(architectures[0]).split("For")[0].removesuffix("LMHeadModel").lower()
    squeezed = {family.replace("_", ""): family for family in (*_LLAMA_LIKE, *_DEEPSEEK_LIKE, *_GPT_LIKE)}
    return squeezed.get(stem, stem or "(missing)")


def _whole_numbers(config: Config, where: str, *keys: str, least: int = 1) -> list[int]:
    """The values of ``keys``, in order; every missing or wrong one is named before giving up."""
    problems = []
    for key in keys:
        value = config.get(key)
        if value is None:
            problems.append(f"{where}: key '{key}' is missing, expected a whole number >= {least}")
        elif not isinstance(value, int) or isinstance(value, bool) or value < least:
            problems.append(f"{where}: key '{key}' is {value!r}, expected a whole number >= {least}")
    if problems:
        raise WorkloadError(*problems)
    return [config[key] for key in keys]


def _optional(config: Config, where: str, key: str, default: int) -> int:
    """The value of ``key``, or ``default`` where the config leaves it out or null."""
    return default if config.get(key) is None else _whole_numbers(config, where, key, least=0)[0]


def _llama_like(config: Config, name: str, where: str) -> ModelSpec:
    """Grouped-query attention and a gated MLP, dense or of experts.

    attention = hidden · head_dim · (2 · heads + 2 · kv_heads); MLP = 3 · hidden · inner for each expert.
    """
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings")
    family = str(config.get("model_type") or _family_of(config))
    mlp_keys = _EXPERT_KEYS.get(family, ("intermediate_size",))
    layers, hidden, heads, vocab, context, *mlp = _whole_numbers(config, where, *keys, *mlp_keys)
    kv_heads = _optional(config, where, "num_key_value_heads", heads)
    head_dim = _optional(config, where, "head_dim", hidden // heads)
    experts, used, inner = mlp if len(mlp) > 1 else (1, 1, mlp[0])
    router = hidden * experts if experts > 1 else 0
    embedding = vocab * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    attention = hidden * head_dim * (2 * heads + 2 * kv_heads)
    shared = embedding + layers * (attention + router)
    return ModelSpec(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        params=float(shared + layers * experts * 3 * hidden * inner),
        active_params=float(shared + layers * used * 3 * hidden * inner),
        max_context_tokens=context,
        experts=experts,
        experts_used=used,
        routed_params=float(layers * experts * 3 * hidden * inner) if experts > 1 else 0.0,
        block_scaled=family in _BLOCK_SCALED,
        source=where,
    )


def _deepseek_like(config: Config, name: str, where: str) -> ModelSpec:
    """Multi-head latent attention and experts of which some are shared, after a few dense layers.

    Source: DeepSeek-V3 technical report, section 2.1; multi-token-prediction layers are left out.
    """
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings")
    latent_keys = ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    mlp_keys = ("intermediate_size", "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok")
    values = _whole_numbers(config, where, *keys, *latent_keys, *mlp_keys)
    layers, hidden, heads, vocab, context, latent, rope, nope, v_dim, inner, expert_inner, experts, used = values
    q_rank = _optional(config, where, "q_lora_rank", 0)
    shared = _optional(config, where, "n_shared_experts", 0)
    dense_layers = _optional(config, where, "first_k_dense_replace", 0)
    q_dim = heads * (nope + rope)
    query = hidden * q_rank + q_rank * q_dim if q_rank else hidden * q_dim
    key_value = hidden * (latent + rope) + latent * heads * (nope + v_dim)
    attention = query + key_value + heads * v_dim * hidden
    moe_layers = layers - dense_layers
    always = 2 * vocab * hidden + layers * attention + dense_layers * 3 * hidden * inner + moe_layers * hidden * experts
    per_expert = moe_layers * 3 * hidden * expert_inner
    return ModelSpec(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=v_dim,
        params=float(always + (experts + shared) * per_expert),
        active_params=float(always + (used + shared) * per_expert),
        max_context_tokens=context,
        kv_latent_dim=latent + rope,
        experts=experts,
        experts_used=used,
        routed_params=float(experts * per_expert),
        block_scaled=True,
        source=where,
    )


def _gpt_like(config: Config, name: str, where: str, keys: tuple[str, ...]) -> ModelSpec:
    """Multi-head attention and a plain MLP, embedding tied: 4 · hidden² and 2 · hidden · inner parameters a layer."""
    layers, hidden, heads, vocab, context = _whole_numbers(config, where, *keys)
    inner = _optional(config, where, "n_inner", 4 * hidden)
    positions = context if "n_positions" in keys else 0
    params = float((vocab + positions) * hidden + layers * (4 * hidden**2 + 2 * hidden * inner))
    return ModelSpec(
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        params=params,
        active_params=params,
        max_context_tokens=context,
        source=where,
    )
