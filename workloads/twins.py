"""Models of one shape: what is measured of one holds for the kernels of the other."""

from collections.abc import Iterable

from workloads.models import ModelSpec

VOCAB_FRAC = 0.02
"""By which vocabularies may differ: the output head is one matrix of hundreds."""

_SIZES = (
    "layers", "hidden", "heads", "kv_heads", "head_dim", "inner", "expert_inner", "experts", "experts_used",
    "kv_latent_dim", "kv_index_bytes", "kv_layers", "kv_elements", "windowed_layers", "window_tokens",
)  # fmt: skip
"""What decides how long kernels take; biases, norms and positions do not."""


def twin_of(model: ModelSpec, known: Iterable[ModelSpec]) -> ModelSpec | None:
    """The first of the known models whose layers have the same shape; None where there is none.

    Finetunes have the shape of their base model, and so have language models beside a vision model, whose own kernels
    are not in any profile.
    """

    def alike(other: ModelSpec) -> bool:
        same = all(getattr(model, size) == getattr(other, size) for size in _SIZES)
        return same and abs(model.vocab - other.vocab) <= VOCAB_FRAC * other.vocab

    return next((other for other in known if alike(other)), None)
