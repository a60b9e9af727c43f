"""Envelopes: what one instance can carry, as means over a sample of lengths, by the simulator's policies and steps."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hw_catalog.machines import Machine
from planner.capacity.packing import packed_prefill_s
from planner.capacity.redundancy import Reliability
from planner.perf.drafting import in_steps
from planner.perf.draw import decoding_w, prefill_above_w
from planner.perf.instance import InstancePhysics
from planner.perf.layout import InstanceSpec, Role
from planner.perf.reference import Reference, unit_s
from planner.policies.base import Policy
from planner.policies.cuts import Cut, Cutter
from planner.results.evidence import Excuse
from workloads.demand import ClassDemand, Demand
from workloads.slo import Metric, Slo, Unit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bounds = Sequence[tuple[Slo, Floats]]
"""Objectives with the seconds that one unit of their limit is worth: to each sampled request, or to all alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What one request of a class costs one instance, at the instance's working point.

    Attributes:
        prefill_s: busy seconds of prefill work per request (0 in the decode role).
        decode_s: busy seconds of decode work per request, shared with the batch it runs in (0 in the prefill role).
        kv_tokens_s: KV tokens × seconds held per request.
        link_bytes: KV bytes that cross the machine's inter link per request (0 in the mixed role).
        ttft_s: mean time to first token on an idle instance.
        idle_frac: share of each limit on TTFT and E2E that it takes on an idle instance (none in the decode role).
        tbt_s: step time at the working batch (0 in the prefill role).
        batch: decoding requests at the working point (0 in the prefill role).
        floor_w: watts above idle that its GPUs draw however little it serves: an instance that decodes does so most of
            the time, alone or in a batch (0 in the prefill role).
        prefill_j: joules above idle and floor that its GPUs spend on prefill work per request.
        decode_j: likewise on decode work.
    """

    prefill_s: float
    decode_s: float
    kv_tokens_s: float
    link_bytes: float
    ttft_s: float
    tbt_s: float
    batch: float
    floor_w: float = 0.0
    prefill_j: float = 0.0
    decode_j: float = 0.0
    idle_frac: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A kind of instance the optimiser may buy.

    Attributes:
        spec: what it is.
        machine: the machine it stands on.
        price_usd_per_h: of the whole machine, through the scenario's channel.
        instances_per_machine: replicas one machine holds.
        machines_per_instance: machines that one replica spans; of this and the former one is 1.
        kv_tokens: KV capacity of one instance.
        envelopes: class name -> envelope; a class that is missing cannot be served here.
        floor_w: what one machine draws at the wall however little it serves.
        wall_ratio: watts at the wall per watt that a GPU draws above idle.
        carbon_g_per_j: CO2 per joule at the wall, cooling included.
        reliability: how often a machine is gone; None where availability is not asked for.
        borrowed: class name -> envelope of the other phase where phases borrow machines; of bounds alone.
        phases_j: class name -> joules above idle that the GPUs spend on the prompt and on the decode of a request, in
            place of those of its envelope, worked out when they are asked for; of bounds alone.
    """

    spec: InstanceSpec
    machine: Machine
    price_usd_per_h: float
    instances_per_machine: int
    kv_tokens: float
    envelopes: Mapping[str, Envelope]
    machines_per_instance: int = 1
    floor_w: float = 0.0
    wall_ratio: float = 1.0
    carbon_g_per_j: float = 0.0
    reliability: Reliability | None = None
    borrowed: Mapping[str, Envelope] = field(default_factory=dict)
    phases_j: Callable[[], Mapping[str, tuple[float, float]]] | None = None

    @property
    def rated_w(self) -> float:
        """Power to provide for one machine, W: its nameplate, or what the enforced cap of its GPUs leaves of it."""
        return self.machine.provisioned_w(self.spec.cap_w)

    def instances_on(self, machines: int) -> int:
        """Replicas that so many machines hold."""
        return machines * self.instances_per_machine // self.machines_per_instance

    def expected_w(self, machines: float, rate_req_per_s: Mapping[str, float]) -> float:
        """Mean wall power of so many machines under this work: their floor, and the work's joules."""
        return self.floor_w * machines + sum(r * self.work_j(c) for c, r in rate_req_per_s.items())

    def work_j(self, class_name: str) -> float:
        """Joules at the wall above the floor that a request of a class takes."""
        envelope = self.envelopes[class_name]
        phases_j = (envelope.prefill_j, envelope.decode_j) if self.phases_j is None else self.phases_j()[class_name]
        return self.wall_ratio * sum(phases_j)


