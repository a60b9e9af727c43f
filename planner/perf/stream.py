"""Steps of an instance through which one long prompt streams: pipeline stages in turn, KV groups side by side.

In the time in which a batch passes all p stages, p batches enter. So one step of such an instance is p chunks of the
prompt, one behind the other, and one token of every decoding request, which are spread over the p batches:

    step = mean of the p chunks' whole-model times + (p - 1) · hop + merge

and a request that waits for the last chunk waits for it to pass the other p - 1 stages (``drain_s``).

Of a prompt alone in equal stages, whose chunks take t_i each, that comes to

    TTFT = (Σ t_i + (p - 1) · max t_i) / p + (p - 1) · hop

A request begins in one KV group, and takes a further one each time its cache has filled ``group_tokens`` of the last.
Its chunks and tokens are computed in every group that it is in, so the others are free for other requests meanwhile,
and a step takes as long as the slowest group:

    step = max over groups (linear + attention to what each holds) + merge

Other prompts of the step go to the groups after its own, round about; decodes are spread evenly.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.layout import Layout
from planner.perf.parallel import kv_groups, longest_share_tokens, merge_s
from planner.perf.pipeline import ACTIVATION_BYTES
from planner.perf.step_time import Floats, Ints, StepTime
from planner.perf.stretches import Segment
from workloads.models import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What lies between the GPUs of one replica.

    Attributes:
        model: sizes.
        layout: stages and groups.
        max_batch_tokens: most tokens of a step, all stages together.
        group_tokens: of a request's cache in one group when it takes the next; 1 is all groups from the start.
        hop_latency_s: from one stage to the next, mean over the boundaries.
        hop_token_s: likewise, per token.
        merge_latency_s: of the link between the groups of a stage.
        merge_bytes_per_s: of that link, one tensor-parallel group's share.
    """

    model: ModelSpec
    layout: Layout
    max_batch_tokens: int
    group_tokens: int
    hop_latency_s: float
    hop_token_s: float
    merge_latency_s: float
    merge_bytes_per_s: float

    def hops_s(self, tokens: int) -> float:
        """Seconds that a batch of so many tokens is on the links between the stages."""
        return (self.layout.pp - 1) * (self.hop_latency_s + self.hop_token_s * tokens)

    def hops_each(self, tokens: Ints) -> Floats:
        """``hops_s`` of each, to the last bit."""
        return np.asarray((self.layout.pp - 1) * (self.hop_latency_s + self.hop_token_s * tokens))

    def merge_s(self, groups: int, tokens: int) -> float:
        """Seconds in which the results of so many groups are merged."""
        return merge_s(
            self.model, groups, tokens, latency_s=self.merge_latency_s, bandwidth_bytes_per_s=self.merge_bytes_per_s
        )

    def groups(self, context_tokens: int) -> int:
        """Groups that hold a context."""
        return kv_groups(context_tokens, self.group_tokens, self.layout.kvp)

    def share_tokens(self, context_tokens: int) -> int:
        """Tokens of a context in the group that holds most of it."""
        return longest_share_tokens(context_tokens, self.group_tokens, self.layout.kvp)

    def merge_each(self, groups: Ints, tokens: Ints) -> Floats:
        """``merge_s`` of each, to the last bit."""
        sent_bytes = (groups - 1) * tokens * self.model.heads * (self.model.head_dim + 2) * 4
        each_s = self.model.layers * (self.merge_latency_s + sent_bytes / self.merge_bytes_per_s)
        return np.where(groups > 1, each_s, 0.0)

    def groups_each(self, context_tokens: Ints) -> Ints:
        """``groups`` of each."""
        return np.minimum(self.layout.kvp, np.maximum(1, -(-context_tokens // self.group_tokens)))

    def share_each(self, context_tokens: Ints) -> Ints:
        """``share_tokens`` of each."""
        return np.maximum(np.minimum(context_tokens, self.group_tokens), -(-context_tokens // self.layout.kvp))


def way(model: ModelSpec, layout: Layout, machine: Machine, max_batch_tokens: int, group_tokens: int = 1) -> Way:
    """The way between the GPUs of a replica: the groups of a stage side by side, then the stages one after the other.

    So what is sent most often, the merges of every layer, stays inside a machine as long as a stage fits it; stages on
    different machines, and groups of a stage that no machine holds, use their links to each other, of which a
    tensor-parallel group has the ports of its own GPUs.
    """
    inside, outside = machine.intra_link, machine.inter_link
    inside_bytes_per_s = inside.bandwidth_bytes_per_s * layout.tp
    outside_bytes_per_s = outside.bandwidth_bytes_per_s * min(1.0, layout.tp / machine.gpus)
    wide = layout.tp * layout.kvp > machine.gpus
    per_machine = max(1, machine.gpus // (layout.tp * layout.kvp))
    crossing = sum(boundary % per_machine == 0 for boundary in range(1, layout.pp))
    ways = ((outside, outside_bytes_per_s, crossing), (inside, inside_bytes_per_s, layout.pp - 1 - crossing))
    used = [(link.latency_s * n, ACTIVATION_BYTES * model.hidden * n / speed) for link, speed, n in ways if n]
    boundaries = max(1, layout.pp - 1)
    return Way(
        model=model, layout=layout, max_batch_tokens=max_batch_tokens, group_tokens=group_tokens,
        hop_latency_s=sum(latency for latency, _ in used) / boundaries,
        hop_token_s=sum(token for _, token in used) / boundaries,
        merge_latency_s=outside.latency_s if wide else inside.latency_s,
        merge_bytes_per_s=outside_bytes_per_s if wide else inside_bytes_per_s,
    )  # fmt: skip


class StreamTime(StepTime):
    """Step times of an instance with pipeline stages that a prompt streams through, or with KV groups."""

    __slots__ = ("_alone_s", "way")

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
        self.way = between
        self._alone_s: dict[tuple[tuple[int, int], int, float], float] = {}

    @property
    def max_context_tokens(self) -> int:
        """Longest context of which the source measured what one group holds."""
        return self._reach_tokens(super().max_context_tokens)

    @property
    def max_table_tokens(self) -> int:
        """Longest context of which the table holds what one group does."""
        return self._reach_tokens(super().max_table_tokens)

    @property
    def max_past_tokens(self) -> int:
        """Longest past of a chunk of which the source measured what one group holds."""
        return self._reach_tokens(super().max_past_tokens)

    def beside_tokens(self, parts: Sequence[tuple[int, int]], past_tokens: int) -> int:
        """Tokens of a step's prompts in the groups that a further one with so long a past would be computed in."""
        if self.way.layout.kvp == 1:
            return super().beside_tokens(parts, past_tokens)
        taken, at = self._placed(parts)
        mine = range(at, at + self.way.groups(past_tokens + 1))
        return max(sum(new for new, _, _ in taken[group % len(taken)]) for group in mine)

    def each_s(self, new: Ints, past: Ints, batch: int, context_tokens: float) -> Floats:
        """(prompts,) seconds of a step with each of some prompts alone."""
        held = np.full(len(new), context_tokens, float)
        return self._alone_each(new, past, np.full(len(new), batch), held)

    def packed_s(self, chunk: tuple[Ints, Ints], tokens: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) seconds of steps that hold as many whole chunks of one kind as their tokens are."""
        count = tokens // chunk[0]
        if (count == 1).all():
            return self._alone_beside(*chunk, batch, contexts)
        steps = list(zip(*(each.tolist() for each in (*chunk, count, batch)), strict=True))
        return np.array(
            [[self.prefill_s([(new, past)] * n, b, b * context) for new, past, n, b in steps] for context in contexts]
        )

    def drains_s(self, new: Ints, past: Ints, batch: int, context_tokens: float) -> Floats:
        """(prompts,) ``drain_s`` of a step with each of some prompts alone."""
        each = zip(new.tolist(), past.tolist(), strict=True)
        return np.array([self.drain_s([prompt], batch, context_tokens) for prompt in each])

    def besides_s(self, new: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) ``prefill_s`` of a whole prompt each, beside a batch each."""
        return self._alone_beside(new, np.zeros_like(new), batch, contexts)

    def prefill_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:
        """Seconds in which the stages take in ``prompts``, each as p chunks, and every decode advances by a token.

        Attention is linear in the past, so the mean of the p chunks is the time of the middle one.
        """
        key = (prompts[0], batch, context_tokens) if len(prompts) == 1 else None  # chunks are sought by bisection
        found = self._alone_s.get(key) if key else None
        if found is None:
            p = self.way.layout.pp
            chunks = [(-(-new // p), past + (p - 1) * new // (2 * p)) for new, past in prompts]
            found = self._one_s(chunks, batch, context_tokens)
            if key:
                self._alone_s[key] = found
        return found

    def _alone_each(self, new: Ints, past: Ints, batch: Ints, context_tokens: Floats) -> Floats:
        """(steps,) ``prefill_s`` of one prompt each, beside a batch each, to the last bit."""
        way, p, kvp = self.way, self.way.layout.pp, self.way.layout.kvp
        new, past, part = -(-new // p), past + (p - 1) * new // (2 * p), -(-batch // p)
        mean = (context_tokens // np.maximum(1, batch)).astype(np.int64)
        if kvp == 1:
            return self._besides(new, past, part, mean) + way.hops_each(part + new)
        spread, of = np.where(batch > 0, way.groups_each(mean), 0), way.groups_each(past + new)
        own, share = -(-part * spread // kvp), way.share_each(mean)
        merged = np.where(spread > 1, part, 0) + np.where(of > 1, new, 0)
        merge_s = way.merge_each(np.maximum(spread, of), merged)
        return self._besides(new, way.share_each(past), own, share) + way.hops_each(part + new) + merge_s

    def _alone_beside(self, new: Ints, past: Ints, batch: Ints, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) likewise, by the tokens of each request of a batch."""
        return np.array([self._alone_each(new, past, batch, np.multiply(batch, c, dtype=float)) for c in contexts])

    def steps_s(self, steps: Sequence[list[tuple[int, int]]]) -> list[float]:
        """Seconds of each of many steps that compute prompts alone."""
        return [self.prefill_s(step) for step in steps]

    def _bends(self, new: int) -> list[int]:
        """Where the share of a group passes a knot, stands still or grows again, and where a further group joins."""
        way, p = self.way, self.way.layout.pp
        kvp, full, middle = way.layout.kvp, way.group_tokens, (p - 1) * new // (2 * p)
        knots = list(super()._bends(new))
        if kvp > 1:
            knots = [knot if knot <= full else (knot - 1) * kvp + 1 for knot in knots]
            knots += [full, (full * kvp) + 1, *(m * full + 1 + new // -p for m in range(1, kvp))]
        return [knot - middle for knot in knots]

    def drain_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:
        """Seconds from the end of a step until its last chunk has passed the other stages.

        A short last chunk waits for the whole ones before it, so without decodes beside it, which would have kept those
        small too, the drain is that of a chunk of the full size.
        """
        p = self.way.layout.pp
        if p == 1:
            return 0.0
        whole = 0 if batch else self.way.max_batch_tokens // p
        last = [(max(-(-new // p), min(past, whole)), past + (p - 1) * new // p) for new, past in prompts]
        return (p - 1) / p * self._one_s(last, batch, context_tokens)

    def decode_segments(self, batch: int, mean_context_tokens: float, steps: int) -> list[Segment]:
        """Durations of consecutive decode-only steps: the batch is spread over the stages, each cache over its groups.

        While the first group fills, a token makes its share longer by one; while a further one does, the longest share
        stands still; when all are full, it grows by 1/kvp.
        """
        way = self.way
        part, kvp, full = -(-batch // way.layout.pp), way.layout.kvp, way.group_tokens
        segments: list[Segment] = []
        context, left = mean_context_tokens, steps
        while left:
            groups = way.groups(int(-(-context // 1)))
            extra_s = way.hops_s(part) + way.merge_s(groups, part)
            mine = -(-part * groups // kvp)
            end = groups * full  # the context up to which this many groups hold it
            span = left if context >= kvp * full else min(left, int(end - context) + 1)
            if context >= kvp * full:
                found = self._segments(mine, context / kvp, span, kvp)
            elif groups == 1:
                found = self._segments(mine, context, span)
            else:
                ((first_s, _, _),) = self._segments(mine, float(full), 1)
                found = [(first_s, 0.0, span)]
            segments += [(first_s + extra_s, slope_s, n) for first_s, slope_s, n in found]
            context, left = context + span, left - span
        return segments

    def _one_s(self, chunks: list[tuple[int, int]], batch: int, context_tokens: float) -> float:
        """Whole-model seconds of one of the p batches in flight, and its way."""
        way = self.way
        part = -(-batch // way.layout.pp)
        mean = int(context_tokens // max(1, batch))
        tokens = part + sum(new for new, _ in chunks)
        if way.layout.kvp == 1:
            return super().prefill_s(chunks, part, part * mean) + way.hops_s(tokens)
        spread = way.groups(mean) if batch else 0
        own = -(-part * spread // way.layout.kvp)
        held = own * way.share_tokens(mean)
        slowest_s = max(super(StreamTime, self).prefill_s(list(load), own, held) for load in self._loads(chunks))
        groups = max(spread, *(way.groups(past + new) for new, past in chunks))
        merged = part * (spread > 1) + sum(new for new, past in chunks if way.groups(past + new) > 1)
        return slowest_s + way.hops_s(tokens) + (way.merge_s(groups, merged) if merged else 0.0)

    def _loads(self, chunks: list[tuple[int, int]]) -> Collection[Sequence[tuple[int, int]]]:
        """What groups compute (tokens, longest share), each kind once; a chunk alone is the same to all of its own."""
        if len(chunks) == 1:
            return ([(chunks[0][0], self.way.share_tokens(chunks[0][1]))],)
        return {tuple((new, share) for new, share, _ in group) for group in self._placed(chunks)[0] if group}

    def _placed(self, parts: Sequence[tuple[int, int]]) -> tuple[list[list[tuple[int, int, int]]], int]:
        """The chunks that each group computes (tokens, longest share, groups), and the group that is next in turn."""
        way = self.way
        taken: list[list[tuple[int, int, int]]] = [[] for _ in range(way.layout.kvp)]
        at = 0
        for new, past in parts:
            groups = way.groups(past + new)
            for k in range(groups):
                taken[(at + k) % len(taken)].append((new, way.share_tokens(past), groups))
            at += groups
        return taken, at

    def _reach_tokens(self, measured_tokens: int) -> int:
        """Longest context of which no group holds more than was measured."""
        way = self.way
        return measured_tokens * way.layout.kvp if measured_tokens >= way.group_tokens else measured_tokens
