"""KV memory: how many tokens an instance holds, and what moving them costs."""

from dataclasses import dataclass

from hw_catalog.engine_memory import EngineMemory
from planner.perf.layout import Layout
from workloads.models import ModelSpec

UP_PROJECTED_TOKENS = 64 * 1024
"""Cached tokens that latent attention projects up at a time. Source: vLLM, ``mla/common.py``."""

UP_PROJECTED_RATIO = 3.5
"""Keys without positions, values, and keys with positions, over the width of a head's values: DeepSeek's 448/128."""

BLOCK_ROWS = 128
"""Rows that kernels for block-scaled experts round each expert's share up to. Source: DeepGEMM, alignment of M."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What an engine is started with.

    Attributes:
        memory_frac: share of GPU memory it may use.
        max_batch_tokens: most tokens in one step, which the activations are sized for.
        max_batch_size: most requests in one step, which sampling is sized for.
        block_tokens: tokens in a block of KV memory.
    """

    memory_frac: float
    max_batch_tokens: int
    max_batch_size: int = 256
    block_tokens: int = 16


def kv_tokens(
    model: ModelSpec, engine: EngineMemory, settings: EngineSettings, *, hbm_bytes: float, layout: Layout, dtype: str,
    kv_dtype: str,
) -> float:  # fmt: skip
    """Tokens whose KV fits one instance; negative where the weights alone do not fit.

    tokens = KV bytes of a GPU / (KV bytes per token / shards) · ranks

    A latent cache is copied to every GPU of a tensor-parallel group; attention ranks hold requests of their own.
    Every KV group holds all weights. Layers that attend to a window are counted as if they kept every token, which is
    what vLLM reports for them; it can hold more where requests are longer than the window.

    Args:
        model: sizes.
        engine: what it keeps for itself.
        settings: what it is started with.
        hbm_bytes: of one GPU.
        layout: GPUs of the instance.
        dtype: of the weights.
        kv_dtype: of the KV cache.
    """
    working = activation_bytes(model, engine, layout, settings, dtype=dtype)
    weights = model.gpu_weight_bytes(dtype, layout.tp, layout.pp, layout.dp)
    free = engine.kv_bytes(hbm_bytes, settings.memory_frac, weights, working, layout.gpus)
    held = model.kv_bytes_per_token(kv_dtype, engine.latent_multiple_bytes)
    return free * model.kv_shards(layout.tp) * layout.dp * layout.pp * layout.kvp / held


def activation_bytes(
    model: ModelSpec, engine: EngineMemory, layout: Layout, settings: EngineSettings, *, dtype: str
) -> float:
    """Bytes that the largest step takes at its peak on one GPU, beside weights and KV.

    peak = max(layers, sampling) + experts: buffers of experts are kept from step to step, the others share memory.
    layers = 2 bytes · (4 · hidden + 3 · inner/tp) for each token, experts = 2 bytes · (2 · hidden + 3 · inner/tp) for
    each row they compute, sampling = requests · vocabulary · bytes of the engine's sampler.
    """
    rows, tp = float(settings.max_batch_tokens), layout.tp
    layers, experts = 2 * rows * (4 * model.hidden + 3 * model.inner / tp), 0.0
    if model.expert_inner:
        routed = rows * model.experts_used
        if model.block_scaled and dtype == "fp8":
            routed += model.experts * (BLOCK_ROWS - 1) / layout.ep
        experts = 2 * routed * (2 * model.hidden + 3 * model.expert_inner / tp)
    if model.kv_latent_dim:
        layers += 2 * UP_PROJECTED_TOKENS * (model.heads / tp) * UP_PROJECTED_RATIO * model.head_dim
    return max(layers, engine.sampler_bytes * settings.max_batch_size * model.vocab) + experts


NO_EVICT = ("trtllm",)
"""Engines that set aside memory for whole answers unless told otherwise. Source: TensorRT-LLM, ``SchedulerConfig`` in
tensorrt_llm/llmapi/llm_args.py: capacity_scheduler_policy, GUARANTEED_NO_EVICT."""


def promised_requests(held_tokens: float, mean_tokens: float, ranks: int) -> int:
    """Requests of which memory for whole answers can be set aside; one for each attention rank at least.

    Args:
        held_tokens: KV tokens of an instance.
        mean_tokens: of a prompt and its answer.
        ranks: of attention data parallelism.
    """
    return max(ranks, int(held_tokens / mean_tokens))


def blocks(tokens: int, block_tokens: int) -> int:
    """KV blocks that hold ``tokens``."""
    return -(-tokens // block_tokens)
