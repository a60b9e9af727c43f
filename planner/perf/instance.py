"""The physics of one instance: everything about it that does not depend on what it is asked."""

from dataclasses import dataclass, field, replace

from hw_catalog.engine_memory import engine_memory
from hw_catalog.engines import NOTHING_LEFT_OUT, EngineTiming
from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.clock import at_cap, at_clock
from planner.perf.engine import as_run
from planner.perf.kv import EngineSettings, kv_tokens
from planner.perf.layout import Layout
from planner.perf.pipeline import Stages, TraversalTime, stages_of
from planner.perf.power import InstancePower, Unmetered, Watts
from planner.perf.ranks import of_instance
from planner.perf.step_time import StepTime
from planner.perf.stream import StreamTime, Way, way
from workloads.models import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstancePhysics:
    """One replica of the model on part of a machine.

    Attributes:
        step: how long its steps take.
        kv_blocks: blocks of KV memory.
        block_tokens: tokens in a block.
        kv_bytes_per_token: bytes that move when a token's KV moves.
        layers: of the model (a layer-wise transfer moves one at a time).
        link: its machine's link to other machines.
        instances_per_machine: replicas that share the machine and its link.
        link_queues: transfers wait for a machine's port; False gives each the whole link, as some published simulators
            assume.
        power: what its GPUs draw.
        stages: of its pipeline; as many batches are in flight.
        machines_per_instance: machines that one replica spans; more than one only where it fills them alone.
        request_s: what the engine spends on every request before its first token is out.
        lag_steps: decode steps that an arrival at a busy instance waits beyond the current one.
        ahead_steps: that are planned before the one in progress has ended; what arrives meanwhile misses them. 0 or 1.
        hold_steps: most decode steps that prompts wait until every attention rank has one; 0: none waits.
        ranks: of attention data parallelism, to which prompts are dealt one by one; they step together.
        prefix_tokens: whose KV it keeps for prompts that begin as others did; 0: it has no prefix cache.
        prefix_load_frac: what loading such KV takes, of the time that computing it would; 0 where the GPUs keep it.
        step_tokens: that a request gains in a decode step; more than one where the model drafts.
        promised_requests: most that decode at once, for memory of whole answers is set aside; 0: as memory goes.
    """

    step: StepTime
    kv_blocks: int
    block_tokens: int
    kv_bytes_per_token: float
    layers: int
    link: Link
    instances_per_machine: int
    link_queues: bool = True
    power: Watts = field(default_factory=Unmetered)
    stages: Stages = field(default_factory=Stages)
    machines_per_instance: int = 1
    request_s: float = 0.0
    lag_steps: float = 0.0
    ahead_steps: int = 0
    hold_steps: int = 0
    ranks: int = 1
    prefix_tokens: float = 0.0
    prefix_load_frac: float = 0.0
    step_tokens: float = 1.0
    promised_requests: int = 0

    def answered_after_s(self, batch: int, context_tokens: int) -> float:
        """Seconds from the end of its step until a first token is seen, of a batch with so many KV tokens in all."""
        late_s = self.lag_steps * self.step.decode_s(batch, context_tokens / batch) if batch and self.lag_steps else 0.0
        return self.request_s + late_s

    @property
    def kv_tokens(self) -> int:
        """KV capacity in tokens."""
        return self.kv_blocks * self.block_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """What holds the GPUs of an instance back; None is nothing.

    Attributes:
        clock_mhz: SM clock they are locked at.
        cap_w: most watts that each of them draws.
    """

    clock_mhz: int | None = None
    cap_w: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """Chunks of one prompt follow each other through the stages.

    Attributes:
        group_tokens: what one KV group holds of a request before the next joins, as far as its memory goes.
    """

    group_tokens: int = 1


