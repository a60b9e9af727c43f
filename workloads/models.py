"""Models: what a configuration file says about sizes."""

from dataclasses import dataclass

DTYPE_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Sizes of one model.

    Attributes:
        name: id, for example ``llama-3.1-70b``.
        layers: transformer layers.
        hidden: model width.
        heads: query heads.
        kv_heads: key/value heads (equal to ``heads`` without grouped-query attention).
        head_dim: width of a head.
        params: parameters in all.
        active_params: parameters one token uses (equal to ``params`` for dense models).
        max_context_tokens: longest context the model was made for.
        kv_latent_dim: width of the compressed KV of multi-head latent attention; 0 where there is none.
        source: where the sizes were read.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    params: float
    active_params: float
    max_context_tokens: int
    kv_latent_dim: int = 0
    source: str = ""

    def weight_bytes(self, dtype: str) -> float:
        """Bytes of all weights stored as ``dtype``."""
        return self.params * DTYPE_BYTES[dtype]

    def kv_bytes_per_token(self, kv_dtype: str = "bf16") -> float:
        """Bytes of KV cache one token holds, all layers, before any sharding.

        bytes = 2 · layers · kv_heads · head_dim · dtype, or layers · latent · dtype with latent attention.
        """
        if self.kv_latent_dim:
            return self.layers * self.kv_latent_dim * DTYPE_BYTES[kv_dtype]
        return 2 * self.layers * self.kv_heads * self.head_dim * DTYPE_BYTES[kv_dtype]

    def kv_shards(self, tp: int) -> int:
        """Over how many of ``tp`` GPUs one token's KV is divided (the rest hold copies)."""
        return 1 if self.kv_latent_dim else min(tp, self.kv_heads)
