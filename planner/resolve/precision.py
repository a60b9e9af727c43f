"""The precision of a plan: one number format of weights and one of the KV cache, for every pool of it."""

from collections.abc import Collection, Iterable

from hw_catalog.profiles import KernelProfile
from workloads.models import ModelSpec, alike


def plan_dtype(
    wanted: str | None, model: ModelSpec, profiles: Iterable[KernelProfile], gpus: Collection[str], kv_dtype: str
) -> str:
    """The number format of the weights, the same on every machine.

    Where the scenario leaves it open it is the model's own: the first format that its authors publish it in and that
    a kernel profile was measured in on one of the GPUs. A format that others made of it has to be asked for.

    Args:
        wanted: what the scenario says; None is the model's own.
        model: whose checkpoints say what it is published in.
        profiles: of the model, in the scenario's profile set.
        gpus: names of GPUs that profiles are of.
        kv_dtype: of the KV cache.
    """
    if wanted is not None:
        return wanted
    measured = sorted({p.dtype for p in profiles if p.gpu in gpus and p.kv_dtype == kv_dtype})
    own = model.own or ("bf16",)
    exact = [dtype for dtype in own if dtype in measured]
    same = [dtype for mine in own for dtype in measured if alike(mine, dtype)]
    return next(iter((*exact, *same)), own[0])
