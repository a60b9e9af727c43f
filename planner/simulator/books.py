"""The books of a run: what is written down of its requests, token gaps, and the time of its instances."""

from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.traces import Trace

GAP_MIN_S = 1e-4
GAP_MAX_S = 1e4
GAP_BIN_RATIO = 1.002
"""Each bin of the gap histogram is 0.2 % wide: percentiles of TBT carry at most that rounding, upward."""

_INV = 1.0 / log(GAP_BIN_RATIO)
_LOG_MIN = log(GAP_MIN_S)
GAP_BINS = int((log(GAP_MAX_S) - _LOG_MIN) * _INV) + 1


def bin_edges_s() -> NDArray[np.float64]:
    """(GAP_BINS,) upper edge of each bin, seconds."""
    return np.asarray(GAP_MIN_S * np.exp(np.arange(1, GAP_BINS + 1) / _INV))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which arrivals are measured, and in how many consecutive slices of equal request count.

    Attributes:
        first: index of the first measured request.
        last: index after the last measured request.
        slices: batches for the confidence interval, >= 1.
        start_s: arrival of the first measured request.
        end_s: arrival of the last measured request.
    """

    first: int
    last: int
    slices: int
    start_s: float
    end_s: float

    @property
    def span_s(self) -> tuple[float, float]:
        """Begin and end."""
        return self.start_s, self.end_s

    def slice_of(self, index: int) -> int:
        """Slice of the request at ``index``; -1 outside the window."""
        if not self.first <= index < self.last:
            return -1
        return (index - self.first) * self.slices // (self.last - self.first)


def window(trace: Trace, *, warmup_frac: float, cooldown_frac: float, slices: int) -> Window:
    """The measured window of a trace: all requests but the first and last shares of the arrival time."""
    arrival = trace.arrival_s
    begin, end = warmup_frac * trace.duration_s, (1.0 - cooldown_frac) * trace.duration_s
    first = int(np.searchsorted(arrival, begin, side="left"))
    last = int(np.searchsorted(arrival, end, side="right"))
    if last <= first:
        first, last = 0, len(trace)
    return Window(
        first=first,
        last=last,
        slices=max(1, min(slices, last - first)),
        start_s=float(arrival[first]),
        end_s=float(arrival[last - 1]),
    )


class Bubble(NamedTuple):
    """Seconds that stages stood idle before a batch, summed over them, by what set it apart from the batch ahead.

    Source: SARATHI, arXiv 2308.16369, its three kinds of pipeline bubbles.

    Attributes:
        prompts_s: both carry prompts, of different length (PB1).
        phases_s: one carries prompts, the other decodes only (PB2).
        contexts_s: both decode only, at different contexts or batches (PB3).
    """

    prompts_s: float = 0.0
    phases_s: float = 0.0
    contexts_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All kinds together."""
        return self.prompts_s + self.phases_s + self.contexts_s


NO_BUBBLE = Bubble()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Books:
    """What a run tells of its requests.

    Attributes:
        window: which of them are measured.
        ttft_s: (requests,) inf where there was no first token.
        e2e_s: (requests,) inf where one did not end.
        max_gap_s: (requests,) longest token gap of those that ended.
        served_by: (requests, 2) positions of the instances that computed the prompt and that decoded, of those that
            ended; -1 where none did.
        gaps: (classes · slices, GAP_BINS) token gaps of the measured, by bin.
        arrived: requests.
        finished: requests.
        refused: requests that no memory could hold, or that no pool serves.
        restarted: requests that were lost with a machine.
        transfers: KV caches sent.
        transfer_s: what they took, from the last token of their requests to the landing.
        link_wait_s: what they waited for ports.
        output_tokens: of the requests that ended.
        bubbles: index of a request that ended -> idle time of pipeline stages before its steps, summed over both.
    """

    window: Window
    ttft_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    max_gap_s: NDArray[np.float64]
    served_by: NDArray[np.int32]
    gaps: NDArray[np.int64]
    arrived: int
    finished: int
    refused: int
    restarted: int
    transfers: int
    transfer_s: float
    link_wait_s: float
    output_tokens: int
    bubbles: Mapping[int, Bubble] = field(default_factory=dict)


def seconds(start_s: float, end_s: float) -> int:
    """How many seconds a window begins."""
    return int(max(0.0, end_s - start_s)) + 1


@dataclass(slots=True)
class Meter:
    """Time integrals of one instance over the measured window."""

    start_s: float
    end_s: float
    kv_blocks: int
    preemptions: int = 0
    busy_s: float = 0.0
    kv_block_s: float = 0.0
    kv_peak_blocks: int = 0
    queue_tokens: int = 0
    queue_token_s: float = 0.0
    decode_steps: int = 0
    decode_tokens: int = 0
    prefill_j: float = 0.0
    decode_j: float = 0.0
    prefill_s: float = 0.0
    """Seconds of the steps that ``prefill_j`` was spent in, where watts are known."""
    bubble_s: list[float] = field(default_factory=lambda: [0.0] * 4)
    """Idle seconds of pipeline stages: before batches of each kind (PB1 to PB3), and for want of one."""
    above_j: MutableSequence[float] = field(default_factory=list, compare=False)
    """Joules above idle in each second of the window, of all meters of a pool together."""