MEMORY_MARGIN_RATIO = 2
"""An instance must have room for this many of the longest request: the engine's own reserves are known to a GiB or two,
and a layout that lives on the last GiB may not start at all."""


MANY_CHUNKS = 100
"""Prompts of more chunks than these gain nothing by sharing a step with the next one: less than a part of a chunk."""


class Unfit(ValueError):  # noqa: N818  an answer, not a failure
    """An instance cannot serve a class; says why and what binds."""

    def __init__(self, reason: str, bottleneck: str, over_ratio: float | None = None) -> None:
        """A full sentence, one word, and how many times a limit the least that is possible is, where one is missed."""
        self.reason, self.bottleneck, self.over_ratio = reason, bottleneck, over_ratio
        super().__init__(reason)


def option(
    spec: InstanceSpec, machine: Machine, price_usd_per_h: float, physics: InstancePhysics, policy: Policy,
    demand: Demand, slos: Sequence[Slo], reference: Reference | None = None,
) -> tuple[Option | None, tuple[Excuse, ...]]:  # fmt: skip
    """The option ``spec``, with an envelope for every class it can serve and an excuse for every class it cannot.

    Returns:
        None for the option where it serves no class at all.
    """
    envelopes: dict[str, Envelope] = {}
    excuses: list[Excuse] = []
    for part in demand.classes:
        try:
            envelopes[part.request_class.name] = envelope(
                spec.role, physics, policy, part, slos, reference, chunk_tokens=spec.chunk_tokens
            )
        except Unfit as unfit:
            told = {"reason": unfit.reason, "bottleneck": unfit.bottleneck}
            excuses.append(Excuse(option=spec.name, over_ratio=unfit.over_ratio, **told))
    if not envelopes:
        return None, tuple(excuses)
    floor_w = min(each.floor_w for each in envelopes.values())
    per_machine = physics.instances_per_machine / physics.machines_per_instance
    offered = Option(
        spec=spec, machine=machine, price_usd_per_h=price_usd_per_h,
        instances_per_machine=physics.instances_per_machine, machines_per_instance=physics.machines_per_instance,
        kv_tokens=physics.kv_tokens, envelopes=envelopes, wall_ratio=physics.power.wall_ratio,
        floor_w=(physics.power.standby_w + physics.power.wall_ratio * floor_w) * per_machine,
    )  # fmt: skip
    return offered, tuple(excuses)


