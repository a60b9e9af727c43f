"""Prefixes that prompts share, as published traces tell them by the hashes of their blocks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def repeated_frac(hash_ids: Sequence[Sequence[int] | None], prompt_tokens: NDArray[np.int64]) -> float | None:
    """Share of prompt tokens whose KV an unbounded prefix cache would hold already.

    A block is a hit where it and all blocks before it in the prompt were seen in an earlier request; equally many
    tokens are taken to lie in each block of a prompt.

    Args:
        hash_ids: (n,) of each request, in order of arrival, the hashes of its prompt's blocks; None where not given.
        prompt_tokens: (n,) its prompt.

    Returns:
        In [0, 1); None where no request has hashes.
    """
    seen: set[int] = set()
    total, known = 0.0, False
    for blocks, tokens in zip(hash_ids, prompt_tokens.tolist(), strict=False):  # none at all, or one each
        if not blocks:
            continue
        known = True
        hits = next((place for place, block in enumerate(blocks) if block not in seen), len(blocks))
        total += tokens * hits / len(blocks)
        seen.update(blocks)
    return total / float(prompt_tokens.sum()) if known else None
