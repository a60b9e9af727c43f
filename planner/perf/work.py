"""Work of a step: how many FLOP each GPU computes and how many bytes it reads.

Norms, collectives and activations are left out: their FLOP are few, and what they cost in watts is in the fitted terms.
"""

from dataclasses import dataclass

from hw_catalog.power import BLOCK_SCALED_TILE_TOKENS, TILE_TOKENS, expert_work
from hw_catalog.profiles import KernelProfile
from planner.perf.layout import Layout
from workloads.models import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one GPU does in one step.

    Attributes:
        flops: floating-point operations.
        bytes: read from its memory.
        weight_bytes: that its weights fill, read or not.
        output_tokens: that the whole instance puts out.
    """

    flops: float
    bytes: float
    weight_bytes: float
    output_tokens: int


def linear_work(model: ModelSpec, layout: Layout, profile: KernelProfile, tokens: float) -> tuple[float, float]:
    """FLOP and bytes of the token-wise operations of a step.

    FLOP = 2·(always·tokens + routed·touched·rows),  bytes = weights·(always + routed·touched)/all

    Every attention rank reads all that is ``always`` read; of a dense model that is all. Of a mixture, the experts that
    at least one token is routed to are read, and each computes whole tiles of token rows, however few it was sent.
    """
    always = model.params - model.routed_params
    flops, read = 2 * always * tokens, always * layout.dp
    if model.routed_params and tokens:
        touched, rows = expert_work(tokens, model.experts, model.experts_used, tile_tokens(model, profile))
        flops += 2 * model.routed_params * touched * rows
        read += model.routed_params * touched
    return flops / layout.gpus, model.nominal_bytes(profile.dtype) * read / model.params / layout.gpus


def tile_tokens(model: ModelSpec, profile: KernelProfile) -> int:
    """Token rows that an expert's kernel computes at least."""
    return BLOCK_SCALED_TILE_TOKENS if model.block_scaled and profile.dtype == "fp8" else TILE_TOKENS


def prefill_attention_work(model: ModelSpec, layout: Layout, new: float, past: float) -> float:
    """FLOP of the attention of ``new`` tokens over ``past`` and, half of them on average, themselves."""
    width = model.layers * model.heads * model.head_dim
    return 4 * width * new * (past + new / 2) / layout.gpus


def decode_attention_work(
    model: ModelSpec, layout: Layout, profile: KernelProfile, batch: int, mean_context_tokens: float
) -> tuple[float, float]:
    """FLOP and bytes of the attention of ``batch`` requests over their KV caches."""
    tokens = batch * mean_context_tokens
    width = model.layers * model.heads * model.head_dim
    shards = model.kv_shards(layout.tp) * layout.dp * layout.pp * layout.kvp
    return 4 * width * tokens / layout.gpus, model.kv_bytes_per_token(profile.kv_dtype) * tokens / shards


def decode_work(
    model: ModelSpec, layout: Layout, profile: KernelProfile, batch: int, mean_context_tokens: float
) -> Work:
    """A decode-only step of ``batch`` requests, with the tokens that each verifies."""
    verified = 1 + profile.draft_tokens
    flops, read = linear_work(model, layout, profile, batch * verified)
    more_flops, more_read = decode_attention_work(model, layout, profile, batch, mean_context_tokens)
    more_flops *= verified
    held = model.nominal_bytes(profile.dtype) / layout.gpus
    return Work(flops=flops + more_flops, bytes=read + more_read, weight_bytes=held, output_tokens=batch)


def prefill_work(
    model: ModelSpec,
    layout: Layout,
    profile: KernelProfile,
    prompts: list[tuple[int, int]],
    batch: int,
    context_tokens: int,
) -> Work:
    """A step that computes ``prompts`` (new tokens, tokens cached) and advances ``batch`` decodes."""
    new_tokens, verified = sum(new for new, _ in prompts), 1 + profile.draft_tokens
    flops, read = linear_work(model, layout, profile, new_tokens + batch * verified)
    flops += sum(prefill_attention_work(model, layout, new, past) for new, past in prompts)
    if batch:
        more_flops, more_read = decode_attention_work(model, layout, profile, batch, context_tokens / batch)
        flops, read = flops + more_flops * verified, read + more_read
    held = model.nominal_bytes(profile.dtype) / layout.gpus
    return Work(flops=flops, bytes=read, weight_bytes=held, output_tokens=batch + len(prompts))
