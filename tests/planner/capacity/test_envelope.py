"""Laws of envelopes: what costs more claims more, what cannot work is excused, and claims hold in the simulator."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.capacity.envelope import Unfit, envelope, option
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.evidence import Judgement
from planner.simulator.judge import judge
from planner.simulator.pools import PoolModel
from planner.simulator.traffic import Judging, Traffic
from tests.planner.options import machine
from tests.planner.toy import toy_physics, toy_policy, toy_profile
from workloads.builtin import load_builtin
from workloads.demand import ClassDemand, Demand, demand
from workloads.models import load_model
from workloads.requests import ALL_REQUESTS, RequestClass
from workloads.slo import Metric, Slo
from workloads.synthesis import synthesize
from workloads.traces import Trace

TTFT = Slo(metric=Metric.TTFT, percentile=99.0, limit=2.0)
TBT = Slo(metric=Metric.TBT, percentile=99.0, limit=0.2)
STRAIGHT = toy_physics(profile=toy_profile(bend=False))
LENGTHS = st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 300)), min_size=1, max_size=20)
DECODING = LENGTHS.filter(lambda lengths: any(output > 1 for _, output in lengths))


def part(lengths: Sequence[tuple[int, int]], request_class: RequestClass = ALL_REQUESTS) -> ClassDemand:
    """A class with these (prompt, output) lengths, one request per second."""
    prompts, outputs = zip(*lengths, strict=True)
    return ClassDemand(
        request_class=request_class, rate_req_per_s=1.0, prompt_tokens=np.array(prompts),
        output_tokens=np.array(outputs),
    )  # fmt: skip


def preset(role: Role) -> str:
    """The preset that has instances in ``role``."""
    return "colocated" if role is Role.MIXED else "splitwise"


@given(lengths=LENGTHS, role=st.sampled_from(Role))
def test_each_role_pays_for_its_phase(lengths: list[tuple[int, int]], role: Role) -> None:
    """Prefill instances do no decode work and decode instances no prefill; only mixed ones move no KV cache.

    Where every request ends with its first token, a mixed instance is a prefill instance that moves nothing.
    """
    body = toy_physics(profile=toy_profile(base_s=0.03))
    found = envelope(role, body, toy_policy(preset(role)), part(lengths), [])
    moving = any(output > 1 for _, output in lengths)
    assert (found.prefill_s > 0) == (role is not Role.DECODE)
    assert (found.decode_s > 0) == (role is not Role.PREFILL and moving)
    assert (found.link_bytes > 0) == (role is not Role.MIXED and moving)
    assert (found.batch > 0) == (found.tbt_s > 0) == (role is Role.DECODE or (role is Role.MIXED and moving))
    if role is Role.MIXED and not moving:
        assert found == envelope(Role.PREFILL, body, toy_policy("splitwise"), part(lengths), [])


@given(lengths=LENGTHS)
def test_batching_prompts_never_costs_more_than_one_by_one(lengths: list[tuple[int, int]]) -> None:
    """A full queue is worked off at least as fast as its prompts one after the other."""
    found = envelope(Role.PREFILL, STRAIGHT, toy_policy("splitwise"), part(lengths), [])
    assert found.prefill_s <= found.ttft_s * (1 + 1e-12)
    assert found.ttft_s == pytest.approx(np.mean([STRAIGHT.step.prefill_s([(p, 0)]) for p, _ in lengths]))


@given(lengths=LENGTHS, role=st.sampled_from(Role), more=st.integers(1, 300))
def test_fewer_tokens_never_cost_more(lengths: list[tuple[int, int]], role: Role, more: int) -> None:
    """Where the profile is straight, longer prompts cost no less prefill and longer outputs no less decode."""
    rules = toy_policy(preset(role))
    short = envelope(role, STRAIGHT, rules, part(lengths), [])
    wordy = envelope(role, STRAIGHT, rules, part([(p, o + more) for p, o in lengths]), [])
    assert wordy.decode_s >= short.decode_s * (1 - 1e-12)
    if role is Role.PREFILL:
        lone = [envelope(role, STRAIGHT, rules, part([(p + extra, o)]), []) for p, o in lengths for extra in (0, more)]
        assert all(a.prefill_s < b.prefill_s for a, b in zip(lone[::2], lone[1::2], strict=True))


@given(lengths=DECODING, limit_s=st.floats(0.0205, 0.1), role=st.sampled_from([Role.DECODE, Role.MIXED]))
def test_the_working_batch_keeps_memory_slots_and_objectives(
    lengths: list[tuple[int, int]], limit_s: float, role: Role
) -> None:
    """The batch fits the slots and the KV memory and keeps every token-time objective, whatever it costs."""
    body, rules = toy_physics(kv_blocks=300), toy_policy(preset(role), max_batch_size=40)
    slo = Slo(metric=Metric.TBT, percentile=99.0, limit=limit_s)
    try:
        found = envelope(role, body, rules, part(lengths), [slo])
    except Unfit:
        return
    prompts, outputs = (np.array(column) for column in zip(*lengths, strict=True))
    context = float(np.mean((prompts + outputs / 2) * outputs) / np.mean(outputs))
    assert 1 <= found.batch <= min(40, body.kv_tokens / context)
    assert found.tbt_s <= limit_s
    free = envelope(role, body, rules, part(lengths), [])
    assert free.decode_s <= found.decode_s * (1 + 1e-12)


def test_a_class_is_excused_by_what_stops_it() -> None:
    """Memory for less than two of the longest requests, or an objective out of reach when idle, is an excuse."""
    rules = toy_policy("colocated")
    with pytest.raises(
        Unfit, match=r"800 tokens of KV memory are less than 2 of the longest requests \(1,301 tokens"
    ) as stop:
        envelope(Role.MIXED, toy_physics(kv_blocks=50), rules, part([(100, 10), (1000, 300)]), [])
    assert stop.value.bottleneck == "memory"
    with pytest.raises(Unfit, match="leave no GPU memory") as stop:
        envelope(Role.MIXED, toy_physics(kv_blocks=0), rules, part([(100, 10)]), [])
    assert stop.value.bottleneck == "memory"
    for slo, words in [
        (Slo(metric=Metric.TTFT, percentile=50.0, limit=0.001), "ttft_p50_s is .* on an idle instance"),
        (Slo(metric=Metric.E2E, percentile=50.0, limit=0.1), "e2e_p50_s is .* on an idle instance"),
        (Slo(metric=Metric.TBT, percentile=99.0, limit=0.01), "no decode batch meets the objectives"),
        (Slo(metric=Metric.TPOT, percentile=50.0, limit=0.01), "no decode batch meets the objectives"),
    ]:
        with pytest.raises(Unfit, match=words) as stop:
            envelope(Role.MIXED, toy_physics(), rules, part([(100, 10)]), [slo])
        assert stop.value.bottleneck == "latency"


def test_an_option_serves_the_classes_it_can() -> None:
    """One class's excuse does not cost an option the other classes; without any class there is no option."""
    small = RequestClass(name="small", prompt_max_tokens=200)
    classes = Demand(classes=(part([(100, 10)], small), part([(900, 100)])))
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=1))
    rules = toy_policy("colocated")
    found, excuses = option(spec, machine("m"), 3.0, toy_physics(kv_blocks=20), rules, classes, [])
    assert found is not None
    assert set(found.envelopes) == {"small"}
    assert (found.kv_tokens, [e.option for e in excuses]) == (320, [spec.name])
    nothing, excuses = option(spec, machine("m"), 3.0, toy_physics(kv_blocks=2), rules, classes, [])
    assert nothing is None
    assert len(excuses) == 2


