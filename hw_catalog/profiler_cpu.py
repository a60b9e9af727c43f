"""The profiler's operations in NumPy on the CPU: to try the procedure on a small model, not to plan with."""

import os
import platform
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hw_catalog.profiler_ops import FEWEST_SAMPLES, Device, Run

Array = NDArray[np.float32]


class NumpyBench:
    """A bench of one process, in float32.

    Args:
        seed: of the operands.
    """

    def __init__(self, seed: int = 0) -> None:
        """Begin a generator; nothing is allocated."""
        self._random = np.random.default_rng(seed)

    @property
    def device(self) -> Device:
        """This computer; a quarter of its memory."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        name = platform.processor() or platform.machine()
        library = f"numpy {np.__version__}"
        return Device(name=name, gpus=1, memory_bytes=pages / 4, library=library, driver="")

    def gemm(self, m: int, n: int, k: int) -> Run:
        """(m, k) times (k, n)."""
        left, right = self._array(m, k), self._array(k, n)
        return Run(launch=lambda _: _done(left @ right))

    def prefill_attention(self, new_tokens: int, past_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """Softmax attention in full, a causal mask over the new tokens."""
        total = new_tokens + past_tokens
        query = self._array(kv_heads, heads // kv_heads, new_tokens, dim)
        keys, values = self._array(kv_heads, 1, total, dim), self._array(kv_heads, 1, total, dim)
        hidden = np.triu(np.full((new_tokens, total), -np.inf, dtype=np.float32), k=past_tokens + 1)
        return Run(launch=lambda _: _done(_softmax(query @ keys.swapaxes(-1, -2) + hidden) @ values))

    def decode_attention(self, batch: int, context_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """Each request's query heads against its own keys and values."""
        query = self._array(batch, kv_heads, heads // kv_heads, dim)
        keys, values = (self._array(batch, kv_heads, context_tokens, dim) for _ in range(2))
        return Run(launch=lambda _: _done(_softmax(query @ keys.swapaxes(-1, -2)) @ values))

    def elementwise(self, tokens: int, width: int) -> Run:
        """A sum of two arrays into a third."""
        left, right, out = (self._array(tokens, width) for _ in range(3))
        return Run(launch=lambda _: _done(np.add(left, right, out=out)))

    def sample(self, batch: int, vocab: int) -> Run:
        """Cumulated softmax against one uniform number per request."""
        logits, drawn = self._array(batch, vocab), self._random.random((batch, 1), dtype=np.float32)
        return Run(launch=lambda _: _done((np.cumsum(_softmax(logits), axis=1) < drawn).sum(axis=1)))

    def all_reduce(self, size_bytes: int, gpus: int) -> Run:
        """There is one device."""
        raise NotImplementedError(f"a CPU has no all-reduce of {size_bytes} bytes over {gpus} GPUs")

    def recorded(self, run: Run) -> Run:
        """There is no host beside the device."""
        return run

    def timed(self, run: Run, *, at_least_s: float, fewest: int = FEWEST_SAMPLES) -> list[float]:
        """Wall time of single launches."""
        samples: list[float] = []
        started = time.perf_counter()
        while len(samples) < fewest or time.perf_counter() - started < at_least_s:
            began = time.perf_counter()
            run.launch(len(samples))
            samples.append(time.perf_counter() - began)
        return samples

    def energy_j(self) -> float | None:
        """Not known here."""
        return None

    def state(self) -> Mapping[str, float]:
        """Not known here."""
        return {}

    def _array(self, *shape: int) -> Array:
        return self._random.random(shape, dtype=np.float32)


def _softmax(scores: Array) -> Array:
    """Along the last axis."""
    raised: Array = scores - scores.max(axis=-1, keepdims=True)
    np.exp(raised, out=raised)
    raised /= raised.sum(axis=-1, keepdims=True)
    return raised


def _done(_result: object) -> None:
    """The result has been computed; it is not needed."""
