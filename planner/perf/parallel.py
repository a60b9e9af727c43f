"""One request over many GPUs: chunks in pipeline stages (SPP), a KV cache in groups (KVP), and what no layout beats.

Every function is pure and knows neither a queue nor a clock.
"""

from collections.abc import Callable

from planner.perf.layout import Layout
from workloads.models import ModelSpec


def kv_groups(context_tokens: int, group_tokens: int, kvp: int) -> int:
    """Groups that hold the KV cache of a context: one more each time ``group_tokens`` are full, at most ``kvp``.

    Source: Medha: groups join as the context grows; the others keep serving short requests.
    """
    return min(kvp, max(1, -(-context_tokens // group_tokens)))


def longest_share_tokens(context_tokens: int, group_tokens: int, kvp: int) -> int:
    """Tokens of a context in the group that holds most of it: what a step that reads it waits for.

    The first group is filled before the next joins, and nothing moves between them; when all are full they grow alike.
    A ``group_tokens`` of 1 spreads a context evenly from the start.

    share = max(min(context, group), context / groups)
    """
    return max(min(context_tokens, group_tokens), -(-context_tokens // kvp))


def merge_s(model: ModelSpec, groups: int, batch: int, *, latency_s: float, bandwidth_bytes_per_s: float) -> float:
    """Seconds in which partial attention outputs of ``groups`` are gathered and combined, all layers.

    merge = layers · (latency + (groups - 1) · batch · heads · (head_dim + 2) · 4 / bandwidth)

    A group sends its output in fp32 with the running maximum and sum of its softmax; groups send at once.

    Args:
        model: sizes.
        groups: KV groups, >= 1.
        batch: requests whose cache is spread.
        latency_s: of the link between groups.
        bandwidth_bytes_per_s: of the link between groups.
    """
    if groups == 1:
        return 0.0
    sent_bytes = (groups - 1) * batch * model.heads * (model.head_dim + 2) * 4
    return model.layers * (latency_s + sent_bytes / bandwidth_bytes_per_s)


def adaptive_chunk_tokens(
    step_s: Callable[[int], float], *, target_s: float, decodes: int, most_tokens: int, tile_tokens: int = 128
) -> int:
    """The largest chunk whose step meets a target, the step's tokens a multiple of the tile; 0 where none does.

    A decode in the same step waits for the whole pipeline, so ``step_s`` is the time of all stages together. Found by
    bisection: where measured times dip, a larger one may meet the target too.

    Args:
        step_s: chunk tokens -> seconds of the step that carries them, decodes included.
        target_s: longest step.
        decodes: decoding requests in the same step; they take tokens of the last tile.
        most_tokens: most tokens of the step.
        tile_tokens: tokens of one tile of the matrix kernels.

    Source: Medha (adaptive chunking); SARATHI (arXiv 2308.16369; the tile rule).
    """
    low, high = decodes // tile_tokens, most_tokens // tile_tokens
    while low < high:
        middle = (low + high + 1) // 2
        if step_s(middle * tile_tokens - decodes) <= target_s:
            low = middle
        else:
            high = middle - 1
    return max(0, low * tile_tokens - decodes)


def stays_adaptive(
    step_s: Callable[[int], float], chunk: int, *, target_s: float, decodes: int, most_tokens: int,
    tile_tokens: int = 128,
) -> bool:  # fmt: skip
    """Whether ``adaptive_chunk_tokens`` still gives a chunk that it gave when no step took longer than it does now.

    The same bisection: a step that missed the target then misses it now, so only those that met it are asked again,
    that of the chunk itself first.

    Args:
        step_s: of now.
        chunk: of then.
        target_s: as there, like all others.
        decodes: likewise.
        most_tokens: likewise.
        tile_tokens: likewise.
    """
    if step_s(chunk) > target_s:
        return False
    low, high = decodes // tile_tokens, most_tokens // tile_tokens
    while low < high:
        middle = (low + high + 1) // 2
        new = middle * tile_tokens - decodes
        if new > chunk:
            high = middle - 1
        elif step_s(new) <= target_s:
            low = middle
        else:
            return False
    return max(0, low * tile_tokens - decodes) == chunk


def relative_slack_frac(deadline_s: float, now_s: float, remaining_s: float, total_s: float) -> float:
    """How much of its own work a request could still wait: the smallest goes first.

    slack = (deadline - now - remaining work) / total work

    Divided by its own work, a second that is nothing to a long-context request weighs on a short request.

    Source: Medha (length-aware relative slack).
    """
    return (deadline_s - now_s - remaining_s) / total_s


def token_floor_s(
    model: ModelSpec, layout: Layout, context_tokens: float, *, dtype: str, kv_dtype: str, hbm_bytes_per_s: float
) -> float:
    """Seconds below which no token of one request comes out: every stage reads its weights and its KV once.

    floor = (weights / tp + context · KV bytes per token / (KV shards · kvp)) / bandwidth

    Pipeline stages take turns, so they shorten nothing.

    Args:
        model: sizes.
        layout: of the replica.
        context_tokens: of the request.
        dtype: of the weights.
        kv_dtype: of the KV cache.
        hbm_bytes_per_s: of one GPU.
    """
    weights = model.active_params / model.params * model.nominal_bytes(dtype) / layout.tp
    kv = context_tokens * model.kv_bytes_per_token(kv_dtype) / (model.kv_shards(layout.tp) * layout.kvp)
    return (weights + kv) / hbm_bytes_per_s


def prefill_flops(model: ModelSpec, prompt_tokens: int, *, causal: bool) -> float:
    """Floating-point operations of a prompt.

    flops = 2 · parameters · n + (causal ? 2 : 4) · n² · heads · head_dim · layers

    A causal mask leaves half of the attention pairs; kernels skip them, yet papers that quote a utilisation often count
    them. A utilisation means nothing without the convention.
    """
    pairs = (2 if causal else 4) * prompt_tokens**2
    return 2 * model.active_params * prompt_tokens + pairs * model.heads * model.head_dim * model.layers
