"""The sizes of a model, and the parts that architectures have in common."""

from dataclasses import dataclass
from typing import Any

from workloads.tensors import Kind, Spread, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a configuration says about sizes.

    Attributes:
        layers: transformer layers.
        hidden: model width.
        heads: query heads.
        kv_heads: key and value heads.
        head_dim: width of a head.
        vocab: tokens of the vocabulary.
        context_tokens: longest context.
        tensors: every weight matrix.
        tied: whether the output head is the input embedding.
        latent_dim: width of the compressed KV of multi-head latent attention; 0 without it.
        index_dim: width of the keys that sparse attention picks tokens by; 0 without it.
        experts: a token may be routed to, per layer; 1 in a dense model.
        experts_used: of them, by one token.
        windowed_layers: layers that attend to a window only.
        window_tokens: that window; 0 without one.
        kv_layers: layers that keep a KV cache; 0 where all do.
        kv_elements: numbers that one token leaves in the KV cache, all layers together, where layers differ; 0: as
            many as heads and layers make.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context_tokens: int
    tensors: tuple[Tensor, ...]
    tied: bool
    latent_dim: int = 0
    index_dim: int = 0
    experts: int = 1
    experts_used: int = 1
    windowed_layers: int = 0
    window_tokens: int = 0
    kv_layers: int = 0
    kv_elements: int = 0

    @property
    def routed_params(self) -> int:
        """Parameters of the routed experts."""
        return sum(t.params for t in self.tensors if t.kind is Kind.EXPERT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """MLPs of the layers: dense in the first ones, of experts in the others."""

    experts: int
    inner: int
    shared: int
    dense_layers: int
    dense_inner: int

    def tensors(self, name: str, layer: int, hidden: int) -> list[Tensor]:
        """Of one layer."""
        if layer < self.dense_layers:
            return mlp(name, hidden, self.dense_inner)
        made = [Tensor(name=f"{name}.gate", rows=self.experts, columns=hidden, kind=Kind.ROUTER, spread=Spread.COPIED)]
        made += mlp(f"{name}.experts.*", hidden, self.inner, count=self.experts, kind=Kind.EXPERT)
        return made + (mlp(f"{name}.shared_experts", hidden, self.shared * self.inner) if self.shared else [])


def mlp(
    name: str, hidden: int, inner: int, *, count: int = 1, kind: Kind = Kind.LINEAR, gated: bool = True
) -> list[Tensor]:
    """The three matrices of a gated MLP, or the two of a plain one."""
    whole: dict[str, Any] = {"count": count, "kind": kind, "hidden": hidden if kind is Kind.EXPERT else 0}
    gate = [Tensor(name=f"{name}.gate_proj", rows=inner, columns=hidden, **whole)] if gated else []
    return [
        *gate,
        Tensor(name=f"{name}.up_proj", rows=inner, columns=hidden, **whole),
        Tensor(name=f"{name}.down_proj", rows=hidden, columns=inner, **whole),
    ]


def ends(vocab: int, hidden: int, *, tied: bool) -> tuple[Tensor, ...]:
    """Embedding and output head."""
    embedding = Tensor(name="model.embed_tokens", rows=vocab, columns=hidden, kind=Kind.EMBEDDING)
    head = Tensor(name="lm_head", rows=vocab, columns=hidden, kind=Kind.HEAD)
    return (embedding,) if tied else (embedding, head)


def attention(name: str, hidden: int, *, heads: int, kv_heads: int, head_dim: int) -> list[Tensor]:
    """The four matrices of grouped-query attention."""
    return [
        Tensor(name=f"{name}.q_proj", rows=heads * head_dim, columns=hidden),
        Tensor(name=f"{name}.k_proj", rows=kv_heads * head_dim, columns=hidden, spread=Spread.BY_KV_HEAD),
        Tensor(name=f"{name}.v_proj", rows=kv_heads * head_dim, columns=hidden, spread=Spread.BY_KV_HEAD),
        Tensor(name=f"{name}.o_proj", rows=hidden, columns=heads * head_dim),
    ]
