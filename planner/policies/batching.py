"""Batching: what one step of an instance runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from planner.perf.parallel import adaptive_chunk_tokens, stays_adaptive
from planner.policies.base import Batching, Occupancy, RequestView, StepBatch, StepPredictor

TILE_TOKENS = 128
"""Tokens of a tile of the matrix kernels."""

LEAST_TOKENS = 32
"""The smallest chunk."""


class ChunkForm(StrEnum):
    """How prompts are cut where an instance has a chunk size."""

    STALL_FREE = "stall-free"
    """A budget of tokens per step: all decodes, then the prompt in progress, then new ones, as long as it lasts."""
    DECODE_MAXIMAL = "decode-maximal"
    """One chunk of a fixed size per step, beside as many decodes as there are slots left."""
    ADAPTIVE = "adaptive"
    """The largest chunk whose step the decodes beside it can bear."""
    PREFILL_FIRST = "prefill-first"
    """Prompts up to the budget whenever any wait, alone; decodes stand still meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuous:
    """First come, first served: whole prompts up to a token limit, together with every running decode.

    Source: Splitwise, ISCA'24, §IV-B (2,048 batched prompt tokens; mixed continuous batching).

    Attributes:
        max_batch_tokens: prompt tokens of one attention rank in a step; a longer prompt runs alone.
        max_batch_size: requests that may hold a decode slot of one attention rank at once.
        block_tokens: KV tokens in a block.
        max_preemptions: how often a request loses its memory before others go first.
        form: how prompts are cut at an instance that has a chunk size.
        target_s: longest step that carries prompts and decodes, for chunks that adapt to it.
        ranks: of attention data parallelism at the instance, to which prompts are dealt in rounds; each round counts
            with the longest of it.
    """

    max_batch_tokens: int = 2048
    max_batch_size: int = 256
    block_tokens: int = 16
    max_preemptions: int = 4
    form: ChunkForm = ChunkForm.STALL_FREE
    target_s: float = inf
    ranks: int = 1

    def at(self, chunk_tokens: int | None, step: StepPredictor) -> Batching:
        """Themselves, with the slots of all ranks, or with prompts cut into chunks."""
        if chunk_tokens is None and step.ranks == 1:
            return self
        if chunk_tokens is None:
            return replace(self, ranks=step.ranks, max_batch_size=self.max_batch_size * step.ranks)
        kinds = {
            ChunkForm.STALL_FREE: Chunked, ChunkForm.DECODE_MAXIMAL: DecodeMaximal, ChunkForm.ADAPTIVE: Adaptive,
            ChunkForm.PREFILL_FIRST: PrefillFirst,
        }  # fmt: skip
        kind = kinds[self.form]
        return kind(
            max_batch_tokens=self.max_batch_tokens, max_batch_size=self.max_batch_size, block_tokens=self.block_tokens,
            max_preemptions=self.max_preemptions, form=self.form, target_s=self.target_s, chunk_tokens=chunk_tokens,
            step=step,
        )  # fmt: skip

    def next_step(self, waiting: Iterable[RequestView], now: Occupancy) -> StepBatch:
        """Prompts from the head while tokens, slots and memory last; decodes always."""
        chunks: list[int] = []
        before, longest, free_blocks = 0, 0, now.free_blocks
        for view in waiting:
            if len(chunks) % self.ranks == 0:
                before, longest = before + longest, 0
            longest = max(longest, view.prefill_tokens)
            if len(chunks) >= self.ranks and before + longest > self.max_batch_tokens:
                break
            if not self.admits(view, now.running + len(chunks), free_blocks):
                break
            free_blocks -= self.needs(view)
            chunks.append(view.prefill_tokens - view.cached_tokens)
        return StepBatch(tuple(chunks), now.batch > 0)

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:  # noqa: ARG002
        """All that is left of the prompt."""
        return view.prefill_tokens - view.cached_tokens

    def still(self, view: RequestView, now: Occupancy, new: int) -> bool:
        """By asking."""
        return self.chunk(view, now, ()) == new

    def admits(self, view: RequestView, running: int, free_blocks: int) -> bool:
        """A slot is free and memory is left for one more block of every running request.

        The reserve keeps a fresh admission from throwing out its neighbours at their next block boundary.
        """
        return running < self.max_batch_size and self.needs(view) + running <= free_blocks

    def spares(self, view: RequestView) -> bool:
        """A request that lost its memory often enough keeps it, so that none is recomputed forever."""
        return view.preemptions >= self.max_preemptions

    def needs(self, view: RequestView) -> int:
        """Blocks of the request's context and its next token."""
        return self.blocks(view.prefill_tokens + 1)

    def blocks(self, tokens: int) -> int:
        """Blocks that hold ``tokens``."""
        return -(-tokens // self.block_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatches(Continuous):
    """So many requests and so many tokens a step, decodes counted with one each; who finds no room is left out of it.

    Prompts go first, then those left out before, then those running, then others by arrival; who was left out too often
    goes before all. Who is left out keeps its memory. What can be said of it before a run is what ``Continuous`` says.

    Source: Mutinifni/splitwise-sim (MIT), SplitwiseInstance.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunked(Continuous):
    """First come, first served under a budget of tokens per step: decodes, the prompt in progress, then new ones.

    No next token waits for more than one such step (stall-free), and a prompt that does not fit the rest of the
    budget is cut there. A new prompt is admitted where memory for all of it is free, beside what those in progress have
    still to take, but takes blocks chunk by chunk; one in progress that finds none free waits for them. A step has no
    more prompt tokens than ``max_batch_tokens`` either, unless they are of one prompt. With an endless budget this is
    ``Continuous``.

    Source: Sarathi-Serve, OSDI'24 (order and budget); vLLM V1 (memory by chunk; admission by whole prompt, recalled).

    Attributes:
        chunk_tokens: tokens in one step, those of decodes included, >= 1.
        step: how long a step takes here, for policies that choose their chunks by it.
    """

    chunk_tokens: int
    step: StepPredictor

    def next_step(self, waiting: Iterable[RequestView], now: Occupancy) -> StepBatch:
        """From the head, as much of every prompt as its chunk, slots and memory allow; decodes always."""
        parts: list[tuple[int, int]] = []
        running, free_blocks, owed_blocks = now.running, now.free_blocks, now.owed_blocks
        for view in waiting:
            left = view.prefill_tokens - view.cached_tokens
            new = min(left, self.chunk(view, now, parts))
            tokens = self.step.beside_tokens(parts, view.cached_tokens)
            if new <= 0 or (tokens and tokens + new > self.max_batch_tokens):
                break
            needs = self.blocks(view.cached_tokens + new + (new == left)) - self.blocks(view.held_tokens)
            if view.held_tokens == 0:
                if not self.admits(view, running, free_blocks - owed_blocks):
                    break
                running += 1
                owed_blocks += self.needs(view)
            elif needs > free_blocks:
                break
            owed_blocks -= needs
            free_blocks -= needs
            parts.append((new, view.cached_tokens))
        return StepBatch(tuple(new for new, _ in parts), now.batch > 0)

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:
        """What the batch and the prompts before it leave of the budget, on the GPUs that compute it."""
        return self.chunk_tokens - now.batch - self.step.beside_tokens(parts, view.cached_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeMaximal(Chunked):
    """One chunk per step, of a size that fills the budget together with a full batch: C - (B - 1) tokens.

    Where C is a multiple of the GPU's tile, so is a full step; with P prompt tokens for D decodes, chunks and decodes
    end together where P/D = C/(B - 1).

    Source: SARATHI, arXiv 2308.16369, §4.
    """

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:  # noqa: ARG002
        """The fixed chunk for the first prompt, nothing for the others."""
        return 0 if parts else self.chunk_tokens - (self.max_batch_size - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive(Chunked):
    """The largest chunk whose step meets the target of the decodes beside it; the whole budget where there are none.

    Early in a prompt chunks are large; as its past grows they shrink, down to 32 tokens, which are computed whatever
    they take so that no prompt waits forever.

    Source: Medha (arXiv 2409.17264), adaptive chunking; granularity and least chunk of its simulator.
    """

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:
        """By prediction, in whole tiles together with the rest of the step, or in parts of 32 tokens below one tile."""
        taken = now.batch + self.step.beside_tokens(parts, view.cached_tokens)
        if not now.batch:
            return self.chunk_tokens - taken

        def step_s(new: int) -> float:
            return self.step.prefill_s([*parts, (new, view.cached_tokens)], now.batch, now.context_tokens)

        for tile, most in ((TILE_TOKENS, self.chunk_tokens), (LEAST_TOKENS, taken + TILE_TOKENS)):
            chunk = adaptive_chunk_tokens(
                step_s, target_s=self.target_s, decodes=taken, most_tokens=most, tile_tokens=tile
            )
            if chunk:
                return chunk
        return 0 if parts else LEAST_TOKENS - taken % LEAST_TOKENS

    def still(self, view: RequestView, now: Occupancy, new: int) -> bool:
        """By what was short enough: what took too long takes no less after more tokens."""
        taken, least = now.batch, LEAST_TOKENS - now.batch % LEAST_TOKENS

        def step_s(new: int) -> float:
            return self.step.prefill_s([(new, view.cached_tokens)], now.batch, now.context_tokens)

        whole = (taken + new) % TILE_TOKENS == 0
        tile, most = (TILE_TOKENS, self.chunk_tokens) if whole else (LEAST_TOKENS, taken + TILE_TOKENS)
        same = now.batch > 0 and stays_adaptive(
            step_s, new, target_s=self.target_s, decodes=taken, most_tokens=most, tile_tokens=tile
        )
        return same or ((new == least or not now.batch) and self.chunk(view, now, ()) == new)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillFirst(Chunked):
    """Prompts before decodes, never both in one step: the whole budget is for prompts, and the batch stands still.

    Clients that wait for their answers before they ask again fall into step under it: what is computed together ends
    together.

    Source: SGLang's scheduler without mixed chunks, its default (``get_next_batch_to_run``: a batch of new prompts,
    where there is one, goes before the running batch).
    """

    def next_step(self, waiting: Iterable[RequestView], now: Occupancy) -> StepBatch:
        """Prompts while any are admitted; else decodes."""
        planned = super(PrefillFirst, self).next_step(waiting, now)
        return StepBatch(planned.chunk_tokens, decode=planned.decode and not planned.chunk_tokens)

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:  # noqa: ARG002
        """What the prompts before it leave of the budget."""
        return self.chunk_tokens - sum(new for new, _ in parts)
