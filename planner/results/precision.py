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
class Variant:
    """A precision and an engine in which a model can be served.

    Attributes:
        profile_set: family of kernel profiles, which names the engine.
        dtype: number format of the weights.
        kv_dtype: of the KV cache.
        prefill_dtype: of the weights of prefill workers, where it is another; empty where it is not.
    """

    profile_set: str
    dtype: str
    kv_dtype: str
    prefill_dtype: str = ""

    @property
    def words(self) -> str:
        """In words: ``fp8 weights, bf16 KV cache, aiconfigurator-0.12``."""
        return f"{self.weights} weights, {self.kv_dtype} KV cache, {self.profile_set}"

    @property
    def weights(self) -> str:
        """Formats of the weights, those of prefill workers first where they differ: ``fp4 prefill, fp8 decode``."""
        return f"{self.prefill_dtype} prefill, {self.dtype} decode" if self.prefill_dtype else self.dtype


def precision(served: Iterable[Served]) -> str:
    """Formats of weights and KV cache, engines and their releases: ``bf16 weights, bf16 KV cache, vllm 0.24.0``.

    Where there are several formats, each is followed by the roles that serve in it.
    """
    ways = tuple(served)
    roles: dict[str, dict[str, None]] = {}
    for way in ways:
        roles.setdefault(f"{way.dtype} weights, {way.kv_dtype} KV cache", {})[way.pool.split("/")[0]] = None
    formats = roles if len(roles) < 2 else [f"{words} ({', '.join(names)})" for words, names in roles.items()]
    engines = {way.engine: sorted({w.engine_version for w in ways if w.engine == way.engine}) for way in ways}
    parts = [*formats, *(f"{name} {' and '.join(releases)}" for name, releases in engines.items())]
    return ", ".join(parts)
