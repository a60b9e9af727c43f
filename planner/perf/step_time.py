"""How long one step of an instance takes.

step = overhead + linear(tokens) + Σ prefill_attention(new, past) + decode_attention(batch, mean context) + mixed

``mixed`` is what a step with both prompts and decodes takes beyond its parts. Tables are read as they were measured,
dips and tile steps included, linearly between knots and on along the last segment (``max_`` properties say where that
is); decode attention beyond the last context is read at equal total tokens (``perf/beyond.py``).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_catalog.profiles import KernelProfile
from planner.perf.beyond import continued
from planner.perf.lines import Column, crossed, line, lines
from planner.perf.stretches import Segment

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Curve:
    """Step time of a decode-only batch of one size over its mean context: knots, values, slopes of the segments."""

    knots: list[float]
    values: list[float]
    slopes: list[float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfaces:
    """What a step time is made of, for those who compute it elsewhere.

    Attributes:
        profile: overhead and attention.
        linear_prefill_s: (tokens + 1,) of a step that carries prefill work, by tokens.
        linear_decode_s: (batch + 1,) of a decode-only step, by requests.
        prefill_ratio: factor on steps that carry prefill work.
        decode_ratio: factor on decode-only steps.
        mixed_ratio: factor on steps that carry both, beside the first.
    """

    profile: KernelProfile
    linear_prefill_s: Floats
    linear_decode_s: Floats
    prefill_ratio: float
    decode_ratio: float
    mixed_ratio: float


class StepTime:
    """The step time of one instance, from its kernel profile.

    Args:
        profile: measured surfaces.
        prefill_slowdown_ratio: factor on steps that carry prefill work (a power-capped GPU).
        decode_slowdown_ratio: factor on decode-only steps.
        mixed_slowdown_ratio: factor on steps that carry prefill and decode work together, beside the first.
    """

    __slots__ = (
        "_attention_table", "_batches", "_contexts", "_curves", "_decode_attention", "_decode_ratio",
        "_linear_decode", "_linear_prefill", "_mixed_ratio", "_mixed_s", "_overhead_s", "_pasts", "_prefill_attention",
        "_prefill_ratio", "_surfaces", "profile", "ranks",
    )  # fmt: skip

    def __init__(
        self,
        profile: KernelProfile,
        *,
        prefill_slowdown_ratio: float = 1.0,
        decode_slowdown_ratio: float = 1.0,
        mixed_slowdown_ratio: float = 1.0,
    ) -> None:
        """Nothing read yet."""
        profile = continued(profile)
        self.profile, self.ranks = profile, profile.dp
        self._prefill_ratio = prefill_slowdown_ratio
        self._decode_ratio = decode_slowdown_ratio
        self._mixed_ratio = mixed_slowdown_ratio
        self._overhead_s, self._mixed_s = profile.overhead_s, profile.mixed_s
        self._linear_prefill = Column(profile.tokens, profile.linear_prefill_s)
        self._linear_decode = Column(profile.batch, profile.linear_decode_s)
        self._attention_table = (
            profile.new_tokens.tolist(), profile.past_tokens.tolist(), profile.prefill_attention_s.tolist(),
        )  # fmt: skip
        self._pasts: list[int] = profile.past_tokens.tolist()
        self._batches: list[int] = profile.attention_batch.tolist()
        self._contexts: list[int] = profile.context_tokens.tolist()
        self._prefill_attention: dict[tuple[int, int], float] = {}
        self._decode_attention: dict[int, list[float]] = {}
        self._curves: dict[int, _Curve] = {}
        self._surfaces: Surfaces | None = None

    def surfaces(self) -> "Surfaces":
        """Everything the step time is computed from, as arrays."""
        if self._surfaces is None:
            self._surfaces = Surfaces(
                profile=self.profile, linear_prefill_s=self._linear_prefill.dense(),
                linear_decode_s=self._linear_decode.dense(), prefill_ratio=self._prefill_ratio,
                decode_ratio=self._decode_ratio, mixed_ratio=self._mixed_ratio,
            )  # fmt: skip
        return self._surfaces

    @property
    def max_batch(self) -> int:
        """Largest decode batch inside the measured range."""
        return int(min(self.profile.batch[-1], self.profile.attention_batch[-1]))

    @property
    def max_tokens(self) -> int:
        """Most tokens of a step inside the measured range."""
        return int(self.profile.tokens[-1])

    @property
    def max_context_tokens(self) -> int:
        """Longest context at which the source measured decode attention at batch 1."""
        measured = ~self.profile.decode_extrapolated[0]
        knots = self.profile.context_tokens[measured]
        return int(knots[-1]) if len(knots) else 0

    @property
    def max_table_tokens(self) -> int:
        """Longest context in the source's table, measured or not."""
        return self.profile.beyond_tokens or int(self.profile.context_tokens[-1])

    @property
    def splits_kv(self) -> bool:
        """Whether contexts beyond the table are read at equal total tokens."""
        return self.profile.beyond_tokens > 0

    @property
    def max_past_tokens(self) -> int:
        """Longest past at which the source measured the attention of a chunk of any size."""
        measured = ~self.profile.prefill_extrapolated
        reached = self.profile.past_tokens[measured.any(axis=0)]
        return int(reached[-1]) if len(reached) else 0

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt whose attention the source measured when it is computed at once."""
        reached = self.profile.new_tokens[~self.profile.prefill_extrapolated[:, 0]]
        return int(reached[-1]) if len(reached) else 0

    def beside_tokens(self, parts: Sequence[tuple[int, int]], past_tokens: int) -> int:  # noqa: ARG002
        """Tokens of a step's prompts that take of what a further one would: here, all."""
        return sum(new for new, _ in parts)

    def prefill_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:
        """Seconds of a step that computes ``prompts`` and advances ``batch`` decodes by one token.

        Args:
            prompts: (new tokens, tokens already in the KV cache) of each prefilling request, at least one.
            batch: decoding requests in the same step.
            context_tokens: KV tokens of all of them together.
        """
        tokens = batch
        attention = 0.0
        if self.ranks > 1:
            tokens, attention = self._fullest(prompts, batch)
        else:
            for new, past in prompts:
                tokens += new
                attention += self._attend(new, past)
        if batch:
            attention += self._decode_attention_s(batch, context_tokens / batch)
        ratio = self._prefill_ratio * (self._mixed_ratio if batch else 1.0)
        return self._overhead_s + ratio * (self._linear(tokens) + attention)

    def steps_s(self, steps: Sequence[list[tuple[int, int]]]) -> list[float]:
        """Seconds of each of many steps that compute prompts alone, as ``prefill_s`` has it, to the last bit."""
        news, pasts = np.array([part for step in steps for part in step], np.int64).reshape(-1, 2).T
        pairs = zip(news.tolist(), pasts.tolist(), strict=True)
        self._prefill_attention |= zip(pairs, self._attend_each(news, pasts).tolist(), strict=True)
        return [self.prefill_s(step) for step in steps]

    def _fullest(self, prompts: list[tuple[int, int]], batch: int) -> tuple[int, float]:
        """Tokens of the fullest attention rank and the seconds of its prompts' attention.

        Prompts are dealt in rounds, one to each rank, and each round counts with the longest of it.
        """
        tokens, attention = -(-batch // self.ranks), 0.0
        for first in range(0, len(prompts), self.ranks):
            dealt = prompts[first : first + self.ranks]
            tokens += max(new for new, _ in dealt)
            attention += max(self._attend(new, past) for new, past in dealt)
        return tokens, attention

    def besides_s(self, new: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) seconds of ``prefill_s`` of a whole prompt each, beside a batch each.

        Args:
            new: (steps,) tokens of the prompt.
            batch: (steps,) decoding requests beside it.
            contexts: KV tokens of each of those.
        """
        lengths, at = np.unique(new, return_inverse=True)
        attention = self._attend_each(lengths, np.zeros_like(lengths))[at]
        beside_s = self._decode_attention_each(batch, contexts)
        ratio = self._prefill_ratio * np.where(batch > 0, self._mixed_ratio, 1.0)
        return self._overhead_s + ratio * (self._linear_each(new - (-batch // self.ranks)) + (attention + beside_s))

    def filled_s(self, new: Ints, tokens: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) seconds of steps of which a whole prompt is a part, as if the others had no attention.

        No step of so many prompt tokens that computes such a prompt takes less.

        Args:
            new: (steps,) tokens of the prompt.
            tokens: (steps,) of all prompts of each step at its fullest attention rank, at least those of ``new``.
            batch: (steps,) decoding requests beside them.
            contexts: KV tokens of each of those.
        """
        decodes = -(-batch // self.ranks)
        mine, every = new + decodes, tokens + decodes
        ratio = self._prefill_ratio * np.where(batch > 0, self._mixed_ratio, 1.0)
        others_s = ratio * (self._linear_each(every) - self._linear_each(mine))
        ways_s = self.ways_s(every) - self.ways_s(mine)
        return self.besides_s(new, batch, contexts) + others_s + ways_s

    def packed_s(self, chunk: tuple[Ints, Ints], tokens: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) seconds of steps that are filled with chunks of one kind each, parts of one included.

        Args as for ``filled_s``; chunk: (steps,) tokens of one, at least one, and (steps,) tokens before it.
        """
        every = tokens - (-batch // self.ranks)
        ratio = self._prefill_ratio * np.where(batch > 0, self._mixed_ratio, 1.0)
        attention = self._attend_each(*chunk) * (tokens / chunk[0]) + self._decode_attention_each(batch, contexts)
        return np.asarray(self._overhead_s + ratio * (self._linear_each(every) + attention) + self.ways_s(every))

    def chunk_segments(
        self, new: int, past: int, count: int, batch: int = 0, context_tokens: float = 0
    ) -> list[Segment]:
        """Durations of steps that compute chunks of one prompt, one after the other, as arithmetic sequences.

        Between two bends the time of a chunk is a straight line in its past: its ends say all.

        Args:
            new: tokens of each chunk.
            past: tokens before the first.
            count: chunks, >= 1.
            batch: decoding requests beside each.
            context_tokens: KV tokens of all of them together.
        """
        begins = sorted({0, *(j for bend in self._bends(new) if 0 < (j := -(-(bend - past) // new)) < count)})
        segments: list[Segment] = []
        for first, end in zip(begins, [*begins[1:], count], strict=True):
            a, z = (self.prefill_s([(new, past + j * new)], batch, context_tokens) for j in (first, end - 1))
            segments.append((a, (z - a) / max(1, end - 1 - first), end - first))
        return segments

    def _bends(self, new: int) -> list[int]:  # noqa: ARG002
        """Pasts from which on the time of a chunk of so many tokens may grow at another pace."""
        return self._pasts

    @property
    def slows_with_past(self) -> bool:
        """Whether no chunk is faster for a longer past: true of measured surfaces but for noise."""
        rows = np.array(self._attention_table[2])
        beyond = rows[-1] - rows[-2] if len(rows) > 1 else rows[-1]
        return bool((np.diff(rows, axis=1) >= 0).all() and (np.diff(beyond) >= 0).all())

    def each_s(
        self, new: Ints, past: Ints, batch: int, context_tokens: float
    ) -> Floats:  # fmt: skip
        """(prompts,) seconds of a step with each of some prompts alone, as ``prefill_s`` has it, to the last bit.

        Args:
            new: (prompts,) tokens to compute, at least one prompt.
            past: (prompts,) tokens already in the KV cache.
            batch: decoding requests in every step.
            context_tokens: KV tokens of all of them together.
        """
        attention = self._attend_each(new, past)
        if batch:
            attention = attention + self._decode_attention_s(batch, context_tokens / batch)
        ratio = self._prefill_ratio * (self._mixed_ratio if batch else 1.0)
        return self._overhead_s + ratio * (self._linear_each(new - (-batch // self.ranks)) + attention)

    def drains_s(
        self, new: Ints, past: Ints, batch: int, context_tokens: float  # noqa: ARG002
    ) -> Floats:  # fmt: skip
        """(prompts,) ``drain_s`` of a step with each of some prompts alone; none where there is one stage."""
        return np.zeros(len(new))

    def drain_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:  # noqa: ARG002
        """Seconds from the end of a step until its prompts are out: none where there is one stage."""
        return 0.0

    def way_s(self, tokens: int) -> float:
        """Seconds of a step of so many tokens in which no GPU works on it: none, except on the links between stages."""
        return float(self.ways_s(np.array([tokens]))[0])

    def ways_s(self, tokens: Ints) -> Floats:
        """(steps,) ``way_s`` of each number of tokens."""
        return np.zeros(len(tokens))

    def decode_s(self, batch: int, mean_context_tokens: float) -> float:
        """Seconds of a decode-only step of ``batch`` requests."""
        return self.decode_segments(batch, mean_context_tokens, 1)[0][0]

    def decode_segments(self, batch: int, mean_context_tokens: float, steps: int) -> list[Segment]:
        """Durations of ``steps`` consecutive decode-only steps, as arithmetic sequences.

        In step j = 0, 1, ... the mean context is ``mean_context_tokens`` + j. Step time is piecewise linear in the
        context, so the durations within one piece form an arithmetic sequence, exactly.
        """
        return self._segments(batch, mean_context_tokens, steps)

    def _segments(self, batch: int, mean_context_tokens: float, steps: int, per_token: int = 1) -> list[Segment]:
        """The same where the context grows by one token in ``per_token`` steps, a fraction of it in each."""
        curve = self._curves.get(batch) or self._curve(batch)
        knots, values, slopes = curve.knots, curve.values, curve.slopes
        last = len(slopes) - 1
        context = mean_context_tokens
        piece = min(max(bisect_right(knots, context) - 1, 0), last)
        segments: list[Segment] = []
        while steps > 0:
            slope = slopes[piece]
            count = steps
            if piece < last:
                room = (knots[piece + 1] - context) * per_token
                if room < steps:
                    count = max(1, int(room) + (room > int(room)))
            segments.append((values[piece] + slope * (context - knots[piece]), slope / per_token, count))
            context += count / per_token
            steps -= count
            while piece < last and knots[piece + 1] <= context:
                piece += 1
        return segments

    def _curve(self, batch: int) -> _Curve:
        """Decode-only step time over mean context at one batch size, kept for reuse."""
        linear = self._linear_decode.at(batch)
        ratio = self._decode_ratio
        values = [self._overhead_s + ratio * (linear + a) for a in self._decode_attention_row(batch)]
        knots = [float(k) for k in self.profile.context_tokens]
        slopes = [(values[i + 1] - values[i]) / (knots[i + 1] - knots[i]) for i in range(len(knots) - 1)]
        curve = _Curve(knots, values, slopes)
        self._curves[batch] = curve
        return curve

    def _decode_attention_row(self, batch: int) -> list[float]:
        """Decode attention at one batch size, at every context knot."""
        row = self._decode_attention.get(batch)
        if row is None:
            row = lines(self._batches, self.profile.decode_attention_s, batch).tolist()
            self._decode_attention[batch] = row
        return row

    def _decode_attention_s(self, batch: int, mean_context_tokens: float) -> float:
        """Decode attention of a batch that shares its step with prefill work, and what sharing takes."""
        row = self._decode_attention_row(batch)
        return line(self._contexts, row, mean_context_tokens) + self._mixed_s

    def _decode_attention_each(self, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) ``_decode_attention_s`` of a batch each, to the last bit; nothing of no batch."""
        profile, every = self.profile, np.arange(int(batch.max()) + 1)
        at, of = (batch, every) if len(every) < len(batch) else (np.arange(len(batch)), batch)
        rows, columns, table = profile.context_tokens, profile.attention_batch, profile.decode_attention_s.T
        found = [crossed(rows, columns, table, np.full(len(of), context, float), of) for context in contexts]
        return np.where(of > 0, np.array(found) + self._mixed_s, 0.0)[:, at]

    def _besides(self, new: Ints, past: Ints, batch: Ints, contexts: Ints) -> Floats:
        """(steps,) ``prefill_s`` of a prompt each on one rank, beside a batch each of its own mean context each."""
        profile = self.profile
        rows, columns, table = profile.context_tokens, profile.attention_batch, profile.decode_attention_s.T
        beside_s = np.where(batch > 0, crossed(rows, columns, table, contexts, batch) + self._mixed_s, 0.0)
        ratio = self._prefill_ratio * np.where(batch > 0, self._mixed_ratio, 1.0)
        return self._overhead_s + ratio * (self._linear_each(new + batch) + (self._attend_each(new, past) + beside_s))

    def _attend(self, new: int, past: int) -> float:
        """Attention of ``new`` tokens of one request over ``past`` and themselves."""
        key = (new, past)
        found = self._prefill_attention.get(key)
        if found is None:
            news, pasts, table = self._attention_table
            i = min(max(bisect_right(news, new) - 1, 0), max(0, len(news) - 2))
            found = line(news[i : i + 2], [line(pasts, row, past) for row in table[i : i + 2]], new)
            self._prefill_attention[key] = found
        return found

    def _attend_each(self, new: Ints, past: Ints) -> Floats:
        """``_attend`` of each pair."""
        profile = self.profile
        return crossed(profile.new_tokens, profile.past_tokens, profile.prefill_attention_s, new, past)

    def _linear(self, tokens: int) -> float:
        """Token-wise operations of a step that carries prefill work."""
        return self._linear_prefill.at(tokens)

    def _linear_each(self, tokens: Ints) -> Floats:
        """``_linear`` of each number of tokens."""
        return self._linear_prefill.each(tokens)
