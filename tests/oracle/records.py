"""What a simulation writes down: one row per request, one histogram of token gaps per slice of the window."""

from math import exp, inf, log

import numpy as np

from planner.perf.step_time import Segment
from planner.simulator.books import _INV, _LOG_MIN, GAP_BINS, GAP_MIN_S, NO_BUBBLE, Books, Bubble, Window
from workloads.traces import Trace


def gap_bin(gap_s: float) -> int:
    """The bin that holds a gap; gaps outside the range fall into the outermost bins."""
    if gap_s <= GAP_MIN_S:
        return 0
    return min(int((log(gap_s) - _LOG_MIN) * _INV), GAP_BINS - 1)


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