def envelope(
    role: Role, physics: InstancePhysics, policy: Policy, part: ClassDemand, slos: Sequence[Slo],
    reference: Reference | None = None, *, chunk_tokens: int | None = None,
) -> Envelope:  # fmt: skip
    """What one request of the class costs an instance in ``role``.

    Args:
        role: phase it works on.
        physics: of the instance.
        policy: how it serves.
        part: the class.
        slos: the objectives.
        reference: what slowdowns among them are measured against.
        chunk_tokens: most tokens in one of its steps; None computes whole prompts.

    Raises:
        Unfit: the class does not fit its memory, or an objective is out of reach even on an idle instance.
    """
    mine = _bounds(slos, part, reference)
    _check_memory(role, physics, part.prompt_tokens, part.output_tokens)
    part = in_steps(part, physics.step_tokens)
    prompts, outputs = part.prompt_tokens, part.output_tokens
    _check_link(role, physics, outputs)
    lanes, moves = physics.stages.count, role is not Role.MIXED
    share_moving = float(np.mean(outputs > 1))
    link_bytes = physics.kv_bytes_per_token * float(np.mean(prompts * (outputs > 1))) if moves else 0.0
    batching = policy.batching.at(None if role is Role.DECODE else chunk_tokens, physics.step)
    alone = Cutter(physics, batching, 0.0).beside(part.computed_tokens, 0).whole_s()
    idle_frac = () if role is Role.DECODE else tuple(_unloaded(physics, alone, outputs, mine))
    if role is Role.PREFILL or (role is Role.MIXED and not share_moving):
        transfer_s = share_moving * physics.link.latency_s + link_bytes / physics.link.bandwidth_bytes_per_s
        one_by_one = chunk_tokens is not None and float(np.mean(prompts)) > MANY_CHUNKS * chunk_tokens
        packed = None if one_by_one else packed_prefill_s(physics, batching, part.computed_tokens)
        busy_s = (float(alone.mean()) if packed is None else packed) / lanes
        return Envelope(
            prefill_s=busy_s, decode_s=0.0, prefill_j=busy_s * prefill_above_w(physics, part.computed_tokens),
            kv_tokens_s=float(np.mean(prompts * alone)) + float(np.mean(prompts)) * transfer_s,
            link_bytes=link_bytes, ttft_s=float(alone.mean()), tbt_s=0.0, batch=0.0, idle_frac=idle_frac,
        )  # fmt: skip
    cutter = Cutter(physics, batching, mean_context_tokens(prompts, outputs))
    point = _Point(role, cutter, part, mine, alone, chunk_tokens is not None)
    return replace(_decoding(point, link_bytes), idle_frac=idle_frac)


def _decoding(point: "_Point", link_bytes: float) -> Envelope:
    """What a request costs an instance that decodes, at its working batch."""
    physics, context = point.cutter.physics, point.cutter.context_tokens
    prompts, outputs = point.part.prompt_tokens, point.part.output_tokens
    mixed, lanes = point.role is Role.MIXED, physics.stages.count
    batch = _working_batch(point)
    step_s = physics.step.decode_s(batch, context)
    prefill_s = _mixed_prefill_s(point, batch, step_s) if mixed else 0.0
    # each request that takes its turn in the batch brings a prefill, which every other one waits for
    token_s = step_s + prefill_s * batch / float(np.mean(outputs))
    held_s = (outputs - 1) * token_s
    decode_s = float(np.mean(outputs - 1)) * step_s / batch / lanes
    prefill_w, decode_w, floor_w = decoding_w(physics, point.part.computed_tokens, batch, context, mixed=mixed)
    return Envelope(
        prefill_s=prefill_s / lanes, decode_s=decode_s, floor_w=floor_w,
        prefill_j=prefill_s / lanes * prefill_w, decode_j=decode_s * decode_w,
        kv_tokens_s=float(np.mean((prompts + outputs / 2) * held_s)) + float(np.mean(prompts)) * prefill_s,
        link_bytes=link_bytes, ttft_s=float(point.alone_s.mean()), tbt_s=step_s, batch=float(batch * lanes),
    )  # fmt: skip


def _bounds(slos: Sequence[Slo], part: ClassDemand, reference: Reference | None) -> Bounds:
    """The objectives that speak of a class, each with the seconds that a unit of its limit is worth."""
    mine = [s for s in slos if s.request_class in (None, part.request_class.name)]
    return [(s, unit_s(s, reference, part.prompt_tokens, part.output_tokens)) for s in mine]


def _check_link(role: Role, physics: InstancePhysics, outputs: Ints) -> None:
    """A phase of its own needs a link, unless no request outlives its prefill."""
    if role is not Role.MIXED and not physics.link.exists and (outputs > 1).any():
        raise Unfit(f"no link to other machines ({physics.link.name}): no KV cache can leave or reach it", "link")


