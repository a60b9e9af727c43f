"""How hard a plan works its GPUs, against what the boards can do at all."""

from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.results.evidence import Judgement, PeakShare
from planner.results.plan import CandidatePlan, Pool
from workloads.formats import DTYPE_BYTES


def peak_shares(case: Case, candidate: CandidatePlan, judgement: Judgement) -> tuple[PeakShare, ...]:
    """For each pool the tokens a GPU computes, and the least work that takes, as shares of the board's peak.

    Arithmetic: 2 FLOP per parameter a token uses. Memory: the weights a token uses once for each decoding step (tokens
    over the mean batch), and the KV of its context for each output token; prompts are left out. Both are lower bounds:
    a share above 1 contradicts the board's data sheet.

    Args:
        case: what was asked, and what machines are.
        candidate: the plan.
        judgement: what the simulator saw of it, for the mean batch.
    """
    batches = {use.pool: use.batch_mean for use in judgement.pools}
    return tuple(_share(case, pool, batches.get(pool.spec.name, 0.0)) for pool in candidate.pools)


def _share(case: Case, pool: Pool, batch_mean: float) -> PeakShare:
    """One pool."""
    gpu = next(o.machine.gpu for o in case.options if o.spec.name == pool.spec.name)
    profile, model = case.profiles[pool.spec.name], case.model
    gpus = pool.instances * pool.spec.layout.gpus
    prompts = outputs = kv_bytes = 0.0
    for part in case.asked.demand.classes:
        rate = pool.rate_req_per_s.get(part.request_class.name, 0.0)
        if pool.spec.role is not Role.DECODE:
            prompts += rate * float(part.prompt_tokens.mean())
        if pool.spec.role is not Role.PREFILL:
            outputs += rate * float(part.output_tokens.mean())
            held = part.output_tokens * (part.prompt_tokens + part.output_tokens / 2.0)
            kv_bytes += rate * float(held.mean()) * model.kv_bytes_per_token(profile.kv_dtype)
    weight_bytes = model.active_params * DTYPE_BYTES[profile.dtype]
    read = kv_bytes + outputs / max(1.0, batch_mean) * weight_bytes
    peak_flops = gpu.fp8_flops if DTYPE_BYTES[profile.dtype] <= 1 and gpu.fp8_flops else gpu.bf16_flops
    if DTYPE_BYTES[profile.dtype] < 1:
        peak_flops *= 2  # boards that compute in 4 bits do so at twice the rate of 8
    return PeakShare(
        pool=pool.spec.name,
        gpus=gpus,
        prompt_tokens_per_s=prompts / gpus,
        output_tokens_per_s=outputs / gpus,
        flops_frac=2 * model.active_params * (prompts + outputs) / (gpus * peak_flops),
        hbm_frac=read / (gpus * gpu.hbm_bytes_per_s),
    )
