"""Envelopes: what one instance can carry, claimed without a clock.

The optimiser needs capacities as plain numbers. They are means over a joint sample of lengths, never values at the mean
length, and they come from the same policy methods and the same step times that the simulator uses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_catalog.machines import Machine
from planner.evidence import Excuse
from planner.perf.instance import InstancePhysics
from planner.perf.reference import Reference, unit_s
from planner.plan import InstanceSpec, Role
from planner.policies.base import Occupancy, Policy
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
        tbt_s: step time at the working batch (0 in the prefill role).
        batch: decoding requests at the working point (0 in the prefill role).
    """

    prefill_s: float
    decode_s: float
    kv_tokens_s: float
    link_bytes: float
    ttft_s: float
    tbt_s: float
    batch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A kind of instance the optimiser may buy.

    Attributes:
        spec: what it is.
        machine: the machine it stands on.
        price_usd_per_h: of the whole machine, through the scenario's channel.
        instances_per_machine: replicas one machine holds.
        kv_tokens: KV capacity of one instance.
        envelopes: class name -> envelope; a class that is missing cannot be served here.
    """

    spec: InstanceSpec
    machine: Machine
    price_usd_per_h: float
    instances_per_machine: int
    kv_tokens: float
    envelopes: Mapping[str, Envelope]


MEMORY_MARGIN_RATIO = 2
"""An instance must have room for this many of the longest request: the engine's own reserves are known to a GiB or two,
and a layout that lives on the last GiB may not start at all."""


class Unfit(ValueError):  # noqa: N818  an answer, not a failure
    """An instance cannot serve a class; says why and what binds."""

    def __init__(self, reason: str, bottleneck: str) -> None:
        """A full sentence and one word."""
        self.reason, self.bottleneck = reason, bottleneck
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A request as the batching policy sees it."""

    prompt_tokens: int
    prefill_tokens: int
    cached_tokens: int = 0
    held_tokens: int = 0
    arrival_s: float = 0.0
    preemptions: int = 0


def option(
    spec: InstanceSpec,
    machine: Machine,
    price_usd_per_h: float,
    physics: InstancePhysics,
    policy: Policy,
    demand: Demand,
    slos: Sequence[Slo],
    reference: Reference | None = None,
) -> tuple[Option | None, tuple[Excuse, ...]]:
    """The option ``spec``, with an envelope for every class it can serve and an excuse for every class it cannot.

    Returns:
        None for the option where it serves no class at all.
    """
    envelopes: dict[str, Envelope] = {}
    excuses: list[Excuse] = []
    for part in demand.classes:
        try:
            envelopes[part.request_class.name] = envelope(spec.role, physics, policy, part, slos, reference)
        except Unfit as unfit:
            excuses.append(Excuse(option=spec.name, reason=unfit.reason, bottleneck=unfit.bottleneck))
    if not envelopes:
        return None, tuple(excuses)
    offered = Option(
        spec=spec,
        machine=machine,
        price_usd_per_h=price_usd_per_h,
        instances_per_machine=physics.instances_per_machine,
        kv_tokens=physics.kv_tokens,
        envelopes=envelopes,
    )
    return offered, tuple(excuses)


def envelope(
    role: Role,
    physics: InstancePhysics,
    policy: Policy,
    part: ClassDemand,
    slos: Sequence[Slo],
    reference: Reference | None = None,
) -> Envelope:
    """What one request of the class costs an instance in ``role``.

    ``reference`` is what slowdowns among ``slos`` are measured against.

    Raises:
        Unfit: the class does not fit its memory, or an objective is out of reach even on an idle instance.
    """
    prompts, outputs = part.prompt_tokens, part.output_tokens
    speak = [s for s in slos if s.request_class in (None, part.request_class.name)]
    mine = [(s, unit_s(s, reference, prompts, outputs)) for s in speak]
    _check_memory(role, physics, prompts, outputs)
    moves = role is not Role.MIXED
    share_moving = float(np.mean(outputs > 1))
    link_bytes = physics.kv_bytes_per_token * float(np.mean(prompts * (outputs > 1))) if moves else 0.0
    alone = np.array([physics.step.prefill_s([(int(p), 0)]) for p in prompts])
    if role is not Role.DECODE:
        _check_unloaded(physics, alone, outputs, mine)
    if role is Role.PREFILL or (role is Role.MIXED and not share_moving):
        transfer_s = share_moving * physics.link.latency_s + link_bytes / physics.link.bandwidth_bytes_per_s
        return Envelope(
            prefill_s=_packed_prefill_s(physics, policy, prompts), decode_s=0.0,
            kv_tokens_s=float(np.mean(prompts * alone)) + float(np.mean(prompts)) * transfer_s,
            link_bytes=link_bytes, ttft_s=float(alone.mean()), tbt_s=0.0, batch=0.0,
        )  # fmt: skip
    context = _mean_context(prompts, outputs)
    batch = _working_batch(role, physics, policy, part, mine, alone, context)
    step_s = physics.step.decode_s(batch, context)
    prefill_s = _marginal_prefill_s(physics, prompts, batch, context) if role is Role.MIXED else 0.0
    # each request that takes its turn in the batch brings a prefill, which every other one waits for
    token_s = step_s + prefill_s * batch / float(np.mean(outputs))
    held_s = (outputs - 1) * token_s
    return Envelope(
        prefill_s=prefill_s, decode_s=float(np.mean(outputs - 1)) * step_s / batch,
        kv_tokens_s=float(np.mean((prompts + outputs / 2) * held_s)) + float(np.mean(prompts)) * prefill_s,
        link_bytes=link_bytes, ttft_s=float(alone.mean()), tbt_s=step_s, batch=float(batch),
    )  # fmt: skip


