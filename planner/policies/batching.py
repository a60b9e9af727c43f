"""Batching: what one step of an instance runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.policies.base import RequestView, StepBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuous:
    """First come, first served: whole prompts up to a token limit, together with every running decode.

    Source: Splitwise, ISCA'24, §IV-B (2,048 batched prompt tokens; mixed continuous batching).

    Attributes:
        max_batch_tokens: prompt tokens in one step; a longer prompt runs alone.
        max_batch_size: requests that may hold a decode slot at once.
        block_tokens: KV tokens in a block.
        max_preemptions: how often a request loses its memory before others go first.
    """

    max_batch_tokens: int = 2048
    max_batch_size: int = 256
    block_tokens: int = 16
    max_preemptions: int = 4

    def next_step(self, waiting: Sequence[RequestView], running: int, free_blocks: int) -> StepBatch:
        """Prompts from the head while tokens, slots and memory last; decodes always."""
        prefills = tokens = 0
        for view in waiting:
            tokens += view.prefill_tokens
            if prefills and tokens > self.max_batch_tokens:
                break
            if not self.admits(view, running + prefills, free_blocks):
                break
            free_blocks -= self.needs(view)
            prefills += 1
        return StepBatch(prefills, running > 0)

    def admits(self, view: RequestView, running: int, free_blocks: int) -> bool:
        """A slot is free and memory is left for one more block of everyone who is running.

        The reserve keeps a fresh admission from throwing out its neighbours at their next block boundary.
        """
        return running < self.max_batch_size and self.needs(view) + running <= free_blocks

    def spares(self, view: RequestView) -> bool:
        """Whoever was thrown out often enough stays, so that nobody is recomputed forever."""
        return view.preemptions >= self.max_preemptions

    def needs(self, view: RequestView) -> int:
        """Blocks of the request's context and its next token."""
        return -(-(view.prefill_tokens + 1) // self.block_tokens)
