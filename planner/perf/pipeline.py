"""Pipeline parallelism: a model cut into stages by layers, and the time that a batch takes to pass them.

traversal = step + (stages - 1) hops,  stage = step / stages,  hop = latency + hidden·2·tokens / bandwidth

A stage holds its share of the layers, so it takes that share of the time measured for the whole model at the same
tensor parallelism (derived, not measured); between two stages the activations of the batch cross a link.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.layout import Layout
from planner.perf.step_time import StepTime
from planner.perf.stretches import Segment

ACTIVATION_BYTES = 2
"""Of one element: activations travel in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages of a replica and the way between them.

    Attributes:
        count: how many, >= 1.
        hop_latency_s: from one stage to the next, mean over the boundaries.
        hop_token_s: likewise, per token of the batch.
    """

    count: int = 1
    hop_latency_s: float = 0.0
    hop_token_s: float = 0.0

    def hop_s(self, tokens: int) -> float:
        """Seconds from the end of a batch of ``tokens`` at one stage until it has reached the next."""
        return self.hop_latency_s + self.hop_token_s * tokens

    def hops_s(self, tokens: int) -> float:
        """Seconds on the links, all boundaries together."""
        return (self.count - 1) * self.hop_s(tokens)


def stages_of(layout: Layout, machine: Machine, hidden: int) -> Stages:
    """The stages of a layout: neighbours on one machine use its own links, the others its link to other machines.

    Args:
        layout: its tensor-parallel groups do not cross machines.
        machine: where it stands.
        hidden: width of the model.
    """
    if layout.pp == 1:
        return Stages()
    per_machine = max(1, machine.gpus // layout.tp)
    crossing = sum(boundary % per_machine == 0 for boundary in range(1, layout.pp))
    ways = [(machine.inter_link, crossing), (machine.intra_link, layout.pp - 1 - crossing)]
    token_bytes = hidden * ACTIVATION_BYTES
    return Stages(
        count=layout.pp,
        hop_latency_s=sum(link.latency_s * n for link, n in ways) / (layout.pp - 1),
        hop_token_s=sum(token_bytes / link.bandwidth_bytes_per_s * n for link, n in ways if n) / (layout.pp - 1),
    )


class TraversalTime(StepTime):
    """Time of one batch through all stages of a pipeline: what each of its requests waits for."""

    __slots__ = ("stages",)

    def __init__(
        self,
        profile: KernelProfile,
        stages: Stages,
        *,
        prefill_slowdown_ratio: float = 1.0,
        decode_slowdown_ratio: float = 1.0,
        mixed_slowdown_ratio: float = 1.0,
    ) -> None:
        """Steps of the whole model, and the way between its stages."""
        super().__init__(
            profile, prefill_slowdown_ratio=prefill_slowdown_ratio, decode_slowdown_ratio=decode_slowdown_ratio,
            mixed_slowdown_ratio=mixed_slowdown_ratio,
        )  # fmt: skip
        self.stages = stages

    def each_s(
        self, new: NDArray[np.int64], past: NDArray[np.int64], batch: int, context_tokens: float
    ) -> NDArray[np.float64]:  # fmt: skip
        """(prompts,) seconds of a traversal with each of some prompts alone."""
        return super().each_s(new, past, batch, context_tokens) + self.ways_s(new + batch)

    def prefill_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:
        """Seconds of a traversal that computes ``prompts`` beside ``batch`` decodes."""
        tokens = batch + sum(new for new, _ in prompts)
        return super().prefill_s(prompts, batch, context_tokens) + self.stages.hops_s(tokens)

    def decode_segments(self, batch: int, mean_context_tokens: float, steps: int) -> list[Segment]:
        """Durations of consecutive decode-only traversals of one batch that is alone."""
        hops_s = self.stages.hops_s(batch)
        return [(a + hops_s, d, n) for a, d, n in super().decode_segments(batch, mean_context_tokens, steps)]

    def besides_s(
        self, new: NDArray[np.int64], batch: NDArray[np.int64], contexts: Sequence[float]
    ) -> NDArray[np.float64]:  # fmt: skip
        """(contexts, traversals) ``prefill_s`` of a whole prompt each, beside a batch each."""
        return super().besides_s(new, batch, contexts) + self.ways_s(new + batch)

    def ways_s(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """(traversals,) seconds that the batch of each spends between stages."""
        hops = self.stages
        return np.asarray((hops.count - 1) * (hops.hop_latency_s + hops.hop_token_s * tokens))
