"""Decode attention beyond the longest context that a source has in its table.

A kernel that splits the KV cache of one request over the GPU (split-KV, flash decoding) reads the tokens of one long
request as it reads as many tokens of several shorter ones, so beyond the last context knot C

    attention(batch, context) = attention(batch · context / C, C)

which is continuous at C. The slope of batch 1 at C says little of longer contexts: one request of C tokens does not yet
fill the GPU, and a small enough cache is read from its L2.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.profiles import KernelProfile

Floats = NDArray[np.float64]

UNSPLIT_RATIO = 2.5
"""A kernel splits the cache of a request if one request takes at most this many times as long as the same tokens in
several. In the catalog 0.9 to 2.5; kernels without grouped queries on A100, L40S and RTX PRO 6000 take 2.6 to 16."""


def splits_kv(profile: KernelProfile) -> bool:
    """Whether the table's kernel reads one long request about as fast as the same tokens in several shorter ones."""
    knots, row = profile.context_tokens, profile.decode_attention_s[0]
    batches = profile.attention_batch / profile.attention_batch[0]
    inside = [i for i, ratio in enumerate(batches) if i and knots[-1] / ratio >= knots[0]]
    same = [np.interp(knots[-1] / batches[i], knots, profile.decode_attention_s[i]) for i in inside]
    return bool(same) and max(row[-1] / np.maximum(same, np.finfo(float).tiny)) <= UNSPLIT_RATIO


def continued(profile: KernelProfile) -> KernelProfile:
    """The same profile with context knots beyond its last one, read at equal total tokens.

    A kernel that does not split the cache of a request is left as it is: its rows go on along their own last slope.
    A dip of the last column, which would make more tokens cheaper, is not carried on.
    """
    if profile.beyond_tokens or not splits_kv(profile):
        return profile
    batch, last = profile.attention_batch, int(profile.context_tokens[-1])
    column = np.maximum.accumulate(profile.decode_attention_s[:, -1])
    further = np.unique(last * batch[1:] // batch[0])
    added = np.array([[_at(batch, column, b * c / last) for c in further.tolist()] for b in batch.tolist()])
    mask = np.ones_like(added, bool)
    return replace(
        profile,
        beyond_tokens=last,
        context_tokens=np.concatenate([profile.context_tokens, further]),
        decode_attention_s=np.hstack([profile.decode_attention_s, added]),
        decode_extrapolated=np.hstack([profile.decode_extrapolated, mask]),
    )


def _at(batch: NDArray[np.int64], column: Floats, wanted: float) -> float:
    """The last column at a batch, continued along its last slope."""
    if wanted <= batch[-1]:
        return float(np.interp(wanted, batch, column))
    slope = (column[-1] - column[-2]) / (batch[-1] - batch[-2])
    return float(column[-1] + slope * (wanted - batch[-1]))
