"""Architectures: the weight matrices that the sizes of a configuration file imply.

Norms and biases are left out: together they stay under 0.1 % of the parameters. Layers for multi-token prediction are
left out too: engines load them only for speculative decoding. What a vision model adds is counted from its own sizes.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from workloads import hybrids
from workloads.config_types import Config, check_types
from workloads.configs import language_model, longest_context, optional, whole_numbers
from workloads.errors import WorkloadError
from workloads.shapes import Mixture, Shape, attention, ends
from workloads.tensors import Kind, Spread, Tensor

_DENSE = (
    "llama", "mistral", "mistral3", "qwen2", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_vl", "gemma", "gemma2", "gemma3",
    "phi3", "olmo2", "olmo3", "granite", "glm4", "pixtral", "ministral3", "mimo", "seed_oss", "exaone4", "smollm3",
    "ernie4_5", "cohere", "cohere2",
)  # fmt: skip
_MIXTURE = {
    "mixtral": ("num_local_experts", "intermediate_size"),
    "gpt_oss": ("num_local_experts", "intermediate_size"),
    "qwen3_moe": ("num_experts", "moe_intermediate_size"),
    "qwen3_vl_moe": ("num_experts", "moe_intermediate_size"),
    "glm4_moe": ("n_routed_experts", "moe_intermediate_size"),
    "minimax_m2": ("num_local_experts", "intermediate_size"),
    "phimoe": ("num_local_experts", "intermediate_size"),
    "granitemoe": ("num_local_experts", "intermediate_size"),
    "olmoe": ("num_experts", "intermediate_size"),
    "dots1": ("n_routed_experts", "moe_intermediate_size"),
    "glm4v_moe": ("n_routed_experts", "moe_intermediate_size"),
    "step3p7": ("num_experts", "moe_intermediate_size"),
}
_SPARSE = ("deepseek_v32", "glm_moe_dsa")
"""Latent attention that picks the tokens it attends to."""
_LATENT = ("deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe_lite", *_SPARSE)
_HYBRID = ("qwen3_next", "qwen3_5", "qwen3_5_moe")
"""Most layers keep a state of fixed size (gated delta rule), every few a KV cache."""
_MIXED: Mapping[str, Callable[[Config, str, str, tuple[Tensor, ...]], Shape]] = {
    **dict.fromkeys(_HYBRID, hybrids.delta_rule), "llama4": hybrids.interleaved, "gemma4": hybrids.two_attentions,
    "mimo_v2_flash": hybrids.patterned, "nemotron_h": hybrids.state_space,
}  # fmt: skip
"""Families whose layers are not all alike."""
_PLAIN = {
    "gpt2": ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions"),
    "bloom": ("n_layer", "hidden_size", "n_head", "vocab_size", "seq_length"),
}
_TIED_BY_DEFAULT = ("gemma", "gemma2", "gemma3", "cohere", "cohere2")
"""Families whose configs leave ``tie_word_embeddings`` out where it is true. Source: transformers."""

_UNSIZED = {
    "deepseek_v4": "its KV cache is compressed by other ratios in every layer",
    "deepseek_ref": "its KV cache is compressed by other ratios in every layer",
    "kimi_linear": "its layers mix a delta rule with latent attention, and experts work in a narrower space",
    "minimax_m3": "its sparse attention keeps keys of its own, whose cache no engine documents",
    "minimax_m3_vl": "its sparse attention keeps keys of its own, whose cache no engine documents",
    "nemotron-nas": "every layer has another width, and some have no attention",
    "gemma3n": "layers share KV caches, and embeddings lie outside the GPU",
}
"""Families that are refused, and why."""

MISSING = "(missing)"
"""In place of a family where neither ``model_type`` nor ``architectures`` says one."""

MOST_PARAMS = 1e14
"""Fifty times the largest model that is published."""

KNOWN = (*_DENSE, *_MIXTURE, *_LATENT, *_MIXED, *_PLAIN)
"""Values of ``model_type`` that can be read."""

_COMMON = ("llama", "mistral", "mixtral", "qwen3", "qwen3_moe", "gemma3", "deepseek_v3", "glm4_moe", "gpt_oss")
"""Some that are named where nothing is near."""

BLOCK_SCALED = (*_LATENT, "qwen3_moe", "qwen3_vl_moe", "minimax_m2", *_HYBRID)
"""Families whose published 8-bit checkpoints have scales for blocks of 128 x 128 weights."""


def family_of(config: Config) -> str:
    """The architecture: ``model_type``, or what the first entry of ``architectures`` implies."""
    kind = str(config.get("model_type") or "").removesuffix("_text")
    if kind:
        return kind
    architectures = config.get("architectures") or [""]
    stem = str(architectures[0]).split("For")[0].removesuffix("LMHeadModel").lower()
    squeezed = {family.replace("_", ""): family for family in KNOWN}
    return squeezed.get(stem, stem or MISSING)


def shape_of(config: Config, where: str) -> Shape:
    """The sizes a configuration states.

    Args:
        config: the keys of ``config.json``.
        where: the file, for messages.

    Raises:
        WorkloadError: the architecture is unknown, or size keys are missing or not whole numbers (all are listed).
    """
    check_types(config, where)
    text = language_model(config)
    family = family_of(text)
    if family in _PLAIN:
        return _checked(_plain(text, where, _PLAIN[family]), where)
    reader = _readers().get(family)
    if family in _UNSIZED:
        raise WorkloadError(f"{where}: model_type '{family}' is known, and not sized: {_UNSIZED[family]}")
    if family == MISSING:
        part = "the config.json beside it" if where.endswith("hf_quant_config.json") else "a Hugging Face config.json"
        raise WorkloadError(f"{where}: has no model_type and no architectures; expected {part}")
    if reader is None:
        near = ", ".join(get_close_matches(family, KNOWN, n=3, cutoff=0.7))
        hint = f"nearest: {near}" if near else f"for example {', '.join(_COMMON)}"
        raise WorkloadError(f"{where}: model_type '{family}' is unknown, expected one of {len(KNOWN)} families; {hint}")
    return _checked(reader(text, family, where, _vision(config)), where)


def _checked(shape: Shape, where: str) -> Shape:
    """The same, if its sizes agree with each other.

    Raises:
        WorkloadError: every pair that does not.
    """
    problems = []
    if not shape.latent_dim and (shape.kv_heads < 1 or shape.heads % shape.kv_heads):
        problems.append(
            f"{where}: key 'num_key_value_heads' is {shape.kv_heads}, expected a divisor of the {shape.heads} heads"
        )
    if shape.head_dim < 1:
        problems.append(f"{where}: key 'head_dim' is {shape.head_dim}, expected a whole number >= 1")
    if shape.experts_used > shape.experts:
        problems.append(
            f"{where}: key 'num_experts_per_tok' is {shape.experts_used}, expected at most the {shape.experts} experts"
        )
    if (params := sum(tensor.params for tensor in shape.tensors)) > MOST_PARAMS:
        problems.append(
            f"{where}: its sizes make {params:.3g} parameters, expected at most {MOST_PARAMS:.0e}: one of them is wrong"
        )
    if problems:
        raise WorkloadError(*problems)
    return shape


def _readers() -> dict[str, Callable[[Config, str, str, tuple[Tensor, ...]], Shape]]:
    grouped, latent = dict.fromkeys((*_DENSE, *_MIXTURE), _grouped), dict.fromkeys(_LATENT, _latent)
    return {**grouped, **latent, **_MIXED}


def _grouped(config: Config, family: str, where: str, extra: tuple[Tensor, ...]) -> Shape:
    """Grouped-query attention and a gated MLP, dense or of experts.

    attention = hidden · head_dim · (2 · heads + 2 · kv_heads); MLP = 3 · hidden · inner for each expert.
    """
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings")
    expert_keys = _MIXTURE.get(family, ())
    used_key = ("num_experts_per_tok",) if expert_keys else ()
    inner_key = () if "intermediate_size" in expert_keys or family in ("qwen3_moe", "qwen3_vl_moe") else (
        "intermediate_size",
    )  # fmt: skip
    values = whole_numbers(config, where, *keys, *inner_key, *expert_keys, *used_key)
    layers, hidden, heads, vocab, _ = values[:5]
    kv_heads = optional(config, where, "num_key_value_heads", heads)
    head_dim = optional(config, where, "head_dim", 256 if family.startswith("gemma") else hidden // heads)
    experts, used = (config[expert_keys[0]], config["num_experts_per_tok"]) if expert_keys else (1, 1)
    mixture = Mixture(
        experts=experts, inner=config[expert_keys[1]] if expert_keys else 0,
        shared=optional(config, where, "n_shared_experts", 0),
        dense_layers=_dense_layers(config, family, where, layers),
        dense_inner=optional(config, where, "intermediate_size", 0),
    )  # fmt: skip
    tied = bool(config.get("tie_word_embeddings", family in _TIED_BY_DEFAULT))
    tensors = list(ends(vocab, hidden, tied=tied)) + list(extra)
    for layer in range(layers):
        name = f"model.layers.{layer}"
        tensors += attention(f"{name}.self_attn", hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim)
        tensors += mixture.tensors(f"{name}.mlp", layer, hidden)
    windowed, window = _windows(config, where, layers)
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, experts=experts,
        experts_used=used, windowed_layers=windowed, window_tokens=window,
    )  # fmt: skip


def _dense_layers(config: Config, family: str, where: str, layers: int) -> int:
    """How many of the first layers have a plain MLP: all of a dense model."""
    return _first_dense(config, where, layers) if family in _MIXTURE else layers


def _first_dense(config: Config, where: str, layers: int) -> int:
    """``first_k_dense_replace``, at most all of the layers."""
    found = optional(config, where, "first_k_dense_replace", 0)
    if found > layers:
        raise WorkloadError(f"{where}: key 'first_k_dense_replace' is {found}, expected at most the {layers} layers")
    return found


def _latent(config: Config, family: str, where: str, extra: tuple[Tensor, ...]) -> Shape:
    """Multi-head latent attention and experts of which some are shared, after a few dense layers.

    Every GPU of a tensor-parallel group holds the projections down to the latent whole, and engines keep the projection
    up from it a second time in 16 bits. Source: DeepSeek-V3 technical report, section 2.1; vLLM, ``mla/common.py``.
    """
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings")
    latent_keys = ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    mlp_keys = ("intermediate_size", "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok")
    values = whole_numbers(config, where, *keys, *latent_keys, *mlp_keys)
    layers, hidden, heads, vocab, _, latent, rope, nope, v_dim, inner, expert_inner, experts, used = values
    q_rank = optional(config, where, "q_lora_rank", 0)
    index_dim = optional(config, where, "index_head_dim", 0) if family in _SPARSE else 0
    mixture = Mixture(
        experts=experts, inner=expert_inner, shared=optional(config, where, "n_shared_experts", 0),
        dense_layers=_first_dense(config, where, layers), dense_inner=inner,
    )  # fmt: skip
    tied = bool(config.get("tie_word_embeddings", False))
    tensors = list(ends(vocab, hidden, tied=tied)) + list(extra)
    down: dict[str, Any] = {"columns": hidden, "spread": Spread.COPIED}
    for layer in range(layers):
        name = f"model.layers.{layer}.self_attn"
        q_rows = heads * (nope + rope)
        if q_rank:
            tensors += [
                Tensor(name=f"{name}.q_a_proj", rows=q_rank, **down),
                Tensor(name=f"{name}.q_b_proj", rows=q_rows, columns=q_rank),
            ]
        else:
            tensors += [Tensor(name=f"{name}.q_proj", rows=q_rows, columns=hidden)]
        tensors += [
            Tensor(name=f"{name}.kv_a_proj_with_mqa", rows=latent + rope, **down),
            Tensor(name=f"{name}.kv_b_proj", rows=heads * (nope + v_dim), columns=latent, as_computed=True),
            Tensor(name=f"{name}.o_proj", rows=hidden, columns=heads * v_dim),
            *_indexer(f"{name}.indexer", config, where, hidden, q_rank, index_dim),
            *mixture.tensors(f"model.layers.{layer}.mlp", layer, hidden),
        ]
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=heads, head_dim=v_dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, latent_dim=latent + rope,
        index_dim=index_dim, experts=experts, experts_used=used,
    )  # fmt: skip


def _indexer(name: str, config: Config, where: str, hidden: int, q_rank: int, dim: int) -> list[Tensor]:
    """What picks the tokens of DeepSeek's sparse attention; nothing without it. Source: DeepSeek-V3.2-Exp, model.py."""
    if not dim:
        return []
    (heads,) = whole_numbers(config, where, "index_n_heads")
    return [
        Tensor(name=f"{name}.wq_b", rows=heads * dim, columns=q_rank or hidden, spread=Spread.COPIED),
        Tensor(name=f"{name}.wk", rows=dim, columns=hidden, spread=Spread.COPIED),
        Tensor(name=f"{name}.weights_proj", rows=heads, columns=hidden, kind=Kind.OTHER, spread=Spread.COPIED),
    ]


