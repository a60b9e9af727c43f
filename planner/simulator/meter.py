"""Time integrals: how busy an instance was, and what its GPUs spent on it."""

from collections.abc import MutableSequence
from dataclasses import dataclass, field


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
    queue_seen_s: float = 0.0
    queue_token_s: float = 0.0
    decode_steps: int = 0
    decode_tokens: int = 0
    prefill_j: float = 0.0
    decode_j: float = 0.0
    prefill_s: float = 0.0
    """Seconds of the steps that ``prefill_j`` was spent in, where watts are known."""
    bubble_s: list[float] = field(default_factory=lambda: [0.0] * 4)
    """Idle seconds of pipeline stages: before batches of each kind (PB1 to PB3), and for want of one."""
    above_j: MutableSequence[float] = field(default_factory=list)
    """Joules above idle in each second of the window, of all meters of a pool together."""

    def spend(self, begin_s: float, end_s: float, above_w: float, *, prefill: bool) -> None:
        """Note watts above idle over an interval, as far as it lies in the window."""
        begin, end = max(begin_s, self.start_s) - self.start_s, min(end_s, self.end_s) - self.start_s
        if end <= begin or not above_w:  # nothing is metered where the watts of the GPUs are unknown
            return
        if prefill:
            self.prefill_j += above_w * (end - begin)
            self.prefill_s += end - begin
        else:
            self.decode_j += above_w * (end - begin)
        cell, last = int(begin), int(end)
        while cell < last:
            self.above_j[cell] += above_w * (cell + 1 - begin)
            begin, cell = cell + 1.0, cell + 1
        self.above_j[last] += above_w * (end - begin)

    def bubble(self, now_s: float, idle_s: tuple[float, ...]) -> None:
        """Note what stages stood idle before a batch that enters now."""
        if self.start_s <= now_s <= self.end_s:
            for kind, seconds in enumerate(idle_s):
                self.bubble_s[kind] += seconds

    def overlap_s(self, begin_s: float, end_s: float) -> float:
        """Seconds of an interval inside the window."""
        return max(0.0, min(end_s, self.end_s) - max(begin_s, self.start_s))

    def queue(self, tokens: int, now_s: float) -> None:
        """Note ``tokens`` more (or fewer) waiting for their prefill."""
        self.queue_token_s += self.queue_tokens * self.overlap_s(self.queue_seen_s, now_s)
        self.queue_seen_s = now_s
        self.queue_tokens += tokens
