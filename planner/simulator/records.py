"""What a simulation writes down: one row per request, one histogram of token gaps per slice of the window."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from planner.perf.step_time import Segment
from planner.simulator.pipeline import NO_BUBBLE, Bubble
from workloads.traces import Trace

GAP_MIN_S = 1e-4
GAP_MAX_S = 1e4
GAP_BIN_RATIO = 1.002
"""Each bin of the gap histogram is 0.2 % wide: percentiles of TBT carry at most that rounding, upward."""

_INV = 1.0 / log(GAP_BIN_RATIO)
_LOG_MIN = log(GAP_MIN_S)
GAP_BINS = int((log(GAP_MAX_S) - _LOG_MIN) * _INV) + 1


def gap_bin(gap_s: float) -> int:
    """The bin that holds a gap; gaps outside the range fall into the outermost bins."""
    if gap_s <= GAP_MIN_S:
        return 0
    return min(int((log(gap_s) - _LOG_MIN) * _INV), GAP_BINS - 1)


def bin_edges_s() -> NDArray[np.float64]:
    """(GAP_BINS,) upper edge of each bin, seconds."""
    return np.asarray(GAP_MIN_S * np.exp(np.arange(1, GAP_BINS + 1) / _INV))


class Request:
    """One request on its way through the cluster (what policies see of it is ``RequestView``)."""

    __slots__ = (
        "arrival_s", "bubble", "cached_tokens", "due_s", "epoch", "first_token_s", "gap_step", "generated", "group",
        "guest", "held_tokens", "home", "index", "join_step", "lag_s", "last_token_s", "max_gap_s", "output_tokens",
        "pending_tokens",
        "preemptions", "prefill_tokens", "prompt_tokens", "sent_by", "sent_tokens", "transfer_end_s",
    )  # fmt: skip

    def __init__(self, index: int, arrival_s: float, prompt_tokens: int, output_tokens: int, group: int) -> None:
        """A request that has just arrived.

        Args:
            index: row in the trace.
            arrival_s: when.
            prompt_tokens: length of the prompt.
            output_tokens: tokens it will generate before it ends (hidden from policies).
            group: slice of the measured window whose histogram its gaps go to; -1 where it is not measured.
        """
        self.index = index
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.group = group
        self.due_s = inf
        self.prefill_tokens = prompt_tokens
        self.pending_tokens = prompt_tokens
        self.generated = 0
        self.preemptions = 0
        self.epoch = 0
        self.join_step = self.gap_step = 0
        self.first_token_s = -1.0
        self.last_token_s = -1.0
        self.lag_s = 0.0
        self.max_gap_s = 0.0
        self.transfer_end_s = -1.0
        self.home = -1
        self.sent_by = -1
        self.cached_tokens = self.held_tokens = self.sent_tokens = 0
        self.bubble = NO_BUBBLE
        self.guest = False

    @property
    def uncomputed_tokens(self) -> int:
        """Tokens to compute before its next output token."""
        return self.prefill_tokens - self.cached_tokens

    def again(self) -> "Request":
        """The same request from its start, after a failure."""
        request = Request(self.index, self.arrival_s, self.prompt_tokens, self.output_tokens, self.group)
        request.due_s = self.due_s
        return request

    def resumed(self) -> "Request":
        """The same request with the KV cache of its prompt and the tokens it has generated."""
        request = self.again()
        request.generated, request.preemptions = self.generated, self.preemptions
        request.prefill_tokens, request.cached_tokens = self.prompt_tokens + self.generated, self.prompt_tokens
        request.first_token_s, request.last_token_s = self.first_token_s, self.last_token_s
        request.max_gap_s, request.lag_s = self.max_gap_s, self.lag_s
        return request


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Books:
    """What a run leaves behind of its requests.

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
        refused: requests that no memory could hold, or that nobody serves.
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


