"""One instance: a state machine that runs steps.

A step that carries prefill work runs as it is. Between such steps the instance decodes, and a run of decode-only steps
advances in closed form to its next event: a request ends, memory fills, or work arrives; in the last case the run
ends at the first step boundary after the arrival, exactly where a step-by-step simulation would notice it.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

import simpy

from planner.perf.instance import InstancePhysics
from planner.perf.step_time import Segment, run_s, steps_until
from planner.plan import Role
from planner.policies.base import Batching
from planner.simulator.gaps import LongestGaps
from planner.simulator.hooks import Hooks
from planner.simulator.memory import KvMemory
from planner.simulator.meter import Meter
from planner.simulator.records import Ledger, Request

UNLIMITED = 1 << 60


@dataclass(slots=True)
class _Run:
    """The step or the run of decode-only steps in progress."""

    start_s: float
    steps: int
    segments: list[Segment]
    prefills: list[Request]
    decode: bool
    version: int = field(default=0)


class Instance:
    """One replica of the model at work.

    Attributes:
        index: position among all instances.
        role: phase it works on.
        physics: step time and memory.
        machine: position of its machine among all machines.
        waiting: requests whose prefill is not computed, head first.
        landing: requests that ask for memory to move their KV cache here, head first.
        landing_tokens: prompt tokens of those.
        memory: KV blocks.
        meter: time integrals.
    """

    def __init__(
        self, *, env: simpy.Environment, index: int, role: Role, physics: InstancePhysics, machine: int,
        batching: Batching, ledger: Ledger, meter: Meter, hooks: Hooks["Instance"], max_run_steps: int = UNLIMITED,
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
        """
        self.index, self.role, self.physics, self.machine = index, role, physics, machine
        self.waiting: deque[Request] = deque()
        self.landing: deque[Request] = deque()
        self.landing_tokens = self._promised = self._context_tokens = self._steps = self._version = 0
        self.memory = KvMemory(physics.kv_blocks, physics.block_tokens)
        self.meter = meter
        self._env, self._batching, self._ledger, self._hooks = env, batching, ledger, hooks
        self._max_run_steps = max_run_steps
        self._ready: list[Request] = []
        self._running: dict[int, Request] = {}
        self._due: list[tuple[int, int, int, Request]] = []
        self._joiners: list[Request] = []
        self._groups: dict[int, int] = {}
        self._run: _Run | None = None
        self._gaps = LongestGaps()
        self._kv_seen_s = 0.0

    # --- what the cluster asks -------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Requests that decode or are about to: in the batch, landed, or on the link."""
        return len(self._running) + len(self._ready) + self._promised

    @property
    def computing(self) -> int:
        """Requests that are computed here: in a prefill step, in the decoding batch, or about to join it."""
        prefilling = len(self._run.prefills) if self._run else 0
        return prefilling + len(self._running) + len(self._ready)

    @property
    def uncomputed_tokens(self) -> int:
        """Tokens whose prefill is not done: of the waiting and of those in the step that runs."""
        return self.meter.queue_tokens + (sum(r.prefill_tokens for r in self._run.prefills) if self._run else 0)

    def uncomputed(self) -> list[Request]:
        """Those requests."""
        return [*(self._run.prefills if self._run else ()), *self.waiting]

    def submit(self, request: Request) -> None:
        """Queue a request whose prefill is to be computed here."""
        self.waiting.append(request)
        self.meter.queue(request.prefill_tokens, self._env.now)
        if len(self.waiting) == 1:
            self.wake()

    def reserve(self, request: Request) -> bool:
        """Take memory for a KV cache that is about to travel here; False where it has to wait."""
        free = self.free_blocks()
        if self.landing or not self._batching.admits(request, self.running, free):
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
        while self.landing and self._batching.admits(self.landing[0], self.running, self.free_blocks()):
            request = self.landing.popleft()
            self.landing_tokens -= request.prompt_tokens
            self._promise(request)
            self._hooks.admitted(request)

    def cancel(self, request: Request) -> None:
        """Give back the memory promised to a request that ended before its KV cache arrived."""
        self._promised -= 1
        self._allocate(-self.memory.blocks(request.prefill_tokens))
        self.admit_landing()
        self.wake()

    def land(self, request: Request) -> None:
        """A promised KV cache has arrived: the request joins the batch at the next step boundary."""
        self._promised -= 1
        self._ready.append(request)
        self.wake()

    def release(self, request: Request) -> None:
        """Free the memory of a prefilled request whose KV cache has left."""
        self._allocate(-self.memory.blocks(request.prefill_tokens))
        self.wake()

    def fail(self) -> list[Request]:
        """Lose everything at once.

        Returns:
            Requests that waited, were computed, decoded or had landed here, with the tokens they had by then.
        """
        now, run = self._env.now, self._run
        gone = self.uncomputed() + self._ready
        if run:
            gone += self._running.values()
            self.meter.busy_s += self.meter.overlap_s(run.start_s, now)
            self._lose_batch(run)
        self._run = None
        self._version += 1
        self.meter.queue(-self.meter.queue_tokens, now)
        self._allocate(self.memory.free - self.memory.total)
        self._promised = self.landing_tokens = 0
        for requests in (self.waiting, self.landing, self._ready, self._joiners):
            requests.clear()
        self._due.clear()
        return gone

    def _lose_batch(self, run: _Run) -> None:
        """End the decoding batch after the last whole step of the run in progress."""
        done, end_s = 0 if run.prefills else self._begun(run) - 1, run.start_s
        if done:
            self._shorten(run, done)
            end_s += run_s(run.segments)
            self._advance(run, end_s)
        for request in list(self._running.values()):
            self._leave_batch(request, end_s)

    def free_blocks(self) -> int:
        """Blocks free at this moment, those of the steps begun so far in the current run taken off."""
        run = self._run
        if run is None or not run.decode:
            return self.memory.free
        return self.memory.free - self.memory.growth(self._steps, self._begun(run))

    def wake(self) -> None:
        """Look for work now if idle; else end a run of decodes at the coming step boundary."""
        run = self._run
        if run is None:
            self._start()
        elif not run.prefills:
            begun = self._begun(run)
            if begun < run.steps:
                self._end_after(run, begun)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Begin the next step or run."""
        for request in self._ready:
            self._join(request)
            self._joiners.append(request)
        self._ready.clear()
        preempted = False
        while self._running and self.memory.growth(self._steps, 1) > self.memory.free:
            self._preempt()
            preempted = True
        growth = self.memory.growth(self._steps, 1) if self._running else 0
        prefills = 0
        if self.waiting:
            prefills = self._batching.next_step(self.waiting, self.running, self.memory.free - growth).prefills
        if prefills:
            self._start_prefill(prefills)
        elif self._running:
            self._start_decodes()
        if preempted:
            self.admit_landing()

    def _start_prefill(self, count: int) -> None:
        """Begin a step that computes the first ``count`` waiting requests and advances the batch by one token."""
        now = self._env.now
        requests = [self.waiting.popleft() for _ in range(count)]
        for request in requests:
            self.meter.queue(-request.prefill_tokens, now)
            self._allocate(self.memory.blocks(request.prefill_tokens))
        batch = len(self._running)
        parts = [(r.prefill_tokens - r.cached_tokens, r.cached_tokens) for r in requests]
        duration = self.physics.step.prefill_s(parts, batch, self._context_tokens)
        self._run = _Run(now, 1, [(duration, 0.0, 1)], requests, decode=batch > 0)
        self._schedule(duration)
        self._hooks.prefill_started(self, requests, duration)

    def _start_decodes(self) -> None:
        """Begin a run of decode-only steps, as long as nobody ends and memory lasts."""
        while self._due[0][3].epoch != self._due[0][2]:
            heappop(self._due)
        batch = len(self._running)
        steps = min(self._due[0][0] - self._steps, self.memory.steps_that_fit(self._steps), self._max_run_steps)
        segments = self.physics.step.decode_segments(batch, self._context_tokens / batch, steps)
        self._run = _Run(self._env.now, steps, segments, [], decode=True)
        self._schedule(run_s(segments))

    def _schedule(self, delay_s: float) -> None:
        """Wake up when the current run ends; earlier appointments are void."""
        self._version += 1
        timeout = self._env.timeout(delay_s, value=self._version)
        timeout.callbacks.append(self._on_end)

    def _begun(self, run: _Run) -> int:
        """Steps of a run that have begun by now (the one in progress included)."""
        return steps_until(run.segments, self._env.now - run.start_s)

    def _end_after(self, run: _Run, steps: int) -> None:
        """End a run of decodes after ``steps``."""
        self._shorten(run, steps)
        self._schedule(max(0.0, run.start_s + run_s(run.segments) - self._env.now))

    def _shorten(self, run: _Run, steps: int) -> None:
        """Leave only the first ``steps`` of a run of decodes."""
        batch = len(self._running)
        run.steps = steps
        run.segments = self.physics.step.decode_segments(batch, self._context_tokens / batch, steps)

    def _on_end(self, event: simpy.Event) -> None:
        """The appointment of a run: do the books unless it was moved."""
        run = self._run
        if event.value != self._version or run is None:
            return
        now = self._env.now
        self.meter.busy_s += self.meter.overlap_s(run.start_s, now)
        if run.decode:
            self._advance(run, now)
        self._run = None
        for request in run.prefills:
            self._prefilled(request, now)
        self._finish_due(now)
        self.admit_landing()
        if self._run is None:
            self._start()

    def _advance(self, run: _Run, now: float) -> None:
        """Book the tokens of a run: gaps, contexts, memory growth."""
        batch = len(self._running)
        growth = self.memory.growth(self._steps, run.steps)
        # the run's blocks were taken one after the other, on average half of them for its whole length
        self.meter.kv_block_s += growth / 2 * self.meter.overlap_s(run.start_s, now)
        self._allocate(growth)
        self._ledger.run_gaps(run.start_s, run.segments, self._groups, self._joiners)
        self._joiners.clear()
        self._steps += run.steps
        self._context_tokens += batch * run.steps
        if self.meter.start_s <= now <= self.meter.end_s:
            self.meter.decode_steps += run.steps
            self.meter.decode_tokens += run.steps * batch
        self._gaps.add(self._steps, max(max(a, a + d * (n - 1)) for a, d, n in run.segments))

    # --- requests --------------------------------------------------------------------------------------------------

    def _prefilled(self, request: Request, now: float) -> None:
        """A prefill is done: its token is out; the request ends, leaves, or joins the batch."""
        if request.first_token_s < 0:
            request.first_token_s = now
            self._ledger.ttft_s[request.index] = now - request.arrival_s
        else:
            self._ledger.gap(request, now - request.last_token_s)
        request.last_token_s = now
        request.generated += 1
        if request.generated >= request.output_tokens:
            self._allocate(-self.memory.blocks(request.prefill_tokens))
            self._hooks.finished(self, request)
        elif not self._hooks.leaves(self, request):
            self._join(request)

    def _join(self, request: Request) -> None:
        """Put a request that holds its KV cache into the decoding batch."""
        request.join_step = self._steps
        request.epoch += 1
        self._running[request.index] = request
        due = self._steps + request.output_tokens - request.generated
        heappush(self._due, (due, request.index, request.epoch, request))
        self._context_tokens += request.prefill_tokens + 1
        self.memory.join(request.prefill_tokens, self._steps)
        if request.group >= 0:
            self._groups[request.group] = self._groups.get(request.group, 0) + 1

    def _leave_batch(self, request: Request, now: float) -> None:
        """Take a request out of the decoding batch after the step that ended at ``now``, and free its memory."""
        steps = self._steps - request.join_step
        request.generated += steps
        request.epoch += 1
        del self._running[request.index]
        self._context_tokens -= request.prefill_tokens + 1 + steps
        self.memory.leave(request.prefill_tokens, request.join_step)
        self._allocate(-self.memory.blocks(request.prefill_tokens + steps))
        if steps:
            request.max_gap_s = max(request.max_gap_s, self._gaps.since(request.join_step))
            request.last_token_s = now
        if request.group >= 0:
            self._groups[request.group] -= 1
            if not self._groups[request.group]:
                del self._groups[request.group]

    def _finish_due(self, now: float) -> None:
        """Let go of every request whose last token is out."""
        due = self._due
        while due and due[0][0] <= self._steps:
            _, _, epoch, request = heappop(due)
            if epoch == request.epoch:
                self._leave_batch(request, now)
                self._hooks.finished(self, request)

    def _preempt(self) -> None:
        """Throw a request out of memory, the youngest that is not to be spared; it will be recomputed first of all."""
        youngest = next(reversed(self._running.values()))
        fair = (r for r in reversed(self._running.values()) if not self._batching.spares(r))
        request = next(fair, youngest)
        self._leave_batch(request, self._env.now)
        if request in self._joiners:
            self._joiners.remove(request)
        request.prefill_tokens = request.prompt_tokens + request.generated
        request.cached_tokens = 0
        request.preemptions += 1
        self.meter.preemptions += 1
        self.meter.queue(request.prefill_tokens, self._env.now)
        self.waiting.appendleft(request)

    def _promise(self, request: Request) -> None:
        """Take memory for a KV cache that will arrive; a run in progress may have to stop earlier for it."""
        self._promised += 1
        self._allocate(self.memory.blocks(request.prefill_tokens))
        run = self._run
        if run and run.decode and not run.prefills:
            fits = self.memory.steps_that_fit(self._steps)
            if fits < run.steps:
                self._end_after(run, max(fits, self._begun(run)))

    def _allocate(self, blocks: int) -> None:
        """Change the allocated blocks and integrate their number over the window."""
        now, memory, meter = self._env.now, self.memory, self.meter
        meter.kv_block_s += (memory.total - memory.free) * meter.overlap_s(self._kv_seen_s, now)
        self._kv_seen_s = now
        memory.free -= blocks
        meter.kv_peak_blocks = max(meter.kv_peak_blocks, memory.total - memory.free)