def _plain(config: Config, where: str, keys: tuple[str, ...]) -> Shape:
    """Multi-head attention and a plain MLP, embedding tied: 4 · hidden² and 2 · hidden · inner parameters a layer."""
    layers, hidden, heads, vocab, context = whole_numbers(config, where, *keys)
    inner = optional(config, where, "n_inner", 4 * hidden)
    tensors = list(ends(vocab, hidden, tied=True))
    if "n_positions" in keys:
        tensors.append(Tensor(name="transformer.wpe", rows=context, columns=hidden, kind=Kind.EMBEDDING))
    for layer in range(layers):
        name = f"transformer.h.{layer}"
        tensors += [
            Tensor(name=f"{name}.attn.c_attn", rows=3 * hidden, columns=hidden),
            Tensor(name=f"{name}.attn.c_proj", rows=hidden, columns=hidden),
            Tensor(name=f"{name}.mlp.c_fc", rows=inner, columns=hidden),
            Tensor(name=f"{name}.mlp.c_proj", rows=hidden, columns=inner),
        ]
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=heads, head_dim=hidden // heads, vocab=vocab,
        context_tokens=context, tensors=tuple(tensors), tied=True,
    )  # fmt: skip


def _windows(config: Config, where: str, layers: int) -> tuple[int, int]:
    """How many layers attend to a window only, and that window; none where the config switches it off."""
    window = optional(config, where, "sliding_window", 0)
    if not window or config.get("use_sliding_window") is False:
        return 0, 0
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        return kinds.count("sliding_attention"), window
    pattern = optional(config, where, "sliding_window_pattern", 0)
    whole = optional(config, where, "max_window_layers", 0)  # the lower layers attend to everything
    return (layers - layers // pattern if pattern > 1 else max(0, layers - whole)), window


def _vision(config: Config) -> tuple[Tensor, ...]:
    """The blocks of a vision model beside the text model; 4 · width² and the MLP in each."""
    vision = config.get("vision_config")
    if not isinstance(vision, Mapping):
        return ()
    width = vision.get("hidden_size", vision.get("embed_dim"))
    depth = vision.get("num_hidden_layers", vision.get("depth"))
    if not isinstance(width, int) or not isinstance(depth, int):
        return ()
    inner = vision.get("intermediate_size")
    sides = 2 * (inner if isinstance(inner, int) else 4 * width)
    rows = depth * (4 * width + sides)
    return (Tensor(name="vision_tower", rows=rows, columns=width, kind=Kind.OTHER, spread=Spread.COPIED),)