def h100(tp: int) -> InstancePhysics:
    """Llama-3.1-70B in bf16 on part of a DGX-H100."""
    profiles = load_profiles(None, model="llama-3.1-70b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    profile = next(p for p in profiles if p.tp == tp and p.dtype == "bf16")
    machines = load_catalog().machines
    return instance_physics(
        load_model("llama-3.1-70b"),
        machines["dgx-h100"],
        Layout(tp=tp),
        profile,
        EngineSettings(memory_frac=0.9, max_batch_tokens=2048, block_tokens=16),
    )


def conversation(rate_req_per_s: float, requests: int, seed: int) -> Trace:
    """Poisson arrivals with the lengths of the built-in conversation workload."""
    return synthesize(
        load_builtin("azure-conv-2023"), rate_req_per_s=rate_req_per_s, duration_s=requests / rate_req_per_s,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_more_gpus_never_take_longer_where_the_profile_says_so() -> None:
    """Eight GPUs whose measured steps are all faster than those of four are busy for less time per request."""
    asked, narrow, wide = demand(conversation(10.0, 2000, 0)).classes[0], h100(4), h100(8)
    sizes = [64, 256, 1024, 2048, 4096]
    assert all(wide.step.prefill_s([(n, 0)]) < narrow.step.prefill_s([(n, 0)]) for n in sizes)
    assert all(wide.step.decode_s(b, c) < narrow.step.decode_s(b, c) for b in (1, 16, 128, 256) for c in sizes)
    for role in Role:
        four, eight = (envelope(role, body, toy_policy(preset(role)), asked, [TTFT, TBT]) for body in (narrow, wide))
        assert eight.prefill_s + eight.decode_s < four.prefill_s + four.decode_s


def offered(role: Role, body: InstancePhysics, load_frac: float) -> tuple[Judgement, float, float]:
    """One instance at a share of its envelope's capacity, the other phase having instances to spare.

    Returns:
        What the simulator says, the KV share that the envelope predicts, and the batch of its working point.
    """
    rules = toy_policy(preset(role), max_batch_size=256)
    claim = envelope(role, body, rules, demand(conversation(10.0, 4000, 0)).classes[0], [TTFT, TBT])
    rate = load_frac / (claim.prefill_s + claim.decode_s)
    pools = [
        PoolModel(
            name=r.value, role=r, physics=body, instances=1 if r is role else 12, speed=1.0, classes=frozenset({0})
        )
        for r in rules.topology.roles()
    ]
    found = judge(
        pools,
        rules,
        Traffic(draw=lambda seed: conversation(rate, 1500, seed), seeds=[1], workload="", exact=True),
        [TTFT],
        Judging(warmup_frac=0.2, cooldown_frac=0.05, confidence_frac=0.95),
    )
    return found, rate * claim.kv_tokens_s / body.kv_tokens, claim.batch


@pytest.mark.parametrize("body", [toy_physics(), h100(8)], ids=["toy", "h100"])
@pytest.mark.parametrize("role", list(Role))
def test_instances_carry_what_their_envelope_claims(role: Role, body: InstancePhysics) -> None:
    """At 60 % of its claimed capacity an instance keeps up with Poisson arrivals: nobody is left, nobody waits long.

    A prefill instance is then busy for 60 % of the time, within 15 % of that; batches stay below the working point.
    """
    found, _, batch = offered(role, body, 0.6)
    use = next(p for p in found.pools if p.pool == role.value)
    assert found.unfinished == found.refused == 0
    assert use.queue_mean_tokens < 2048
    if role is Role.PREFILL:
        assert use.busy_frac == pytest.approx(0.6, rel=0.15)
    else:
        assert use.batch_mean < batch


@pytest.mark.parametrize("body", [toy_physics(), h100(8)], ids=["toy", "h100"])
@pytest.mark.parametrize("role", [Role.DECODE, Role.MIXED])
def test_memory_is_held_as_predicted(role: Role, body: InstancePhysics) -> None:
    """Near its capacity an instance that decodes holds the KV memory that its envelope predicts, within 25 %."""
    found, kv_frac, _ = offered(role, body, 0.9)
    use = next(p for p in found.pools if p.pool == role.value)
    assert use.kv_mean_frac == pytest.approx(kv_frac, rel=0.25)


def test_stalls_alone_do_not_put_an_objective_out_of_reach() -> None:
    """Where only prefill stalls break an objective, batch 1 is offered; slow decodes are refused."""
    rules = toy_policy("colocated")
    lengths = [(800, 4)] * 5
    tight = Slo(metric=Metric.TBT, percentile=90.0, limit=0.03)
    assert envelope(Role.MIXED, toy_physics(), rules, part(lengths), [tight]).batch == 1
    with pytest.raises(Unfit, match="no decode batch"):
        envelope(Role.MIXED, toy_physics(), rules, part(lengths), [replace(tight, limit=0.01)])
