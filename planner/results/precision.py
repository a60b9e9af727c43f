"""What a plan serves the model in, and what else it could."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a pool serves the model in.

    Attributes:
        pool: name of its spec.
        dtype: number format of the weights.
        kv_dtype: of the KV cache.
        engine: whose kernels were measured.
        engine_version: of that engine.
        checkpoint: repository of the weights; empty where none is known.
        stored: how that checkpoint stores quantised weights.
        method: ``quant_method`` of that checkpoint; empty where it is not quantised or not known.
        scaled_kv: format of a KV cache that the checkpoint brings scales for; empty where it brings none.
        longest_tokens: KV tokens of the longest request that the pool holds; 0 in files of versions that did not say.
        context_tokens: longest request that the engine is to accept.
    """

    pool: str
    dtype: str
    kv_dtype: str
    engine: str
    engine_version: str
    checkpoint: str
    stored: str
    method: str = ""
    scaled_kv: str = ""
    longest_tokens: int = 0
    context_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewise:
    """The same question in another precision or on another engine, by the optimiser alone: not simulated.

    Attributes:
        dtype: number format of the weights.
        kv_dtype: of the KV cache.
        profile_set: family of kernel profiles, which names the engine.
        engine: whose kernels were measured.
        engine_version: of that engine.
        objective_value: of the program's optimum, at the load limits of the scenario.
        cost_usd_per_h: of that optimum.
        machines: of that optimum.
        policy: under which it was found.
        simulated: whether the simulator has seen it.
    """

    dtype: str
    kv_dtype: str
    profile_set: str
    engine: str
    engine_version: str
    objective_value: float
    cost_usd_per_h: float
    machines: int
    policy: str
    simulated: bool = False


def precision(served: Iterable[Served]) -> str:
    """Formats of weights and KV cache, engines and their releases: ``bf16 weights, bf16 KV cache, vllm 0.24.0``."""
    ways = tuple(served)
    formats = dict.fromkeys(f"{way.dtype} weights, {way.kv_dtype} KV cache" for way in ways)
    engines = {way.engine: sorted({w.engine_version for w in ways if w.engine == way.engine}) for way in ways}
    parts = [*formats, *(f"{name} {' and '.join(releases)}" for name, releases in engines.items())]
    return ", ".join(parts)