class Ledger:
    """The books of one run while they are kept: rows and histograms."""

    def __init__(self, trace: Trace, measured: Window) -> None:
        """Empty books for every request of the trace."""
        n = len(trace)
        self.window = measured
        self.ttft_s = [inf] * n
        self.e2e_s = [inf] * n
        self.max_gap_s = [0.0] * n
        self.served_by = [(-1, -1)] * n
        self.gaps = [[0] * GAP_BINS for _ in range(measured.slices * len(trace.classes))]
        self.bubbles: dict[int, Bubble] = {}
        self.arrived = 0
        self.finished = 0
        self.refused = 0
        self.restarted = 0
        self.transfers = 0
        self.transfer_s = 0.0
        self.link_wait_s = 0.0
        self.output_tokens = 0

    def gap(self, request: Request, gap_s: float) -> None:
        """Note one gap of one request that differs from its neighbours' in the batch."""
        request.max_gap_s = max(request.max_gap_s, gap_s)
        if request.group >= 0:
            self.gaps[request.group][gap_bin(gap_s)] += 1

    def run_gaps(self, start_s: float, segments: list[Segment], groups: dict[int, int], joiners: list[Request]) -> None:
        """Note every token gap of a run; a newcomer's first gap began with its last token elsewhere."""
        if not joiners:
            self.gap_runs(groups, segments)
            return
        a, d, n = segments[0]
        others = dict(groups)
        for request in joiners:
            self.gap(request, start_s + a - request.last_token_s)
            if request.group >= 0:
                others[request.group] -= 1
        self.gap_runs(others, [(a, 0.0, 1)])
        rest = ([(a + d, d, n - 1)] if n > 1 else []) + segments[1:]
        self.gap_runs(groups, rest)

    def gap_runs(self, counts: dict[int, int], segments: list[Segment]) -> None:
        """Note the gaps of a decode run: every measured request of the batch sees every step."""
        for first_s, slope_s, steps in segments:
            low = gap_bin(first_s)
            high = gap_bin(first_s + slope_s * (steps - 1))
            if low == high:
                for group, requests in counts.items():
                    self.gaps[group][low] += requests * steps
            else:
                self._spread(counts, first_s, slope_s, steps)

    def _spread(self, counts: dict[int, int], first_s: float, slope_s: float, steps: int) -> None:
        """Note a stretch of steps whose durations cross bins, bin by bin."""
        at = 0
        while at < steps:
            here = gap_bin(first_s + slope_s * at)
            edge = GAP_MIN_S * exp((here + (1 if slope_s > 0 else 0)) / _INV)
            until = min(steps, max(at + 1, int((edge - first_s) / slope_s) + 1))
            for group, requests in counts.items():
                self.gaps[group][here] += requests * (until - at)
            at = until

    def finish(self, request: Request, now_s: float) -> None:
        """Close the row of a request that has its last token."""
        self.finished += 1
        self.e2e_s[request.index] = now_s + request.lag_s - request.arrival_s
        self.max_gap_s[request.index] = request.max_gap_s
        decoder = request.home if request.home >= 0 else request.sent_by
        self.served_by[request.index] = request.sent_by, decoder if request.output_tokens > 1 else -1
        self.output_tokens += request.output_tokens
        if request.bubble.total_s > 0:
            self.bubbles[request.index] = request.bubble

    def books(self) -> Books:
        """The books, closed."""
        return Books(
            window=self.window,
            ttft_s=np.array(self.ttft_s),
            e2e_s=np.array(self.e2e_s),
            max_gap_s=np.array(self.max_gap_s),
            served_by=np.array(self.served_by, np.int32),
            gaps=np.array(self.gaps, np.int64),
            arrived=self.arrived,
            finished=self.finished,
            refused=self.refused,
            restarted=self.restarted,
            transfers=self.transfers,
            transfer_s=self.transfer_s,
            link_wait_s=self.link_wait_s,
            output_tokens=self.output_tokens,
            bubbles=self.bubbles,
        )
