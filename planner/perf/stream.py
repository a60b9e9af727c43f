"""Steps of an instance through which one long prompt streams: pipeline stages in turn, KV groups side by side.

In the time in which a batch passes all p stages, p batches enter. So one step of such an instance is p chunks of the
prompt, one behind the other, and one token of every decoding request, which are spread over the p batches:

    step = mean of the p chunks' whole-model times + (p - 1) · hop + merge

and whoever waits for the last chunk waits for it to pass the other p - 1 stages (``drain_s``). Every KV group holds an
even share of each cache, so a chunk or a token reads the past over kvp, and partial results are merged.
"""

from dataclasses import dataclass

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.parallel import hop_s, merge_s
from planner.perf.step_time import Segment, StepTime
from planner.plan import Layout
from workloads.models import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between the GPUs of one replica, all on one machine.

    Attributes:
        model: sizes.
        layout: stages and groups.
        latency_s: of the links inside the machine.
        bandwidth_bytes_per_s: of the links inside the machine, of one tensor-parallel group.
        max_batch_tokens: most tokens of a step, all stages together.
    """

    model: ModelSpec
    layout: Layout
    latency_s: float
    bandwidth_bytes_per_s: float
    max_batch_tokens: int

    def extra_s(self, tokens: int) -> float:
        """Seconds of a step of so many tokens on the way: hops between the stages, merges of the groups."""
        link = {"latency_s": self.latency_s, "bandwidth_bytes_per_s": self.bandwidth_bytes_per_s}
        hops = (self.layout.pp - 1) * hop_s(self.model, tokens, **link)
        return hops + merge_s(self.model, self.layout.kvp, tokens, **link)


def way(model: ModelSpec, layout: Layout, machine: Machine, max_batch_tokens: int) -> Way:
    """The way between the GPUs of a replica on one machine."""
    link = machine.intra_link
    return Way(
        model=model, layout=layout, latency_s=link.latency_s,
        bandwidth_bytes_per_s=link.bandwidth_bytes_per_s * layout.tp, max_batch_tokens=max_batch_tokens,
    )  # fmt: skip


class StreamTime(StepTime):
    """Step times of an instance with pipeline stages that a prompt streams through, or with KV groups."""

    __slots__ = ("_way",)

    def __init__(
        self,
        profile: KernelProfile,
        between: Way,
        *,
        prefill_slowdown_ratio: float = 1.0,
        decode_slowdown_ratio: float = 1.0,
    ) -> None:
        """Steps of the whole model on one tensor-parallel group, and the way between the groups.

        Args:
            profile: measured surfaces at the layout's tensor-parallel width.
            between: stages, groups, and the links between them.
            prefill_slowdown_ratio: as in ``StepTime``.
            decode_slowdown_ratio: as in ``StepTime``.
        """
        super().__init__(
            profile, prefill_slowdown_ratio=prefill_slowdown_ratio, decode_slowdown_ratio=decode_slowdown_ratio
        )
        self._way = between

    @property
    def max_context_tokens(self) -> int:
        """Longest context whose share of one group the source measured."""
        return super().max_context_tokens * self._way.layout.kvp

    def prefill_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: int = 0) -> float:
        """Seconds in which the stages take in ``prompts``, each as p chunks, and every decode advances by a token.

        Attention is linear in the past, so the mean of the p chunks is the time of the middle one.
        """
        p = self._way.layout.pp
        chunks = [(-(-new // p), past + (p - 1) * new // (2 * p)) for new, past in prompts]
        return self._one_s(chunks, batch, context_tokens)

    def drain_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: int = 0) -> float:
        """Seconds from the end of a step until its last chunk has passed the other stages.

        A short last chunk waits for the whole ones before it, so without decodes beside it, which would have kept those
        small too, the drain is that of a chunk of the full size.
        """
        p = self._way.layout.pp
        if p == 1:
            return 0.0
        whole = 0 if batch else self._way.max_batch_tokens // p
        last = [(max(-(-new // p), min(past, whole)), past + (p - 1) * new // p) for new, past in prompts]
        return (p - 1) / p * self._one_s(last, batch, context_tokens)

    def decode_segments(self, batch: int, mean_context_tokens: float, steps: int) -> list[Segment]:
        """Durations of consecutive decode-only steps: the batch is spread over the stages, each cache over the groups.

        A token makes the share of a group longer by 1/kvp. Pieces of the curve end at multiples of its knots.
        """
        p, kvp = self._way.layout.pp, self._way.layout.kvp
        extra_s, part = self._way.extra_s(-(-batch // p)), -(-batch // p)
        segments: list[Segment] = []
        done = 0
        # whole tokens of a group's share: kvp steps at a time are one step of the curve underneath
        for first_s, slope_s, count in super().decode_segments(part, mean_context_tokens / kvp, -(-steps // kvp)):
            span = min(count * kvp, steps - done)
            if not span:
                break
            segments.append((first_s + extra_s, slope_s / kvp, span))
            done += span
        return segments

    def _one_s(self, chunks: list[tuple[int, int]], batch: int, context_tokens: int) -> float:
        """Whole-model seconds of one of the p batches in flight, and its way."""
        p, kvp = self._way.layout.pp, self._way.layout.kvp
        part = -(-batch // p)
        shares = [(new, -(-past // kvp)) for new, past in chunks]
        context = part * context_tokens // max(1, batch) // kvp
        return super().prefill_s(shares, part, context) + self._way.extra_s(part + sum(new for new, _ in shares))
