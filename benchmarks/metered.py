"""The reference, metered: what its instances draw and do, summed from its own steps, to compare meters with.

Joules come from the watts of each step that ``perf`` says, second by second of the measured window.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner.policies.base import Policy
from planner.simulator.books import Meter, Window, seconds
from planner.simulator.pools import NOTHING, Events, PoolModel, Run
from planner.simulator.reference import Cluster
from planner.simulator.reference_instance import Instance, Lane, Request
from workloads.traces import Trace


class Metered(Instance):
    """An instance that is observed."""

    def __init__(self, cluster: Any, index: int, pool: PoolModel, policy: Policy, machine: int) -> None:  # noqa: ANN401
        """Nothing metered yet; instances of pools of one name share the seconds."""
        super().__init__(cluster, index, pool, policy, machine)
        shared = next((i.meter.above_j for i in cluster.instances if i.pool.name == pool.name), None)
        self.start_s, self.end_s = cluster.window.span_s
        above_j = [0.0] * seconds(self.start_s, self.end_s) if shared is None else shared
        self.meter = Meter(self.start_s, self.end_s, pool.physics.kv_blocks, above_j=above_j)
        self._above_w: dict[int, float] = {}

    def queued_tokens(self) -> int:
        """Prompt tokens that no step computes yet."""
        going_on = sum(request.prefill_tokens - request.held_tokens for request in self.computing())
        return going_on + sum(request.prefill_tokens - request.cached_tokens for request in self.waiting)

    def _start(self, lane: Lane, chunks: list[int], decodes: list[Request]) -> None:
        """With the watts of the step."""
        power, batch = self.body.power, len(decodes)
        context = sum(request.held_tokens + 1 for request in decodes)
        prompts = [(new, request.cached_tokens) for request, new in zip(self.waiting, chunks, strict=False)]
        drawn_w = power.prefill_w(prompts, batch, context) if prompts else power.decode_w(batch, context / batch)
        super()._start(lane, chunks, decodes)
        self._above_w[id(lane)] = drawn_w - power.idle_w

    def _end(self, lane: Lane) -> None:
        """With its joules and its tokens."""
        self._spend(lane)
        if lane.decodes and self.start_s <= self._env.now <= self.end_s:
            self.meter.decode_steps += 1
            self.meter.decode_tokens += len(lane.decodes)
        super()._end(lane)

    def fail(self) -> list[Request]:
        """With the joules of steps that did not end."""
        for lane in self.lanes:
            if lane.stages_s:
                self._spend(lane)
        return super().fail()

    def _throw_out(self, batch: list[Request]) -> None:
        """Counted."""
        self.meter.preemptions += 1
        super()._throw_out(batch)

    def _within(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """The part of an interval inside the measured window, from the beginning of that."""
        begin_s = min(max(begin_s, self.start_s), self.end_s)
        return begin_s - self.start_s, max(begin_s, min(end_s, self.end_s)) - self.start_s

    def _spend(self, lane: Lane) -> None:
        """Book the time and the joules of a step, as far as it came, second by second."""
        meter, now = self.meter, self._env.now
        begin_s, end_s = self._within(lane.stages_s[-1][0], now)
        meter.busy_s += end_s - begin_s
        above_w = self._above_w[id(lane)] / len(lane.stages_s)
        for stage_begin_s, stage_end_s in lane.stages_s:
            begin_s, end_s = self._within(stage_begin_s, min(stage_end_s, now))
            if lane.chunks:
                meter.prefill_j += above_w * (end_s - begin_s)
                meter.prefill_s += (end_s - begin_s) if above_w else 0.0
            else:
                meter.decode_j += above_w * (end_s - begin_s)
            for second in range(int(begin_s), int(end_s) + 1):
                meter.above_j[second] += above_w * max(0.0, min(end_s, second + 1) - max(begin_s, second))


class MeteredCluster(Cluster):
    """A cluster of observed instances."""

    instance_kind = Metered

    def left(self) -> Run:
        """With meters, by pool."""
        meters: dict[str, list[Meter]] = {}
        for instance in self.instances:
            assert isinstance(instance, Metered)
            instance.meter.queue_tokens = instance.queued_tokens()
            meters.setdefault(instance.pool.name, []).append(instance.meter)
        return replace(super().left(), meters=meters)


def serve(
    pools: Sequence[PoolModel], policy: Policy, trace: Trace, window: Window, *, cutoff_s: float,
    beside: Events = NOTHING,
) -> Run:  # fmt: skip
    """As ``reference.serve``, with busy time, joules, decode steps and preemptions."""
    cluster = MeteredCluster(pools, policy, trace, window, beside)
    cluster.env.run(until=cutoff_s)
    return cluster.left()
