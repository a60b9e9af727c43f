"""What a plan comes to, as a row of the table of alternatives."""

from math import inf

import numpy as np

from planner.perf.layout import Role
from planner.planning.loop import PlanningLoop
from planner.planning.one import told_worth, worth
from planner.results.billed import billed_frac
from planner.results.choice import Choice, Standing, per_million
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan, Pool
from planner.scenario.objectives import IN_JOULES


def figures(
    loop: PlanningLoop, plan: CandidatePlan, seen: Judgement | None, standing: Standing, *, allowed: bool
) -> Choice:
    """What a plan comes to; of one that no simulation has seen, as planned."""
    case, totals = loop.case, plan.totals
    value = _value(loop, plan, seen)
    profile = case.profiles[plan.pools[0].spec.name]
    prompt, output = _tokens_per_s(loop, plan)
    if seen:
        output = seen.output_tokens_per_s
        prompt = prompt if seen.prompt_tokens_per_s is None else seen.prompt_tokens_per_s
    prompt_frac, output_frac = billed_frac(seen) if seen else (1.0, 1.0)
    prefill_usd = sum(_prefill_frac(loop, pool) * _usd_per_h(loop, pool) for pool in plan.pools)
    return Choice(
        variant=case.variant, engine=profile.engine, engine_version=profile.engine_version, policy=case.policy.name,
        allowed=allowed, standing=standing, objective_value=value, bound=loop.bound,
        cost_usd_per_h=totals.cost_usd_per_h, power_w=totals.power_w, machines=totals.machines, gpus=totals.gpus,
        gpu_tokens_per_s=output / max(1, totals.gpus),
        user_tokens_per_s=_per_user(loop, plan, seen),
        usd_per_million_prompt_tokens=per_million(prefill_usd, prompt * prompt_frac),
        usd_per_million_output_tokens=per_million(totals.cost_usd_per_h - prefill_usd, output * output_frac),
        concurrency=concurrency(plan, seen) if seen else None,
    )  # fmt: skip


def _value(loop: PlanningLoop, plan: CandidatePlan, seen: Judgement | None) -> float:
    """What is told of the objective; planned watts that no simulation has seen are no fewer than is proven."""
    if seen is not None:
        return abs(told_worth(loop, (plan, seen)))
    value, least = abs(worth(loop, plan)), loop.bound or 0.0
    return max(value, least) if loop.case.scenario.objective in IN_JOULES else value


def concurrency(plan: CandidatePlan, seen: Judgement) -> float | None:
    """Requests that decode at once on a machine: the mean of the simulated steps, over all machines that decode."""
    batch = {use.pool: use.batch_mean for use in seen.pools}
    pools = [pool for pool in plan.pools if pool.spec.role is not Role.PREFILL and pool.spec.name in batch]
    machines = sum(pool.machines for pool in pools)
    return sum(pool.instances * batch[pool.spec.name] for pool in pools) / machines if machines else None


def _tokens_per_s(loop: PlanningLoop, plan: CandidatePlan) -> tuple[float, float]:
    """Prompt and output tokens of the planned rates."""
    parts = {part.request_class.name: part for part in loop.case.asked.demand.classes}
    rates = [(c, rate) for p in plan.pools if p.spec.role is not Role.DECODE for c, rate in p.rate_req_per_s.items()]
    prompt = sum(rate * float(np.mean(parts[c].prompt_tokens)) for c, rate in rates)
    return prompt, sum(rate * float(np.mean(parts[c].output_tokens)) for c, rate in rates)


def _usd_per_h(loop: PlanningLoop, pool: Pool) -> float:
    """Price of a pool's machines."""
    return pool.machines * loop.options[pool.spec.name].price_usd_per_h


def _prefill_frac(loop: PlanningLoop, pool: Pool) -> float:
    """Share of a pool's instance time that computes prompts."""
    envelopes = loop.options[pool.spec.name].envelopes
    work = [(rate, envelopes[c]) for c, rate in pool.rate_req_per_s.items() if c in envelopes]
    prefill_s = sum(rate * each.prefill_s for rate, each in work)
    return prefill_s / max(1e-12, prefill_s + sum(rate * each.decode_s for rate, each in work))


def _per_user(loop: PlanningLoop, plan: CandidatePlan, seen: Judgement | None) -> float | None:
    """Output tokens a second that one request gets: of the median, or by the steps that were planned with."""
    if seen:
        gap_s = seen.latency_s.get("tpot_p50_s", 0.0)
        return 1 / gap_s if 0 < gap_s < inf else None
    steps = [
        (rate, loop.options[p.spec.name].envelopes[c].tbt_s)
        for p in plan.pools if p.spec.role is not Role.PREFILL for c, rate in p.rate_req_per_s.items()
        if c in loop.options[p.spec.name].envelopes
    ]  # fmt: skip
    mean_s = sum(rate * step for rate, step in steps) / max(1e-12, sum(rate for rate, _ in steps))
    return 1 / mean_s if mean_s > 0 else None
