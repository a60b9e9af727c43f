"""The reference, the rules which prompts a step computes, in which order they wait, when a link is free.

Written from ``docs/simulator.md``, ``docs/policies.md`` and decision 042; nothing here is shared with ``policies``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from planner.perf.instance import InstancePhysics
from planner.perf.step_time import StepTime
from planner.policies.batching import ChunkForm, Continuous

TILE_TOKENS, LEAST_TOKENS = 128, 32
"""A tile of the matrix kernels, and the smallest chunk."""

STRETCH_RATIO = 4.0
"""A request that nothing is promised is due after so many times its own work."""


@dataclass(slots=True, eq=False)
class Request:
    """A request in the cluster."""

    index: int
    kind: int  # its class
    arrival_s: float
    prompt_tokens: int
    output_tokens: int  # after which it ends; no rule reads them before
    group: int  # histogram of its gaps; -1 where it is not measured
    due_s: float  # when its first token is promised
    computed_tokens: int = 0
    prefill_tokens: int = 0  # to compute before its next token: the prompt, or all so far if their KV was lost
    held_tokens: int = 0  # whose KV has blocks where it is
    generated_tokens: int = 0
    preemptions: int = 0
    first_token_s: float | None = None
    last_token_s: float = 0.0
    lag_s: float = 0.0  # how much later than their steps its tokens are seen
    max_gap_s: float = 0.0
    sent_by: int = -1  # instance that computes its prompt
    home: int = -1  # instance that decodes it
    sent_tokens: int = 0  # whose KV has left for home layer by layer
    lands_s: float | None = None  # when that is there; None where no memory is promised yet
    borrowed: bool = False  # an instance of the other phase serves it
    pending_tokens: int = 0  # what it counts in the queue of the instance that computes it

    def __post_init__(self) -> None:
        """All of the prompt is to be computed."""
        self.prefill_tokens = self.prefill_tokens or self.prompt_tokens
        self.pending_tokens = self.prompt_tokens

    @property
    def left_tokens(self) -> int:
        """Tokens to compute before the next one comes out."""
        return self.prefill_tokens - self.computed_tokens

    @property
    def started(self) -> bool:
        """Computed in part, and not to its end in the step that runs."""
        return 0 < self.held_tokens < self.prefill_tokens


@dataclass(slots=True, kw_only=True)
class Batching:
    """What one step computes of the prompts that wait."""

    limits: Continuous  # its numbers are read, its rules are not
    chunk_tokens: int | None  # most tokens of a step; None computes prompts whole
    block_tokens: int

    @property
    def alone(self) -> bool:
        """Whether decodes stand still while prompts are computed."""
        return self.limits.form is ChunkForm.PREFILL_FIRST and self.chunk_tokens is not None

    def blocks(self, tokens: int) -> int:
        """Blocks that hold so many tokens."""
        return -(-tokens // self.block_tokens)

    def admits(self, request: Request, slots: int, free: int) -> bool:
        """A slot is free, and blocks for its context, its next token, and one more of everyone who runs."""
        return slots < self.limits.max_batch_size and self.blocks(request.prefill_tokens + 1) + slots <= free

    def owed(self, requests: Iterable[Request]) -> int:
        """Blocks that prompts computed in part have still to take, that of their next token included."""
        started = [request for request in requests if request.started]
        return sum(self.blocks(one.prefill_tokens + 1) - self.blocks(one.held_tokens) for one in started)

    def chunks(
        self, step: StepTime, waiting: Sequence[Request], batch: Sequence[Request], *, slots: int, free: int, owed: int
    ) -> list[int]:
        """From the head, as much of every prompt as budget, slots and memory allow; none passes another."""
        whole, parts, prompts = self.chunk_tokens is None, list[tuple[int, int]](), 0
        for request in waiting:
            past, left = request.computed_tokens, request.left_tokens
            new = left if whole else min(left, self._most(step, request, batch, parts))
            beside, more = (prompts, request.prefill_tokens) if whole else (step.beside_tokens(parts, past), new)
            if new <= 0 or (beside and beside + more > self.limits.max_batch_tokens):
                break
            needs = self.blocks(past + new + (new == left)) - self.blocks(request.held_tokens)
            if not request.held_tokens:
                if not self.admits(request, slots, free - owed):
                    break
                slots, owed = slots + 1, owed + self.blocks(request.prefill_tokens + 1)
            elif needs > free:
                break
            free, owed, prompts = free - needs, owed - needs, prompts + request.prefill_tokens
            parts.append((new, past))
        return [new for new, _ in parts]

    def _most(self, step: StepTime, request: Request, batch: Sequence[Request], parts: list[tuple[int, int]]) -> int:
        """Most tokens of one prompt in a step beside others."""
        budget, form, past = self.chunk_tokens or 0, self.limits.form, request.computed_tokens
        if form is ChunkForm.DECODE_MAXIMAL:
            return 0 if parts else budget - (self.limits.max_batch_size - 1)
        if form is ChunkForm.PREFILL_FIRST:
            return budget - sum(new for new, _ in parts)
        taken = len(batch) + step.beside_tokens(parts, past)
        if form is ChunkForm.STALL_FREE or not batch:
            return budget - taken
        context = sum(one.held_tokens + 1 for one in batch)
        for tile, most in ((TILE_TOKENS, budget), (LEAST_TOKENS, taken + TILE_TOKENS)):
            low, high = taken // tile, most // tile
            while low < high:  # by halves: the rule says so, since step times may dip
                middle = (low + high + 1) // 2
                seconds = step.prefill_s([*parts, (middle * tile - taken, past)], len(batch), context)
                low, high = (middle, high) if seconds <= self.limits.target_s else (low, middle - 1)
            if low * tile > taken:
                return low * tile - taken
        return 0 if parts else LEAST_TOKENS - taken % LEAST_TOKENS


class Ports:
    """The machines' ports, one out and one in, first come, first served."""

    def __init__(self, machines: int) -> None:
        """All free."""
        self._out_s, self._in_s = [0.0] * machines, [0.0] * machines

    def book(
        self, source: InstancePhysics, out: int, target: InstancePhysics, into: int, tokens: int, ready_s: float
    ) -> tuple[float, float]:
        """When a KV cache can leave machine ``out`` for machine ``into``, and for how long it holds their ports."""
        slower = min(source.link.bandwidth_bytes_per_s, target.link.bandwidth_bytes_per_s)
        busy_s = source.kv_bytes_per_token * tokens / slower
        if not source.link_queues:
            return ready_s, busy_s
        begin_s = max(ready_s, self._out_s[out], self._in_s[into])
        self._out_s[out] = self._in_s[into] = begin_s + busy_s
        return begin_s, busy_s


