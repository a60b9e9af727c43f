"""The core against closed forms that were not made for it: queueing theory, and what no run may create or lose."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout, Role
from planner.perf.power import InstancePower
from planner.policies.base import Policy
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import Window
from planner.simulator.core.run import run
from planner.simulator.pools import Events, PoolModel, Run
from tests.laws.witness_clusters import Asked, questions
from tests.planner.toy import toy_physics, toy_profile, toy_trace
from workloads.models import load_model
from workloads.traces import Trace

LONG_S = 1e6
"""After every arrival, start and end of these runs."""

T_19 = 3.88
"""Student's t, 19 degrees of freedom, two-sided 99.9 %."""


def alone(**knobs: object) -> tuple[list[PoolModel], Policy, InstancePhysics]:
    """One instance that computes one prompt at a time, each in a time that its length alone decides."""
    body = replace(toy_physics(profile=toy_profile(token_s=1e-4, base_s=0.0, bend=False)), **knobs)  # type: ignore[arg-type]
    pool = PoolModel(name="p", role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}))
    return [pool], policy("colocated", PolicySection(max_batch_tokens=256, max_batch_size=64)), body


def whole(trace: Trace, end_s: float = LONG_S) -> Window:
    """All of a run is measured, to its last event."""
    return Window(first=0, last=len(trace), slices=1, start_s=0.0, end_s=end_s)


def prompts_alone(seed: int, lengths: list[int], load_frac: float, count: int) -> tuple[Run, Trace, np.ndarray, float]:
    """Poisson arrivals of prompts without output at one instance; with their service times and the arrival rate."""
    pools, rules, body = alone()
    rng = np.random.default_rng(seed)
    service_s = {n: body.step.prefill_s([(n, 0)]) for n in lengths}
    rate = load_frac / float(np.mean(list(service_s.values())))
    prompts = rng.choice(lengths, count)
    trace = toy_trace(np.cumsum(rng.exponential(1 / rate, count)).tolist(), prompts.tolist(), [1] * count)
    done = run(pools, rules, trace, whole(trace), cutoff_s=LONG_S)
    return done, trace, np.array([service_s[n] for n in prompts.tolist()]), rate


@pytest.mark.parametrize(
    ("lengths", "load_frac"), [([1000], 0.5), ([200, 2000], 0.6), ([150, 300, 600, 1200, 2400], 0.8)]
)
def test_waiting_is_that_of_pollaczek_and_khinchine(lengths: list[int], load_frac: float) -> None:
    """Mean wait of M/D/1 and M/G/1: λ·E[S²] / (2·(1 - ρ)), within the 99.9 % interval of 20 runs.

    Source: Pollaczek (1930), Khinchine (1932).
    """
    waits = []
    for seed in range(20):
        done, _, service_s, rate = prompts_alone(seed, lengths, load_frac, 15_000)
        waits.append(float(np.mean((done.ledger.ttft_s - service_s)[1500:])))
    body = alone()[2]
    square_s2 = float(np.mean([body.step.prefill_s([(n, 0)]) ** 2 for n in lengths]))
    predicted_s = rate * square_s2 / (2 * (1 - load_frac))
    half_width_s = T_19 * float(np.std(waits, ddof=1)) / 20**0.5
    assert abs(np.mean(waits) - predicted_s) <= half_width_s
    assert half_width_s < 0.1 * predicted_s


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), load_frac=st.floats(0.1, 1.5), count=st.integers(1, 300))
def test_what_is_held_is_what_waits_times_how_long(seed: int, load_frac: float, count: int) -> None:
    """Little's law on every sample path: ∫ tokens that wait = Σ tokens · wait, ∫ blocks = Σ blocks · service, and the
    utilisation law: busy time = Σ service.
    """
    done, trace, service_s, _ = prompts_alone(seed, [150, 300, 600], load_frac, count)
    (meter,) = done.meters["p"]
    waits_s = done.ledger.ttft_s - service_s
    assert meter.queue_token_s == pytest.approx(float(trace.prompt_tokens @ waits_s), rel=1e-9, abs=1e-9)
    blocks = -(-trace.prompt_tokens // alone()[2].block_tokens)
    assert meter.kv_block_s == pytest.approx(float(blocks @ service_s), rel=1e-9)
    assert meter.busy_s == pytest.approx(float(service_s.sum()), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(asked=questions())
def test_no_token_and_no_joule_is_made_or_lost(asked: Asked) -> None:
    """Whatever cluster, policy and shift: all that ends gives each of its tokens once, blocks are all free in the end,
    and the joules of a pool's seconds are those of its instances' phases.

    A token is the first of its request, of a decode step, or of a prompt that is computed again after its memory was
    taken. Failures lose tokens that were given, so there are none here.
    """
    beside = Events(shifts=asked.shifts, clients=asked.clients)
    done = run(asked.pools, asked.policy, asked.trace, whole(asked.trace, 1e4), cutoff_s=1e4, beside=beside)
    ended = np.isfinite(done.ledger.e2e_s)
    later = int((asked.trace.output_tokens[ended] - 1).sum())
    meters = [meter for pool in done.meters.values() for meter in pool]
    decoded, again = sum(m.decode_tokens for m in meters), sum(m.preemptions for m in meters)
    assert done.ledger.output_tokens == int(asked.trace.output_tokens[ended].sum())
    if not done.waiting + done.running:  # closed instances keep what they are not asked for
        assert later - again <= decoded <= later
        assert int(done.ledger.gaps.sum()) == later
        assert done.kv_free_blocks == done.kv_total_blocks
    for pool in done.meters.values():
        spent_j = sum(m.prefill_j + m.decode_j for m in pool)
        assert float(np.sum(pool[0].above_j)) == pytest.approx(spent_j, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("steps", "near"), [(1, 1e-9), (1 << 60, 2e-3)])
def test_a_lone_request_draws_what_its_steps_draw(steps: int, near: float) -> None:
    """Joules of one request = Σ over its steps (watts - idle) · seconds: exactly step by step, and within 0.2 % where a
    run of decodes is metered at its mean context.
    """
    step = toy_physics().step
    power = InstancePower(load_model("llama-3.1-8b"), load_catalog().gpus["h100-sxm"], Layout(tp=1), step)
    pools, rules, _ = alone(step=step, power=power)
    trace = toy_trace([0.0], [700], [300])
    done = run(pools, rules, trace, whole(trace), cutoff_s=LONG_S, max_run_steps=steps)
    (meter,) = done.meters["p"]
    prefill_j = (power.prefill_w([(700, 0)]) - power.idle_w) * step.prefill_s([(700, 0)])
    decode_j = sum((power.decode_w(1, c) - power.idle_w) * step.decode_s(1, c) for c in range(701, 1000))
    assert meter.prefill_j == pytest.approx(prefill_j, rel=1e-9)
    assert meter.decode_j == pytest.approx(decode_j, rel=near)