def _check_memory(role: Role, physics: InstancePhysics, prompts: Ints, outputs: Ints) -> None:
    """The KV memory must hold the longest request of the class, with a margin for what the estimate leaves out."""
    if physics.kv_blocks <= 0:
        raise Unfit("the weights leave no GPU memory for a KV cache", "memory")
    longest = int(np.max(prompts + (0 if role is Role.PREFILL else outputs))) + 1
    if MEMORY_MARGIN_RATIO * longest > physics.kv_tokens:
        raise Unfit(
            f"its {physics.kv_tokens} tokens of KV memory are less than {MEMORY_MARGIN_RATIO} of the longest requests "
            f"({longest} tokens)",
            "memory",
        )


def _check_unloaded(physics: InstancePhysics, alone: Floats, outputs: Ints, bounds: Bounds) -> None:
    """An objective that an idle instance misses is out of reach."""
    fastest_s = physics.step.decode_s(1, 1)
    for slo, unit in bounds:
        if slo.metric not in (Metric.TTFT, Metric.E2E):
            continue
        times = alone if slo.metric is Metric.TTFT else alone + (outputs - 1) * fastest_s
        best = float(np.percentile(times / unit, slo.percentile, method="inverted_cdf"))
        if best > slo.limit:
            sign = slo.unit.symbol
            words = f"{slo.name} is {best:.3g} {sign} on an idle instance, the limit is {slo.limit:g} {sign}"
            raise Unfit(words, "latency")


def _packed_prefill_s(physics: InstancePhysics, policy: Policy, prompts: Ints) -> float:
    """Busy seconds per prompt when the queue is never empty, batched by the policy itself."""
    views = [_Prompt(int(p), int(p)) for p in prompts]
    at, busy_s = 0, 0.0
    while at < len(views):
        idle = Occupancy(0, 0, 0, physics.kv_blocks)
        count = max(1, len(policy.batching.next_step(views[at : at + 128], idle).chunk_tokens))
        busy_s += physics.step.prefill_s([(v.prefill_tokens, 0) for v in views[at : at + count]])
        at += count
    return busy_s / len(views)


def _marginal_prefill_s(physics: InstancePhysics, prompts: Ints, batch: int, context: float) -> float:
    """Busy seconds a prompt adds to an instance that would otherwise have run one more decode step."""
    decode_s = physics.step.decode_s(batch, context)
    tokens = int(batch * context)
    return float(np.mean([max(0.0, _mixed_s(physics, int(p), batch, tokens) - decode_s) for p in prompts]))


def _mixed_s(physics: InstancePhysics, prompt: int, batch: int, context_tokens: int) -> float:
    """Seconds of a step that computes one prompt beside ``batch`` decodes."""
    return physics.step.prefill_s([(prompt, 0)], batch, context_tokens)


def _mean_context(prompts: Ints, outputs: Ints) -> float:
    """Mean context of a decoding request, weighted by how long it decodes.

    E[(p + o/2)·o] / E[o]
    """
    return float(np.mean((prompts + outputs / 2) * outputs) / np.mean(outputs))


def _working_batch(
    role: Role,
    physics: InstancePhysics,
    policy: Policy,
    part: ClassDemand,
    bounds: Bounds,
    alone: Floats,
    context: float,
) -> int:
    """The batch that costs least per token among those that memory and every token-time objective allow."""
    largest = min(policy.batching.max_batch_size, physics.step.max_batch, int(physics.kv_tokens / context))
    best, best_s = 0, np.inf
    for batch in _batches(largest):
        step_s = physics.step.decode_s(batch, context)
        if step_s / batch < best_s and _allowed(role, physics, part, bounds, alone, batch, step_s, context):
            best, best_s = batch, step_s / batch
    if best == 0:
        step_s = physics.step.decode_s(1, context)
        # Prefill stalls vanish as the load does: what only they break is not out of reach, the simulator judges it.
        if largest >= 1 and _allowed(Role.DECODE, physics, part, bounds, alone, 1, step_s, context):
            return 1
        raise Unfit(f"no decode batch meets the objectives: alone, a token takes {step_s:.3g} s", "latency")
    return best


def _batches(largest: int) -> list[int]:
    """Batch sizes to try: all small ones, then steps of about 5 %."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, int(sizes[-1] * 1.05))))
    return sizes if largest >= 1 else []


def _allowed(
    role: Role,
    physics: InstancePhysics,
    part: ClassDemand,
    bounds: Bounds,
    alone: Floats,
    batch: int,
    step_s: float,
    context: float,
) -> bool:
    """Whether a steady batch keeps every objective on token times.

    In a mixed instance one step in every (output tokens / batch) carries a prefill; those are the long gaps.
    """
    output_mean = float(np.mean(part.output_tokens))
    prompts = part.prompt_tokens[:: max(1, len(part.prompt_tokens) // 50)]
    stalled = min(1.0, batch / output_mean) if role is Role.MIXED else 0.0
    for slo, unit in bounds:
        if slo.metric is Metric.TTFT:
            continue
        if slo.metric is Metric.TBT and slo.unit is Unit.SECONDS:
            slow = 0.0
            if stalled:
                over = [_mixed_s(physics, int(p), batch, int(batch * context)) > slo.limit for p in prompts]
                slow = stalled * float(np.mean(over))
            if step_s > slo.limit or slow > 1 - slo.percentile / 100:
                return False
            continue
        mean_s = step_s
        if stalled:
            mean_s += _marginal_prefill_s(physics, prompts, batch, context) * batch / output_mean
        whole = slo.metric is Metric.E2E
        times = alone + part.output_tokens * mean_s if whole else np.full(1, mean_s)
        if np.percentile(times / unit, slo.percentile) > slo.limit:
            return False
    return True