class Slack:
    """Prompts by relative slack: (due - now - work left) / all work, the smallest first."""

    def __init__(self, step: StepTime, chunk_tokens: int | None) -> None:
        """Work is what a prompt takes alone, chunk by chunk."""
        self._step, self._chunk_tokens = step, chunk_tokens
        self._alone_s: dict[int, float] = {}

    def arranged(self, waiting: Sequence[Request], now_s: float) -> list[Request]:
        """Started ones by work left; another passes with less left and, in two steps, less slack than that now."""
        started = sorted((r for r in waiting if r.held_tokens), key=lambda r: (self._left_s(r), r.index))
        fresh = sorted((r for r in waiting if not r.held_tokens), key=lambda r: (self._slack(r, now_s), r.index))
        found = list[Request]()
        for one in started:
            new = min(one.left_tokens, self._chunk_tokens or one.left_tokens)
            late_s = now_s + 2 * self._step.prefill_s([(new, one.computed_tokens)])
            slack, left_s = self._slack(one, now_s), self._left_s(one)
            while fresh and self._slack(fresh[0], late_s) < slack and self._left_s(fresh[0]) < left_s:
                found.append(fresh.pop(0))
            found.append(one)
        return found + fresh

    def _slack(self, request: Request, now_s: float) -> float:
        """Relative slack; one that had its first token has none."""
        if request.prefill_tokens > request.prompt_tokens:
            return -inf
        work_s = self._until_s(request.prefill_tokens)
        due_s = request.due_s if isfinite(request.due_s) else request.arrival_s + STRETCH_RATIO * work_s
        return (due_s - now_s - self._left_s(request)) / work_s

    def _left_s(self, request: Request) -> float:
        """Seconds of work left."""
        if self._chunk_tokens is None and request.computed_tokens:
            return self._step.prefill_s([(request.left_tokens, request.computed_tokens)])
        return max(0.0, self._until_s(request.prefill_tokens) - self._until_s(request.computed_tokens))

    def _until_s(self, tokens: int) -> float:
        """Seconds until the first tokens of a prompt are computed."""
        if tokens not in self._alone_s:
            size, seconds = self._chunk_tokens or max(1, tokens), 0.0
            for past in range(0, tokens, size):
                seconds += self._step.prefill_s([(min(size, tokens - past), past)])
            self._alone_s[tokens] = seconds
        return self._alone_s[tokens]
