"""What keeps a plan from being deployed as it was simulated: weights that do not load, KV that does not travel."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from planner.perf.layout import Layout, Role
from workloads.checkpoints import Checkpoint, checkpoints_named
from workloads.models import ModelSpec

ROUNDED_TOKENS = 1024
"""Multiple that the longest request an engine accepts is rounded up to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One thing that an engine does not do, or that is known to go wrong.

    Attributes:
        subject: the layout, or the two layouts, it holds for.
        reason: the rest of the sentence, with its source.
        refused: the engine does not do it; else it is only to be known.
    """

    subject: str
    reason: str
    refused: bool


def in_words(limits: Iterable[Limit]) -> tuple[str, ...]:
    """One sentence for each reason, with all that it holds for."""
    found: dict[str, list[str]] = {}
    for limit in limits:
        reason = limit.reason + (" (never planned)" if limit.refused else "")
        found.setdefault(reason, []).append(limit.subject)
    return tuple(f"{', '.join(dict.fromkeys(subjects))}: {reason}" for reason, subjects in found.items())


def context_tokens(longest: int, needed: int, held: int, most: int) -> int:
    """Tokens of the longest request that an engine is told to accept.

    The longest of the workload rounded up, but not above what the instance's KV memory holds: engines refuse to start
    with memory for less than one such request. Never above what the model was made for.

    Args:
        longest: tokens of the workload's longest request, prompt and output.
        needed: tokens of the longest request that this instance holds, at most ``longest``.
        held: KV tokens of one instance.
        most: the model's own maximum.
    """
    rounded = -(-longest // ROUNDED_TOKENS) * ROUNDED_TOKENS
    return min(most, max(needed, min(rounded, held)))


def transfer_limits(engine: str, model: ModelSpec, prefill: Layout, decode: Layout) -> Iterator[Limit]:
    """What the engine's KV transfer over NIXL does not do between two layouts.

    Source: vLLM, docs/features/nixl_connector_compatibility.md at 0a5110e, and the issues named in the sentences.

    Args:
        engine: that both run.
        model: whose KV travels.
        prefill: where it is computed.
        decode: where it is used.
    """
    pair = f"prefill {prefill.name} to decode {decode.name}"
    if engine == "vllm":
        yield from _vllm_limits(pair, model, prefill, decode)
    elif engine == "sglang" and prefill.tp != decode.tp and not model.kv_latent_dim:
        reason = (
            "SGLang moves KV between unequal tensor-parallel sizes, but has crashed under load (sgl-project/sglang "
            "issue 15674): test it, or plan with equal sizes"
        )
        yield Limit(subject=pair, reason=reason, refused=False)


def _vllm_limits(pair: str, model: ModelSpec, prefill: Layout, decode: Layout) -> Iterator[Limit]:
    """Of vLLM's NixlConnector."""
    larger, smaller = max(prefill.tp, decode.tp), min(prefill.tp, decode.tp)
    if prefill.pp > 1 or decode.pp > 1:
        reason = "vLLM's NixlConnector moves no KV of pipeline stages (vllm-project/vllm issues 40674, 52913)"
        yield Limit(subject=pair, reason=reason, refused=True)
    if larger % smaller:
        reason = "vLLM's NixlConnector needs one tensor-parallel size to divide the other (kv_connector/utils.py)"
        yield Limit(subject=pair, reason=reason, refused=True)
    if larger == smaller or model.kv_latent_dim:  # latent KV is the same on every GPU
        return
    if larger > model.kv_heads:
        reason = (
            f"unequal tensor-parallel sizes, of which one exceeds the {model.kv_heads} KV heads: vLLM's NixlConnector "
            "asserts against copied heads (vllm-project/vllm issue 45330, seen in 0.21.0)"
        )
        yield Limit(subject=pair, reason=reason, refused=True)
    elif prefill.tp > decode.tp:
        reason = (
            "a prefill tensor-parallel size above the decode one needs a vLLM with pull request 27274; images before "
            "it crash (vllm-project/vllm issue 43523, llm-d 0.4)"
        )
        yield Limit(subject=pair, reason=reason, refused=False)


JOINS = ("trtllm",)
"""Engines whose KV transfer is known not to ask for the same weights on both sides."""
LOAD_CHECKED = ("vllm", "sglang")
"""Engines whose check of blocks was read in their source."""


def load_limits(model: ModelSpec, weights: Checkpoint, layout: Layout) -> Iterator[Limit]:
    """Layouts that cut a block-scaled checkpoint inside a block.

    Source: vLLM and SGLang, layers/quantization/fp8.py: "output_size of gate's and up's weight is not divisible by
    weight quantization block_n". Experts stay whole under expert parallelism.
    """
    block = weights.stored.block_rows
    if block < 2:  # a scale for each row, or one for all
        return
    cut = layout.tp * layout.dp // layout.ep
    for words, width, gpus in (("experts", model.expert_inner, cut), ("MLPs", model.inner, layout.tp)):
        if width % (gpus * block):
            reason = (
                f"{words} of width {width} over {gpus} GPUs end inside the blocks of {block} that "
                f"{weights.repository or 'the checkpoint'} has scales for: engines do not load it so"
            )
            yield Limit(subject=layout.name, reason=reason, refused=True)


def pool_limits(
    model: ModelSpec, weights: Checkpoint | None, engine: str, pools: Iterable[tuple[Role, Layout]]
) -> tuple[Limit, ...]:
    """All that is known to stand between these pools and their deployment, each once; weights where they are known."""
    known = tuple(dict.fromkeys(pools))
    found = [limit for _, layout in known for limit in load_limits(model, weights, layout)] if weights else []
    firsts = [layout for role, layout in known if role is Role.PREFILL]
    nexts = [layout for role, layout in known if role is Role.DECODE]
    pairs = dict.fromkeys((prefill, decode) for prefill in firsts for decode in nexts)
    found += [limit for prefill, decode in pairs for limit in transfer_limits(engine, model, prefill, decode)]
    return tuple(dict.fromkeys(found))


def known_weights(model: ModelSpec, dtype: str, named: str | None) -> Checkpoint | None:
    """The checkpoint that is served, where phasewise knows it; ``named`` is what ``model.checkpoint`` says."""
    if named is None:
        found = model.checkpoint(dtype)
        return found if found.repository else None
    return next((found for owner, found in checkpoints_named(named) if owner == model.name), None)


def handshake_limits(engine: str, releases: Iterable[str], gpus: Iterable[str], *, split: bool) -> Iterator[str]:
    """What two sides of a KV transfer have to agree on beyond their layouts, full sentences.

    Source: vLLM, docs/features/nixl_connector_compatibility.md at 0a5110e: "What must match between P and D".
    """
    if not split or engine != "vllm":
        return
    kinds, several = sorted(set(gpus)), sorted(set(releases))
    if len(kinds) > 1:
        yield (
            f"{' and '.join(kinds)} exchange KV: vLLM's NixlConnector needs the same attention backend on both, and "
            "engines choose it by GPU; set --attention-backend"
        )
    if len(several) > 1:
        yield (
            f"its pools were measured with vLLM {' and '.join(several)}; NixlConnector needs the same release on both "
            "sides"
        )
