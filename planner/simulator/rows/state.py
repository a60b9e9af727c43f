"""What a row of instances is made of while it is simulated: a record per kind that stays, one per instance that moves.

Records, since compiled code reads them through one pointer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Records = Any
"""A record array: its fields are those of the types below."""

BUCKET_TOKENS = 16
"""Ends of requests are rounded to so many tokens of their batch: a share of a second, either way."""

QUEUE = 512
"""Waiting requests an instance remembers the arrival of; beyond that they are served but counted as younger."""

LATENCY_MIN_S = 1e-2
LATENCY_BIN_RATIO = 1.002
"""Latencies are counted in bins of 0.2 %; a percentile is interpolated within its bin."""

LATENCY_BINS = 7_000

GOLDEN = 0.6180339887498949
"""Consecutive requests come where the golden section puts them in their ticks: as evenly spread as can be."""


def kind_type(clocks: int, batch: int, samples: int) -> np.dtype[np.void]:
    """The tables of a kind of instance; batches from 0 to ``batch``, samples come round and round."""
    return np.dtype(
        [
            ("base_s", "f8", (batch + 1,)),
            ("token_s", "f8", (batch + 1,)),
            ("decode_w", "f8", (clocks, batch + 1)),
            ("decode_slow", "f8", (clocks, batch + 1)),
            ("prefill_w", "f8", (clocks, samples)),
            ("prefill_slow", "f8", (clocks,)),
            ("prompt", "i8", (samples,)),
            ("output", "i8", (samples,)),
            ("work_s", "f8", (samples,)),
            ("kv", "i8"),
            ("most", "i8"),
            ("block", "i8"),
            ("samples", "i8"),
        ]
    )


def instance_type(ring: int) -> np.dtype[np.void]:
    """What an instance is doing.

    ``turn`` counts the tokens that its batch has advanced since the beginning, ``anchor`` sums prompt tokens less the
    turn at which each joined: anchor + running · turn are the KV tokens held. ``ends`` counts those who leave at each
    of the coming ``ring`` buckets of turns, with the sums of their arrivals and anchors beside it.
    """
    return np.dtype(
        [
            ("kind", "i8"),
            ("offset", "i8"),
            ("arrived", "i8"),
            ("started", "i8"),
            ("running", "i8"),
            ("working", "i8"),
            ("finished", "i8"),
            ("bucket", "i8"),
            ("ring", "i8"),
            ("sample", "i8"),
            ("left_s", "f8"),
            ("turn", "f8"),
            ("anchor", "f8"),
            ("ends", "i8", (ring,)),
            ("ends_came_s", "f8", (ring,)),
            ("ends_anchor", "f8", (ring,)),
            ("came_s", "f8", (QUEUE,)),
            ("bins", "i4", (LATENCY_BINS,)),
        ]
    )
