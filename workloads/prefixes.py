"""Prefixes that prompts share, as published traces tell them by hashes of their blocks, and caches that keep them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Block = tuple[int, int]
"""A hash, and the copy of the trace whose request has it: what growth adds shares nothing with what was observed."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """The blocks of every prompt of a trace.

    Attributes:
        blocks: (n,) of each request, in order of arrival, the hashes of its prompt's blocks; None where not given.
        copies: (n,) which copy of the trace each request is of.
    """

    blocks: tuple[Sequence[int] | None, ...]
    copies: Ints
    _found_tokens: dict[object, Ints] = field(default_factory=dict, repr=False)

    def picked(self, rows: Ints, copies: Ints | int = 0) -> "Prefixes":
        """Those of the requests of these rows, taken for copies of their own where a number says so."""
        return Prefixes(tuple(self.blocks[row] for row in rows.tolist()), self.copies[rows] + copies)

    def hits(self, prompt_tokens: Ints, caches: Sequence[float]) -> Ints:
        """(n,) tokens of each prompt whose KV is found where it is computed, its last token never.

        A block is found where it and all blocks before it are kept; as many tokens are taken to lie in each block of a
        prompt. Each cache forgets the block that was used longest ago, the end of a prompt before its beginning.
        Requests go where fewest tokens are to be computed, those that the instance has computed beyond the others
        included: as routers that know caches weigh what is found against what waits.

        Args:
            prompt_tokens: (n,) lengths.
            caches: tokens that each of them keeps.

        Source: for the weighing, ai-dynamo/dynamo, KV-aware router: cost of an instance from blocks to compute there
        and blocks it holds.
        """
        key = (tuple(caches), len(prompt_tokens), int(prompt_tokens.sum()))
        if key not in self._found_tokens:
            self._found_tokens[key] = _served(self, prompt_tokens, [_Cache(room) for room in caches])
        return self._found_tokens[key]


def prefixes_of(hash_ids: Sequence[Sequence[int] | None]) -> Prefixes | None:
    """The prefixes of a trace; None where no request has hashes."""
    if not any(hash_ids):
        return None
    return Prefixes(tuple(hash_ids), np.zeros(len(hash_ids), np.int64))


class _Cache:
    """Blocks that an instance keeps, the one that was used longest ago first, and the tokens it has computed."""

    def __init__(self, room_tokens: float) -> None:
        """Empty."""
        self.room_tokens, self.held_tokens, self.computed_tokens = room_tokens, 0.0, 0.0
        self.blocks: OrderedDict[Block, float] = OrderedDict()

    def known(self, blocks: Sequence[Block]) -> int:
        """Blocks from the first on that are kept."""
        return next((place for place, block in enumerate(blocks) if block not in self.blocks), len(blocks))

    def keep(self, blocks: Sequence[Block], tokens: float) -> None:
        """Use blocks of so many tokens each; what no longer fits is forgotten."""
        for block in reversed(blocks):
            if block in self.blocks:
                self.blocks.move_to_end(block)
            else:
                self.blocks[block] = tokens
                self.held_tokens += tokens
        while self.held_tokens > self.room_tokens and self.blocks:
            self.held_tokens -= self.blocks.popitem(last=False)[1]


def _served(found: Prefixes, prompt_tokens: Ints, caches: Sequence[_Cache]) -> Ints:
    """Tokens of each prompt that are found, one request after the other."""
    hits = np.zeros(len(prompt_tokens), np.int64)
    for row, (hashes, copy, tokens) in enumerate(
        zip(found.blocks, found.copies.tolist(), prompt_tokens.tolist(), strict=True)
    ):
        blocks = [(each, copy) for each in hashes or ()]
        per_block = tokens / max(1, len(blocks))
        known = [cache.known(blocks) * per_block for cache in caches]
        chosen = min(range(len(caches)), key=lambda at: caches[at].computed_tokens - known[at])
        cache = caches[chosen]
        cache.keep(blocks, per_block)
        hits[row] = min(tokens - 1, int(known[chosen]))
        cache.computed_tokens += tokens - int(hits[row])
    return hits


IDEAL = (inf,)
"""One cache for all instances that forgets nothing."""


def repeated_frac(found: Prefixes | None, prompt_tokens: Ints) -> float | None:
    """Share of prompt tokens whose KV an unbounded prefix cache would hold already.

    Returns:
        In [0, 1); None where no request has hashes.
    """
    if found is None:
        return None
    return float(found.hits(prompt_tokens, IDEAL).sum()) / float(prompt_tokens.sum())
