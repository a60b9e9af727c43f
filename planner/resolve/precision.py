"""The precision of a plan: one number format of weights and one of the KV cache, for every pool of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hw_catalog.profiles import KernelProfile
from planner.perf.deploying import known_weights
from workloads.models import ModelSpec, alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Number formats.

    Attributes:
        dtype: of the weights; None where the model decides.
        kv_dtype: of the KV cache; None where the checkpoint decides.
        checkpoint: repository of the weights; None is the one that is known.
    """

    dtype: str | None = None
    kv_dtype: str | None = None
    checkpoint: str | None = None


def plan_formats(
    wanted: Formats, model: ModelSpec, profiles: Iterable[KernelProfile], gpus: Collection[str]
) -> tuple[str, str]:
    """The number formats of weights and KV cache, the same on every machine.

    Weights that the scenario leaves open are in the model's own format: the first that its authors publish it in and
    that a kernel profile was measured in on one of the GPUs. A format that others made of it has to be asked for. A KV
    cache left open is what engines choose: 8-bit where the checkpoint brings scales for it, else 16-bit. Source: vLLM,
    ``resolve_kv_cache_dtype_string``; TensorRT-LLM and SGLang read the same key of the checkpoint.

    Args:
        wanted: what the scenario says.
        model: whose checkpoints say what it is published in.
        profiles: of the model, in the scenario's profile set.
        gpus: names of GPUs that profiles are of.
    """
    measured = {(p.dtype, p.kv_dtype) for p in profiles if p.gpu in gpus}

    def kv_of(dtype: str) -> str:
        if wanted.kv_dtype is not None:
            return wanted.kv_dtype
        brought = brought_kv(model, dtype, wanted.checkpoint)
        same = sorted(kv for weights, kv in measured if weights == dtype and alike(kv, brought))
        return brought if brought in same else next(iter(same), brought)

    if wanted.dtype is not None:
        return wanted.dtype, kv_of(wanted.dtype)
    own = model.own or ("bf16",)
    served = sorted({dtype for dtype, kv in measured if kv == kv_of(dtype)})
    exact = [dtype for dtype in own if dtype in served]
    same = [dtype for mine in own for dtype in served if alike(mine, dtype)]
    dtype = next(iter((*exact, *same)), own[0])
    return dtype, kv_of(dtype)


def brought_kv(model: ModelSpec, dtype: str, named: str | None) -> str:
    """The format of the KV cache that engines choose for a checkpoint.

    Args:
        model: what is served.
        dtype: of the weights.
        named: repository of the weights; of one that is not known nothing is assumed.
    """
    weights = known_weights(model, dtype, named) if named else model.checkpoint(dtype)
    if weights is None:
        return "bf16"
    return weights.kv_dtype or (weights.rest.dtype if alike(weights.rest.dtype, "bf16") else "bf16")
