"""Kernel profiles: measured times of the operations a step is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_catalog.provenance import Provenance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST_STEP_S = 1e4
"""No step takes longer; the longest in the profiles that ship takes 135 s."""

MOST_WAYS = 4096
"""GPUs that share a layer, experts or requests: racks of today have 72."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelProfile:
    """Times of one model on one group of GPUs of one type, seconds, whole model (all layers).

    step = overhead + linear(tokens in the step) + prefill_attention(new, past) + decode_attention(batch, context)
           + mixed, where prompts and decodes share it

    Attributes:
        gpu: catalog id of the GPU it was measured on.
        model: model id, for example ``llama-3.1-70b``.
        dtype: of weights, ``bf16``, ``fp8`` or ``fp4``; the KV cache is bf16 unless ``kv_dtype`` says otherwise.
        kv_dtype: of the KV cache.
        tp: tensor-parallel GPUs, >= 1.
        ep: expert-parallel ways, 1 for dense models; divides ``tp`` times ``dp``.
        engine: for example ``vllm``.
        engine_version: for example ``0.24.0``.
        profile_set: family name users choose by, for example ``aiconfigurator-0.12`` or ``splitwise-2023``.
        overhead_s: engine time per step that is in none of the surfaces.
        tokens: (n,) knots, tokens in a step that carries prefill work; both sides of each tile edge are knots.
        linear_prefill_s: (n,) token-wise operations (GEMM, norms, collectives) of such a step.
        batch: (m,) knots, requests in a decode-only step.
        linear_decode_s: (m,) token-wise operations of such a step.
        new_tokens: (a,) knots, tokens of one request processed in the step.
        past_tokens: (b,) knots, tokens of that request already in the KV cache.
        prefill_attention_s: (a, b) attention of one prefilling request.
        attention_batch: (c,) knots, decoding requests.
        context_tokens: (d,) knots, mean context of the decoding requests.
        decode_attention_s: (c, d).
        decode_extrapolated: (c, d) True where the source had no measurement and extrapolated.
        prefill_extrapolated: (a, b) likewise.
        measured_frac: share of step time that comes from measured tables in the source, 0..1, at a typical point.
        provenance: source, date, licence note.
        beyond_tokens: last context of the source's table where contexts beyond it were added, all extrapolated; 0 where
            none were. Never in a file.
        dp: ranks of attention data parallelism. Tokens, batches and attention are those of one rank, all others having
            as much to do; experts are spread over the ``tp`` times ``dp`` GPUs of all ranks.
        draft_tokens: that a decode step verifies beside the token of each request. Never in a file.
        mixed_s: what a step that carries prompts and decodes takes beyond its parts: its attention is two kernels.
    """

    gpu: str
    model: str
    dtype: str
    kv_dtype: str
    tp: int
    ep: int
    engine: str
    engine_version: str
    profile_set: str
    overhead_s: float
    tokens: Ints
    linear_prefill_s: Floats
    batch: Ints
    linear_decode_s: Floats
    new_tokens: Ints
    past_tokens: Ints
    prefill_attention_s: Floats
    attention_batch: Ints
    context_tokens: Ints
    decode_attention_s: Floats
    decode_extrapolated: NDArray[np.bool_]
    prefill_extrapolated: NDArray[np.bool_]
    measured_frac: float
    provenance: Provenance
    beyond_tokens: int = 0
    dp: int = 1
    draft_tokens: int = 0
    mixed_s: float = 0.0
