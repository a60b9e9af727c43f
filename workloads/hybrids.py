"""Architectures whose layers are not all alike: linear attention, state spaces, two kinds of attention or of MLP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from workloads.config_types import Config
from workloads.configs import longest_context, optional, whole_numbers
from workloads.errors import WorkloadError
from workloads.shapes import Mixture, Shape, attention, ends, mlp
from workloads.tensors import Kind, Spread, Tensor

Extra = tuple[Tensor, ...]

_KEYS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size")


def delta_rule(config: Config, family: str, where: str, extra: Extra) -> Shape:  # noqa: ARG001  as others
    """Gated delta rule in most layers, gated attention with a KV cache in every few; experts and a shared one, or none.

    Source: transformers, ``Qwen3NextGatedDeltaNet`` and ``Qwen3NextAttention``, whose query has a gate as wide as it.
    """
    state_keys = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim")
    values = whole_numbers(config, where, *_KEYS, *state_keys, "full_attention_interval")
    layers, hidden, heads, kv_heads, dim, vocab, k_heads, k_dim, v_heads, v_dim, of = values
    made, experts, used = _shared_mixture(config, where)
    tied = bool(config.get("tie_word_embeddings", False))
    tensors = [*ends(vocab, hidden, tied=tied), *extra]
    for layer in range(layers):
        name = f"model.layers.{layer}"
        if (layer + 1) % of:
            rows = 2 * (k_heads * k_dim + v_heads * v_dim) + 2 * v_heads
            tensors += [
                Tensor(name=f"{name}.linear_attn.in_proj", rows=rows, columns=hidden),
                Tensor(name=f"{name}.linear_attn.out_proj", rows=hidden, columns=v_heads * v_dim),
            ]
        else:
            tensors += [
                Tensor(name=f"{name}.self_attn.q_proj", rows=2 * heads * dim, columns=hidden),
                Tensor(name=f"{name}.self_attn.kv_proj", rows=2 * kv_heads * dim, columns=hidden,
                       spread=Spread.BY_KV_HEAD),
                Tensor(name=f"{name}.self_attn.o_proj", rows=hidden, columns=heads * dim),
            ]  # fmt: skip
        tensors += made(name, layer, hidden)
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, experts=experts,
        experts_used=used, kv_layers=layers // of,
    )  # fmt: skip


def _shared_mixture(config: Config, where: str) -> tuple[Callable[[str, int, int], list[Tensor]], int, int]:
    """What makes the MLP of a layer, and how many experts it has and uses."""
    if config.get("num_experts") is None:
        (inner,) = whole_numbers(config, where, "intermediate_size")
        return (lambda name, _layer, hidden: mlp(f"{name}.mlp", hidden, inner)), 1, 1
    keys = ("num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size")
    experts, used, inner, shared = whole_numbers(config, where, *keys)
    mixture = Mixture(experts=experts, inner=inner, shared=0, dense_layers=0, dense_inner=0)
    return (
        lambda name, layer, hidden: [
            *mixture.tensors(f"{name}.mlp", layer, hidden), *mlp(f"{name}.mlp.shared_expert", hidden, shared)
        ]
    ), experts, used  # fmt: skip


def interleaved(config: Config, family: str, where: str, extra: Extra) -> Shape:  # noqa: ARG001  as others
    """Llama 4: experts with a shared one in every few layers, a plain MLP of another width in the others.

    Three of four layers attend to chunks. Source: transformers, ``Llama4TextMoe`` and ``Llama4TextConfig``.
    """
    keys = ("intermediate_size", "intermediate_size_mlp", "num_local_experts", "num_experts_per_tok",
            "interleave_moe_layer_step")  # fmt: skip
    layers, hidden, heads, kv_heads, dim, vocab, inner, plain, experts, used, step = whole_numbers(
        config, where, *_KEYS, *keys
    )
    chunk = optional(config, where, "attention_chunk_size", 8192)
    mixture = Mixture(experts=experts, inner=inner, shared=1, dense_layers=0, dense_inner=0)
    tied = bool(config.get("tie_word_embeddings", False))
    tensors = [*ends(vocab, hidden, tied=tied), *extra]
    for layer in range(layers):
        name = f"model.layers.{layer}"
        tensors += attention(f"{name}.self_attn", hidden, heads=heads, kv_heads=kv_heads, head_dim=dim)
        routed = (layer + 1) % step == 0
        under = f"{name}.feed_forward"
        tensors += mixture.tensors(under, layer, hidden) if routed else mlp(under, hidden, plain)
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, experts=experts,
        experts_used=used, windowed_layers=layers - layers // 4 if chunk else 0, window_tokens=chunk,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """Attention of one kind of layer; ``k_is_v`` where keys serve as values, which are cached all the same."""

    heads: int
    kv_heads: int
    k_dim: int
    v_dim: int
    k_is_v: bool = False

    def tensors(self, name: str, hidden: int) -> Iterator[Tensor]:
        """Its matrices."""
        yield Tensor(name=f"{name}.q_proj", rows=self.heads * self.k_dim, columns=hidden)
        for kind, dim in (("k", self.k_dim), *([] if self.k_is_v else [("v", self.v_dim)])):
            yield Tensor(name=f"{name}.{kind}_proj", rows=self.kv_heads * dim, columns=hidden, spread=Spread.BY_KV_HEAD)
        yield Tensor(name=f"{name}.o_proj", rows=hidden, columns=self.heads * self.v_dim)

    @property
    def kv_elements(self) -> int:
        """Numbers that one token leaves in the cache of a layer."""
        return self.kv_heads * (self.k_dim + self.v_dim)


def two_attentions(config: Config, family: str, where: str, extra: Extra) -> Shape:  # noqa: ARG001  as others
    """Gemma 4: layers with a window and layers without have heads of their own; experts stand beside a dense MLP.

    Source: transformers, ``Gemma4TextConfig``: ``global_head_dim``, ``num_global_key_value_heads``, and
    ``attention_k_eq_v``, under which layers without a window have no value projection.
    """
    layers, hidden, heads, kv_heads, dim, vocab, inner = whole_numbers(config, where, *_KEYS, "intermediate_size")
    wide = optional(config, where, "global_head_dim", dim)
    whole = _Heads(
        heads=heads, kv_heads=optional(config, where, "num_global_key_value_heads", kv_heads), k_dim=wide, v_dim=wide,
        k_is_v=bool(config.get("attention_k_eq_v")),
    )  # fmt: skip
    narrow = _Heads(heads=heads, kv_heads=kv_heads, k_dim=dim, v_dim=dim)
    kinds = _kinds(config, where, layers)
    experts, used, expert_inner = 1, 1, 0
    if config.get("enable_moe_block"):
        experts, used, expert_inner = whole_numbers(
            config, where, "num_experts", "top_k_experts", "moe_intermediate_size"
        )
    if config.get("hidden_size_per_layer_input") or config.get("num_kv_shared_layers"):
        raise WorkloadError(
            f"{where}: found hidden_size_per_layer_input or num_kv_shared_layers above 0, which are not sized; "
            "expected a Gemma 4 without them (26B-A4B, 31B)"
        )
    mixture = Mixture(experts=experts, inner=expert_inner, shared=0, dense_layers=0, dense_inner=0)
    tensors = [*ends(vocab, hidden, tied=bool(config.get("tie_word_embeddings", True))), *extra]
    for layer, kind in enumerate(kinds):
        name = f"model.layers.{layer}"
        tensors += (narrow if kind else whole).tensors(f"{name}.self_attn", hidden)
        tensors += mlp(f"{name}.mlp", hidden, inner)
        tensors += mixture.tensors(f"{name}.moe", layer, hidden) if expert_inner else []
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=True, experts=experts,
        experts_used=used, windowed_layers=sum(kinds), window_tokens=optional(config, where, "sliding_window", 0),
        kv_elements=sum((narrow if kind else whole).kv_elements for kind in kinds),
    )  # fmt: skip


def _kinds(config: Config, where: str, layers: int) -> list[bool]:
    """Which layers attend to a window only."""
    kinds = config.get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise WorkloadError(
            f"{where}: key 'layer_types' is missing or short, expected a word for each of {layers} layers"
        )
    return [kind == "sliding_attention" for kind in kinds]


def patterned(config: Config, family: str, where: str, extra: Extra) -> Shape:  # noqa: ARG001  as others
    """MiMo-V2: window or not, and experts or not, by layer; keys and values of two widths.

    Source: XiaomiMiMo/MiMo-V2-Flash, modeling_mimo_v2_flash.py: ``hybrid_layer_pattern`` 1 has a window,
    ``moe_layer_freq`` 1 has experts.
    """
    keys = ("v_head_dim", "swa_num_attention_heads", "swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim",
            "intermediate_size", "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok")  # fmt: skip
    layers, hidden, heads, kv_heads, dim, vocab, *rest = whole_numbers(config, where, *_KEYS, *keys)
    v_dim, swa_heads, swa_kv, swa_dim, swa_v, inner, expert_inner, experts, used = rest
    whole = _Heads(heads=heads, kv_heads=kv_heads, k_dim=dim, v_dim=v_dim)
    narrow = _Heads(heads=swa_heads, kv_heads=swa_kv, k_dim=swa_dim, v_dim=swa_v)
    windows, routed = (_by_layer(config, where, key, layers) for key in ("hybrid_layer_pattern", "moe_layer_freq"))
    mixture = Mixture(experts=experts, inner=expert_inner, shared=0, dense_layers=0, dense_inner=0)
    tied = bool(config.get("tie_word_embeddings", False))
    tensors = [*ends(vocab, hidden, tied=tied), *extra]
    for layer in range(layers):
        name = f"model.layers.{layer}"
        tensors += (narrow if windows[layer] else whole).tensors(f"{name}.self_attn", hidden)
        under = f"{name}.mlp"
        tensors += mixture.tensors(under, layer, hidden) if routed[layer] else mlp(under, hidden, inner)
    return Shape(
        layers=layers, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, experts=experts,
        experts_used=used, windowed_layers=sum(windows), window_tokens=optional(config, where, "sliding_window", 0),
        kv_elements=sum((narrow if kind else whole).kv_elements for kind in windows),
    )  # fmt: skip


def _by_layer(config: Config, where: str, key: str, layers: int) -> list[bool]:
    """Yes or no for each layer."""
    found = config.get(key)
    if not isinstance(found, list) or len(found) != layers or not all(each in (0, 1) for each in found):
        raise WorkloadError(f"{where}: key '{key}' is no list of {layers} zeros and ones, expected one for each layer")
    return [bool(each) for each in found]


def state_space(config: Config, family: str, where: str, extra: Extra) -> Shape:  # noqa: ARG001  as others
    """Nemotron-H: Mamba-2, attention, plain MLPs and experts, one of them a layer.

    MLPs have no gate: two matrices. Experts may work in a narrower space (``moe_latent_size``), between two projections
    that all share. Source: NVIDIA, modeling_nemotron_h.py (``NemotronHMamba2Mixer``) and configuration_nemotron_h.py.
    """
    keys = ("hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size", "intermediate_size",
            "mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel")  # fmt: skip
    hidden, heads, kv_heads, vocab, inner, m_heads, m_dim, groups, state, kernel = whole_numbers(config, where, *keys)
    pattern = _letters(config, where)
    dim = optional(config, where, "head_dim", optional(config, where, "attention_head_dim", hidden // heads))
    experts, used, routed = _two_matrix_experts(config, where) if "E" in pattern else (1, 1, list[Tensor]())
    wide = m_heads * m_dim
    mixed = wide + 2 * groups * state
    parts = {
        "M": [
            Tensor(name="mixer.in_proj", rows=wide + mixed + m_heads, columns=hidden),
            Tensor(name="mixer.conv1d", rows=mixed, columns=kernel, kind=Kind.OTHER),
            Tensor(name="mixer.out_proj", rows=hidden, columns=wide),
        ],
        "*": attention("mixer", hidden, heads=heads, kv_heads=kv_heads, head_dim=dim),
        "-": mlp("mixer", hidden, inner, gated=False),
        "E": routed,
    }
    tied = bool(config.get("tie_word_embeddings", False))
    tensors = [*ends(vocab, hidden, tied=tied), *extra]
    for layer, letter in enumerate(pattern):
        tensors += [replace(part, name=f"backbone.layers.{layer}.{part.name}") for part in parts[letter]]
    return Shape(
        layers=len(pattern), hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=dim, vocab=vocab,
        context_tokens=longest_context(config, where), tensors=tuple(tensors), tied=tied, experts=experts,
        experts_used=used, kv_layers=max(1, pattern.count("*")),
    )  # fmt: skip


_LETTERS = {"mamba": "M", "moe": "E", "attention": "*", "mlp": "-"}


def _letters(config: Config, where: str) -> str:
    """What each layer is, as ``hybrid_override_pattern`` writes it, or ``layers_block_type`` in words."""
    words = config.get("layers_block_type")
    stated = config.get("hybrid_override_pattern")
    pattern = "".join(_LETTERS.get(str(word), "?") for word in words) if isinstance(words, list) else str(stated or "")
    layers = optional(config, where, "num_hidden_layers", len(pattern), least=1)
    if len(pattern) != layers or set(pattern) - set(_LETTERS.values()):
        raise WorkloadError(
            f"{where}: key 'hybrid_override_pattern' is '{pattern[:40]}', expected {layers} letters of M, E, * and -, "
            f"or 'layers_block_type' with words of {', '.join(_LETTERS)}"
        )
    return pattern


def _two_matrix_experts(config: Config, where: str) -> tuple[int, int, list[Tensor]]:
    """Experts, those a token uses, and the matrices of a layer of them."""
    hidden, experts, used, inner = whole_numbers(
        config, where, "hidden_size", "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size"
    )
    latent = optional(config, where, "moe_latent_size", 0)
    shared = optional(config, where, "moe_shared_expert_intermediate_size", 0)
    made = [Tensor(name="mixer.gate", rows=experts, columns=hidden, kind=Kind.ROUTER, spread=Spread.COPIED)]
    made += mlp("mixer.experts.*", latent or hidden, inner, count=experts, kind=Kind.EXPERT, gated=False)
    made += mlp("mixer.shared_experts", hidden, shared, gated=False) if shared else []
    if latent:
        made += [
            Tensor(name="mixer.fc1_latent_proj", rows=latent, columns=hidden, spread=Spread.COPIED),
            Tensor(name="mixer.fc2_latent_proj", rows=hidden, columns=latent, spread=Spread.COPIED),
        ]
    return experts, used, made
