"""Laws of least work: it is never above the estimate, and no simulated instance works faster."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import option
from planner.capacity.least_steps import Seconds, shared_least
from planner.capacity.least_work import at_least
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.simulator.books import window
from planner.simulator.pools import PoolModel
from tests.planner.kinds import two_kinds
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
    seed=st.integers(0, 10_000), long=st.sampled_from((300, 1500)), talk=st.sampled_from((40, 60, 250)),
    chunk=st.sampled_from((None, 128, 512)), bend=st.booleans(),
)  # fmt: skip
def test_no_instance_serves_two_kinds_faster_than_their_least_work(
    seed: int, long: int, talk: int, chunk: int | None, bend: bool
) -> None:
    """Prompts of one kind ride with decodes of another: what both take is bounded together, not each at its best."""
    asked = two_kinds(seed, long, talk, REQUESTS)
    body, rules = toy_physics(profile=toy_profile(bend=bend)), toy_policy("sarathi" if chunk else "colocated")
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=8), chunk_tokens=chunk)
    offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [])
    assert offered is not None
    least = at_least(offered, body, rules, asked).envelopes.values()
    work_s = REQUESTS // 2 * sum(each.prefill_s + each.decode_s for each in least)
    order = np.random.default_rng(seed).permutation(REQUESTS)
    prompts, outputs = (
        np.concatenate([getattr(part, key) for part in asked.classes])[order].tolist()
        for key in ("prompt_tokens", "output_tokens")
    )
    trace = toy_trace(np.linspace(0, 1e-3, REQUESTS).tolist(), prompts, outputs)
    pool = PoolModel(
        name="pool", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=chunk
    )
    done = run([pool], rules, trace, window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=4), cutoff_s=1e6)
    assert float((trace.arrival_s + done.ledger.e2e_s).max()) >= work_s * (1 - SAMPLE_FRAC)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), long=st.sampled_from((300, 1500)), talk=st.sampled_from((40, 250)),
    new=st.integers(1, 512), batch=st.integers(0, 200), bend=st.booleans(),
)  # fmt: skip
def test_no_step_takes_less_than_what_it_computes_is_worth(
    seed: int, long: int, talk: int, new: int, batch: int, bend: bool
) -> None:
    """Of any chunk and batch, at dips and tile steps too: a step lasts as long as its prompts and tokens count."""
    asked = two_kinds(seed, long, talk, REQUESTS)
    body, rules = toy_physics(profile=toy_profile(bend=bend)), toy_policy("sarathi")
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=8), chunk_tokens=512)
    offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [])
    assert offered is not None
    found = shared_least(Seconds(body), offered, body, rules, asked.classes, 200)
    for reads in asked.classes:
        prompt_s, mean = found[reads.request_class.name][0], float(np.mean(reads.prompt_tokens))
        past = float(np.mean(reads.prompt_tokens.astype(float) ** 2)) / mean / 2
        chunk = (new, max(0, int(past - new / 2))) if new <= mean else (int(mean), 0)
        whole = max(1, new // chunk[0])
        for talks in asked.classes:
            tokens = float(np.mean(talks.output_tokens - 1))
            context = float(np.average(talks.prompt_tokens + talks.output_tokens / 2, weights=talks.output_tokens - 1))
            token_s = found[talks.request_class.name][1] / tokens
            took_s = body.step.prefill_s([chunk] * whole, batch, batch * context)
            assert took_s >= (prompt_s * whole * chunk[0] / mean + token_s * batch) * (1 - SAMPLE_FRAC)


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
