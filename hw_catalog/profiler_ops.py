"""What a profiler times: the operations one GPU of a tensor-parallel group runs in a step, and who runs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hw_catalog.errors import CatalogError

DENSE = ("llama", "mistral", "qwen2", "qwen3")
"""Values of ``model_type`` whose layers are grouped-query attention and one gated MLP."""
FEWEST_SAMPLES = 3
"""Timed launches of an operation, however long one takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An operation, ready to be launched.

    Attributes:
        launch: starts it once; the argument counts launches, so that operands can take turns and no cache holds them.
        in_graph: may be recorded and replayed by the device; False where several devices take part.
        times: operations that one launch makes.
    """

    launch: Callable[[int], None]
    in_graph: bool = True
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the measurements were taken on.

    Attributes:
        name: as the driver says, for example ``NVIDIA H200``.
        gpus: how many can take part in a collective.
        memory_bytes: that operands may fill.
        library: that ran the operations, and its version.
        driver: and its version; empty where there is none.
    """

    name: str
    gpus: int
    memory_bytes: float
    library: str
    driver: str


class Bench(Protocol):
    """A device that runs and times operations; it never changes a clock, a cap or any other setting."""

    @property
    def device(self) -> Device:
        """What it is."""

    def gemm(self, m: int, n: int, k: int) -> Run:
        """(m, k) activations times (k, n) weights."""

    def prefill_attention(self, new_tokens: int, past_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """Causal attention of one prompt's new tokens over its past and themselves, one layer."""

    def decode_attention(self, batch: int, context_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """Attention of one new token of each request over ``context_tokens``, one layer."""

    def elementwise(self, tokens: int, width: int) -> Run:
        """What a fused norm, activation or rotation moves: two rows of ``width`` read and one written, per token."""

    def sample(self, batch: int, vocab: int) -> Run:
        """Softmax over the vocabulary and one draw per request."""

    def all_reduce(self, size_bytes: int, gpus: int) -> Run:
        """Sum of a buffer over the GPUs."""

    def recorded(self, run: Run) -> Run:
        """The same operation without the host's part in it, where the device can; else as it is."""

    def timed(self, run: Run, *, at_least_s: float, fewest: int = FEWEST_SAMPLES) -> list[float]:
        """Seconds of one operation, as often as it takes to fill ``at_least_s``; ``fewest`` values at least."""

    def energy_j(self) -> float | None:
        """Energy the device has used since some fixed moment; None where it cannot say."""

    def state(self) -> Mapping[str, float]:
        """Clock, temperature, cap and whatever else tells the thermal state; empty where it cannot say."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation at one size.

    Attributes:
        kind: name of the method of ``Bench``.
        sizes: its arguments, in order.
    """

    kind: str
    sizes: tuple[int, ...]

    @property
    def key(self) -> str:
        """How the journal calls it."""
        return f"{self.kind}:{'x'.join(map(str, self.sizes))}"

    def prepared(self, bench: Bench) -> Run:
        """The operation on a device."""
        made: Run = getattr(bench, self.kind)(*self.sizes)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Sizes of the part of a dense model that one GPU of a tensor-parallel group holds.

    Attributes:
        layers: of the model.
        hidden: model width.
        heads: query heads on the GPU.
        kv_heads: key/value heads on the GPU, at least 1.
        dim: width of a head.
        inner: width of the gated MLP on the GPU.
        vocab: rows of the output head on the GPU.
        vocab_whole: size of the vocabulary.
        max_context_tokens: longest context the model was made for.
        tp: GPUs of the group.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    inner: int
    vocab: int
    vocab_whole: int
    max_context_tokens: int
    tp: int

    def linear(self, tokens: int) -> list[Operation]:
        """One layer's token-wise operations, collectives left out."""
        attended = (self.heads + 2 * self.kv_heads) * self.dim
        products = (
            (attended, self.hidden), (self.hidden, self.heads * self.dim),
            (2 * self.inner, self.hidden), (self.hidden, self.inner),
        )  # fmt: skip
        widths = (self.hidden, self.hidden, self.inner, (self.heads + self.kv_heads) * self.dim)
        return [Operation("gemm", (tokens, n, k)) for n, k in products] + [
            Operation("elementwise", (tokens, width)) for width in widths
        ]

    def collectives(self, tokens: int) -> list[Operation]:
        """One layer's two sums over the group, of bf16 activations."""
        return [Operation("all_reduce", (2 * tokens * self.hidden, self.tp))] * 2 if self.tp > 1 else []

    def head(self, rows: int) -> list[Operation]:
        """Logits of ``rows`` tokens and a draw from each."""
        return [Operation("gemm", (rows, self.vocab, self.hidden)), Operation("sample", (rows, self.vocab_whole))]

    def prefill(self, new_tokens: int, past_tokens: int) -> Operation:
        """One layer's attention of one prompt."""
        return Operation("prefill_attention", (new_tokens, past_tokens, self.heads, self.kv_heads, self.dim))

    def decode(self, batch: int, context_tokens: int) -> Operation:
        """One layer's attention of a decode step."""
        return Operation("decode_attention", (batch, context_tokens, self.heads, self.kv_heads, self.dim))

    def kv_bytes(self, tokens: int) -> float:
        """Keys and values of one layer in bf16."""
        return 4.0 * tokens * self.kv_heads * self.dim


def shard_of(config: Mapping[str, Any], *, name: str, tp: int) -> Shard:
    """The sizes of one GPU's part of a model.

    Args:
        config: keys of a Hugging Face ``config.json``.
        name: what to call the model in a refusal.
        tp: tensor-parallel GPUs.

    Raises:
        CatalogError: the model has experts or another attention, keys are missing, or ``tp`` does not divide it.
    """
    family = config.get("model_type")
    if family not in DENSE:
        raise CatalogError(f"{name}: model_type {family!r} cannot be profiled; expected one of {', '.join(DENSE)}")
    keys = (
        "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size",
        "max_position_embeddings",
    )  # fmt: skip
    missing = [key for key in keys if not isinstance(config.get(key), int) or config[key] < 1]
    if missing:
        raise CatalogError(*(f"{name}: {key} is {config.get(key)!r}, expected a whole number" for key in missing))
    layers, hidden, heads, inner, vocab, context = (config[key] for key in keys)
    kv_heads = config.get("num_key_value_heads") or heads
    if heads % tp or inner % tp:
        raise CatalogError(f"{name}: tp {tp} divides neither {heads} heads nor an MLP of {inner} evenly")
    return Shard(
        layers=layers, hidden=hidden, heads=heads // tp, kv_heads=max(1, kv_heads // tp),
        dim=config.get("head_dim") or hidden // heads, inner=inner // tp, vocab=-(-vocab // tp), vocab_whole=vocab,
        max_context_tokens=context, tp=tp,
    )  # fmt: skip