def instance_physics(
    model: ModelSpec, machine: Machine, layout: Layout, profile: KernelProfile, settings: EngineSettings, *,
    limits: GpuLimits = GpuLimits(), timing: EngineTiming = NOTHING_LEFT_OUT, streaming: Streaming | None = None,
) -> InstancePhysics:  # fmt: skip
    """The physics of ``layout`` on ``machine``; no KV blocks where the weights leave no memory.

    Args:
        model: what is served.
        machine: where it stands.
        layout: how it is spread over GPUs.
        profile: measured times of its operations.
        settings: what the engine is started with.
        limits: clock and watts of the GPUs.
        timing: what the kernel tables of the profile leave out; host time does not depend on the clock.
        streaming: how prompts stream through stages; None computes one prompt's chunks one after the other.
    """
    gpu = machine.gpu
    tokens = _kv_tokens(model, gpu, layout, profile, settings)
    stages = Stages() if streaming else stages_of(layout, machine, model.hidden)
    slowed, free = _slowed(profile, gpu, model, layout, limits), as_run(profile, timing, model.layers)
    ran = free if slowed is profile else as_run(slowed, timing, model.layers)
    full_clock = _step_time(of_instance(free), gpu, stages)
    step = full_clock if slowed is profile else _step_time(of_instance(ran), gpu, stages)
    if streaming and layout.pp * layout.kvp > 1:
        most = max(1, min(streaming.group_tokens, int(tokens // layout.kvp)))
        between = way(model, layout, machine, settings.max_batch_tokens, most)
        step = _stream_time(ran, gpu, between)
    return InstancePhysics(
        step=step, kv_blocks=_blocks(tokens, settings), block_tokens=settings.block_tokens,
        kv_bytes_per_token=model.kv_bytes_per_token(profile.kv_dtype), layers=model.layers, link=machine.inter_link,
        instances_per_machine=max(1, machine.gpus // layout.gpus),
        power=InstancePower(
            model, gpu, layout, full_clock, clock_mhz=limits.clock_mhz, cap_w=limits.cap_w,
            standby_w=machine.idle_w * layout.gpus / machine.gpus, streams=streaming is not None,
        ),
        stages=stages,
        machines_per_instance=-(-layout.gpus // machine.gpus),
        request_s=timing.request_s, lag_steps=timing.lag_steps,
        ahead_steps=timing.ahead_steps if stages.count == 1 else 0,
        hold_steps=timing.hold_steps if layout.dp > 1 else 0, ranks=layout.dp,
    )  # fmt: skip


def with_steps_of(
    body: InstancePhysics, model: ModelSpec, machine: Machine, layout: Layout, profile: KernelProfile,
    settings: EngineSettings,
) -> InstancePhysics:  # fmt: skip
    """The physics of the same layout with other longest steps, whose activations leave other room for KV."""
    return replace(body, kv_blocks=_blocks(_kv_tokens(model, machine.gpu, layout, profile, settings), settings))


def _blocks(tokens: float, settings: EngineSettings) -> int:
    """Whole blocks; none where the weights leave no memory."""
    return max(0, int(tokens // settings.block_tokens))


def _kv_tokens(model: ModelSpec, gpu: Gpu, layout: Layout, profile: KernelProfile, settings: EngineSettings) -> float:
    """Tokens whose KV fits one instance under the engine that the profile was measured with."""
    return kv_tokens(
        model, engine_memory(profile.engine, profile.engine_version), settings, hbm_bytes=gpu.hbm_bytes, layout=layout,
        dtype=profile.dtype, kv_dtype=profile.kv_dtype,
    )  # fmt: skip


def _stream_time(profile: KernelProfile, gpu: Gpu, between: Way) -> StreamTime:
    """The same for a layout of stages or groups."""
    return StreamTime(
        profile, between, prefill_slowdown_ratio=gpu.prefill_slowdown_ratio,
        decode_slowdown_ratio=gpu.decode_slowdown_ratio,
    )  # fmt: skip


def _slowed(profile: KernelProfile, gpu: Gpu, model: ModelSpec, layout: Layout, limits: GpuLimits) -> KernelProfile:
    """The profile under a power limit or at a locked clock; itself where there is neither."""
    if limits.cap_w is not None:
        return at_cap(profile, gpu, model, layout, limits.cap_w, limits.clock_mhz)
    return profile if limits.clock_mhz is None else at_clock(profile, gpu, model, layout, limits.clock_mhz)


def _step_time(profile: KernelProfile, gpu: Gpu, stages: Stages) -> StepTime:
    """Step times of a profile on a GPU, with the slowdown of a variant whose limit the catalog sets."""
    if stages.count > 1:
        return TraversalTime(
            profile, stages, prefill_slowdown_ratio=gpu.prefill_slowdown_ratio,
            decode_slowdown_ratio=gpu.decode_slowdown_ratio,
        )  # fmt: skip
    return StepTime(
        profile,
        prefill_slowdown_ratio=gpu.prefill_slowdown_ratio,
        decode_slowdown_ratio=gpu.decode_slowdown_ratio,
    )
