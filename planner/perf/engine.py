"""A kernel profile as an engine runs it: with what its kernel tables leave out."""

from dataclasses import replace

import numpy as np

from hw_catalog.engines import EngineTiming
from hw_catalog.profiles import KernelProfile


def as_run(profile: KernelProfile, timing: EngineTiming) -> KernelProfile:
    """The same surfaces with the engine's host time and its factors on the kernels in them.

    overhead = overhead + step_s
    linear_prefill, prefill_attention = prefill_ratio · (themselves)
    linear_decode = decode_ratio · linear_decode
    decode_attention(batch, context) = decode_ratio · decode_attention + step_per_request_s · batch
    """
    per_request_s = timing.step_per_request_s * profile.attention_batch.astype(np.float64)[:, None]
    return replace(
        profile,
        overhead_s=profile.overhead_s + timing.step_s,
        linear_prefill_s=timing.prefill_ratio * profile.linear_prefill_s,
        prefill_attention_s=timing.prefill_ratio * profile.prefill_attention_s,
        linear_decode_s=timing.decode_ratio * profile.linear_decode_s,
        decode_attention_s=timing.decode_ratio * profile.decode_attention_s + per_request_s,
    )
