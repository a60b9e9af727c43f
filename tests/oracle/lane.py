"""The steps of one batch of an instance: a state machine.

A step that carries prefill work runs as it is. Between such steps the batch decodes, and a run of decode-only steps
advances in closed form to its next event: a request ends, memory fills, or work arrives; in the last case the run
ends at the first step boundary after the arrival, exactly where a step-by-step simulation would notice it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import simpy

from planner.perf.instance import InstancePhysics
from planner.perf.power import Watts
from planner.perf.step_time import Segment, StepTime, run_s, steps_until
from planner.policies.base import Batching, Occupancy, StepBatch
from planner.simulator.books import NO_BUBBLE, Bubble, Meter
from tests.oracle.batch import DecodeBatch
from tests.oracle.memory import KvMemory
from tests.oracle.pipeline import Pipeline
from tests.oracle.prompts import Prompts
from tests.oracle.records import Ledger, Request


@dataclass(slots=True)
class _Run:
    """The step or the run of decode-only steps in progress.

    Attributes:
        start_s: when it began.
        steps: how many steps.
        segments: how long they take.
        chunks: prompts computed in it, with the tokens of each; none in a run of decodes.
        ending: those of them that are computed to their end.
        decode: whether the batch advances.
        busy_from_s: since when its instance (of a pipeline: the last stage) works on it.
        stages_s: when each stage begins and ends with it; empty where there is one.
        bubble: idle seconds of stages before it.
        watts_w: what the GPUs draw in it; of a run of decodes only known when it ends.
    """

    start_s: float
    steps: int
    segments: list[Segment]
    chunks: list[tuple[Request, int]]
    ending: list[Request]
    decode: bool
    busy_from_s: float
    stages_s: tuple[tuple[float, float], ...] = ()
    bubble: Bubble = NO_BUBBLE
    watts_w: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the lanes of an instance share.

    Attributes:
        env: the clock.
        step: how long steps take.
        power: what the GPUs draw in them.
        request_s: what a request costs before its first token is out.
        lag_steps: decode steps that an arrival at a busy batch waits beyond the current one.
        batching: what a step runs.
        ledger: the books of all requests.
        meter: time integrals of the instance.
        memory: its KV memory.
        prompts: what waits to be computed.
        landed: requests whose KV cache has arrived, to join a batch at its next step.
        pipeline: its stages; None where there is one, and one lane.
        lanes: how many lanes there are.
        running: how many hold a decode slot.
        free_blocks: blocks that no lane has taken yet.
        prefill_started: a step that computes these requests, whole or in part, has begun and takes so many seconds.
        leaves: a prefill is done; True where the request goes elsewhere.
        finished: a request has its last token.
        freed: memory was given back.
        rested: a step has ended; whoever is to go on does.
        max_run_steps: longest decode run.
    """

    env: simpy.Environment
    step: StepTime
    power: Watts
    request_s: float
    lag_steps: float
    batching: Batching
    ledger: Ledger
    meter: Meter
    memory: KvMemory
    prompts: Prompts
    landed: list[Request]
    pipeline: Pipeline | None
    lanes: int
    running: Callable[[], int]
    free_blocks: Callable[[], int]
    prefill_started: Callable[[list[Request], float], None]
    leaves: Callable[[Request], bool]
    finished: Callable[[Request], None]
    freed: Callable[[], None]
    rested: Callable[[], None]
    max_run_steps: int


