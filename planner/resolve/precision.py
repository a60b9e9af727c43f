"""The precision of a plan: one number format of weights and one of the KV cache, for every pool of it."""

from collections.abc import Collection, Iterable, Mapping

from hw_catalog.profiles import KernelProfile
from planner.results.plan import CandidatePlan
from planner.results.precision import Served
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


def served_as(model: ModelSpec, candidate: CandidatePlan, profiles: Mapping[str, KernelProfile]) -> tuple[Served, ...]:
    """What each pool of a plan serves the model in.

    Args:
        model: what is served.
        candidate: the plan.
        profiles: of every option, by name.
    """
    made = []
    for pool in candidate.pools:
        profile = profiles[pool.spec.name]
        checkpoint = model.checkpoint(profile.dtype)
        made.append(
            Served(
                pool=pool.spec.name, dtype=profile.dtype, kv_dtype=profile.kv_dtype, engine=profile.engine,
                engine_version=profile.engine_version, checkpoint=checkpoint.repository, stored=checkpoint.stored.name,
            )
        )  # fmt: skip
    return tuple(made)
