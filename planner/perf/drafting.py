"""Multi-token prediction: a decode step drafts some tokens more and verifies them all.

A step computes 1 + draft tokens of every request, reads each KV cache once, and runs one layer for each drafted token.
What it accepts on average is measured, not derived: it depends on what is written.
"""

from dataclasses import dataclass, replace

import numpy as np

from hw_catalog.profiles import Floats, Ints, KernelProfile
from workloads.demand import ClassDemand

VERIFIED_SHARE = 0.51
"""Of the attention of as many more requests, what verified tokens cost beside the first: they read the same cache.
Fitted to 160 disaggregated runs with multi-token prediction, in sample (benchmarks/cluster_timing.py)."""


TOKENS_PER_STEP = {1: 1.70, 2: 2.07, 3: 2.44}
"""Draft length -> tokens that a step gains, of the models in ``MEASURED``."""

MEASURED = frozenset({"deepseek-v3"})
MEASURED_SOURCE = "fitted to 73 disaggregated runs of InferenceX, DeepSeek-R1"


def tokens_per_step(draft_tokens: int) -> float:
    """Tokens that a decode step gains; the longest known draft stands for longer ones."""
    return TOKENS_PER_STEP[min(draft_tokens, max(TOKENS_PER_STEP))]


def steps_of(output_tokens: Ints, step_tokens: float) -> Ints:
    """Steps after which requests have their outputs, the one that computes the prompt among them."""
    later = np.maximum(1, np.rint((output_tokens - 1) / step_tokens)).astype(np.int64)
    return np.where(output_tokens > 1, 1 + later, output_tokens)


def in_steps(part: ClassDemand, step_tokens: float) -> ClassDemand:
    """A class of requests whose outputs are counted in steps."""
    if step_tokens == 1:
        return part
    return replace(part, output_tokens=steps_of(part.output_tokens, step_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafting:
    """How a model drafts.

    Attributes:
        draft_tokens: verified beside the token of each step, >= 1.
        step_tokens: that a request gains in a step, 1 to ``draft_tokens`` + 1.
    """

    draft_tokens: int
    step_tokens: float


def drafting(profile: KernelProfile, how: Drafting, *, layers: int, ahead_tokens: float) -> KernelProfile:
    """The profile of decode steps that draft: their batch counts requests, and a step is one of the engine's.

    linear(batch) = linear((1 + draft) · batch) + draft / layers · linear(batch)
    attention(batch) = attention(batch) + share · (attention((1 + draft) · batch) - attention(batch)), and as much for
    the drafting layers; each at context + ahead, for the tokens that a step gains beyond one

    Args:
        profile: as it runs without.
        how: draft length and what is accepted.
        layers: of the model, of which each drafted token takes one more.
        ahead_tokens: by which the context of a request is longer, on average, than its steps say.
    """
    more, layer = 1 + how.draft_tokens, how.draft_tokens / layers
    verified = np.array([_beyond(profile.batch, profile.linear_decode_s, b * more) for b in profile.batch.tolist()])
    contexts = profile.context_tokens + ahead_tokens
    read = np.stack([np.interp(contexts, profile.context_tokens, row) for row in profile.decode_attention_s])
    knots = profile.attention_batch
    whole = np.stack([[_beyond(knots, column, b * more) for b in knots.tolist()] for column in read.T], axis=1)
    return replace(
        profile, draft_tokens=how.draft_tokens, linear_decode_s=verified + layer * profile.linear_decode_s,
        decode_attention_s=np.maximum(read + VERIFIED_SHARE * (whole - read) + layer * read, 0.0),
    )  # fmt: skip


def _beyond(knots: Ints, values: Floats, wanted: float) -> float:
    """A column over batches, continued along its last slope where that rises."""
    if wanted <= knots[-1]:
        return float(np.interp(wanted, knots, values))
    slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    return float(values[-1] + (wanted - knots[-1]) * max(0.0, slope))
