"""The stages of one instance: batches pass them in the order in which they enter."""

from planner.perf.pipeline import Stages


class Pipeline:
    """When each stage is free, and how long it stood idle between two batches."""

    __slots__ = ("_free_s", "_in_flight_until_s", "_stages")

    def __init__(self, stages: Stages) -> None:
        """Empty.

        Args:
            stages: how many, and the way between them.
        """
        self._stages = stages
        self._free_s = [0.0] * stages.count
        self._in_flight_until_s = 0.0

    @property
    def entrance_free_s(self) -> float:
        """When the first stage can take the next batch."""
        return self._free_s[0]

    def stage_s(self, traversal_s: float, tokens: int) -> float:
        """Seconds at one stage of a batch of ``tokens`` that alone takes ``traversal_s`` through all of them."""
        return (traversal_s - self._stages.hops_s(tokens)) / self._stages.count

    def enter(self, now_s: float, traversal_s: float, tokens: int) -> tuple[float, float]:
        """Let a batch in; the first stage is free.

        It starts at a stage when it has arrived and the batch before it has left. A stage that waits for it is idle
        meanwhile: a bubble, whether the batch before was shorter in prompts (PB1), in phase (PB2) or in context (PB3).
        What an empty pipeline waits is no bubble.

        Returns:
            When it leaves the last stage, and the bubbles before it, seconds summed over stages.
        """
        stage_s, hop_s = self.stage_s(traversal_s, tokens), self._stages.hop_s(tokens)
        busy = now_s < self._in_flight_until_s
        at_s, idle_s = now_s, 0.0
        for stage, free_s in enumerate(self._free_s):
            start_s = max(at_s, free_s)
            idle_s += (start_s - free_s) * busy
            self._free_s[stage] = start_s + stage_s
            at_s = start_s + stage_s + hop_s
        self._in_flight_until_s = self._free_s[-1]
        return self._free_s[-1], idle_s

    def clear(self) -> None:
        """Lose everything in flight."""
        self._free_s = [0.0] * self._stages.count
        self._in_flight_until_s = 0.0
