"""The figures of SARATHI (arXiv 2308.16369v1), and kernel profiles made of them.

Times in milliseconds as printed or read off. LLaMA-13B on one A6000 is measured by the paper; LLaMA-33B and GPT-3 on
A100 are carried over from it, since their times are not published.
"""

import numpy as np

from hw_catalog.profiles import Floats, Ints, KernelProfile
from hw_catalog.provenance import Kind, Provenance

PROFILE_SET = "sarathi-2023"
READ = "2026-11-21"

LINEAR_MS = {
    1: 44.28, 4: 44.28, 128: 55.0, 256: 69.8, 257: 92.33, 384: 94.0, 385: 112.0, 512: 116.0, 513: 148.0, 640: 154.0,
    768: 186.0, 896: 214.0, 1024: 224.8, 1025: 275.0,
}  # fmt: skip
"""Tokens of a step -> linear operations of LLaMA-13B on A6000.

Printed: 4 and 1,024 (Table 2), 128, 256 and 257 (text on Fig. 7); the others are read off Fig. 7 by eye, within 2 %.
"""

DRAWN_1024_MS = 240.0
"""What Fig. 7 shows at 1,024 tokens where Table 2 prints 224.8; Fig. 3 (0.24 ms a prompt token) agrees with Fig. 7."""

PREFILL_ATTENTION_MS = 10.0
"""1,024 prompt tokens (Table 2)."""

DECODE_ATTENTION_MS = 5.68
"""Four requests at a context of 1,024 (Table 2)."""

HYBRID_ATTENTION_MS = 15.2
"""1,021 prompt tokens and three decodes at 1,024 (Table 2)."""

HYBRID_MS = HYBRID_ATTENTION_MS - PREFILL_ATTENTION_MS - 3 / 4 * DECODE_ATTENTION_MS
"""What attention of a hybrid step takes beyond its parts: 0.94 ms over 40 layers, paid once a step."""

TABLE_TOKENS = 1024
LAYERS_13B, WIDTH_13B = 40, 5120
LAYERS = {"llama-13b": LAYERS_13B, "llama-33b": 60, "gpt-3-175b": 96}
A6000_FLOPS, A6000_BYTES_PER_S = 154.8e12, 768e9
"""Dense bf16 peak and memory bandwidth of an RTX A6000 (vendor; recalled)."""
A100_FLOPS, A100_BYTES_PER_S = 312e12, 2.039e12

KNEE = 3.6
"""Exponent of t = (t_mem^p + t_comp^p)^(1/p): how sharply memory-bound time turns compute-bound (assumed)."""

ALL_REDUCE_S, ALL_REDUCE_S_PER_BYTE = 60.6e-6, 9.16e-12
"""Of eight A100 in a DGX: a line through 99 us at 4 MiB and 675 us at 64 MiB (profiles of microsoft/vidur)."""

NEWS = np.array([1, 32, 64, 128, 192, 256, 320, 384, 448, 512, 768, 1024, 2048, 4096])
PASTS = np.array([0, 256, 512, 1024, 2048, 4096])


def llama_13b(linear_1024_ms: float = LINEAR_MS[1024]) -> KernelProfile:
    """LLaMA-13B on one A6000, from Table 2 and Fig. 7, which disagree on a prefill of 1,024 tokens.

    Attention is carried over a prompt's length by pairs of tokens under a causal mask, new · (past + new / 2), and is
    no shorter than reading the cache as a decode does; decode attention is proportional to batch and context.
    """
    figures = {**LINEAR_MS, 1024: linear_1024_ms}
    figures |= {tokens: tokens / 1024 * linear_1024_ms for tokens in (2048, 32768)}
    tokens, linear = (np.array(list(column)) for column in (figures.keys(), figures.values()))
    return _profile(
        "a6000", "llama-13b", 1, linear=(tokens, linear * 1e-3),
        pair_s=PREFILL_ATTENTION_MS * 1e-3 / (1024**2 / 2), cached_s=DECODE_ATTENTION_MS * 1e-3 / 4096,
        kind=Kind.MEASURED, note="Table 2 and text as printed, Fig. 7 read off by eye (2 %); attention by token pairs",
    )  # fmt: skip


