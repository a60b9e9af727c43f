"""A small transformer in PyTorch over a paged KV cache, for ``toy_server.py``. Needs the extra ``profile``.

Its sizes are Qwen3's in kind: grouped queries, norms on queries and keys, a gated MLP, rotated positions. Weights are
random: what it says means nothing, what it takes is what is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.toy_server import Ints, Job
from hw_catalog.errors import CatalogError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of the model.

    Attributes:
        layers: how many.
        hidden: width.
        heads: of queries.
        kv_heads: of keys and values.
        dim: of a head.
        inner: width of the MLP.
        vocab: tokens it knows.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    inner: int
    vocab: int

    @property
    def config(self) -> dict[str, Any]:
        """As a Hugging Face ``config.json`` says it."""
        return {
            "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": self.layers,
            "hidden_size": self.hidden, "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "head_dim": self.dim, "intermediate_size": self.inner, "vocab_size": self.vocab,
            "max_position_embeddings": 32768, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        }  # fmt: skip


ON_GPU = Sizes(layers=16, hidden=2048, heads=16, kv_heads=8, dim=128, inner=5632, vocab=32000)
"""0.9 billion weights."""
ON_CPU = Sizes(layers=4, hidden=256, heads=4, kv_heads=2, dim=64, inner=704, vocab=2000)
"""What one core computes in some milliseconds a step."""


def torch_here(device: str) -> Any:  # noqa: ANN401  PyTorch is optional, so are its types
    """PyTorch, set to one thread on a CPU, so that CPU seconds are those of the step.

    Raises:
        CatalogError: it is missing.
    """
    try:
        import torch
    except ImportError:
        raise CatalogError(
            "served toy: PyTorch is missing; install it with `pip install 'phasewise[profile]'`"
        ) from None
    if device == "cpu":
        torch.set_num_threads(1)
    return torch


class ToyModel:
    """Weights, the KV cache, and steps.

    Args:
        torch: the module.
        device: ``cuda`` or ``cpu``.
        sizes: of the model.
        pages: of the KV cache.
        page_tokens: tokens in each.
    """

    def __init__(self, torch: Any, device: str, sizes: Sizes, *, pages: int, page_tokens: int) -> None:  # noqa: ANN401
        """Draw weights."""
        self._torch, self._device, self.sizes, self._page_tokens = torch, device, sizes, page_tokens
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        s, attended = sizes, sizes.heads * sizes.dim
        shapes = ((attended + 2 * s.kv_heads * s.dim, s.hidden), (s.hidden, attended), (2 * s.inner, s.hidden),
                  (s.hidden, s.inner))  # fmt: skip
        generator = torch.Generator(device=device).manual_seed(0)

        def drawn(*shape: int) -> Any:  # noqa: ANN401
            raw = torch.randn(*shape, device=device, dtype=torch.float32, generator=generator)
            return (raw / shape[-1] ** 0.5).to(self._dtype)

        self._layers = [tuple(drawn(*shape) for shape in shapes) for _ in range(s.layers)]
        self._embedding, self._head = drawn(s.vocab, s.hidden), drawn(s.vocab, s.hidden)
        self._cache = torch.zeros(2, s.layers, pages * page_tokens, s.kv_heads, s.dim, device=device, dtype=self._dtype)
        turns = 1e4 ** (-torch.arange(0, s.dim, 2, device=device, dtype=torch.float32) / s.dim)
        self._turns = torch.outer(torch.arange(32768, device=device, dtype=torch.float32), turns)

    def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        """The next token of each job."""
        torch = self._torch
        with torch.inference_mode():
            return list(self._step(prompts, decodes))

    def _step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        torch, place = self._torch, self._placed
        lengths = [len(job.tokens) for job in prompts]
        last = [len(job.tokens) - 1 for job in decodes]
        ids = place([*(t for job in prompts for t in job.tokens), *(job.tokens[-1] for job in decodes)])
        at = [p for n in lengths for p in range(n)] + last
        held = [self._slots(job) for job in decodes]
        slots = place(np.concatenate([*map(self._slots, prompts), *(mine[-1:] for mine in held)]))
        angles = self._turns[place(at)]
        turned = angles.cos()[:, None].to(self._dtype), angles.sin()[:, None].to(self._dtype)
        read = self._read(held) if held else None
        x = self._embedding[ids]
        for layer in range(self.sizes.layers):
            x = self._layer(layer, x, turned, slots, lengths, read)
        ends = [sum(lengths[: n + 1]) - 1 for n in range(len(lengths))] + list(range(sum(lengths), len(at)))
        logits = torch.nn.functional.linear(_normed(x[place(ends)]), self._head)
        return list(logits.argmax(dim=-1).tolist())

    def _layer(
        self, layer: int, x: Any, turned: Any, slots: Any, lengths: Sequence[int], read: Any  # noqa: ANN401
    ) -> Any:  # noqa: ANN401  # fmt: skip
        """One layer on all tokens of a step."""
        s, linear = self.sizes, self._torch.nn.functional.linear
        attend, leave, rise, fall = self._layers[layer]
        parts = linear(_normed(x), attend).view(len(x), -1, s.dim).split([s.heads, s.kv_heads, s.kv_heads], dim=1)
        query, key = (self._rotated(_normed(part), *turned) for part in parts[:2])
        self._cache[0, layer].index_copy_(0, slots, key)
        self._cache[1, layer].index_copy_(0, slots, parts[2])
        found, first = [], 0
        for n in lengths:
            found.append(self.attend_prompt(*(part[first : first + n] for part in (query, key, parts[2]))))
            first += n
        if read is not None:
            found.append(self.attend_paged(layer, query[first:], *read))
        x = x + linear(self._torch.cat(found).flatten(1), leave)
        gate, up = linear(_normed(x), rise).chunk(2, dim=-1)
        return x + linear(self._torch.nn.functional.silu(gate) * up, fall)

    def attend_prompt(self, query: Any, key: Any, value: Any) -> Any:  # noqa: ANN401
        """(tokens, heads, dim) causal attention of one prompt."""
        group = self.sizes.heads // self.sizes.kv_heads
        keys, values = (part.repeat_interleave(group, dim=1).transpose(0, 1) for part in (key, value))
        found = self._torch.nn.functional.scaled_dot_product_attention(
            query.transpose(0, 1)[None], keys[None], values[None], is_causal=True
        )
        return found[0].transpose(0, 1)

    def attend_paged(self, layer: int, query: Any, slots: Any, owner: Any) -> Any:  # noqa: ANN401
        """(requests, heads, dim) attention of one token of each request over its own slots of the cache.

        Contexts stand one behind the other, none is padded. Norms bound the scores: no maximum has to be taken off.
        """
        torch, s = self._torch, self.sizes
        keys, values = (self._cache[part, layer].index_select(0, slots)[:, :, None] for part in (0, 1))
        query = query.view(len(query), s.kv_heads, -1, s.dim)
        scores = (query.index_select(0, owner) * keys).sum(-1, dtype=torch.float32) / s.dim**0.5
        weights = scores.exp()[..., None]
        total = torch.zeros(*query.shape[:-1], 1, device=self._device).index_add_(0, owner, weights)
        found = torch.zeros(query.shape, device=self._device).index_add_(0, owner, weights * values)
        return (found / total).to(self._dtype).view(len(query), s.heads, s.dim)

    def sync(self) -> None:
        """Until the device has done everything."""
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def attention_of_prompt(self, tokens: int) -> Callable[[], object]:
        """A layer's attention of a prompt, to be timed."""
        s = self.sizes
        query, key, value = (
            self._torch.zeros(tokens, heads, s.dim, device=self._device, dtype=self._dtype)
            for heads in (s.heads, s.kv_heads, s.kv_heads)
        )
        return lambda: self.attend_prompt(query, key, value)

    def attention_of_batch(self, jobs: Sequence[Job]) -> Callable[[], object]:
        """A layer's attention of a decode step, to be timed."""
        s, held = self.sizes, [self._slots(job) for job in jobs]
        slots, owner = self._read(held)
        query = self._torch.zeros(len(jobs), s.heads, s.dim, device=self._device, dtype=self._dtype)
        return lambda: self.attend_paged(0, query, slots, owner)

    def _slots(self, job: Job) -> Ints:
        """Where the cache holds the tokens of a job."""
        size = self._page_tokens
        return (np.array(job.pages)[:, None] * size + np.arange(size)).ravel()[: len(job.tokens)]

    def _read(self, held: Sequence[Ints]) -> tuple[Any, Any]:
        """The slots of all jobs one behind the other, and whose each is."""
        owner = np.repeat(np.arange(len(held)), [len(mine) for mine in held])
        return self._placed(np.concatenate(held)), self._placed(owner)

    def _placed(self, numbers: Ints | Sequence[int]) -> Any:  # noqa: ANN401
        return self._torch.as_tensor(numbers, device=self._device)

    def _rotated(self, x: Any, cos: Any, sin: Any) -> Any:  # noqa: ANN401
        """Turned by position."""
        left, right = x.chunk(2, dim=-1)
        return self._torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def _normed(x: Any) -> Any:  # noqa: ANN401
    """With a mean square of one."""
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
