"""Least joules: what no schedule of steps goes below."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.capacity import least_work
from planner.capacity.envelope import Option, option
from planner.capacity.least_joules import Joules, least_joules
from planner.capacity.least_steps import shared_least
from planner.capacity.least_work import at_least
from planner.perf.instance import InstancePhysics
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.perf.pipeline import Stages, TraversalTime
from planner.perf.power import InstancePower
from planner.perf.step_time import StepTime
from planner.planning.loop import PlanningLoop
from planner.resolve.case import open_case
from planner.simulator.books import Window
from planner.simulator.pools import PoolModel
from tests.planner.kinds import two_kinds
from tests.planner.options import machine
from tests.planner.served import run
from tests.planner.small import small
from tests.planner.toy import toy_physics, toy_policy, toy_profile, toy_trace
from workloads.models import load_model

REQUESTS = 300
SAMPLE_FRAC = 0.005
"""What the lengths that stand for a sample may be off by."""

MODELS, CLOCKS_MHZ = st.sampled_from(("llama-3.1-8b", "mixtral-8x7b")), st.sampled_from((None, 900.0))

RATES = (0.5, 20.0, 150.0)


@pytest.mark.parametrize("policy", ["colocated", "sarathi", "splitwise"])
@pytest.mark.parametrize("rate", RATES)
def test_no_simulation_draws_less_than_the_least_joules(policy: str, rate: float) -> None:
    """Machines and the least joules of their requests are below the watts planned and below the watts simulated.

    The bound of the objective is below both, so that a gap to either is proven, at loads that leave instances idle and
    at loads that fill their batches.
    """
    case = open_case(
        small(f"policy.name={policy}", f"workload.rate_req_per_s={rate}", "workload.duration_s=60", "objective=energy"),
        policy,
    )
    loop = PlanningLoop(case, lambda _words, _done: None)
    found = loop.propose_and_tighten()
    assert isinstance(found, tuple)
    candidate, seen = found
    least_w = sum(loop.least[p.spec.name].expected_w(p.machines, p.rate_req_per_s) for p in candidate.pools)
    standby_w = sum(p.instances * case.physics[p.spec.name].power.standby_w for p in candidate.pools)
    assert seen.mean_w is not None
    assert loop.bound is not None
    assert standby_w < least_w < min(candidate.totals.expected_power_w, seen.mean_w)
    assert loop.bound <= least_w * (1 + 1e-6)


@pytest.mark.parametrize("asked", ["objective=energy", "objective=carbon", "budgets.expected_power_w=1e6"])
def test_joules_are_worked_out_where_watts_are_asked_for_alone(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on money reads none; one on watts, or within a budget of them, reads those of every option."""
    seen: list[str] = []

    def counted(option: Option, *args: Any, **more: Any) -> dict[str, tuple[float, float]]:
        seen.append(option.spec.name)
        return least_joules(option, *args, **more)

    monkeypatch.setattr(least_work, "least_joules", counted)
    base = ("policy.name=colocated", "workload.duration_s=60")
    PlanningLoop(open_case(small(*base), "colocated"), lambda _words, _done: None).prove()
    assert not seen
    case = open_case(small(*base, asked), "colocated")
    PlanningLoop(case, lambda _words, _done: None).prove()
    assert sorted(seen) == sorted(option.spec.name for option in case.least)


