"""One instance: what the cluster sees of a replica of the model at work."""

from collections import deque
from functools import partial

import simpy

from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Batching, Order
from planner.policies.order import Fifo
from planner.simulator.books import Meter
from planner.simulator.pools import UNLIMITED
from tests.oracle.hooks import Hooks
from tests.oracle.lane import Ground, Lane
from tests.oracle.memory import KvMemory
from tests.oracle.pipeline import Pipeline
from tests.oracle.prompts import Prompts
from tests.oracle.records import Ledger, Request


class Instance:
    """One replica of the model at work.

    Attributes:
        index: position among all instances.
        role: phase it works on.
        physics: step time and memory.
        machine: position of its machine, the first where it spans several, among all machines.
        landing: requests that ask for memory to move their KV cache here, head first.
        landing_tokens: prompt tokens of those.
        memory: KV blocks.
        meter: time integrals.
    """

    def __init__(
        self, *, env: simpy.Environment, index: int, role: Role, physics: InstancePhysics, machine: int,
        batching: Batching, ledger: Ledger, meter: Meter, hooks: Hooks["Instance"], max_run_steps: int = UNLIMITED,
        order: Order | None = None,
    ) -> None:  # fmt: skip
        """An idle instance.

        Args:
            env: the clock.
            index: position among all instances.
            role: phase it works on.
            physics: step time and memory.
            machine: position of its machine.
            batching: what a step runs.
            ledger: where gaps are noted.
            meter: where time integrals go.
            hooks: what the cluster does with requests that leave.
            max_run_steps: longest decode run; 1 simulates step by step.
            order: which waiting prompt is computed first; None is that of arrival.
        """
        self.index, self.role, self.physics, self.machine = index, role, physics, machine
        self.landing: deque[Request] = deque()
        self.landing_tokens = self._promised = 0
        self.memory = KvMemory(physics.kv_blocks, physics.block_tokens, meter)
        self.meter = meter
        self._env, self._batching, self._hooks = env, batching, hooks
        self._prompts = Prompts(self.memory, meter, order or Fifo())
        self._landed: list[Request] = []
        self._pipeline = Pipeline(physics.stages) if physics.stages.count > 1 else None
        ground = Ground(
            env=env, step=physics.step, request_s=physics.request_s, lag_steps=physics.lag_steps, power=physics.power,
            batching=batching, ledger=ledger, meter=meter,
            memory=self.memory, prompts=self._prompts, landed=self._landed, pipeline=self._pipeline,
            lanes=physics.stages.count, running=lambda: self.running, free_blocks=self.free_blocks,
            prefill_started=partial(hooks.prefill_started, self), leaves=partial(hooks.leaves, self),
            finished=partial(hooks.finished, self), freed=self.admit_landing, rested=self._go_on,
            max_run_steps=max_run_steps,
        )  # fmt: skip
        self._lanes = [Lane(ground) for _ in range(physics.stages.count)]

    def change(self, physics: InstancePhysics) -> None:
        """Go on at another clock from the next step on; a run of decodes ends at its coming step boundary."""
        assert physics.kv_blocks == self.physics.kv_blocks, "a clock changes no memory"
        chunk_tokens = getattr(self._batching, "chunk_tokens", None)
        batching = self._batching.at(chunk_tokens, physics.step)
        self._prompts.change(chunk_tokens, physics.step)
        self.physics, self._batching = physics, batching
        for lane in self._lanes:
            lane.change(physics, batching)
        self.wake()

    def stands_on(self, machine: int) -> bool:
        """Whether any part of it is on a machine."""
        return self.machine <= machine < self.machine + self.physics.machines_per_instance

    @property
    def waiting(self) -> deque[Request]:
        """Requests whose prompt is not computed, but for those of the step in progress, head first."""
        return self._prompts.waiting

    @property
    def running(self) -> int:
        """Requests that hold a decode slot: in the batch, landed, on the link, or computed in part."""
        batches = sum(len(lane.batch) for lane in self._lanes)
        return batches + len(self._landed) + self._promised + self._prompts.begun

    @property
    def computing(self) -> int:
        """Requests that are computed here: in a prefill step, in the decoding batch, or about to join it."""
        return sum(len(lane.chunks) + len(lane.batch) for lane in self._lanes) + len(self._landed)

    @property
    def uncomputed_tokens(self) -> int:
        """Prompt tokens not computed yet: of the waiting and of those in the step that runs."""
        return self.meter.queue_tokens + sum(tokens for lane in self._lanes for _, tokens in lane.chunks)

    def uncomputed(self) -> list[Request]:
        """Requests with such tokens."""
        return [*(request for lane in self._lanes for request, _ in lane.chunks), *self.waiting]

    def submit(self, request: Request) -> None:
        """Queue a request whose prefill is to be computed here."""
        self._prompts.submit(request, self._env.now)
        if len(self.waiting) == 1 or self._prompts.moves:
            self.wake()

    def reserve(self, request: Request) -> bool:
        """Take memory for a KV cache that is about to travel here; False where it has to wait."""
        free = self.free_blocks()
        if self.landing or not self._batching.admits(request, self._slots(), free):
            return False
        self._promise(request)
        return True

    def offer(self, request: Request) -> None:
        """Queue a request that waits for memory to move its KV cache here."""
        self.landing.append(request)
        self.landing_tokens += request.prompt_tokens
        self.admit_landing()

    def withdraw(self, request: Request) -> None:
        """Strike a request whose KV cache is lost off the list of those that ask for memory."""
        self.landing.remove(request)
        self.landing_tokens -= request.prompt_tokens

    def admit_landing(self) -> None:
        """Give memory to waiting KV caches, first come, first served, and let them travel."""
        while self.landing and self._batching.admits(self.landing[0], self._slots(), self.free_blocks()):
            request = self.landing.popleft()
            self.landing_tokens -= request.prompt_tokens
            self._promise(request)
            self._hooks.admitted(request)

    def cancel(self, request: Request) -> None:
        """Give back the memory promised to a request that ended before its KV cache arrived."""
        self._promised -= 1
        self._free(request.prefill_tokens)
        self.admit_landing()
        self.wake()

    def land(self, request: Request) -> None:
        """A promised KV cache has arrived: the request joins the batch at the next step boundary."""
        self._promised -= 1
        self._landed.append(request)
        self.wake()

    def release(self, held_tokens: int) -> None:
        """Free the memory of a prefilled request whose KV cache has left."""
        self._free(held_tokens)
        self.wake()

    def fail(self) -> list[Request]:
        """Lose everything at once.

        Returns:
            Requests that waited, were computed, decoded or had landed here, with the tokens they had by then.
        """
        gone = [*self.waiting, *self._landed]
        for lane in self._lanes:
            gone += lane.fail()
        if self._pipeline:
            self._pipeline.clear()
        self._prompts.clear(self._env.now)
        self.memory.allocate(self.memory.free - self.memory.total, self._env.now)
        self._promised = self.landing_tokens = 0
        self.landing.clear()
        self._landed.clear()
        return gone

    def free_blocks(self) -> int:
        """Blocks free at this moment, those of the steps begun so far in the current run taken off."""
        return self.memory.free - sum(lane.taken_blocks() for lane in self._lanes)

    def wake(self) -> None:
        """Look for work."""
        if self._pipeline:
            self._go_on()
        else:
            self._lanes[0].wake()

    def _go_on(self, _: simpy.Event | None = None) -> None:
        """Let idle lanes begin, the longest idle first, whenever the first stage is free."""
        pipeline = self._pipeline
        if pipeline is None:
            if self._lanes[0].idle:
                self._lanes[0].start()
            return
        for lane in sorted((lane for lane in self._lanes if lane.idle), key=lambda lane: lane.idle_since_s):
            if self._env.now < pipeline.entrance_free_s:
                return
            lane.start()
            if not lane.idle:
                timeout = self._env.timeout(pipeline.entrance_free_s - self._env.now)
                timeout.callbacks.append(self._go_on)

    def _slots(self) -> int:
        """Decode slots in use, of each lane."""
        return self.running // len(self._lanes)

    def _promise(self, request: Request) -> None:
        """Take memory for a KV cache that will arrive; a run in progress may have to stop earlier for it."""
        self._promised += 1
        self.memory.allocate(self.memory.blocks(request.prefill_tokens), self._env.now)
        for lane in self._lanes:
            lane.squeeze()

    def _free(self, held_tokens: int) -> None:
        """Give back the memory of so many tokens."""
        self.memory.allocate(-self.memory.blocks(held_tokens), self._env.now)