def _check_memory(role: Role, physics: InstancePhysics, prompts: Ints, outputs: Ints) -> None:
    """The KV memory of a rank must hold the longest request of the class, with a margin for what the estimate omits."""
    if physics.kv_blocks <= 0:
        raise Unfit("the weights leave no GPU memory for a KV cache", "memory")
    longest = int(np.max(prompts + (0 if role is Role.PREFILL else outputs))) + 1
    held, where = physics.kv_tokens // physics.ranks, "a rank " if physics.ranks > 1 else ""
    if MEMORY_MARGIN_RATIO * longest > held:
        words = f"its {held:,} tokens of KV memory {where}are less than {MEMORY_MARGIN_RATIO} of the longest requests"
        raise Unfit(f"{words} ({longest:,} tokens)", "memory")


def _unloaded(physics: InstancePhysics, alone: Floats, outputs: Ints, bounds: Bounds) -> Iterator[float]:
    """Share of each limit that an idle instance takes; an objective that it misses is out of reach."""
    fastest_s = physics.step.decode_s(1, 1)
    for slo, unit in bounds:
        if slo.metric not in (Metric.TTFT, Metric.E2E):
            continue
        first_s = alone + physics.request_s
        times = first_s if slo.metric is Metric.TTFT else first_s + (outputs - 1) * fastest_s
        best = float(np.percentile(times / unit, slo.percentile, method="inverted_cdf"))
        if best > slo.limit:
            sign = slo.unit.symbol
            words = f"{slo.name} is {best:.3g} {sign} on an idle instance, the limit is {slo.limit:g} {sign}"
            raise Unfit(words, "latency", best / slo.limit)
        yield best / slo.limit


def mean_context_tokens(prompts: Ints, outputs: Ints) -> float:
    """Mean context of a decoding request, weighted by how long it decodes.

    E[(p + o/2)·o] / E[o]
    """
    return float(np.mean((prompts + outputs / 2) * outputs) / np.mean(outputs))