def metered(model: str, clock_mhz: float | None, *, bend: bool, stages: int = 1) -> InstancePhysics:
    """A toy instance on an H100: at a clock lock it takes longer than what its utilisations are taken over."""
    profile = toy_profile(bend=bend)
    full, step = StepTime(profile), StepTime(profile)
    if clock_mhz is not None:
        step = StepTime(toy_profile(bend=bend, token_s=1.5e-4, decode_base_s=0.022), prefill_slowdown_ratio=1.1)
    elif stages > 1:
        step = full = TraversalTime(profile, Stages(count=stages, hop_latency_s=1e-3, hop_token_s=1e-6))
    power = InstancePower(
        load_model(model), load_catalog().gpus["h100-sxm"], Layout(tp=1, pp=stages),
        step if clock_mhz is None else full, clock_mhz=clock_mhz,
    )  # fmt: skip
    body = replace(toy_physics(profile=profile), step=step, power=power)
    return replace(body, stages=step.stages) if isinstance(step, TraversalTime) else body


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), long=st.sampled_from((300, 1500)), talk=st.sampled_from((40, 250)),
    chunk=st.sampled_from((None, 128, 512)), bend=st.booleans(), model=MODELS, clock_mhz=CLOCKS_MHZ,
    stages=st.sampled_from((1, 1, 2)),
)  # fmt: skip
def test_no_instance_serves_two_kinds_with_less_than_their_least_joules(
    seed: int, long: int, talk: int, chunk: int | None, bend: bool, model: str, clock_mhz: float | None, stages: int
) -> None:
    """Prompts of one kind ride with decodes of another: what both draw above idle is bounded together."""
    asked = two_kinds(seed, long, talk, REQUESTS)
    body = metered(model, clock_mhz, bend=bend, stages=1 if clock_mhz else stages)
    rules = toy_policy("sarathi" if chunk else "colocated")
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=8), chunk_tokens=chunk)
    offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [])
    assert offered is not None
    least = at_least(offered, body, rules, asked)
    assert least.phases_j is not None
    order = np.random.default_rng(seed).permutation(REQUESTS)
    prompts, outputs = (
        np.concatenate([getattr(part, key) for part in asked.classes])[order].tolist()
        for key in ("prompt_tokens", "output_tokens")
    )
    trace = toy_trace(np.linspace(0, 1e-3, REQUESTS).tolist(), prompts, outputs)
    pool = PoolModel(
        name="pool", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}), chunk_tokens=chunk
    )
    whole = Window(first=0, last=REQUESTS, slices=4, start_s=0.0, end_s=5e3)
    done = run([pool], rules, trace, whole, cutoff_s=5e3)
    assert np.isfinite(done.ledger.e2e_s).all()
    drawn_j = sum(meter.prefill_j + meter.decode_j for meters in done.meters.values() for meter in meters)
    assert drawn_j >= REQUESTS // 2 * sum(map(sum, least.phases_j().values())) * (1 - SAMPLE_FRAC) > 0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), long=st.sampled_from((300, 1500)), talk=st.sampled_from((40, 250)),
    new=st.integers(1, 512), batch=st.integers(0, 200), bend=st.booleans(), model=MODELS, clock_mhz=CLOCKS_MHZ,
)  # fmt: skip
def test_no_step_draws_less_than_what_it_computes_is_worth(
    seed: int, long: int, talk: int, new: int, batch: int, bend: bool, model: str, clock_mhz: float | None
) -> None:
    """Of any chunk and batch, at dips, tile steps and where the watts bend."""
    asked, rules = two_kinds(seed, long, talk, REQUESTS), toy_policy("sarathi")
    body = metered(model, clock_mhz, bend=bend)
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=8), chunk_tokens=512)
    offered, _ = option(spec, machine("m"), 1.0, body, rules, asked, [])
    assert offered is not None
    found = shared_least(Joules(body, asked.classes), offered, body, rules, asked.classes, 200)
    for reads in asked.classes:
        prompt_j, mean = found[reads.request_class.name][0], float(np.mean(reads.prompt_tokens))
        past = float(np.mean(reads.prompt_tokens.astype(float) ** 2)) / mean / 2
        chunk = (new, max(0, int(past - new / 2))) if new <= mean else (int(mean), 0)
        whole = max(1, new // chunk[0])
        for talks in asked.classes:
            tokens = float(np.mean(talks.output_tokens - 1))
            context = float(np.average(talks.prompt_tokens + talks.output_tokens / 2, weights=talks.output_tokens - 1))
            token_j = found[talks.request_class.name][1] / tokens
            step = [chunk] * whole, batch, int(batch * context)
            drawn_j = (body.power.prefill_w(*step) - body.power.idle_w) * body.step.prefill_s(*step)
            assert drawn_j >= (prompt_j * whole * chunk[0] / mean + token_j * batch) * (1 - SAMPLE_FRAC)
            if batch:
                alone_j = (body.power.decode_w(batch, context) - body.power.idle_w) * body.step.decode_s(batch, context)
                assert alone_j >= token_j * batch * (1 - SAMPLE_FRAC)
