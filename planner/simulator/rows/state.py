"""What a row of instances is made of while it is simulated: a record per kind that stays, one per instance that moves.

Records, since compiled code reads them through one pointer.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Counts = NDArray[np.integer]
Singles = NDArray[np.float32]
Records = Any
"""A record array: its fields are those of the types below."""

BUCKET_TOKENS = 16
"""Ends of requests are rounded to so many tokens of their batch: a share of a second, either way."""

QUEUE = 512
"""Waiting requests an instance remembers the arrival of; beyond that they are served but counted as younger.

A power of two.
"""

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


def row_type() -> np.dtype[np.void]:
    """What a row's manager waits for, and the row's excursions.

    ``managed``: there is one; it looks at a reading below ``low_frac`` or above ``high_frac`` of ``limit_w``, or at the
    next one where ``look`` is set. A reading is the highest of ``span_ticks`` ticks, ``late_ticks`` late, every
    ``interval_s``. ``called`` and ``seen_frac``: it has to look, and at what. ``part``: so many of the ``machines`` are
    metered together, 0 for none. ``above_s``: how long the row has been above its limit by now, ``longest_s`` the
    longest of such stretches.
    """
    whole = ("managed", "look", "late_ticks", "span_ticks", "called", "machines", "part")
    real = ("limit_w", "low_frac", "high_frac", "interval_s", "seen_frac", "above_s", "longest_s")
    return np.dtype([*((name, "i8") for name in whole), *((name, "f8") for name in real)])


class Crew(NamedTuple):
    """The instances of a row.

    Attributes:
        instances: what each is doing.
        kinds: what each kind does.
        machine_of: (instances,) machine of each.
    """

    instances: Records
    kinds: Records
    machine_of: Ints


class Books(NamedTuple):
    """What is noted of a row.

    Attributes:
        row_w: (all ticks,) mean watts of the row.
        peak_w: (machines,) highest watts that the first 1, 2, ... machines drew together; empty where not kept.
        part_w: (all ticks,) mean watts of the first ``part`` machines together; of no ticks where they are not kept.
        kept_w: (all ticks, machines) watts; of no ticks where they are not kept.
        now: one record of ``row_type``.
    """

    row_w: Floats
    peak_w: Floats
    part_w: Floats
    kept_w: Singles
    now: Records
