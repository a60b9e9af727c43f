"""The surfaces of a kernel profile, asked point by point from the source's compiled model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hw_catalog.added_attention import with_least_added
from hw_catalog.profiles import Floats, Ints

# Both sides of each edge at which the source measured a GEMM tile to fill up, so that linear interpolation is exact.
TOKENS = (
    *(1, 4, 8, 16, 17, 32, 33, 48, 49, 64, 65, 96, 97, 128, 129, 160, 161, 192, 193, 224, 225, 256, 257, 384, 512, 513),
    *(768, 769, 1024, 1025, 1280, 1281, 1536, 1537, 1792, 1793, 2048, 2049, 2304, 2305, 2560, 2561, 2816, 2817, 3072),
    *(3073, 3328, 3329, 3584, 3585, 3840, 3841, 4096, 4097, 4352, 4353, 6144, 8192, 12288, 16384, 32768),
)
BATCH = (
    *(1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 32, 33, 48, 49, 64, 65, 96, 97, 128, 129, 192, 193, 256, 257, 384, 512, 513),
    *(768, 769, 1024),
)
NEW_TOKENS = (1, 32, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768)
PAST_TOKENS = (0, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
ATTENTION_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONTEXT_TOKENS = (1, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)

ATTENTION_WORDS = ("attention", "mla")
"""What marks an operation of the source as attention; a multi-head latent block includes its own projections."""
DISTURBED_RATIO = 1.25
"""An attention time this far above one with at least as much work is taken for a disturbed measurement."""

Operations = Sequence[tuple[str, float, float, str]]


class Handle(Protocol):
    """What is used of the source's compiled model."""

    def run_static_per_op(
        self, *, batch_size: int, isl: int, osl: int, prefix: int, mode: str
    ) -> tuple[Operations, Operations]:
        """Operations of a prefill step and of the decode steps after it."""

    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Operations:
        """Operations of one decode step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as the source prices it, seconds, by kind of operation and by whether it was measured."""

    linear_s: float
    attention_s: float
    measured_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfaces:
    """The tables of a profile on the knots of this module, ``tokens`` cut to the measured range.

    Attributes:
        tokens: (n,) knots.
        linear_prefill_s: (n,), with the launch of the prefill-attention kernels.
        linear_decode_s: over ``BATCH``.
        prefill_attention_s: ``NEW_TOKENS`` x ``PAST_TOKENS``.
        decode_attention_s: ``ATTENTION_BATCH`` x ``CONTEXT_TOKENS``.
        disturbed: entries of ``decode_attention_s`` that were replaced.
        measured_frac: share of step time from measured tables.
    """

    tokens: Ints
    linear_prefill_s: Floats
    linear_decode_s: Floats
    prefill_attention_s: Floats
    decode_attention_s: Floats
    disturbed: int
    measured_frac: float


def surfaces(handle: Handle, *, max_tokens: int) -> Surfaces:
    """Every surface of one compiled model."""
    tokens = [n for n in TOKENS if n <= max_tokens]
    raw = np.array([[decode_step(handle, b, c).attention_s for c in CONTEXT_TOKENS] for b in ATTENTION_BATCH])
    decode = undisturbed(raw)
    asked = np.array([[prefill_step(handle, n, p).attention_s for p in PAST_TOKENS] for n in NEW_TOKENS])
    prefill = never_cheaper_with_past(asked, decode[0])
    # A step launches its kernels once for all its prompts, so what every prompt above one token costs is counted there.
    launch_s = prefill[1:].min()
    knots = np.array(NEW_TOKENS), np.array(PAST_TOKENS), decode, np.array(ATTENTION_BATCH), np.array(CONTEXT_TOKENS)
    return Surfaces(
        tokens=np.array(tokens),
        linear_prefill_s=np.array([prefill_step(handle, n, 0).linear_s for n in tokens]) + launch_s,
        linear_decode_s=np.array([decode_step(handle, n, 2048).linear_s for n in BATCH]),
        prefill_attention_s=with_least_added(np.maximum(prefill - launch_s, 0.0), *knots),
        decode_attention_s=decode,
        disturbed=int(np.count_nonzero(decode != raw)),
        measured_frac=measured_frac(handle),
    )


def prefill_step(handle: Handle, new_tokens: int, past_tokens: int) -> Step:
    """A step on ``new_tokens`` of one request after ``past_tokens``; the source counts both as input."""
    operations, _ = handle.run_static_per_op(
        batch_size=1, isl=new_tokens + past_tokens, osl=2, prefix=past_tokens, mode="static_ctx"
    )
    return _step(operations)


def decode_step(handle: Handle, batch: int, context_tokens: int) -> Step:
    """A decode step; the source attends to its input plus the new token, so a context of n is an input of n - 1."""
    return _step(handle.decode_step_per_op(batch, context_tokens - 1, 2))


def _step(operations: Operations) -> Step:
    """Operations (name, milliseconds, energy, source) summed by kind."""
    attention = sum(ms for name, ms, _, _ in operations if any(word in name for word in ATTENTION_WORDS))
    total = sum(ms for _, ms, _, _ in operations)
    measured = sum(ms for _, ms, _, source in operations if source == "silicon")
    return Step(linear_s=(total - attention) * 1e-3, attention_s=attention * 1e-3, measured_s=measured * 1e-3)


def undisturbed(decode_attention_s: Floats) -> Floats:
    """Decode attention with each disturbed entry lowered to the least time that any greater or equal work took.

    Attention cannot take less time for a larger batch or a longer context, so an entry far above one with more work was
    not measured in quiet. Smaller dips are left: they are noise of both signs.

    Args:
        decode_attention_s: (batch, context).

    Returns:
        (batch, context).
    """
    flipped = decode_attention_s[::-1, ::-1]
    least = np.minimum.accumulate(np.minimum.accumulate(flipped, axis=0), axis=1)[::-1, ::-1]
    return np.where(decode_attention_s > DISTURBED_RATIO * least, least, decode_attention_s)


def never_cheaper_with_past(prefill_attention_s: Floats, decode_one_s: Floats) -> Floats:
    """Prefill attention made non-decreasing in the past, and at least what reading that past takes in a decode step.

    The source measures whole prompts only. It prices a chunk as its share of the work of the whole sequence, so a short
    chunk on a long past costs next to nothing, although the kernel has to read the whole past.

    Args:
        prefill_attention_s: (new, past) of the source.
        decode_one_s: decode attention of one request over ``CONTEXT_TOKENS``.

    Returns:
        (new, past).
    """
    total = np.minimum(np.add.outer(NEW_TOKENS, PAST_TOKENS), CONTEXT_TOKENS[-1])
    read = np.interp(total, CONTEXT_TOKENS, decode_one_s)
    read[:, 0] = 0.0  # a whole prompt was measured as such
    return np.maximum.accumulate(np.maximum(prefill_attention_s, read), axis=1)


def measured_frac(handle: Handle) -> float:
    """Share of time from measured tables over a 2048-token prefill and a decode of 32 at context 2048.

    Operations the source mixes from measured and analytic parts count as not measured.
    """
    steps = (prefill_step(handle, 2048, 0), decode_step(handle, 32, 2048))
    return float(np.mean([step.measured_s / (step.linear_s + step.attention_s) for step in steps]))