def llama_33b(linear_1024_ms: float = LINEAR_MS[1024]) -> KernelProfile:
    """LLaMA-33B on one A100, carried over from LLaMA-13B on A6000 by bytes, operations and peaks."""
    return _carried(llama_13b(linear_1024_ms), "llama-33b", width=6656, tp=1)


def gpt_3(linear_1024_ms: float = LINEAR_MS[1024]) -> KernelProfile:
    """GPT-3 on eight A100 side by side, carried over from LLaMA-13B on A6000, with two all-reduces a layer."""
    return _carried(llama_13b(linear_1024_ms), "gpt-3-175b", width=12288, tp=8)


def _carried(base: KernelProfile, model: str, *, width: int, tp: int) -> KernelProfile:
    """A profile on A100: memory times by bytes and bandwidth, the rest by operations and peak, at equal efficiency.

    The part of a linear time that is arithmetic is what remains of it, in the p-norm, above that of one token.
    """
    layers = LAYERS[model]
    ops = layers * width**2 / (LAYERS_13B * WIDTH_13B**2) / tp
    pairs = layers * width / (LAYERS_13B * WIDTH_13B) / tp
    compute, memory = A6000_FLOPS / A100_FLOPS, A6000_BYTES_PER_S / A100_BYTES_PER_S
    floor_s = base.linear_prefill_s[0]
    arithmetic_s = (base.linear_prefill_s**KNEE - floor_s**KNEE) ** (1 / KNEE)
    linear_s = ((floor_s * ops * memory) ** KNEE + (arithmetic_s * ops * compute) ** KNEE) ** (1 / KNEE)
    if tp > 1:
        linear_s = linear_s + 2 * layers * (ALL_REDUCE_S + ALL_REDUCE_S_PER_BYTE * base.tokens * width * 2)
    return _profile(
        "a100-sxm", model, tp, linear=(base.tokens, linear_s),
        pair_s=PREFILL_ATTENTION_MS * 1e-3 / (1024**2 / 2) * pairs * compute,
        cached_s=DECODE_ATTENTION_MS * 1e-3 / 4096 * pairs * memory,
        kind=Kind.TRANSFERRED, note="LLaMA-13B on A6000 scaled by bytes, operations and peaks at equal efficiency; "
        "no time of this model is published",
    )  # fmt: skip


def _profile(
    gpu: str, model: str, tp: int, *, linear: tuple[Ints, Floats], pair_s: float, cached_s: float, kind: Kind,
    note: str,
) -> KernelProfile:  # fmt: skip
    """A profile in which attention follows from one pair and one cached token; ``linear`` are tokens and seconds."""
    tokens, linear_s = linear
    batch, context = np.array([1, 4, 128]), np.array([1, 1024, 4096])
    pairs = np.array([[new * (past + new / 2) for past in PASTS] for new in NEWS])
    read = np.array([[past + new for past in PASTS] for new in NEWS])
    measured = kind is Kind.MEASURED
    return KernelProfile(
        gpu=gpu, model=model, dtype="fp16", kv_dtype="fp16", tp=tp, ep=1, engine="nanogpt-xformers",
        engine_version="2023", profile_set=PROFILE_SET, overhead_s=0.0, tokens=tokens, linear_prefill_s=linear_s,
        batch=batch, linear_decode_s=np.interp(batch, tokens, linear_s), new_tokens=NEWS, past_tokens=PASTS,
        prefill_attention_s=np.maximum(pairs * pair_s, read * cached_s), attention_batch=batch, context_tokens=context,
        decode_attention_s=np.outer(batch, context) * cached_s,
        decode_extrapolated=np.broadcast_to((not measured) | (context > TABLE_TOKENS), (len(batch), len(context))),
        prefill_extrapolated=~(measured & np.logical_and.outer(NEWS == TABLE_TOKENS, PASTS == 0)),
        measured_frac=1.0 if measured else 0.0, mixed_s=HYBRID_MS * 1e-3 * LAYERS[model] / LAYERS_13B,
        provenance=Provenance(kind=kind, source="SARATHI (arXiv 2308.16369v1), Table 2, Fig. 7", date=READ, note=note),
    )  # fmt: skip
