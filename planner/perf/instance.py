"""The physics of one instance: everything about it that does not depend on what it is asked."""

from dataclasses import dataclass

from hw_catalog.links import Link
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.kv import kv_tokens
from planner.perf.step_time import StepTime
from planner.plan import Layout
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
    """

    step: StepTime
    kv_blocks: int
    block_tokens: int
    kv_bytes_per_token: float
    layers: int
    link: Link
    instances_per_machine: int
    link_queues: bool = True

    @property
    def kv_tokens(self) -> int:
        """KV capacity in tokens."""
        return self.kv_blocks * self.block_tokens


def instance_physics(
    model: ModelSpec,
    machine: Machine,
    layout: Layout,
    profile: KernelProfile,
    *,
    memory_frac: float,
    max_batch_tokens: int,
    block_tokens: int,
) -> InstancePhysics:
    """The physics of ``layout`` on ``machine``; no KV blocks where the weights leave no memory."""
    tokens = kv_tokens(
        model,
        hbm_bytes=machine.gpu.hbm_bytes,
        layout=layout,
        dtype=profile.dtype,
        kv_dtype=profile.kv_dtype,
        memory_frac=memory_frac,
        max_batch_tokens=max_batch_tokens,
    )
    return InstancePhysics(
        step=StepTime(
            profile,
            prefill_slowdown_ratio=machine.gpu.prefill_slowdown_ratio,
            decode_slowdown_ratio=machine.gpu.decode_slowdown_ratio,
        ),
        kv_blocks=max(0, int(tokens // block_tokens)),
        block_tokens=block_tokens,
        kv_bytes_per_token=model.kv_bytes_per_token(profile.kv_dtype),
        layers=model.layers,
        link=machine.inter_link,
        instances_per_machine=machine.gpus // layout.gpus,
    )
