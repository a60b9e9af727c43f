"""The stages of one instance: batches pass them in the order in which they enter."""

from planner.perf.pipeline import Stages
from planner.simulator.books import Bubble


class Pipeline:
    """When each stage is free, and how long it stood idle between two batches.

    Attributes:
        unfilled_s: seconds that stages stood idle for want of a batch to send, summed over them, before the last one.
    """

    __slots__ = ("_carried_prompts", "_free_s", "_in_flight_until_s", "_stages", "unfilled_s")

    def __init__(self, stages: Stages) -> None:
        """Empty.

        Args:
            stages: how many, and the way between them.
        """
        self._stages = stages
        self._free_s = [0.0] * stages.count
        self._in_flight_until_s = self.unfilled_s = 0.0
        self._carried_prompts = False

    @property
    def entrance_free_s(self) -> float:
        """When the first stage can take the next batch."""
        return self._free_s[0]

    @property
    def ends_s(self) -> tuple[float, ...]:
        """When the batch that entered last leaves each stage."""
        return tuple(self._free_s)

    def stage_s(self, traversal_s: float, tokens: int) -> float:
        """Seconds at one stage of a batch of ``tokens`` that alone takes ``traversal_s`` through all of them."""
        return (traversal_s - self._stages.hops_s(tokens)) / self._stages.count

    def enter(
        self, now_s: float, traversal_s: float, tokens: int, *, prompts: bool = True, ready_s: float | None = None
    ) -> tuple[float, Bubble]:
        """Let a batch in; the first stage is free.

        It starts at a stage when it has arrived and the batch before it has left. A stage that waits for it is idle
        meanwhile: a bubble, but for the time in which there was no batch to send. What an empty pipeline waits is none.

        Args:
            now_s: when it enters.
            traversal_s: what it takes alone.
            tokens: of it.
            prompts: whether it computes any.
            ready_s: when it could first have entered, had there been work; None is now.

        Returns:
            When it leaves the last stage, and the bubbles before it.
        """
        stage_s, hop_s = self.stage_s(traversal_s, tokens), self._stages.hop_s(tokens)
        busy = now_s < self._in_flight_until_s
        wanting_s = max(0.0, now_s - max(self._free_s[0], now_s if ready_s is None else ready_s))
        at_s, idle_s, self.unfilled_s = now_s, 0.0, 0.0
        for stage, free_s in enumerate(self._free_s):
            start_s = max(at_s, free_s)
            unfilled_s = min(start_s - free_s, wanting_s)
            idle_s += (start_s - free_s - unfilled_s) * busy
            self.unfilled_s += unfilled_s * busy
            self._free_s[stage] = start_s + stage_s
            at_s = start_s + stage_s + hop_s
        self._in_flight_until_s = self._free_s[-1]
        kind = 0 if prompts and self._carried_prompts else 1 if prompts or self._carried_prompts else 2
        self._carried_prompts = prompts
        return self._free_s[-1], Bubble(*(idle_s if k == kind else 0.0 for k in range(3)))

    def clear(self) -> None:
        """Lose everything in flight."""
        self._free_s = [0.0] * self._stages.count
        self._in_flight_until_s = 0.0
