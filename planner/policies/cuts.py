"""Cuts: what prompts take of an instance beside a batch, chunk by chunk, as its batching policy cuts them."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.policies.base import Batching, Occupancy


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as the batching policy sees it."""

    prompt_tokens: int
    prefill_tokens: int
    cached_tokens: int = 0
    held_tokens: int = 0
    arrival_s: float = 0.0
    due_s: float = inf
    preemptions: int = 0

    @property
    def uncomputed_tokens(self) -> int:
        """Tokens that are left to compute."""
        return self.prefill_tokens - self.cached_tokens

    def after(self, new_tokens: int) -> "Prompt":
        """The same with so many more tokens computed."""
        done = self.cached_tokens + new_tokens
        return replace(self, cached_tokens=done, held_tokens=done)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Steps that compute prompts one by one beside a batch.

    Attributes:
        room_tokens: of the first chunk of a prompt without end; 0 where the batch leaves no room for one.
        full_s: seconds of the steps that compute the full chunks of the longest prompt, first to last.
        full_chunks: of each prompt, how many of those it has.
        last_s: (prompts,) seconds of the step that computes its last chunk.
    """

    room_tokens: int
    full_s: tuple[float, ...]
    full_chunks: tuple[int, ...]
    last_s: tuple[float, ...]

    def whole_s(self) -> NDArray[np.float64]:
        """(prompts,) seconds from the first to the last of its steps."""
        return self._sums(self.full_s, self.last_s)

    def added_s(self, decode_s: float) -> float:
        """Seconds a prompt adds, on average, to an instance that would else have run steps of ``decode_s``."""
        full = tuple(max(0.0, s - decode_s) for s in self.full_s)
        return float(np.mean(self._sums(full, tuple(max(0.0, s - decode_s) for s in self.last_s))))

    def beyond_frac(self, limit_s: float) -> float:
        """Share of the steps that take longer than a limit; all of them where there is no room for a chunk."""
        if not self.room_tokens:
            return 1.0
        beyond = self._sums(tuple(s > limit_s for s in self.full_s), tuple(s > limit_s for s in self.last_s))
        return float(beyond.sum() / sum(n + 1 for n in self.full_chunks))

    def longest_s(self) -> float:
        """Seconds of the longest step."""
        return max((*self.full_s, *self.last_s))

    def _sums(self, full: tuple[float, ...], last: tuple[float, ...]) -> NDArray[np.float64]:
        """(prompts,) sum over its steps."""
        before = [0.0, *accumulate(full)]
        return np.array([before[n] + own for n, own in zip(self.full_chunks, last, strict=True)])


def room_tokens(
    physics: InstancePhysics, batching: Batching, prompts: NDArray[np.int64], batch: int, context_tokens: float
) -> int:
    """Tokens of the first chunk of the longest prompt beside a batch, without cutting the rest; 0 where none fits."""
    now = Occupancy(batch, batch, int(batch * context_tokens), physics.kv_blocks)
    return max(0, batching.chunk(Prompt(int(prompts.max()), int(prompts.max())), now, ()))


def cut(
    physics: InstancePhysics, batching: Batching, prompts: NDArray[np.int64], batch: int, context_tokens: float
) -> Cut:
    """How prompts are cut at an instance, and what their steps take.

    Args:
        physics: of the instance.
        batching: its rules.
        prompts: lengths, tokens.
        batch: decoding requests beside them.
        context_tokens: mean KV tokens of each of those.
    """
    now = Occupancy(batch, batch, int(batch * context_tokens), physics.kv_blocks)
    longest = Prompt(int(prompts.max()), int(prompts.max()))
    starts: list[int] = []
    room = room_tokens(physics, batching, prompts, batch, context_tokens)
    while longest.uncomputed_tokens:
        new = min(longest.uncomputed_tokens, batching.chunk(longest, now, ()))
        if new <= 0:
            break
        starts.append(longest.cached_tokens)
        longest = longest.after(new)
    starts = starts or [0]
    ends = [*starts[1:], int(prompts.max())]
    full = tuple(bisect_left(ends, int(p)) for p in prompts)

    held_tokens = batch * context_tokens  # not rounded: each of many chunks would gain what a single one does

    def step_s(new: int, past: int) -> float:
        return physics.step.prefill_s([(new, past)], batch, held_tokens)

    def ending_s(new: int, past: int) -> float:
        return step_s(new, past) + physics.step.drain_s([(new, past)], batch, held_tokens)

    return Cut(
        room_tokens=room, full_chunks=full,
        full_s=tuple(step_s(end - start, start) for start, end in zip(starts[:-1], ends[:-1], strict=True)),
        last_s=tuple(ending_s(int(p) - starts[n], starts[n]) for p, n in zip(prompts, full, strict=True)),
    )  # fmt: skip
