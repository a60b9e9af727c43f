"""Time integrals: how busy an instance was."""

from dataclasses import dataclass


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

    def overlap_s(self, begin_s: float, end_s: float) -> float:
        """Seconds of an interval inside the window."""
        return max(0.0, min(end_s, self.end_s) - max(begin_s, self.start_s))

    def queue(self, tokens: int, now_s: float) -> None:
        """Note ``tokens`` more (or fewer) waiting for their prefill."""
        self.queue_token_s += self.queue_tokens * self.overlap_s(self.queue_seen_s, now_s)
        self.queue_seen_s = now_s
        self.queue_tokens += tokens
