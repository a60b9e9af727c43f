"""Prefill workers whose weights are in another format than those of decode workers, and engines that join them.

What travels between them is KV, so its format has to be the same on both sides; weights need not be, where the engine
does not ask for one checkpoint on both. Sources, read 2026-11-29: TensorRT-LLM, ``CacheFormatter::inquireSupport`` in
``cpp/tensorrt_llm/batch_manager/cacheFormatter.cpp``, compares data types of caches, heads, layers and block sizes, not
weights; vLLM, ``compute_nixl_compatibility_hash`` of its NIXL connector, hashes the name of the model beside the types.
"""

from collections.abc import Collection
from dataclasses import replace

from hw_catalog.profiles import KernelProfile
from planner.errors import BadInput, nearest
from planner.perf.deploying import JOINS
from planner.results.precision import Variant
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.policy_section import SPLIT

ALL = "any"
PUBLIC = "splitwise-sim"
"""A policy with phases apart under which machines borrow."""
WHY_NOT = {
    "vllm": "vLLM's NIXL workers refuse peers that serve another checkpoint (compute_nixl_compatibility_hash)",
    "sglang": "whether SGLang joins workers of unlike weights is not known",
}


def phases_apart(
    scenario: Scenario, variants: Collection[Variant], profiles: Collection[KernelProfile], gpus: Collection[str]
) -> tuple[Variant, ...]:
    """The variants of a question with every format of prefill weights that it asks for.

    Args:
        scenario: the question, which names such formats.
        variants: what it allows without them.
        profiles: of the model.
        gpus: names of GPUs that profiles are of.

    Raises:
        BadInput: phases are not apart; nothing was measured in a format; or the engine does not join unlike weights.
    """
    key, asked = "model.prefill_dtype", scenario.model.prefill_dtype
    said = ", ".join(asked) if isinstance(asked, tuple) else str(asked)
    if impossible := _contradicted(scenario):
        raise BadInput(f"{key}: found {said} beside {impossible}")
    mine = [p for p in profiles if p.gpu in gpus]
    measured = {p.dtype for p in mine}
    if absent := [name for name in listed(asked) if name not in measured and name != ALL]:
        raise BadInput(
            *(f"{key}: found '{name}'; {nearest(name, measured)} (measured of these machines)" for name in absent)
        )
    engines = {p.profile_set: p.engine for p in profiles}
    found: dict[Variant, None] = {}
    refused: dict[str, None] = {}
    for variant in variants:
        with_kv = {p.dtype for p in mine if (p.profile_set, p.kv_dtype) == (variant.profile_set, variant.kv_dtype)}
        for dtype in sorted(with_kv) if asked == ALL else listed(asked):
            if dtype == variant.dtype:
                found[variant] = None
            elif dtype in with_kv and engines[variant.profile_set] in JOINS:
                found[replace(variant, prefill_dtype=dtype)] = None
            else:
                refused[_why(variant, dtype, engines[variant.profile_set], measured=dtype in with_kv)] = None
    if not found:
        raise BadInput(*(f"{key}: found {said}; {why}" for why in refused))
    return tuple(found)


def _contradicted(scenario: Scenario) -> str:
    """What else is asked that leaves prefill workers no format of their own; empty where nothing."""
    named = listed(scenario.policy.name)
    if scenario.policy.mixed_pool or PUBLIC in named:
        borrows = "policy.mixed_pool" if scenario.policy.mixed_pool else f"policy.name {PUBLIC}"
        return (
            f"{borrows}, under which a machine serves both phases, in one format of the weights; expected policy.name "
            "splitwise with policy.mixed_pool false"
        )
    if together := [name for name in named if name not in SPLIT]:
        return f"policy.name {', '.join(together)}; expected a policy with phases apart: splitwise"
    if scenario.model.checkpoint:
        return "model.checkpoint, which names weights of one format; expected null"
    return ""


def _why(variant: Variant, dtype: str, engine: str, *, measured: bool) -> str:
    """Why a variant has no prefill workers in a format."""
    if not measured:
        return f"nothing was measured with {dtype} weights and a {variant.kv_dtype} KV cache in {variant.profile_set}"
    return WHY_NOT.get(engine, f"whether {engine} joins workers of unlike weights is not known")