@dataclass(frozen=True, slots=True)
class _Point:
    """A class at an instance, of which the working batch is asked."""

    role: Role
    cutter: Cutter
    part: ClassDemand
    bounds: Bounds
    alone_s: Floats
    chunked: bool

    @property
    def output_mean_tokens(self) -> float:
        """Of the class."""
        return float(np.mean(self.part.output_tokens))

    def cut(self, batch: int) -> Cut:
        """A sample of the prompts beside a batch."""
        prompts = self.part.computed_tokens[:: max(1, len(self.part.computed_tokens) // 50)]
        return self.cutter.beside(prompts, batch)

    def fed(self, batch: int) -> bool:
        """Whether the prompts that keep a batch full fit its steps.

        A turn of the batch takes o/b steps per request, in which its P prompt tokens pass at C - b a step: the batch
        is fed while P/(C - b) <= o/b, the ratio P:D = C/(B - 1) at which chunks and decodes end together.
        """
        if not self.chunked or self.role is not Role.MIXED:
            return True
        steps = self.chunk_steps(batch)
        return steps < np.inf and (batch == 1 or steps * batch <= self.output_mean_tokens)

    def chunk_steps(self, batch: int) -> float:
        """Full steps that the mean prompt takes beside a batch."""
        room = self.cutter.room_tokens(self.part.computed_tokens, batch)
        return float(np.mean(self.part.computed_tokens)) / room if room else np.inf


def _working_batch(point: _Point) -> int:
    """The batch that costs least per token among those that memory and every token-time objective allow."""
    physics, context = point.cutter.physics, point.cutter.context_tokens
    held = int(physics.kv_tokens / physics.stages.count / context)
    promised = physics.promised_requests // physics.stages.count or held
    largest = min(point.cutter.batching.max_batch_size, physics.step.max_batch, held, promised)
    steps = [(physics.step.decode_s(batch, context), batch) for batch in _batches(largest)]

    known = dict[int, bool]()

    def suits(step: tuple[float, int]) -> bool:  # what a batch keeps, a smaller one keeps
        if step[1] not in known:
            known[step[1]] = point.fed(step[1]) and _allowed(point, step[1], step[0])
        return known[step[1]]

    within = steps[: bisect_left(steps, True, key=lambda step: not suits(step))]
    for step in sorted(within, key=lambda s: s[0] / s[1]):
        if suits(step):
            return step[1]
    step_s = physics.step.decode_s(1, context)
    # Prefill stalls vanish as the load does: what only they break is not out of reach, the simulator judges it.
    if largest >= 1 and not point.chunked and _allowed(replace(point, role=Role.DECODE), 1, step_s):
        return 1
    words = f"no decode batch meets the objectives: alone, a token takes {step_s:.3g} s"
    if point.chunked and point.role is Role.MIXED:
        words += f", and beside a full chunk {point.cut(1).longest_s():.3g} s"
    over, allows = max(_over(point, step_s), default=(None, ""))
    raise Unfit(words + allows, "latency", over)


def _over(point: _Point, step_s: float) -> Iterator[tuple[float, str]]:
    """How many times a limit on the time of a token a lone request takes, and that limit; of those that it misses."""
    for slo, unit in point.bounds:
        alone_s = step_s if slo.metric.bounds_gaps else step_s / point.cutter.physics.step_tokens
        ratio = alone_s / float(np.max(unit)) / slo.limit
        if slo.metric not in (Metric.TTFT, Metric.E2E) and ratio > 1:
            yield ratio, f"; {slo.name} allows {slo.limit:g} {slo.unit.symbol}"


def _mixed_prefill_s(point: _Point, batch: int, step_s: float) -> float:
    """Busy seconds that a prompt adds to an instance which would else have run decode steps of ``step_s``."""
    prompts, outputs = point.part.computed_tokens, point.part.output_tokens
    added_s = point.cutter.beside(prompts, batch).added_s(step_s)
    if point.chunked:  # steps that compute prompts when decodes have run out
        added_s += max(0.0, point.chunk_steps(batch) - float(np.mean(outputs - 1)) / batch) * step_s
    return added_s


def _batches(largest: int) -> list[int]:
    """Batch sizes to try: all small ones, then steps of about 5 %."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, int(sizes[-1] * 1.05))))
    return sizes if largest >= 1 else []


def _allowed(point: _Point, batch: int, step_s: float) -> bool:
    """Whether a steady batch keeps every objective on token times.

    In a mixed instance that computes whole prompts one step in every (output tokens / batch) carries a prefill; those
    are the long gaps. With chunks any step may be a full one.
    """
    chunks = point.cut(batch) if point.role is Role.MIXED else None
    stalled = 1.0 if point.chunked else min(1.0, batch / point.output_mean_tokens)
    for slo, unit in point.bounds:
        if slo.metric is Metric.TTFT:
            continue
        if slo.metric.bounds_gaps and slo.unit is Unit.SECONDS:
            slow = stalled * chunks.beyond_frac(slo.limit) if chunks else 0.0
            if slo.metric is Metric.STALL:  # a request has as many chances as it has tokens
                slow = 1 - (1 - slow) ** point.output_mean_tokens
            if step_s > slo.limit or slow > 1 - slo.percentile / 100:
                return False
            continue
        mean_s = step_s + (chunks.added_s(step_s) * batch / point.output_mean_tokens if chunks else 0.0)
        whole = slo.metric is Metric.E2E
        times = (
            point.alone_s + point.part.output_tokens * mean_s
            if whole
            else np.full(1, mean_s / point.cutter.physics.step_tokens)
        )
        if np.percentile(times / unit, slo.percentile) > slo.limit:
            return False
    return True
