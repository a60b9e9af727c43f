"""The reference, one instance: prompts wait, take memory and are computed step by step; every step is a SimPy process.

It asks ``perf`` how long things take and ``policies`` what it runs: the simulator that judges plans calls no object
of these. All else is written from ``docs/simulator.md`` and ``docs/policies.md`` alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import simpy

from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.policies.base import Occupancy, Policy
from planner.policies.batching import Continuous
from planner.policies.routing import ShortestQueue
from planner.policies.waiting import Queue, due
from planner.simulator.pools import PoolModel


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """What is known of a request; policies see its ``RequestView``."""

    index: int
    kind: int  # its class
    priority: int  # the larger goes first
    arrival_s: float
    due_s: float  # when its first token is promised
    prompt_tokens: int
    output_tokens: int  # after which it ends; no rule reads them before
    prefill_tokens: int  # to compute before its next token: the prompt, or all so far if their KV was lost
    cached_tokens: int  # of them, those computed already
    held_tokens: int = 0  # whose KV has blocks where it is
    preemptions: int = 0
    tokens_s: list[float] = field(default_factory=list)  # when the step of each of its tokens ended
    lag_s: float = 0.0  # how much later they are seen
    ended: bool = False  # its last token is out
    sent_by: "Instance | None" = None  # computes its prompt
    home: "Instance | None" = None  # decodes it
    sent_tokens: int = 0  # whose KV has left for home layer by layer
    lands_s: float | None = None  # when that is there; None where no memory is promised yet
    borrowed: bool = False  # an instance of the other phase serves it


@dataclass(slots=True, eq=False)
class Lane:
    """One of as many batches as an instance has pipeline stages, and the step that runs, if any."""

    body: InstancePhysics  # since its last step began
    batch: list[Request] = field(default_factory=list)  # who joined last behind
    idle_since_s: float = 0.0
    began_s: float = 0.0  # when its last step began
    waited_steps: int = 0  # without prompts
    chunks: list[tuple[Request, int]] = field(default_factory=list)  # prompts, and how many tokens of each
    decodes: list[Request] = field(default_factory=list)  # they get a token
    stages_s: list[tuple[float, float]] = field(default_factory=list)  # when each stage begins and ends with it


class Instance:
    """One replica: prompts wait; KV caches ask for memory (landing), are promised it (coming), have landed."""

    def __init__(self, cluster: Any, index: int, pool: PoolModel, policy: Policy, machine: int) -> None:  # noqa: ANN401
        assert isinstance(policy.batching, Continuous)
        if not isinstance(policy.routing, ShortestQueue):
            raise BadInput("routing: the reference knows the shortest queue; simulate with the default engine")
        self._batching = replace(
            policy.batching, ranks=pool.physics.ranks, max_batch_size=pool.slots(policy.batching.max_batch_size),
            max_batch_tokens=pool.max_batch_tokens or policy.batching.max_batch_tokens,
        )  # fmt: skip
        self._cluster, self._env = cluster, cluster.env
        self.index, self.pool, self.role, self.machine, self.body = index, pool, pool.role, machine, pool.physics
        self.foreseen_tokens, self.down, self.closed = policy.routing.foreseen_tokens, 0, False
        self.pending = dict[Request, int]()  # tokens that each request counts in the queue here
        self.memory = dict[Request, int]()  # tokens that each request has blocks for
        self.waiting, self.landing, self.landed = list[Request](), list[Request](), list[Request]()
        self.coming, self.lanes = set[Request](), [Lane(self.body) for _ in range(self.body.stages.count)]
        self._stage_free_s, self._entering = [0.0] * len(self.lanes), list[Lane]()
        self._queue = Queue(policy.order, self.body.step, pool.chunk_tokens)

    @property
    def free(self) -> int:
        """Blocks that no request has."""
        return self.body.kv_blocks - sum(self._blocks(tokens) for tokens in self.memory.values())

    def fits(self, request: Request, decodes: bool = True) -> bool:
        """Whether a request alone has room here, to its end or with its prompt only."""
        return request.prompt_tokens + request.output_tokens * decodes + 1 <= self.body.kv_tokens

    def computing(self) -> list[Request]:
        """Requests whose prompt, or part of it, is computed by a step that runs."""
        return [request for lane in self.lanes for request, _ in lane.chunks]

    def decoding(self) -> list[Request]:
        """Requests that decode."""
        return [request for lane in self.lanes for request in lane.batch]

    def partial(self) -> list[Request]:
        """Requests that are computed in part, and not to their end by a step that runs."""
        return [one for one in (*self.waiting, *self.computing()) if 0 < one.held_tokens < one.prefill_tokens]

    def running(self) -> int:
        """Requests that hold a decode slot: they decode, will, or are computed in part."""
        return len(self.decoding()) + len(self.landed) + len(self.coming) + len(self.partial())

    def submit(self, request: Request) -> None:
        """A request has come: with the KV cache that memory was promised to, or to be computed."""
        (self.landed if request in self.coming else self.waiting).append(request)
        self.coming.discard(request)
        self.look()

    def promises(self, request: Request, *, at_once: bool = False) -> bool:
        """Take memory for a KV cache that will come, unless it is short or, ``at_once``, others wait before it."""
        awaited = at_once and self.landing and self.landing[0].priority >= request.priority
        if awaited or not self._batching.admits(request, self.running() // len(self.lanes), self.free):
            return False
        self.coming.add(request)
        self.memory[request] = request.prefill_tokens
        return True

    def admit_landing(self, *more: Request) -> None:
        """Those that wait for memory get it, by priority and then first come, first served."""
        self.landing = sorted([*self.landing, *more], key=lambda one: -one.priority)
        while self.landing and self.promises(self.landing[0]):
            request = self.landing.pop(0)
            self._cluster.travels(request, request.sent_by, self)

    def drop(self, request: Request) -> bool:
        """Forget a request; whether it had memory here."""
        self.pending.pop(request, None)
        self.coming.discard(request)
        return self.memory.pop(request, None) is not None

    def give_up(self, request: Request) -> None:
        """A request has left or will not come: others get its memory."""
        if self.drop(request):
            self.admit_landing()
            self.look()

    def fail(self) -> list[Request]:
        """Lose everything, the steps that run included."""
        waiting = self._queue.arranged(self.waiting, self._env.now)
        gone = [*self.landing, *waiting, *self.landed, *self.computing(), *self.decoding()]
        for held in (self.waiting, self.landing, self.landed, self.coming, self.memory, self.pending, self._entering):
            held.clear()
        self.lanes = [Lane(self.body, idle_since_s=lane.idle_since_s) for lane in self.lanes]
        self._stage_free_s = [0.0] * len(self.lanes)
        return gone

    def change(self, body: InstancePhysics) -> None:
        """Other step times from the next step on."""
        self.body, self._queue = body, Queue(self._queue.order, body.step, self.pool.chunk_tokens)
        self.look()

    def look(self) -> None:
        """Let idle batches go on, the longest idle first, whenever the first stage is free."""
        for lane in sorted((lane for lane in self.lanes if not lane.stages_s), key=lambda lane: lane.idle_since_s):
            if not self._entering:
                self._begin(lane)

    def _begin(self, lane: Lane) -> None:
        """Who has landed joins, memory is made for all that decode, and the policy chooses prompts."""
        lane.body, batch, lanes, thrown_out = self.body, lane.batch, len(self.lanes), False
        share = -(-self.running() // lanes)
        while self.landed and len(batch) < share:
            batch.append(self.landed.pop(0))
        while batch and self._growth(batch) > self.free:
            self._throw_out(batch)
            thrown_out = True
        chunk = self.pool.chunk_tokens
        rules = self._batching.at(chunk, self.body.step) if chunk else self._batching
        now = Occupancy(
            running=max(len(batch), self.running() // lanes), batch=len(batch),
            context_tokens=sum(one.held_tokens + 1 for one in batch), free_blocks=self.free - self._growth(batch),
            owed_blocks=sum(self._blocks(r.prefill_tokens + 1) - self._blocks(r.held_tokens) for r in self.partial()),
        )  # fmt: skip
        self.waiting = self._queue.arranged(self.waiting, self._env.now)
        found = rules.next_step(self._due(lane), now)
        if not found.chunk_tokens and self.waiting and not self.waiting[0].held_tokens:  # who holds memory goes first
            self.waiting.sort(key=lambda request: not request.held_tokens)
            found = rules.next_step(self._due(lane), now)
        if found.chunk_tokens or found.decode:
            self._start(lane, found.chunk_tokens, list(batch) if found.decode else [])
        if thrown_out:
            self.admit_landing()

    def _due(self, lane: Lane) -> Sequence[Request]:
        """Prompts that the next step may take."""
        planned_s = lane.began_s if lane.idle_since_s == self._env.now else None
        return due(self.waiting, lane.body, batch=len(lane.batch), waited_steps=lane.waited_steps,
                   planned_s=planned_s, max_tokens=self._batching.max_batch_tokens)  # fmt: skip

    def _start(self, lane: Lane, chunks: Sequence[int], decodes: list[Request]) -> None:
        """Take blocks for all tokens of a step, and let it run."""
        step, batch, context = self.body.step, len(decodes), sum(one.held_tokens + 1 for one in decodes)
        lane.chunks, lane.decodes = [(self.waiting.pop(0), new) for new in chunks], decodes
        lane.began_s, lane.waited_steps = self._env.now, 0 if chunks else lane.waited_steps + 1
        prompts = [(new, request.cached_tokens) for request, new in lane.chunks]
        for request, new in lane.chunks:
            self.memory[request] = request.held_tokens = request.cached_tokens + new
        for request in decodes:
            self.memory[request] = request.held_tokens = request.held_tokens + 1
        seconds = step.prefill_s(prompts, batch, context) if prompts else step.decode_s(batch, context / batch)
        if any(request.held_tokens == request.prefill_tokens for request, _ in lane.chunks):
            seconds += step.drain_s(prompts, batch, context)
        lane.stages_s = self._pass(seconds, batch + sum(chunks))
        self._entering = [lane] if len(self.lanes) > 1 else []
        self._env.process(self._run(lane))
        self._cluster.computes(self, [request for request, _ in lane.chunks], lane.stages_s[-1][1] - self._env.now)

    def _pass(self, seconds: float, tokens: int) -> list[tuple[float, float]]:
        """When each stage works on a step: it has come there, and the one before it has left."""
        at_s, stages, found = self._env.now, self.body.stages, list[tuple[float, float]]()
        stage_s = (seconds - stages.hops_s(tokens)) / stages.count
        for free_s in self._stage_free_s if stages.count > 1 else [at_s]:
            begin_s = max(at_s, free_s)
            found.append((begin_s, begin_s + stage_s))
            at_s = begin_s + stage_s + stages.hop_s(tokens)
        self._stage_free_s = [end_s for _, end_s in found]
        return found

    def _run(self, lane: Lane) -> Iterator[simpy.Event]:
        """A step passes the stages, unless its machine fails; another may follow when it has left the first."""
        passed = self._env.timeout(lane.stages_s[-1][1] - self._env.now)
        if len(self.lanes) > 1:
            yield self._env.timeout(lane.stages_s[0][1] - self._env.now)
            if lane in self._entering:
                self._entering.remove(lane)
                self.look()
        yield passed
        if lane in self.lanes:
            self._end(lane)

    def _end(self, lane: Lane) -> None:
        """Tokens are out: of every decode, and of prompts that are computed to their end."""
        chunks, decodes, body = lane.chunks, lane.decodes, lane.body
        lane.chunks, lane.decodes, lane.stages_s, lane.idle_since_s = [], [], [], self._env.now
        for request in decodes:
            self._cluster.out(request)
        lag_s = body.answered_after_s(len(lane.batch), sum(one.held_tokens + 1 for one in lane.batch))
        for request, _ in chunks:
            request.cached_tokens = request.held_tokens
            if request.cached_tokens < request.prefill_tokens:
                self.waiting.insert(0, request)
            elif self._cluster.token(self, request, lag_s):
                lane.batch.append(request)
        for request in sorted(decodes, key=lambda request: request.index):
            if request.ended:
                lane.batch.remove(request)
                self._cluster.ends(request, self)
        self.admit_landing()
        self.look()

    def _throw_out(self, batch: list[Request]) -> None:
        """Of the lowest priority who came last loses its blocks: prompts in part first, who lost them often last."""
        partial = sorted((one for one in self.waiting if one.held_tokens), key=lambda one: -one.index)
        request = min([*partial, *reversed(batch)], key=lambda one: (one.priority, self._batching.spares(one)))
        request.preemptions += 1
        (batch if request in batch else self.waiting).remove(request)
        request.prefill_tokens = request.prompt_tokens + len(request.tokens_s)
        self.memory[request] = request.held_tokens = request.cached_tokens = 0
        self.waiting.insert(0, request)

    def _growth(self, batch: list[Request]) -> int:
        """Blocks for the next token of every request that decodes."""
        return sum(self._blocks(one.held_tokens + 1) - self._blocks(one.held_tokens) for one in batch)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.body.block_tokens)
