"""The prompts that wait at one instance, and what is computed of them."""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

from planner.policies.base import Order, StepPredictor
from planner.simulator.books import Meter
from tests.oracle.memory import KvMemory
from tests.oracle.records import Request


class Prompts:
    """Prompts to compute, head first.

    Those that are computed in part hold the memory of that part. In order of arrival they stand at the head; where the
    order moves, others may pass them.

    Attributes:
        waiting: the queue; prompts of the step in progress are not in it.
        begun: how many are computed in part, those of the step in progress included.
        owed_blocks: blocks that those have still to take.
    """

    __slots__ = ("_memory", "_meter", "_order", "begun", "owed_blocks", "waiting")

    def __init__(self, memory: KvMemory, meter: Meter, order: Order) -> None:
        """Nobody waits."""
        self._memory, self._meter, self._order = memory, meter, order
        self.waiting: deque[Request] = deque()
        self.begun = self.owed_blocks = 0

    @property
    def moves(self) -> bool:
        """Whether the order of those that wait may change by itself."""
        return self._order.moves and len(self.waiting) > 0

    def change(self, chunk_tokens: int | None, step: StepPredictor) -> None:
        """Go on with the work of prompts at another clock."""
        self._order = self._order.at(chunk_tokens, step)

    def arrange(self, now_s: float) -> None:
        """Put them in order, where it is not that of arrival.

        Those that are begun stand by the work they have left; whoever is not begun passes them where it has less left
        and would else rank before them too late: a step of theirs may be lost waiting, and another shared with them.
        """
        if not self._order.moves or len(self.waiting) < 2:
            return
        rank, left_s = self._order.rank, self._order.left_s
        begun = sorted((left_s(r), r.index, r) for r in self.waiting if r.held_tokens)
        fresh = sorted((rank(r, now_s), r.index, r) for r in self.waiting if not r.held_tokens)
        self.waiting.clear()
        for own_s, _, one in begun:
            own, late_s = rank(one, now_s), now_s + 2 * self._order.step_s(one)
            while fresh and rank(fresh[0][2], late_s) < own and left_s(fresh[0][2]) < own_s:
                self.waiting.append(fresh.pop(0)[2])
            self.waiting.append(one)
        self.waiting.extend(request for _, _, request in fresh)

    def begun_first(self) -> bool:
        """Let those that hold memory go before all that would need more; False where that changes nothing."""
        begun = [r for r in self.waiting if r.held_tokens]
        if not begun or self.waiting[0] is begun[0]:
            return False
        fresh = [r for r in self.waiting if not r.held_tokens]
        self.waiting.clear()
        self.waiting.extend((*begun, *fresh))
        return True

    def submit(self, request: Request, now_s: float) -> None:
        """Queue a prompt."""
        self.waiting.append(request)
        self._meter.queue(request.uncomputed_tokens, now_s)

    def take(self, chunk_tokens: Iterable[int], now_s: float) -> tuple[list[tuple[Request, int]], list[Request]]:
        """Begin a step with chunks of the prompts at the head: their memory is taken.

        Returns:
            Every prompt of the step with the tokens computed of it, and those that it computes to their end.
        """
        parts: list[tuple[Request, int]] = []
        ending: list[Request] = []
        for tokens in chunk_tokens:
            request = self.waiting.popleft()
            self._meter.queue(-tokens, now_s)
            held = self._memory.blocks(request.held_tokens)
            was_begun = request.held_tokens > 0
            self.owed_blocks -= self._owes(request)
            request.held_tokens = request.cached_tokens + tokens
            self._memory.allocate(self._memory.blocks(request.held_tokens) - held, now_s)
            ends = request.held_tokens == request.prefill_tokens
            self.begun += (not ends) - was_begun
            self.owed_blocks += 0 if ends else self._owes(request)
            parts.append((request, tokens))
            if ends:
                ending.append(request)
        return parts, ending

    def computed(self, parts: Iterable[tuple[Request, int]]) -> None:
        """Note that a step's chunks are computed; prompts that go on return to the head."""
        for request, _ in parts:
            request.cached_tokens = request.held_tokens
            if request.uncomputed_tokens:
                self._insert(request)
            else:
                request.cached_tokens = request.held_tokens = 0

    def again(self, request: Request, now_s: float) -> None:
        """Queue a request that lost its memory: first of all that are not begun."""
        request.cached_tokens = request.held_tokens = 0
        self._meter.queue(request.uncomputed_tokens, now_s)
        self._insert(request)

    def evict(self, request: Request, now_s: float) -> None:
        """Take the memory of a prompt that waits computed in part; it starts over."""
        self.waiting.remove(request)
        self.begun -= 1
        self.owed_blocks -= self._owes(request)
        self._memory.allocate(-self._memory.blocks(request.held_tokens), now_s)
        self._meter.queue(-request.uncomputed_tokens, now_s)
        self.again(request, now_s)

    def partial(self) -> list[Request]:
        """Prompts that wait computed in part, the youngest first."""
        if self._order.moves:
            return sorted((r for r in self.waiting if r.held_tokens), key=lambda r: -r.index)
        return list(takewhile(lambda r: r.held_tokens, self.waiting))[::-1]

    def clear(self, now_s: float) -> None:
        """Lose everything."""
        self._meter.queue(-self._meter.queue_tokens, now_s)
        self.waiting.clear()
        self.begun = self.owed_blocks = 0

    def _owes(self, request: Request) -> int:
        """Blocks that a prompt computed in part has still to take, its next token's included."""
        held, blocks = request.held_tokens, self._memory.blocks
        return blocks(request.prefill_tokens + 1) - blocks(held) if held else 0

    def _insert(self, request: Request) -> None:
        """Put a request behind the begun ones that arrived before it, or behind all of them if it is not begun."""
        at = 0
        for other in self.waiting:
            if not other.held_tokens or (request.held_tokens and other.index > request.index):
                break
            at += 1
        self.waiting.insert(at, request)
