"""A week request by request."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import metered
from planner.perf.operating import operating
from planner.perf.step_time import StepTime
from planner.policies.control import BASELINES, Knob
from planner.reproduce.dynamollm_lab import open_lab, week_factors
from planner.simulator.core.run import CORE
from planner.simulator.serve import serve
from planner.simulator.weeks.flows import WeekPool, courses
from planner.simulator.weeks.serve import Part, Stage, served
from tests.planner.toy import toy_physics, toy_policy, toy_profile

if importlib.util.find_spec("numba") is None:
    pytest.skip("Numba is not installed: there is one engine only", allow_module_level=True)

CONTROL = replace(BASELINES["DynamoLLM"], cluster_period_s=200.0, pool_period_s=100.0)


def stage(*, misplaced_frac: float = 0.0) -> Stage:
    """Ten minutes of two pools at two clocks and two layouts, with a valley in its middle."""
    rng = np.random.default_rng(1)
    lengths = tuple((rng.integers(20, most, 300), rng.integers(5, 60, 300)) for most in (200, 900))
    bodies = {}
    for tp, speed in ((4, 1.0), (8, 0.7)):
        for clock, slow in ((1000, 1.3), (2000, 1.0)):
            step = StepTime(toy_profile(), prefill_slowdown_ratio=speed * slow, decode_slowdown_ratio=speed * slow)
            bodies[tp, clock] = replace(toy_physics(), step=step)
    factors = np.concatenate([np.full(40, 1.0), np.full(40, 0.2), np.full(40, 0.8)])
    pools = []
    for name, (prompts, outputs), most in (("short", lengths[0], 150.0), ("long", lengths[1], 60.0)):
        tables = {key: operating(body, prompts, outputs, max_batch_size=64) for key, body in bodies.items()}
        knobs = tuple(
            Knob(tp=tp, clock_mhz=clock, table=t, capacity_req_per_s=t.capacity_req_per_s(ttft_p99_s=2.0, tpot_s=0.2))
            for (tp, clock), t in tables.items()
        )
        pools.append(
            WeekPool(
                name=name, rate_req_per_s=most * factors, provided_req_per_s=most, ttft_p99_s=2.0, tpot_s=0.2,
                knobs=knobs,
            )
        )  # fmt: skip
    _, took = courses(
        pools, CONTROL, machine_gpus=8, host_w=0.0, host_ratio=0.0, seed=1, misplaced_frac=misplaced_frac
    )  # fmt: skip
    return Stage(
        courses=took, step_s=CONTROL.instance_period_s, bodies=bodies, lengths=lengths, policy=toy_policy("colocated"),
        machine_gpus=8, seed=3,
    )  # fmt: skip


def same(one: Part, other: Part) -> None:
    """The same requests, at the same times, for the same joules."""
    for column in ("pool", "ttft_s", "e2e_s", "tpot_s"):
        np.testing.assert_allclose(getattr(one, column), getattr(other, column), rtol=1e-6)
    assert one.tokens == other.tokens
    assert one.batch == pytest.approx(other.batch)
    assert one.gap_p99_s == other.gap_p99_s


@pytest.mark.parametrize("misplaced_frac", [0.0, 0.3])
def test_every_request_of_a_week_is_served_once(misplaced_frac: float) -> None:
    """Parts together count each request that arrived, each at the pool it was sent to, and all of them end."""
    asked = stage(misplaced_frac=misplaced_frac)
    parts = list(served(asked, part_s=170.0))
    assert [part.end_s for part in parts] == [170.0, 340.0, 510.0, 600.0]
    for place, course in enumerate(asked.courses):
        came = sum(int(counts.sum()) for counts in course.arrived.values())
        assert sum(int((part.pool == place).sum()) for part in parts) == came
    assert all(part.kept.all() for part in parts)
    assert all(part.engine == CORE for part in parts)


def test_a_week_moves() -> None:
    """What is served has more than one fleet and more than one clock, so that comparisons compare something."""
    asked = stage()
    assert any(len(np.unique(course.counts)) > 1 for course in asked.courses)
    assert any(len(np.unique(course.clock_mhz[course.counts > 0])) > 1 for course in asked.courses)


def test_a_week_agrees_with_the_reference() -> None:
    """Under all three controllers every request has the times, and every batch the size, of the reference."""
    fast, slow = (next(iter(served(stage(), part_s=60.0, end_s=60.0, engine=how))) for how in (serve, metered.serve))
    same(fast, slow)
    assert fast.batch == pytest.approx(slow.batch, rel=1e-12)


def test_the_length_of_parts_hardly_matters() -> None:
    """Begun five minutes early, a part serves its requests as an uncut week would, within 1 %."""
    whole, cut = (list(served(stage(), part_s=part_s)) for part_s in (600.0, 200.0))
    one, other = (np.concatenate([part.e2e_s for part in parts]) for parts in (whole, cut))
    assert len(one) == len(other)
    for share in (0.5, 0.9, 0.99):
        assert np.quantile(other, share) == pytest.approx(np.quantile(one, share), rel=0.01)


@pytest.mark.slow
def test_an_hour_of_dynamollm_agrees_with_the_reference() -> None:
    """The busiest hour of a conversation week, two servers large: TTFT, TBT, TPOT, E2E and energy are the same."""
    _, asked = open_lab("conversation", servers=2).staged(BASELINES["DynamoLLM"], week_factors("conversation"))
    span = {"begin_s": 14 * 3600.0, "end_s": 15 * 3600.0}
    fast, slow = (next(served(asked, part_s=3600.0, engine=how, **span)) for how in (serve, metered.serve))
    assert len(fast.pool) > 50_000
    same(fast, slow)
    assert fast.energy_j == pytest.approx(slow.energy_j, rel=1e-6)
