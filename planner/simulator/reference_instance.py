"""The reference, one instance: its prompts, its memory and its steps, every one of them an event.

Written from ``docs/simulator.md``, ``docs/policies.md`` and decision 042 alone. It asks ``perf`` how long a step takes
and the policy what a step runs, who borrows and how a KV cache travels: the methods that ``capacity`` counts with. The
simulator that plans are judged by calls none of them; it shares only step times.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import simpy

from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.policies.base import Occupancy, Policy, StepBatch
from planner.policies.batching import Continuous
from planner.policies.order import ARRIVAL, SLACK
from planner.policies.routing import ShortestQueue
from planner.simulator.pools import PoolModel
from planner.simulator.reference_order import Slack, by_priority


@dataclass(slots=True, eq=False, kw_only=True)
class Request:
    """A request in the cluster."""

    index: int
    kind: int  # its class
    arrival_s: float
    prompt_tokens: int
    output_tokens: int  # after which it ends; no rule reads them before
    group: int  # histogram of its gaps; -1 where it is not measured
    due_s: float  # when its first token is promised
    priority: int  # the larger goes first
    prefill_tokens: int  # to compute before its next token: the prompt, or all so far if their KV was lost
    pending_tokens: int  # what it counts in the queue of the instance that computes it
    cached_tokens: int = 0
    held_tokens: int = 0  # whose KV has blocks where it is
    generated_tokens: int = 0
    preemptions: int = 0
    last_token_s: float = 0.0
    lag_s: float = 0.0  # how much later than their steps its tokens are seen
    max_gap_s: float = 0.0
    sent_by: "Instance | None" = None  # computes its prompt
    home: "Instance | None" = None  # decodes it
    sent_tokens: int = 0  # whose KV has left for home layer by layer
    lands_s: float | None = None  # when that is there; None where no memory is promised yet
    borrowed: bool = False  # an instance of the other phase serves it

    @property
    def left_tokens(self) -> int:
        """Tokens to compute before the next one comes out."""
        return self.prefill_tokens - self.cached_tokens

    @property
    def context_tokens(self) -> int:
        """What its next step of decoding reads."""
        return self.held_tokens + 1

    @property
    def started(self) -> bool:
        """Computed in part, and not to its end in the step that runs."""
        return 0 < self.held_tokens < self.prefill_tokens


@dataclass(slots=True, eq=False, kw_only=True)
class Step:
    """A step that runs."""

    chunks: list[tuple[Request, int]]  # prompts, and how many tokens of each
    decodes: list[Request]  # they get a token
    stages_s: list[tuple[float, float]]  # when each pipeline stage begins and ends with it


@dataclass(slots=True, eq=False)
class Lane:
    """One of as many batches as an instance has pipeline stages."""

    body: InstancePhysics  # since its last step began
    batch: list[Request] = field(default_factory=list)  # who joined last behind
    step: Step | None = None
    idle_since_s: float = 0.0


class Instance:
    """One replica: prompts wait; KV caches ask for memory (landing), are in transfer (promised), have landed."""

    def __init__(self, cluster: Any, index: int, pool: PoolModel, policy: Policy, machine: int) -> None:  # noqa: ANN401
        """Idle and empty; ``cluster`` is the one of ``reference``, which is told of steps, tokens and ends."""
        assert isinstance(policy.batching, Continuous)
        if not isinstance(policy.routing, ShortestQueue):
            raise BadInput("routing: the reference knows the shortest queue; simulate with the default engine")
        if policy.order.rule not in (ARRIVAL, SLACK):
            raise BadInput("order: the reference knows fifo and lars; simulate with the default engine")
        self._cluster, self._env = cluster, cluster.env
        self._batching = replace(
            policy.batching, ranks=pool.physics.ranks, max_batch_size=pool.slots(policy.batching.max_batch_size),
            max_batch_tokens=pool.max_batch_tokens or policy.batching.max_batch_tokens,
        )  # fmt: skip
        self.index, self.pool, self.role, self.machine, self.body = index, pool, pool.role, machine, pool.physics
        self.pending = self.borrowed = self.down = self.promised = 0
        self.foreseen_tokens = policy.routing.foreseen_tokens
        self.closed, self.free = False, pool.physics.kv_blocks
        self.waiting, self.landing, self.landed = list[Request](), list[Request](), list[Request]()
        self.lanes = [Lane(pool.physics) for _ in range(pool.physics.stages.count)]
        self._free_s, self._entering = [0.0] * len(self.lanes), list[Step]()
        self._by_slack, self._slack = policy.order.rule == SLACK, Slack(pool.physics, pool.chunk_tokens)

    def computing(self) -> list[Request]:
        """Requests whose prompt, or part of it, is computed by a step that runs."""
        return [request for lane in self.lanes if lane.step for request, _ in lane.step.chunks]

    def decoding(self) -> list[Request]:
        """Requests that decode."""
        return [request for lane in self.lanes for request in lane.batch]

    def uncomputed_tokens(self) -> int:
        """Prompt tokens that are not computed yet."""
        return sum(request.left_tokens for request in (*self.waiting, *self.computing()))

    def landing_tokens(self) -> int:
        """Prompt tokens whose KV waits for memory here."""
        return sum(request.prompt_tokens for request in self.landing)

    def running(self) -> int:
        """Requests that hold a decode slot: they decode, will, or are computed in part."""
        started = sum(request.started for request in (*self.waiting, *self.computing()))
        return len(self.decoding()) + len(self.landed) + self.promised + started

    def submit(self, request: Request) -> None:
        """A request is to be computed here."""
        self.waiting = by_priority([*self.waiting, request])
        self.look()

    def promises(self, request: Request, *, at_once: bool = False) -> bool:
        """Take memory for a KV cache that will come, unless it is short or, ``at_once``, others wait before it."""
        awaited = at_once and self.landing and self.landing[0].priority >= request.priority
        if awaited or not self._batching.admits(request, self.running() // len(self.lanes), self.free):
            return False
        self.promised += 1
        self.free -= self._blocks(request.prefill_tokens)
        return True

    def await_memory(self, request: Request) -> None:
        """A KV cache waits for memory here, behind those of its priority or a higher one."""
        self.landing = by_priority([*self.landing, request])
        self.admit_landing()

    def admit_landing(self) -> None:
        """Those that wait for memory get it, by priority and then first come, first served."""
        while self.landing and self.promises(self.landing[0]):
            self._cluster.travels(self.landing.pop(0))

    def land(self, request: Request) -> None:
        """A KV cache has come."""
        self.promised -= 1
        self.landed.append(request)
        self.look()

    def cancel(self, request: Request) -> None:
        """A KV cache will not come."""
        self.promised -= 1
        self.free += self._blocks(request.prefill_tokens)
        self.admit_landing()
        self.look()

    def release(self, tokens: int) -> None:
        """A KV cache has left."""
        self.free += self._blocks(tokens)
        self.look()

    def change(self, body: InstancePhysics) -> None:
        """Other step times from the next step on."""
        self.body, self._slack = body, Slack(body, self.pool.chunk_tokens)
        self.look()

    def fail(self) -> list[Request]:
        """Everything is lost, the steps that run included."""
        gone = [*self.waiting, *self.landed]
        for lane in self.lanes:
            gone += [*(request for request, _ in (lane.step.chunks if lane.step else ())), *lane.batch]
            lane.step, lane.batch = None, []
        self.waiting, self.landing, self.landed = [], [], []
        self.promised, self.free = 0, self.pool.physics.kv_blocks
        self._free_s, self._entering = [0.0] * len(self.lanes), []
        return gone

    def look(self) -> None:
        """Idle batches go on, the longest idle first, whenever the first stage is free."""
        for lane in sorted((lane for lane in self.lanes if not lane.step), key=lambda lane: lane.idle_since_s):
            if not self._entering:
                self._begin(lane)

    def _begin(self, lane: Lane) -> None:
        """The next step of a batch: who has landed joins, memory is made, prompts are chosen."""
        lane.body, thrown_out = self.body, False
        share = -(-self.running() // len(self.lanes))
        while self.landed and len(lane.batch) < share:
            lane.batch.append(self.landed.pop(0))
        while lane.batch and self._growth(lane) > self.free:
            self._throw_out(lane)
            thrown_out = True
        found = self._plan(lane)
        if found.chunk_tokens or found.decode:
            self._start(lane, found.chunk_tokens, list(lane.batch) if found.decode else [])
        if thrown_out:
            self.admit_landing()

    def _plan(self, lane: Lane) -> StepBatch:
        """What the policy runs in a step; prompts that hold memory go first where the first of the queue gets none."""
        self.waiting = by_priority(self.waiting)
        if self._by_slack:
            self.waiting = self._slack.arranged(self.waiting, self._env.now)
        chunk, batch = self.pool.chunk_tokens, lane.batch
        rules = self._batching.at(chunk, lane.body.step) if chunk else self._batching
        started = [request for request in (*self.waiting, *self.computing()) if request.started]
        owed = sum(self._blocks(one.prefill_tokens + 1) - self._blocks(one.held_tokens) for one in started)
        now = Occupancy(
            max(len(batch), self.running() // len(self.lanes)), len(batch), sum(one.context_tokens for one in batch),
            self.free - self._growth(lane), owed,
        )  # fmt: skip
        found = rules.next_step(self.waiting, now)
        if not found.chunk_tokens and self.waiting and not self.waiting[0].held_tokens:
            self.waiting.sort(key=lambda request: not request.held_tokens)
            found = rules.next_step(self.waiting, now)
        return found

    def _start(self, lane: Lane, chunks: Sequence[int], decodes: list[Request]) -> None:
        """Blocks are taken for all tokens of a step, and it runs."""
        step, batch, context = lane.body.step, len(decodes), sum(request.context_tokens for request in decodes)
        parts = [(self.waiting.pop(0), new) for new in chunks]
        prompts = [(new, request.cached_tokens) for request, new in parts]
        for request, new in parts:
            self.hold(request, request.cached_tokens + new)
        for request in decodes:
            self.hold(request, request.held_tokens + 1)
        seconds = step.prefill_s(prompts, batch, context) if prompts else step.decode_s(batch, context / batch)
        if any(request.held_tokens == request.prefill_tokens for request, _ in parts):
            seconds += step.drain_s(prompts, batch, context)
        stages_s = self._pass(seconds, batch + sum(chunks))
        lane.step, ends_s = Step(chunks=parts, decodes=decodes, stages_s=stages_s), stages_s[-1][1]
        self._env.process(self._run(lane, lane.step, ends_s - self._env.now))
        if len(self.lanes) > 1:
            self._entering = [lane.step]
            self._env.process(self._enter(lane.step))
        if parts:
            self._cluster.computes(self, [request for request, _ in parts], ends_s - self._env.now)

    def _pass(self, seconds: float, tokens: int) -> list[tuple[float, float]]:
        """When each stage works on a step: it has come there, and the one before it has left."""
        if len(self.lanes) == 1:
            return [(self._env.now, self._env.now + seconds)]
        stages, at_s, found = self.body.stages, self._env.now, list[tuple[float, float]]()
        stage_s = (seconds - stages.hops_s(tokens)) / stages.count
        for free_s in self._free_s:
            begin_s = max(at_s, free_s)
            found.append((begin_s, begin_s + stage_s))
            at_s = begin_s + stage_s + stages.hop_s(tokens)
        self._free_s = [end_s for _, end_s in found]
        return found

    def _enter(self, step: Step) -> Generator[simpy.Event, None, None]:
        """The first stage works on a step, then it is free for the next."""
        yield self._env.timeout(step.stages_s[0][1] - self._env.now)
        if step in self._entering:
            self._entering = []
            self.look()

    def _run(self, lane: Lane, step: Step, seconds: float) -> Generator[simpy.Event, None, None]:
        """A step passes, unless its machine fails."""
        yield self._env.timeout(seconds)
        if lane.step is step:
            self._end(lane, step)

    def _end(self, lane: Lane, step: Step) -> None:
        """Tokens are out: of every decode, and of prompts that are computed to their end."""
        lane.step, lane.idle_since_s = None, self._env.now
        for request in step.decodes:
            self._cluster.gap(request)
            request.generated_tokens += 1
        lag_s, batch = lane.body.request_s, len(lane.batch)
        if batch and lane.body.lag_steps:  # steps are scheduled ahead of what they find waiting
            context = sum(request.context_tokens for request in lane.batch)
            lag_s += lane.body.lag_steps * lane.body.step.decode_s(batch, context / batch)
        for request, _ in step.chunks:
            request.cached_tokens = request.held_tokens
            if request.left_tokens:
                self._put_back(request)
        lane.batch += [r for r, _ in step.chunks if not r.left_tokens and self._cluster.token(self, r, lag_s)]
        for request in sorted(step.decodes, key=lambda request: request.index):
            if request.generated_tokens >= request.output_tokens:
                lane.batch.remove(request)
                self._cluster.ends(self, request)
        self.admit_landing()
        self.look()

    def _throw_out(self, lane: Lane) -> None:
        """Of the lowest priority who came last loses its blocks: prompts in part first, who lost them often last."""
        partial = sorted((one for one in self.waiting if one.held_tokens), key=lambda one: -one.index)
        last_first = [*partial, *reversed(lane.batch)]
        lowest = min(one.priority for one in last_first)
        last_first = [one for one in last_first if one.priority == lowest]
        request = next((one for one in last_first if not self._batching.spares(one)), last_first[0])
        request.preemptions += 1
        if request in lane.batch:
            lane.batch.remove(request)
            request.prefill_tokens = request.prompt_tokens + request.generated_tokens
        else:
            self.waiting.remove(request)
        self.hold(request, 0)
        request.cached_tokens = 0
        self._put_back(request)

    def _put_back(self, request: Request) -> None:
        """In its tier behind started ones that came before it; without memory behind all started, before all others."""
        at, self.waiting = 0, by_priority(self.waiting)
        for other in self.waiting:
            equal = other.priority == request.priority
            if other.priority < request.priority:
                break
            if equal and (not other.held_tokens or (request.held_tokens and other.index > request.index)):
                break
            at += 1
        self.waiting.insert(at, request)

    def _growth(self, lane: Lane) -> int:
        """Blocks for the next token of every request that decodes."""
        return sum(self._blocks(one.held_tokens + 1) - self._blocks(one.held_tokens) for one in lane.batch)

    def hold(self, request: Request, tokens: int) -> None:
        """Blocks for so many tokens of a request, those it has included."""
        self.free -= self._blocks(tokens) - self._blocks(request.held_tokens)
        request.held_tokens = tokens

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.body.block_tokens)
