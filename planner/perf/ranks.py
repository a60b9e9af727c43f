"""An instance of several attention ranks: its steps wait for the fullest one.

Ranks of attention data parallelism hold requests of their own and step together, because their experts are spread over
all of them. Prompts are dealt to ranks whole; what a step decodes is spread as evenly as the router does it.
"""

from dataclasses import replace

import numpy as np

from hw_catalog.profiles import Floats, Ints, KernelProfile

EXACT = 4
"""Requests a rank up to which every number of requests of the instance is a knot: there one more is a large step."""


def fullest(batch: Floats, ranks: int, spread: float = 0.0) -> Floats:
    """Requests of the fullest rank where ``batch`` are spread over ranks, at least one and at most all.

    fullest = min(batch, ⌈batch / ranks⌉ + spread · sqrt(batch / ranks))

    Args:
        batch: requests of the instance.
        ranks: of attention data parallelism.
        spread: 0 where the router evens ranks out; else standard deviations of a random deal, of the fullest rank.
    """
    mean = batch / ranks
    return np.minimum(batch, np.ceil(mean) + spread * np.sqrt(mean))


def of_instance(profile: KernelProfile, *, spread: float = 0.0) -> KernelProfile:
    """The profile of a rank as that of its instance: decode batches count the requests of all ranks.

    Columns over the tokens of prompts stay those of one rank, whose sum over the fullest rank a step takes.
    """
    if profile.dp == 1:
        return profile
    batch, attention_batch = _knots(profile.batch, profile.dp), _knots(profile.attention_batch, profile.dp)
    held = fullest(attention_batch.astype(np.float64), profile.dp, spread)
    columns = profile.decode_attention_s.T
    return replace(
        profile, batch=batch, attention_batch=attention_batch,
        linear_decode_s=np.interp(
            fullest(batch.astype(np.float64), profile.dp, spread), profile.batch, profile.linear_decode_s
        ),
        decode_attention_s=np.stack([np.interp(held, profile.attention_batch, column) for column in columns], axis=1),
        decode_extrapolated=np.stack(
            [np.interp(held, profile.attention_batch, column) > 0 for column in profile.decode_extrapolated.T], axis=1
        ),
    )  # fmt: skip


def _knots(batch: Ints, ranks: int) -> Ints:
    """Requests of an instance at which its time bends: both sides of each step while ranks hold few."""
    ends = batch * ranks
    low = np.arange(EXACT) * ranks
    return np.unique(np.concatenate([low + 1, low + ranks, ends]))