class Lane:
    """One batch at work.

    Attributes:
        batch: the requests that decode in it.
        idle_since_s: when its last step ended.
    """

    def __init__(self, ground: Ground) -> None:
        """Idle.

        Args:
            ground: what it shares with the other lanes of its instance.
        """
        self._on = ground
        self.batch = DecodeBatch(ground.memory.block_tokens, ground.ledger)
        self._run: _Run | None = None
        self._next: Ground | None = None
        self._version = 0
        self.idle_since_s = 0.0

    # --- what the instance asks ------------------------------------------------------------------------------------

    @property
    def chunks(self) -> list[tuple[Request, int]]:
        """Prompts that the step in progress computes, with the tokens of each."""
        return self._run.chunks if self._run else []

    @property
    def idle(self) -> bool:
        """Whether no step is in progress."""
        return self._run is None

    def taken_blocks(self) -> int:
        """Blocks that the steps begun so far in the current run have taken."""
        run = self._run
        return self.batch.growth(self._begun(run)) if run and run.decode else 0

    def wake(self) -> None:
        """Look for work now if idle; else end a run of decodes at the coming step boundary."""
        run = self._run
        if run is None:
            self.start()
        elif not run.chunks:
            begun = self._begun(run)
            if begun < run.steps:
                self._end_after(run, begun)

    def change(self, physics: InstancePhysics, batching: Batching) -> None:
        """Go on with other step times and watts from the next step on."""
        self._next = replace(
            self._on, step=physics.step, power=physics.power, request_s=physics.request_s, lag_steps=physics.lag_steps,
            batching=batching,
        )  # fmt: skip

    def squeeze(self) -> None:
        """Memory was taken: end a run of decodes where what is left no longer suffices."""
        run = self._run
        if run and run.decode and not run.chunks and run.steps > 1:
            fits = self.batch.steps_that_fit(self._on.memory.free)
            if fits < run.steps:
                self._end_after(run, max(fits, self._begun(run)))

    def fail(self) -> list[Request]:
        """Lose everything at once.

        Returns:
            Requests that were computed or decoded, with the tokens they had by then.
        """
        gone = [*(request for request, _ in self.chunks), *self.batch.requests.values()]
        run = self._run
        if run:
            self._meter(run, self._on.env.now)
            self._finish_steps(run)
        for request in list(self.batch.requests.values()):
            self._leave_batch(request, self.idle_since_s)
        self._run = None
        self._version += 1
        self.batch.clear()
        return gone

    def _finish_steps(self, run: _Run) -> None:
        """Book the steps of a run that are whole by now."""
        self.idle_since_s = run.start_s
        done = 0 if run.chunks else self._begun(run) - 1
        if done:
            self._shorten(run, done)
            self.idle_since_s += run_s(run.segments)
            self._advance(run, self.idle_since_s)

    # --- steps -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the next step or run, if there is any."""
        if self._next:
            self._on, self._next = self._next, None
        on, batch = self._on, self.batch
        share = -(-on.running() // on.lanes)
        while on.landed and len(batch) < share:
            batch.join(on.landed.pop(0), landed=True)
        preempted = False
        while batch and batch.growth(1) > on.free_blocks():
            self._preempt()
            preempted = True
        planned = StepBatch((), decode=True)
        if on.prompts.waiting:
            free = on.free_blocks() - batch.growth(1)
            slots = max(len(batch), on.running() // on.lanes)
            now = Occupancy(slots, len(batch), batch.context_tokens, free, on.prompts.owed_blocks)
            on.prompts.arrange(on.env.now)
            planned = on.batching.next_step(on.prompts.waiting, now)
            if not planned.chunk_tokens and on.prompts.begun_first():
                planned = on.batching.next_step(on.prompts.waiting, now)
        if planned.chunk_tokens:
            self._start_prefill(planned)
        elif batch:
            self._start_decodes()
        if preempted:
            on.freed()

    def _start_prefill(self, planned: StepBatch) -> None:
        """Begin a step that computes chunks of the first waiting prompts; the batch gains a token or stands still."""
        on, batch = self._on, self.batch
        chunks, ending = on.prompts.take(planned.chunk_tokens, on.env.now)
        parts = [(tokens, request.cached_tokens) for request, tokens in chunks]
        size, context = (len(batch), batch.context_tokens) if planned.decode else (0, 0)
        if len(batch) > size:
            batch.stall(self.idle_since_s)
        duration = on.step.prefill_s(parts, size, context)
        if ending:
            duration += on.step.drain_s(parts, size, context)
        self._run = _Run(on.env.now, 1, [(duration, 0.0, 1)], chunks, ending, size > 0, on.env.now)
        self._run.watts_w = on.power.prefill_w(parts, size, context)
        if on.pipeline:
            duration = self._enter(self._run, on.pipeline, duration, size + sum(planned.chunk_tokens))
        self._schedule(duration)
        on.prefill_started([request for request, _ in chunks], duration)

    def _start_decodes(self) -> None:
        """Begin a run of decode-only steps, as long as nobody ends and memory lasts."""
        on, batch = self._on, self.batch
        single = on.pipeline or on.prompts.moves  # who is first may change with every step
        steps = min(batch.steps_left(on.free_blocks()), 1 if single else on.max_run_steps)
        segments = on.step.decode_segments(len(batch), batch.context_tokens / len(batch), steps)
        self._run = _Run(on.env.now, steps, segments, [], [], True, on.env.now)
        delay_s = run_s(segments)
        if on.pipeline:
            delay_s = self._enter(self._run, on.pipeline, delay_s, len(batch))
        self._schedule(delay_s)

    def _enter(self, run: _Run, pipeline: Pipeline, traversal_s: float, tokens: int) -> float:
        """Send a step through the stages; its gaps count from the end of the lane's last one.

        Returns:
            Seconds until it has passed the last stage.
        """
        now: float = self._on.env.now
        end_s, run.bubble = pipeline.enter(
            now, traversal_s, tokens, prompts=bool(run.chunks), ready_s=self.idle_since_s
        )
        self._on.meter.bubble(now, (*run.bubble, pipeline.unfilled_s))
        run.start_s = self.idle_since_s if run.decode else now
        run.segments = [(end_s - run.start_s, 0.0, 1)]
        stage_s = pipeline.stage_s(traversal_s, tokens)
        run.stages_s = tuple((each_s - stage_s, each_s) for each_s in pipeline.ends_s)
        run.busy_from_s = end_s - stage_s
        return end_s - now

    def _schedule(self, delay_s: float) -> None:
        """Wake up when the current run ends; earlier appointments are void."""
        self._version += 1
        timeout = self._on.env.timeout(delay_s, value=self._version)
        timeout.callbacks.append(self._on_end)

    def _begun(self, run: _Run) -> int:
        """Steps of a run that have begun by now (the one in progress included)."""
        return steps_until(run.segments, self._on.env.now - run.start_s)

    def _end_after(self, run: _Run, steps: int) -> None:
        """End a run of decodes after ``steps``."""
        self._shorten(run, steps)
        self._schedule(max(0.0, run.start_s + run_s(run.segments) - self._on.env.now))

    def _shorten(self, run: _Run, steps: int) -> None:
        """Leave only the first ``steps`` of a run of decodes."""
        size = len(self.batch)
        run.steps = steps
        run.segments = self._on.step.decode_segments(size, self.batch.context_tokens / size, steps)

    def _on_end(self, event: simpy.Event) -> None:
        """The appointment of a run: do the books unless it was moved."""
        run = self._run
        if event.value != self._version or run is None:
            return
        on = self._on
        now = on.env.now
        self._meter(run, now)
        if on.pipeline:
            self._note(run)
        if run.decode:
            self._advance(run, now)
        self._run = None
        self.idle_since_s = now
        on.prompts.computed(run.chunks)
        lag_s = self._lag_s() if run.ending else 0.0
        for request in run.ending:
            self._prefilled(request, now, lag_s)
        while ended := self.batch.ended():
            self._leave_batch(ended, now)
            on.finished(ended)
        on.freed()
        on.rested()

    def _note(self, run: _Run) -> None:
        """Book the bubble before a step to all who took part in it."""
        if run.decode:
            self.batch.bubble = self.batch.bubble.plus(run.bubble)
        for request, _ in run.chunks:
            request.bubble = request.bubble.plus(run.bubble)

    def _meter(self, run: _Run, now: float) -> None:
        """Book the time of a run, and its watts: of a run of decodes those at its mean context."""
        on, size = self._on, len(self.batch)
        on.meter.busy_s += on.meter.overlap_s(run.busy_from_s, now)
        watts = run.watts_w
        if not run.chunks:
            watts = on.power.decode_w(size, self.batch.context_tokens / size + (run.steps - 1) / 2)
        stages_s = run.stages_s or ((run.busy_from_s, now),)
        for begin_s, end_s in stages_s:
            above_w = (watts - on.power.idle_w) / len(stages_s)
            on.meter.spend(begin_s, min(end_s, now), above_w, prefill=bool(run.chunks))

    def _advance(self, run: _Run, now: float) -> None:
        """Book the tokens of a run: gaps, contexts, memory growth."""
        batch, meter = self.batch, self._on.meter
        growth = batch.growth(run.steps)
        # the run's blocks were taken one after the other, on average half of them for its whole length
        meter.kv_block_s += growth / 2 * meter.overlap_s(run.start_s, now)
        self._on.memory.allocate(growth, self._on.env.now)
        batch.advance(run.start_s, run.segments, run.steps)
        if meter.start_s <= now <= meter.end_s:
            meter.decode_steps += run.steps
            meter.decode_tokens += run.steps * len(batch)

    # --- requests --------------------------------------------------------------------------------------------------

    def _lag_s(self) -> float:
        """How much later than its step a first token is seen: steps are scheduled ahead of what they find waiting."""
        on, size = self._on, len(self.batch)
        if not size or not on.lag_steps:
            return on.request_s
        return on.request_s + on.lag_steps * on.step.decode_s(size, self.batch.context_tokens / size)

    def _prefilled(self, request: Request, now: float, lag_s: float) -> None:
        """A prefill is done: its token is out; the request ends, leaves, or joins the batch."""
        on = self._on
        if request.first_token_s < 0:
            request.first_token_s = now
            request.lag_s = lag_s
            on.ledger.ttft_s[request.index] = now + lag_s - request.arrival_s
        else:
            on.ledger.gap(request, now - request.last_token_s)
        request.last_token_s = now
        request.generated += 1
        if request.generated >= request.output_tokens:
            self._free(request.prefill_tokens)
            on.finished(request)
        elif not on.leaves(request):
            self.batch.join(request, landed=False)

    def _leave_batch(self, request: Request, now: float) -> None:
        """Take a request out of the batch after the step that ended at ``now``, and free its memory."""
        self._free(self.batch.leave(request, now))

    def _free(self, tokens: int) -> None:
        """Give back the memory of so many tokens."""
        self._on.memory.allocate(-self._on.memory.blocks(tokens), self._on.env.now)

    def _preempt(self) -> None:
        """Throw the youngest out of memory that is not to be spared: a prompt in part, else one of the batch.

        It will be computed again before all others that hold nothing.
        """
        on = self._on
        partial = on.prompts.partial()
        found = next((r for r in partial if not on.batching.spares(r)), None) or self.batch.youngest(on.batching)
        request = found or next(iter(partial), None) or next(reversed(self.batch.requests.values()))
        request.preemptions += 1
        on.meter.preemptions += 1
        if request.held_tokens:
            on.prompts.evict(request, on.env.now)
            return
        self._leave_batch(request, self.idle_since_s)
        request.prefill_tokens = request.prompt_tokens + request.generated
        on.prompts.again(request, on.env.now)
