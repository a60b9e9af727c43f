"""The physics of one instance: everything about it that does not depend on what it is asked."""

from dataclasses import dataclass

from hw_catalog.links import Link
from planner.perf.step_time import StepTime


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
    """

    step: StepTime
    kv_blocks: int
    block_tokens: int
    kv_bytes_per_token: float
    layers: int
    link: Link
    instances_per_machine: int

    @property
    def kv_tokens(self) -> int:
        """KV capacity in tokens."""
        return self.kv_blocks * self.block_tokens
