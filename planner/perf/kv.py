"""KV memory: how many tokens an instance holds, and what moving them costs."""

from planner.results.plan import Layout
from workloads.models import ModelSpec

GIB = 2**30

ENGINE_RESERVE_BYTES = 3.5 * GIB
"""CUDA context, graphs and workspace. Source: `other_mem` of aiconfigurator-core 0.12.0's system files (vendor)."""

COLLECTIVES_RESERVE_BYTES = 0.36 * GIB
"""Collective-communication buffers. Source: the same files, 0.33-0.38 GiB (vendor)."""

ACTIVATION_RATIO = 5.3
"""Peak activation bytes per (token · hidden · 2 bytes). Derived: what aiconfigurator-core 0.12.0's estimate for
Llama-3.1-70B TP4 on H100 at 8,192 tokens (454,016 KV tokens) leaves after the two reserves above."""


def kv_tokens(
    model: ModelSpec,
    *,
    hbm_bytes: float,
    layout: Layout,
    dtype: str,
    kv_dtype: str,
    memory_frac: float,
    max_batch_tokens: int,
) -> float:
    """Tokens whose KV fits one instance; negative where the weights alone do not fit.

    tokens = (memory_frac · HBM - weights/(tp·pp) - activations - reserves) / (KV bytes per token / shards)

    Every KV group holds all weights.

    Args:
        model: sizes.
        hbm_bytes: of one GPU.
        layout: GPUs of the instance.
        dtype: of the weights.
        kv_dtype: of the KV cache.
        memory_frac: share of HBM the engine may use.
        max_batch_tokens: most tokens in one step, which the activations are sized for.
    """
    weights = model.weight_bytes(dtype) / (layout.tp * layout.pp)
    activations = ACTIVATION_RATIO * max_batch_tokens * model.hidden * 2 / layout.tp
    free = memory_frac * hbm_bytes - weights - activations - ENGINE_RESERVE_BYTES - COLLECTIVES_RESERVE_BYTES
    per_gpu = model.kv_bytes_per_token(kv_dtype) / (model.kv_shards(layout.tp) * layout.pp * layout.kvp)
    return free / per_gpu


def blocks(tokens: int, block_tokens: int) -> int:
    """KV blocks that hold ``tokens``."""
    return -(-tokens // block_tokens)
