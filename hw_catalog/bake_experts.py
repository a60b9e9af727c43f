"""Steps of one engine with the expert kernels that another engine was measured with."""

from dataclasses import dataclass

from hw_catalog.bake_surfaces import Handle, Operations

EXPERTS = ("context_moe", "generation_moe")
"""The source's names of the expert kernels of prompts and of decode steps; moving tokens to them is apart."""


@dataclass(frozen=True, slots=True)
class OtherExperts:
    """A compiled model whose expert kernels are those of another one; both know the same operations.

    Attributes:
        own: the engine's.
        other: whose expert kernels stand in.
    """

    own: Handle
    other: Handle

    def run_static_per_op(
        self, *, batch_size: int, isl: int, osl: int, prefix: int, mode: str
    ) -> tuple[Operations, Operations]:
        """Operations of a prefill step and of the decode steps after it."""
        own, other = (
            handle.run_static_per_op(batch_size=batch_size, isl=isl, osl=osl, prefix=prefix, mode=mode)
            for handle in (self.own, self.other)
        )
        return _with_experts(own[0], other[0]), _with_experts(own[1], other[1])

    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Operations:
        """Operations of one decode step."""
        own = self.own.decode_step_per_op(gen_tokens, isl, osl)
        return _with_experts(own, self.other.decode_step_per_op(gen_tokens, isl, osl))


def _with_experts(own: Operations, other: Operations) -> Operations:
    """The same operations, the experts of ``other``."""
    theirs = {operation[0]: operation for operation in other if operation[0] in EXPERTS}
    return [theirs.get(operation[0], operation) for operation in own]
