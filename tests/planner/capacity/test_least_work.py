"""Laws of least work: it is never above the estimate, and no simulated instance works faster."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import option
from planner.capacity.least_work import at_least
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from tests.planner.options import machine
from tests.planner.served import run
from tests.planner.toy import toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.demand import ClassDemand, Demand
from workloads.requests import ALL_REQUESTS
from workloads.slo import Metric, Slo

REQUESTS = 300
SAMPLE_FRAC = 0.005
"""What the lengths that stand for a sample may be off by."""


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), prompt_most=st.sampled_from((40, 400, 1500)),
    output_most=st.sampled_from((4, 60, 250)),
    kv_blocks=st.sampled_from((400, 2000, 20_000)), chunk=st.sampled_from((None, 128, 512)), bend=st.booleans(),
)  # fmt: skip
def test_no_instance_works_faster_than_the_least_work(
    seed: int, prompt_most: int, output_most: int, kv_blocks: int, chunk: int | None, bend: bool
) -> None:
    """An instance with a queue that never empties takes at least the least work of every request it serves."""
    draw = np.random.default_rng(seed)
    prompts, outputs = draw.integers(1, prompt_most, REQUESTS), draw.integers(2, output_most + 2, REQUESTS)
    body = toy_physics(profile=toy_profile(bend=bend), kv_blocks=kv_blocks)
    rules = toy_policy("sarathi" if chunk else "colocated")
    asked = Demand(
        classes=(
            ClassDemand(request_class=ALL_REQUESTS, rate_req_per_s=1.0, prompt_tokens=prompts, output_tokens=outputs),
        )
    )
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=8), chunk_tokens=chunk)
    tight = Slo(metric=Metric.TBT, percentile=50.0, limit=0.025)
    offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [tight])
    if offered is None:
        offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [])
    assert offered is not None
    least = at_least(offered, body, rules, asked).envelopes["all"]
    planned = offered.envelopes["all"]
    work_s = least.prefill_s + least.decode_s
    assert 0 < work_s <= (planned.prefill_s + planned.decode_s) * (1 + 1e-12)
    assert least.kv_tokens_s <= planned.kv_tokens_s
    trace = toy_trace(np.linspace(0, 1e-3, REQUESTS).tolist(), prompts.tolist(), outputs.tolist())
    pool = PoolModel(
        name="pool", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=chunk
    )
    done = run([pool], rules, trace, window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=4), cutoff_s=1e6)
    assert np.isfinite(done.ledger.e2e_s).all()
    took_s = float((trace.arrival_s + done.ledger.e2e_s).max())
    assert took_s >= REQUESTS * work_s * (1 - SAMPLE_FRAC)
    assert took_s * offered.kv_tokens >= REQUESTS * least.kv_tokens_s * (1 - SAMPLE_FRAC)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), rules=st.sampled_from(("splitwise", "splitwise-sim")), prefills=st.integers(1, 3),
    decodes=st.integers(1, 3), output_most=st.sampled_from((2, 60, 250)), bend=st.booleans(),
)  # fmt: skip
def test_machines_that_borrow_work_no_faster_together_than_the_least_work(
    seed: int, rules: str, prefills: int, decodes: int, output_most: int, bend: bool
) -> None:
    """With a mixed pool, queues that never empty take all machines together at least the work of both phases.

    No role alone is bounded: either phase may run on the other's machines.
    """
    draw = np.random.default_rng(seed)
    prompts, outputs = draw.integers(1, 1500, REQUESTS), draw.integers(2, output_most + 2, REQUESTS)
    body, served = toy_physics(profile=toy_profile(bend=bend)), toy_policy(rules, mixed_pool=True)
    asked = Demand(
        classes=(
            ClassDemand(request_class=ALL_REQUESTS, rate_req_per_s=1.0, prompt_tokens=prompts, output_tokens=outputs),
        )
    )
    work_s, held = 0.0, 0.0
    for role in (Role.PREFILL, Role.DECODE):
        offered, _ = option(
            InstanceSpec(role=role, machine="m", layout=Layout(tp=8)), machine("m"), 1.0, body, served, asked, []
        )
        assert offered is not None
        least = at_least(offered, body, served, asked)
        own, other = least.envelopes["all"], least.borrowed["all"]
        assert own.link_bytes == other.link_bytes == 0.0
        both_s = own.prefill_s + own.decode_s + other.prefill_s + other.decode_s
        work_s, held = max(work_s, both_s), max(held, own.kv_tokens_s + other.kv_tokens_s)
    assert work_s > 0
    trace = toy_trace(np.linspace(0, 1e-3, REQUESTS).tolist(), prompts.tolist(), outputs.tolist())
    pools = toy_pools("splitwise", prefills=prefills, decodes=decodes, physics=body)
    done = run(pools, served, trace, window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=4), cutoff_s=1e6)
    assert np.isfinite(done.ledger.e2e_s).all()
    took_s = float((trace.arrival_s + done.ledger.e2e_s).max()) * (prefills + decodes)
    assert took_s >= REQUESTS * work_s * (1 - SAMPLE_FRAC)
    assert took_s * body.kv_tokens >= REQUESTS * held * (1 - SAMPLE_FRAC)
