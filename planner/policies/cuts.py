"""Cuts: what prompts take of an instance beside a batch, chunk by chunk, as its batching policy cuts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.perf.stretches import Segment, stretch_s
from planner.policies.base import Batching, Occupancy


class Prompt(NamedTuple):
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
        return Prompt(
            self.prompt_tokens, self.prefill_tokens, done, done, self.arrival_s, self.due_s, self.preemptions
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """Steps that compute prompts one by one beside a batch.

    Attributes:
        room_tokens: of the first chunk of a prompt without end; 0 where the batch leaves no room for one.
        full_s: of the steps that compute the chunks of the longest prompt, first to last.
        full_chunks: (prompts,) how many of those each prompt has, its last chunk not among them.
        last_s: (prompts,) seconds of the step that computes its last chunk.
    """

    room_tokens: int
    full_s: tuple[Segment, ...]
    full_chunks: NDArray[np.int64]
    last_s: NDArray[np.float64]

    def whole_s(self) -> NDArray[np.float64]:
        """(prompts,) seconds from the first to the last of its steps."""
        return self._sums(self.full_s, self.last_s)

    def added_s(self, decode_s: float) -> float:
        """Seconds a prompt adds, on average, to an instance that would else have run steps of ``decode_s``."""
        longer = [(0.0, 0.0, n) if a <= decode_s else (a - decode_s, d, n) for a, d, n in self._split(decode_s)]
        return float(np.mean(self._sums(longer, np.maximum(0.0, self.last_s - decode_s))))

    def beyond_frac(self, limit_s: float) -> float:
        """Share of the steps that take longer than a limit; all of them where there is no room for a chunk."""
        if not self.room_tokens:
            return 1.0
        beyond = [(float(a > limit_s), 0.0, n) for a, _, n in self._split(limit_s)]
        late = self._sums(beyond, (self.last_s > limit_s).astype(float))
        return float(late.sum() / (self.full_chunks + 1).sum())

    def longest_s(self) -> float:
        """Seconds of the longest step."""
        return max((*(max(a, a + d * (n - 1)) for a, d, n in self.full_s), float(self.last_s.max())))

    def _split(self, level_s: float) -> list[Segment]:
        """The segments, each all above a level or all not."""
        parts: list[Segment] = []
        for a, d, n in self.full_s:
            first = _crossing(a, d, n, level_s)
            parts += [(a, d, first)] * (first > 0) + [(a + d * first, d, n - first)] * (first < n)
        return parts

    def _sums(self, full: Sequence[Segment], last: NDArray[np.float64]) -> NDArray[np.float64]:
        """(prompts,) sum over its steps: whole segments, a part of the next, and its last step."""
        begins = np.array([0, *accumulate(n for _, _, n in full)])
        sums = np.array([0.0, *accumulate(stretch_s(*part) for part in full)])
        first, further = np.array([(a, d) for a, d, _ in full] or [(0.0, 0.0)]).T
        at = np.searchsorted(begins, self.full_chunks, side="right") - 1
        rest, piece = self.full_chunks - begins[at], np.minimum(at, len(first) - 1)
        partly_s = rest * first[piece] + further[piece] * (rest * (rest - 1) / 2)
        return np.asarray(sums[at] + partly_s + last)


def _crossing(a: float, d: float, n: int, level_s: float) -> int:
    """How many of n values a, a + d, ... come before one that lies on the other side of a level than the first."""
    above = a > level_s
    if d == 0 or (a + d * (n - 1) > level_s) == above:
        return n
    at = min(max(1, int((level_s - a) / d)), n - 1)
    while at > 1 and (a + d * (at - 1) > level_s) != above:
        at -= 1
    while (a + d * at > level_s) == above:
        at += 1
    return at


@dataclass(frozen=True, slots=True, eq=False)
class Cutter:
    """How prompts are cut at an instance, beside batches of requests of one length.

    Attributes:
        physics: of the instance.
        batching: its rules.
        context_tokens: mean KV tokens of each request of a batch.
        runs: (longest prompt, batch) -> its chunks, as far as they were asked for: batches are sought by bisection.
    """

    physics: InstancePhysics
    batching: Batching
    context_tokens: float
    runs: "dict[tuple[int, int], list[_Run]]" = field(default_factory=dict)

    def room_tokens(self, prompts: NDArray[np.int64], batch: int) -> int:
        """Tokens of the longest prompt's first chunk beside a batch, without cutting the rest; 0 where none fits."""
        whole = Prompt(int(prompts.max()), int(prompts.max()))
        return max(0, self.batching.chunk(whole, self._now(batch), ()))

    def beside(self, prompts: NDArray[np.int64], batch: int) -> Cut:
        """How prompts are cut, and what their steps take.

        Args:
            prompts: lengths, tokens.
            batch: decoding requests beside them.
        """
        key = int(prompts.max()), batch
        if key not in self.runs:
            self.runs[key] = _runs(self.physics, self.batching, key[0], self._now(batch))
        held_tokens = batch * self.context_tokens  # not rounded: each of many chunks would gain what a single one does
        return _cut(self.physics, self.runs[key], prompts, (batch, held_tokens), self.room_tokens(prompts, batch))

    def _now(self, batch: int) -> Occupancy:
        return Occupancy(batch, batch, int(batch * self.context_tokens), self.physics.kv_blocks)


