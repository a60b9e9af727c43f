"""A kernel profile as an engine runs it: with what its kernel tables leave out."""

from dataclasses import replace

import numpy as np

from hw_catalog.engines import EngineTiming
from hw_catalog.profiles import KernelProfile
from planner.perf.beyond import continued

FUSED_FRAC = 0.5
"""Most of a step's token-wise kernels that fusion may save: it has been seen to save at most two fifths."""


def as_run(profile: KernelProfile, timing: EngineTiming, layers: int) -> KernelProfile:
    """The same surfaces with the engine's host time and its factors on the kernels in them; ``layers`` of the model.

    overhead = overhead + step_s
    linear_prefill, prefill_attention, mixed = prefill_ratio · (themselves); the first at least layers · eager_layer_s
    linear_decode = decode_ratio · linear_decode - layers · fused_layer_s
    decode_attention(batch, context) = decode_ratio · decode_attention + step_per_request_s · batch
    """
    profile = continued(profile)  # before host time per request, of which one long request has no more than a short one
    linear_s = timing.decode_ratio * profile.linear_decode_s
    fused_s = layers * timing.fused_layer_s.get(profile.dtype, 0.0)
    per_request_s = timing.step_per_request_s * profile.attention_batch.astype(np.float64)[:, None]
    return replace(
        profile,
        overhead_s=profile.overhead_s + timing.step_s,
        linear_prefill_s=np.maximum(timing.prefill_ratio * profile.linear_prefill_s, layers * timing.eager_layer_s),
        prefill_attention_s=timing.prefill_ratio * profile.prefill_attention_s,
        mixed_s=timing.prefill_ratio * profile.mixed_s,
        linear_decode_s=np.maximum(linear_s - fused_s, (1 - FUSED_FRAC) * linear_s),
        decode_attention_s=timing.decode_ratio * profile.decode_attention_s + per_request_s,
    )
