"""The reference, one instance: its prompts, its memory and its steps, every one of them an event.

Written from ``docs/simulator.md`` and ``docs/policies.md`` alone. It asks ``perf`` how long a step takes and what it
draws, and shares nothing else with the simulator that plans are judged by: what the two agree on was computed twice.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

import simpy

from planner.perf.instance import InstancePhysics
from planner.policies.base import Policy
from planner.policies.batching import Continuous
from planner.policies.order import ARRIVAL, SLACK
from planner.simulator.books import Meter
from planner.simulator.pools import PoolModel
from planner.simulator.reference_rules import Batching, Request, Slack


@dataclass(slots=True, eq=False, kw_only=True)
class Step:
    """A step that runs."""

    chunks: list[tuple[Request, int]]  # prompts, and how many tokens of each
    decodes: list[Request]  # they get a token
    stages_s: list[tuple[float, float]]  # when each pipeline stage begins and ends with it
    above_w: float  # what the GPUs draw above idle


@dataclass(slots=True, eq=False)
class Lane:
    """One of as many batches as an instance has pipeline stages."""

    body: InstancePhysics  # since its last step began
    batch: list[Request] = field(default_factory=list)  # who joined last behind
    step: Step | None = None
    idle_since_s: float = 0.0


class Cluster(Protocol):
    """What an instance tells of its requests."""

    env: simpy.Environment
    ttft_s: list[float]
    gaps_s: list[list[float]]

    def computes(self, source: "Instance", requests: list[Request], seconds: float) -> None:
        """A step that computes these requests has started and takes so long."""

    def moves_on(self, source: "Instance", request: Request) -> bool:
        """Whether a request whose prompt is computed decodes elsewhere."""

    def travels(self, request: Request) -> None:
        """A KV cache that waited for memory has it."""

    def ends(self, source: "Instance", request: Request) -> None:
        """A request has its last token."""


class Instance:
    """One replica of the model at work."""

    def __init__(
        self, cluster: Cluster, index: int, pool: PoolModel, policy: Policy, machine: int, meter: Meter
    ) -> None:
        """Idle and empty; prompts wait, KV caches ask for memory (landing), are on their way (promised), or landed."""
        assert isinstance(policy.batching, Continuous)
        self._cluster, self._env = cluster, cluster.env
        self.index, self.role, self.machine, self.body = index, pool.role, machine, pool.physics
        self._rules = Batching(
            limits=policy.batching, chunk_tokens=pool.chunk_tokens, block_tokens=pool.physics.block_tokens
        )
        if policy.order.rule not in (ARRIVAL, SLACK):
            raise TypeError("order: the reference knows fifo and lars; simulate with the default engine")
        self._slack = Slack(pool.physics.step, pool.chunk_tokens) if policy.order.rule == SLACK else None
        self.waiting, self.landing, self.landed = list[Request](), list[Request](), list[Request]()
        self.promised, self.free, self.meter = 0, pool.physics.kv_blocks, meter
        self.lanes = [Lane(pool.physics) for _ in range(pool.physics.stages.count)]
        self._free_s = [0.0] * len(self.lanes)
        self._entering: Step | None = None
        self._seen_s = 0.0

    def computing(self) -> list[Request]:
        """Requests whose prompt, or part of it, is computed by a step that runs."""
        return [request for lane in self.lanes if lane.step for request, _ in lane.step.chunks]

    def decoding(self) -> list[Request]:
        """Requests that decode."""
        return [request for lane in self.lanes for request in lane.batch]

    def _slots(self) -> int:
        """Decode slots in use of each batch."""
        return self._running() // len(self.lanes)

    def _running(self) -> int:
        """Requests that hold a decode slot: they decode, will, or are computed in part."""
        started = sum(request.started for request in (*self.waiting, *self.computing()))
        return len(self.decoding()) + len(self.landed) + self.promised + started

    def uncomputed_tokens(self) -> int:
        """Prompt tokens that are not computed yet."""
        return sum(request.left_tokens for request in (*self.waiting, *self.computing()))

    def submit(self, request: Request) -> None:
        """A request is to be computed here."""
        self._observe()
        self.waiting.append(request)
        self.meter.queue_tokens += request.left_tokens
        self.look()

    def reserve(self, request: Request) -> bool:
        """Take memory for a KV cache that is being computed elsewhere, unless others wait for it or it is short."""
        if self.landing or not self._rules.admits(request, self._slots(), self.free):
            return False
        self._promise(request)
        return True

    def offer(self, request: Request) -> None:
        """A computed request wants to move here."""
        self.landing.append(request)
        self.admit_landing()

    def admit_landing(self) -> None:
        """Those that wait for memory get it, first come, first served."""
        while self.landing and self._rules.admits(self.landing[0], self._slots(), self.free):
            request = self.landing.pop(0)
            self._promise(request)
            self._cluster.travels(request)

    def land(self, request: Request) -> None:
        """A KV cache has come."""
        self.promised -= 1
        self.landed.append(request)
        self.look()

    def cancel(self, request: Request) -> None:
        """A KV cache will not come."""
        self.promised -= 1
        self._take(-self._rules.blocks(request.prefill_tokens))
        self.admit_landing()
        self.look()

    def release(self, tokens: int) -> None:
        """A KV cache has left."""
        self._take(-self._rules.blocks(tokens))
        self.look()

    def change(self, body: InstancePhysics) -> None:
        """Other step times and watts from the next step on."""
        self.body = body
        self._slack = Slack(body.step, self._rules.chunk_tokens) if self._slack else None
        self.look()

    def fail(self) -> list[Request]:
        """Everything is lost, the step that runs included."""
        self._observe()
        gone = [*self.waiting, *self.landed]
        for lane in self.lanes:
            if lane.step:
                self._spend(lane.step)
                gone += [request for request, _ in lane.step.chunks]
            gone += lane.batch
            lane.step, lane.batch = None, []
        self.waiting, self.landing, self.landed = [], [], []
        self.promised, self.free, self.meter.queue_tokens = 0, self.meter.kv_blocks, 0
        self._free_s, self._entering = [0.0] * len(self.lanes), None
        return gone

    def look(self) -> None:
        """Idle batches go on, the longest idle first, whenever the first stage is free."""
        for lane in sorted((lane for lane in self.lanes if not lane.step), key=lambda lane: lane.idle_since_s):
            if not self._entering:
                self._begin(lane)

    def _begin(self, lane: Lane) -> None:
        """The next step of a batch: who has landed joins, memory is made, prompts are chosen."""
        self._observe()
        lane.body, thrown_out = self.body, False
        share = -(-self._running() // len(self.lanes))
        while self.landed and len(lane.batch) < share:
            lane.batch.append(self.landed.pop(0))
        while lane.batch and self._growth(lane) > self.free:
            self._throw_out(lane)
            thrown_out = True
        chunks = self._plan(lane)
        decodes = [] if chunks and self._rules.alone else list(lane.batch)
        if chunks or decodes:
            self._start(lane, chunks, decodes)
        if thrown_out:
            self.admit_landing()

    def _start(self, lane: Lane, chunks: list[int], decodes: list[Request]) -> None:
        """Blocks are taken for all tokens of a step, and it runs."""
        body, batch, now = lane.body, len(decodes), self._env.now
        context = sum(request.held_tokens + 1 for request in decodes)
        parts = [(self.waiting.pop(0), new) for new in chunks]
        prompts = [(new, request.computed_tokens) for request, new in parts]
        for request, new in parts:
            self._hold(request, request.computed_tokens + new)
        for request in decodes:
            self._hold(request, request.held_tokens + 1)
        self.meter.queue_tokens -= sum(chunks)
        if prompts:
            seconds = body.step.prefill_s(prompts, batch, context)
            watts_w = body.power.prefill_w(prompts, batch, context)
            if any(request.held_tokens == request.prefill_tokens for request, _ in parts):
                seconds += body.step.drain_s(prompts, batch, context)
        else:
            seconds = body.step.decode_s(batch, context / batch)
            watts_w = body.power.decode_w(batch, context / batch)
        stages_s = self._pass(seconds, batch + sum(chunks))
        lane.step = Step(chunks=parts, decodes=decodes, stages_s=stages_s, above_w=watts_w - body.power.idle_w)
        self._env.process(self._run(lane, lane.step, stages_s[-1][1] - now))
        if len(self.lanes) > 1:
            self._entering = lane.step
            self._env.process(self._enter(lane.step))
        if parts:
            self._cluster.computes(self, [request for request, _ in parts], stages_s[-1][1] - now)

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
        if self._entering is step:
            self._entering = None
            self.look()

    def _run(self, lane: Lane, step: Step, seconds: float) -> Generator[simpy.Event, None, None]:
        """A step passes, unless its machine fails."""
        yield self._env.timeout(seconds)
        if lane.step is step:
            self._end(lane, step)

    def _end(self, lane: Lane, step: Step) -> None:
        """Tokens are out: of every decode, and of prompts that are computed to their end."""
        now, meter = self._env.now, self.meter
        self._spend(step)
        lane.step, lane.idle_since_s = None, now
        for request in step.decodes:
            self._gap(request)
            request.generated_tokens += 1
        if step.decodes and meter.start_s <= now <= meter.end_s:
            meter.decode_steps += 1
            meter.decode_tokens += len(step.decodes)
        lag_s = self._lag_s(lane)
        for request, _ in step.chunks:
            request.computed_tokens = request.held_tokens
            if request.left_tokens:
                self._put_back(request)
        for request, _ in step.chunks:
            if not request.left_tokens:
                self._prefilled(lane, request, lag_s)
        for request in sorted(step.decodes, key=lambda request: request.index):
            if request.generated_tokens >= request.output_tokens:
                lane.batch.remove(request)
                self._hold(request, 0)
                self._cluster.ends(self, request)
        self.admit_landing()
        self.look()

    def _prefilled(self, lane: Lane, request: Request, lag_s: float) -> None:
        """A prompt is computed: its token is out, and it ends, moves on, or decodes here."""
        if request.first_token_s is None:
            request.first_token_s, request.lag_s = self._env.now, lag_s
            self._cluster.ttft_s[request.index] = self._env.now + lag_s - request.arrival_s
        else:
            self._gap(request)
        request.last_token_s = self._env.now
        request.generated_tokens += 1
        if request.generated_tokens >= request.output_tokens:
            self._hold(request, 0)
            self._cluster.ends(self, request)
        elif not self._cluster.moves_on(self, request):
            lane.batch.append(request)

    def _lag_s(self, lane: Lane) -> float:
        """How much later than its step a first token is seen: steps are scheduled ahead of what they find waiting."""
        body, batch = lane.body, len(lane.batch)
        if not batch or not body.lag_steps:
            return body.request_s
        context = sum(request.held_tokens + 1 for request in lane.batch)
        return body.request_s + body.lag_steps * body.step.decode_s(batch, context / batch)

    def _gap(self, request: Request) -> None:
        """A token comes so long after the one before it."""
        gap_s = self._env.now - request.last_token_s
        request.last_token_s, request.max_gap_s = self._env.now, max(request.max_gap_s, gap_s)
        if request.group >= 0:
            self._cluster.gaps_s[request.group].append(gap_s)

    def _plan(self, lane: Lane) -> list[int]:
        """Tokens to compute of the first waiting prompts; those that hold memory go on where the first gets none."""
        if not self.waiting:
            return []
        if self._slack:
            self.waiting = self._slack.arranged(self.waiting, self._env.now)
        slots, free = max(len(lane.batch), self._slots()), self.free - self._growth(lane)
        owed = self._rules.owed([*self.waiting, *self.computing()])
        chunks = self._rules.chunks(lane.body.step, self.waiting, lane.batch, slots=slots, free=free, owed=owed)
        if not chunks and not self.waiting[0].held_tokens and any(request.held_tokens for request in self.waiting):
            self.waiting.sort(key=lambda request: not request.held_tokens)
            chunks = self._rules.chunks(lane.body.step, self.waiting, lane.batch, slots=slots, free=free, owed=owed)
        return chunks

    def _growth(self, lane: Lane) -> int:
        """Blocks for the next token of every request that decodes."""
        return sum(self._rules.blocks(r.held_tokens + 1) - self._rules.blocks(r.held_tokens) for r in lane.batch)

    def _throw_out(self, lane: Lane) -> None:
        """Who came last loses its blocks, prompts in part first; who lost them often only after all others."""
        partial = sorted((r for r in self.waiting if r.held_tokens), key=lambda r: -r.index)
        last_first = [*partial, *reversed(lane.batch)]
        request = next((r for r in last_first if r.preemptions < self._rules.limits.max_preemptions), last_first[0])
        request.preemptions += 1
        self.meter.preemptions += 1
        if request in lane.batch:
            lane.batch.remove(request)
            request.prefill_tokens = request.prompt_tokens + request.generated_tokens
        else:
            self.waiting.remove(request)
            self.meter.queue_tokens -= request.left_tokens
        self._hold(request, 0)
        request.computed_tokens = 0
        self.meter.queue_tokens += request.left_tokens
        self._put_back(request)

    def _put_back(self, request: Request) -> None:
        """Behind the started ones that came before it; without memory behind all started, and before all others."""
        at = 0
        for other in self.waiting:
            if not other.held_tokens or (request.held_tokens and other.index > request.index):
                break
            at += 1
        self.waiting.insert(at, request)

    def _promise(self, request: Request) -> None:
        """Blocks for a KV cache that will come."""
        self.promised += 1
        self._take(self._rules.blocks(request.prefill_tokens))

    def _hold(self, request: Request, tokens: int) -> None:
        """Blocks for so many tokens of a request, those it has included."""
        self._take(self._rules.blocks(tokens) - self._rules.blocks(request.held_tokens))
        request.held_tokens = tokens

    def _take(self, blocks: int) -> None:
        """Take blocks, or give them back."""
        self._observe()
        self.free -= blocks
        self.meter.kv_peak_blocks = max(self.meter.kv_peak_blocks, self.meter.kv_blocks - self.free)

    def _within(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """The part of an interval inside the measured window, from the beginning of that."""
        first_s, last_s = self.meter.start_s, self.meter.end_s
        begin_s = min(max(begin_s, first_s), last_s)
        return begin_s - first_s, max(begin_s, min(end_s, last_s)) - first_s

    def _observe(self) -> None:
        """Add up what waited and what was held since the last look."""
        begin_s, end_s = self._within(self._seen_s, self._env.now)
        self.meter.kv_block_s += (self.meter.kv_blocks - self.free) * (end_s - begin_s)
        self.meter.queue_token_s += self.meter.queue_tokens * (end_s - begin_s)
        self._seen_s = self._env.now

    def _spend(self, step: Step) -> None:
        """Book the time and the joules of a step, as far as it came, second by second."""
        meter, now = self.meter, self._env.now
        begin_s, end_s = self._within(step.stages_s[-1][0], now)
        meter.busy_s += end_s - begin_s
        above_w = step.above_w / len(step.stages_s)
        for stage_begin_s, stage_end_s in step.stages_s:
            begin_s, end_s = self._within(stage_begin_s, min(stage_end_s, now))
            if step.chunks:
                meter.prefill_j += above_w * (end_s - begin_s)
                meter.prefill_s += (end_s - begin_s) if above_w else 0.0
            else:
                meter.decode_j += above_w * (end_s - begin_s)
            for second in range(int(begin_s), int(end_s) + 1):
                meter.above_j[second] += above_w * max(0.0, min(end_s, second + 1) - max(begin_s, second))
