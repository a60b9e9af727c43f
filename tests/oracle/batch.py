"""The requests that decode together, and the books of their steps."""

from heapq import heappop, heappush

from planner.perf.step_time import Segment
from planner.policies.base import Batching
from planner.simulator.books import NO_BUBBLE
from tests.oracle.gaps import LongestGaps
from tests.oracle.memory import BlockGrowth
from tests.oracle.records import Ledger, Request


class DecodeBatch:
    """Requests that gain one token with every step.

    Attributes:
        requests: by index, the youngest last.
        context_tokens: KV tokens of all of them.
        steps: steps taken since the beginning.
        bubble: idle seconds of stages before those steps, summed over stages.
    """

    __slots__ = (
        "_due", "_gaps", "_groups", "_growth", "_joiners", "_ledger", "bubble", "context_tokens", "requests", "steps",
    )  # fmt: skip

    def __init__(self, block_tokens: int, ledger: Ledger) -> None:
        """Nobody decodes.

        Args:
            block_tokens: tokens in a block of KV memory.
            ledger: where gaps are noted.
        """
        self.requests: dict[int, Request] = {}
        self.context_tokens = self.steps = 0
        self.bubble = NO_BUBBLE
        self._ledger = ledger
        self._growth = BlockGrowth(block_tokens)
        self._due: list[tuple[int, int, int, Request]] = []
        self._joiners: list[Request] = []
        self._groups: dict[int, int] = {}
        self._gaps = LongestGaps()

    def __len__(self) -> int:
        """How many decode."""
        return len(self.requests)

    def join(self, request: Request, *, landed: bool) -> None:
        """Let a request that holds its KV cache decode.

        Args:
            request: who joins.
            landed: its last token was made elsewhere or earlier, so that its first gap is longer than the step.
        """
        request.join_step = self.steps
        request.gap_step = self.steps + landed
        if self.bubble is not NO_BUBBLE:
            request.bubble = request.bubble.plus(self.bubble, -1.0)
        request.epoch += 1
        self.requests[request.index] = request
        due = self.steps + request.output_tokens - request.generated
        heappush(self._due, (due, request.index, request.epoch, request))
        self.context_tokens += request.prefill_tokens + 1
        self._growth.join(request.prefill_tokens, self.steps)
        if request.group >= 0:
            self._groups[request.group] = self._groups.get(request.group, 0) + 1
        if landed:
            self._joiners.append(request)

    def stall(self, now_s: float) -> None:
        """Stand still from ``now_s`` for a step of others: everybody's next gap is longer than its own step."""
        joining = {request.index for request in self._joiners}
        for request in self.requests.values():
            if request.index in joining:
                continue
            if self.steps > request.gap_step:
                request.max_gap_s = max(request.max_gap_s, self._gaps.since(request.gap_step))
            request.last_token_s, request.gap_step = now_s, self.steps + 1
            self._joiners.append(request)

    def leave(self, request: Request, now_s: float) -> int:
        """Take a request out after the step that ended at ``now_s``.

        Returns:
            The tokens whose KV it held.
        """
        steps = self.steps - request.join_step
        request.generated += steps
        if self.bubble is not NO_BUBBLE:
            request.bubble = request.bubble.plus(self.bubble)
        request.epoch += 1
        del self.requests[request.index]
        self.context_tokens -= request.prefill_tokens + 1 + steps
        self._growth.leave(request.prefill_tokens, request.join_step)
        if request in self._joiners:
            self._joiners.remove(request)
        elif steps:
            request.last_token_s = now_s
            if self.steps > request.gap_step:
                request.max_gap_s = max(request.max_gap_s, self._gaps.since(request.gap_step))
        if request.group >= 0:
            self._groups[request.group] -= 1
            if not self._groups[request.group]:
                del self._groups[request.group]
        return request.prefill_tokens + steps

    def youngest(self, batching: Batching) -> Request | None:
        """The request that joined last of those that are not to be spared; None where all are."""
        return next((r for r in reversed(self.requests.values()) if not batching.spares(r)), None)

    def growth(self, steps: int) -> int:
        """New KV blocks that the next ``steps`` steps need."""
        return self._growth.growth(self.steps, steps) if self.requests else 0

    def steps_left(self, free_blocks: int) -> int:
        """Steps until a request ends or the free blocks no longer suffice; the batch is not empty."""
        while self._due[0][3].epoch != self._due[0][2]:
            heappop(self._due)
        return min(self._due[0][0] - self.steps, self._growth.steps_that_fit(self.steps, free_blocks))

    def steps_that_fit(self, free_blocks: int) -> int:
        """Steps until the free blocks no longer suffice; the batch is not empty."""
        return self._growth.steps_that_fit(self.steps, free_blocks)

    def advance(self, start_s: float, segments: list[Segment], steps: int) -> None:
        """Book the tokens of a run: gaps and contexts."""
        self._ledger.run_gaps(start_s, segments, self._groups, self._joiners)
        self._joiners.clear()
        self.steps += steps
        self.context_tokens += len(self.requests) * steps
        self._gaps.add(self.steps, max(max(a, a + d * (n - 1)) for a, d, n in segments))

    def ended(self) -> Request | None:
        """A request whose last token is out, still in the batch; None where there is none."""
        due = self._due
        while due and due[0][0] <= self.steps:
            _, _, epoch, request = heappop(due)
            if epoch == request.epoch:
                return request
        return None

    def clear(self) -> None:
        """Forget who was to end and who has just joined; everybody has left."""
        self._joiners.clear()
        self._due.clear()
