"""How hard a plan works its GPUs, against what the boards can do at all."""

import numpy as np
from numpy.typing import NDArray

from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.results.evidence import Judgement, PeakShare
from planner.results.plan import CandidatePlan, Pool
from planner.results.use import PoolUse
from workloads.demand import ClassDemand
from workloads.formats import DTYPE_BYTES
from workloads.models import ModelSpec


def peak_shares(case: Case, candidate: CandidatePlan, judgement: Judgement) -> tuple[PeakShare, ...]:
    """For each pool the tokens a GPU computes, and the least work that takes, as shares of the board's peak.

    Arithmetic: 2 FLOP per parameter a token uses. Memory: what the simulated decode steps read at least, which is the
    weights that a token uses once a step, the input embedding left out, and the KV of a context for each token they put
    out; prompts are left out. Both are lower bounds: a share above 1 contradicts the board's data sheet.

    Args:
        case: what was asked, and what machines are.
        candidate: the plan.
        judgement: what the simulator saw of it, for its decode steps.
    """
    uses = {use.pool: use for use in judgement.pools}
    return tuple(_share(case, pool, uses.get(pool.spec.name)) for pool in candidate.pools)


def _share(case: Case, pool: Pool, use: PoolUse | None) -> PeakShare:
    """One pool."""
    gpu = next(o.machine.gpu for o in case.options if o.spec.name == pool.spec.name)
    profile, model = case.profiles[pool.spec.name], case.model
    gpus = pool.instances * pool.spec.layout.gpus
    prompts = outputs = held = 0.0
    for part in case.asked.demand.classes:
        rate = pool.rate_req_per_s.get(part.request_class.name, 0.0)
        if pool.spec.role is not Role.DECODE:
            prompts += rate * float(part.prompt_tokens.mean())
        if pool.spec.role is not Role.PREFILL:
            outputs += rate * float(part.output_tokens.mean())
            held += rate * float((part.output_tokens * _read_tokens(model, part)).mean())
    read = 0.0
    if use and use.batch_mean and outputs:
        weight_bytes = (model.active_params - model.vocab * model.hidden) * DTYPE_BYTES[profile.dtype]
        kv_bytes = held / outputs * model.kv_bytes_per_token(profile.kv_dtype)
        read = use.decode_tokens_per_s * (weight_bytes / use.batch_mean + kv_bytes)
    peak_flops = gpu.fp8_flops if DTYPE_BYTES[profile.dtype] <= 1 and gpu.fp8_flops else gpu.bf16_flops
    if DTYPE_BYTES[profile.dtype] < 1:
        peak_flops *= 2  # boards that compute in 4 bits do so at twice the rate of 8
    return PeakShare(
        pool=pool.spec.name,
        gpus=gpus,
        prompt_tokens_per_s=prompts / gpus,
        output_tokens_per_s=outputs / gpus,
        flops_frac=2 * model.active_params * (prompts + outputs) / (gpus * peak_flops),
        hbm_frac=read / (pool.spec.layout.gpus * gpu.hbm_bytes_per_s),
    )


def _read_tokens(model: ModelSpec, part: ClassDemand) -> NDArray[np.float64]:
    """Mean context that a token of each request reads, (n,); layers of a window read no more than that."""
    context = part.prompt_tokens + part.output_tokens / 2.0
    windowed_frac = model.windowed_layers / model.layers
    near = np.minimum(context, model.window_tokens) if model.window_tokens else context
    tokens: NDArray[np.float64] = context * (1 - windowed_frac) + near * windowed_frac
    return tokens