def _cut(
    physics: InstancePhysics, runs: "list[_Run]", prompts: NDArray[np.int64], beside: tuple[int, float], room: int
) -> Cut:
    """Prompts cut as the longest of them is, beside so many requests of so many KV tokens together."""
    batch, held_tokens = beside
    before = np.array([0, *accumulate(run.count for run in runs)])
    pasts, news = np.array([(run.past_tokens, run.new_tokens) for run in runs]).T
    lengths, place = np.unique(prompts, return_inverse=True)
    at = np.searchsorted(pasts, lengths) - 1
    mine = (lengths - pasts[at] - 1) // news[at]
    past = pasts[at] + mine * news[at]
    ends_s = physics.step.each_s(lengths - past, past, batch, held_tokens)
    ends_s = ends_s + physics.step.drains_s(lengths - past, past, batch, held_tokens)
    return Cut(
        room_tokens=room,
        full_s=tuple(
            part
            for run in runs
            for part in physics.step.chunk_segments(
                run.new_tokens, run.past_tokens, run.count, batch, held_tokens
            )
        ),
        full_chunks=(before[at] + mine)[place], last_s=ends_s[place],
    )  # fmt: skip


def cut(
    physics: InstancePhysics, batching: Batching, prompts: NDArray[np.int64], batch: int, context_tokens: float
) -> Cut:
    """``Cutter.beside`` of one batch."""
    return Cutter(physics, batching, context_tokens).beside(prompts, batch)


@dataclass(frozen=True, slots=True)
class _Run:
    """Chunks of one size, one after the other: the past of the first, the size, how many."""

    past_tokens: int
    new_tokens: int
    count: int


def _runs(physics: InstancePhysics, batching: Batching, prompt_tokens: int, now: Occupancy) -> list[_Run]:
    """The chunks of a prompt in an instance with a batch; one chunk where the batch leaves no room for any.

    A longer past never makes a chunk larger where it never makes a step shorter. So what lies between two chunks of a
    size is of that size, too, and the end of a run is found by bisection: ten million tokens are cut in dozens of runs,
    not in 300,000 chunks.
    """
    whole = Prompt(prompt_tokens, prompt_tokens)
    slower = physics.step.slows_with_past
    runs = list[_Run]()
    past = 0
    while past < prompt_tokens:
        new = min(prompt_tokens - past, batching.chunk(whole.after(past), now, ()))
        if new <= 0:
            break
        low, high = 1, max(1, (prompt_tokens - past) // new if slower else 1)
        while low < high:
            middle = (low + high + 1) // 2
            same = batching.still(whole.after(past + (middle - 1) * new), now, new)
            low, high = (middle, high) if same else (low, middle - 1)
        runs.append(_Run(past, new, low))
        past += low * new
    return runs or [_Run(0, prompt_tokens, 1)]
