"""Controllers over time, and a week of flows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.perf.operating import Operating, operating
from planner.policies.control import (
    BASELINES,
    Control,
    Knob,
    PoolState,
    best_rate,
    machines_needed,
    moves,
    shard,
    spilled,
)
from planner.simulator.weeks.flows import Week, WeekPool, courses
from tests.planner.toy import toy_physics

FULL = BASELINES["DynamoLLM"]


def _table(most: float, idle_w: float, busy_w: float) -> Operating:
    rate = np.linspace(0.0, most, 5) + 1e-6
    return Operating(
        rate_req_per_s=rate, power_w=idle_w + (busy_w - idle_w) * rate / rate[-1], ttft_p50_s=np.full(5, 0.1),
        ttft_p99_s=np.linspace(0.2, 1.0, 5), tpot_s=np.linspace(0.02, 0.05, 5), batch=np.linspace(0, 30, 5),
        idle_w=idle_w,
    )  # fmt: skip


def _knobs() -> tuple[Knob, ...]:
    """Two layouts at two clocks; the faster clock carries more and draws more."""
    found = []
    for tp in (4, 8):
        for clock, speed, watts in ((1000, 0.7, 0.55), (2000, 1.0, 1.0)):
            table = _table(1.2 * tp * speed, 60.0 * tp, (60 + 540 * watts) * tp)
            found.append(Knob(tp=tp, clock_mhz=clock, table=table, capacity_req_per_s=tp * speed))
    return tuple(found)


def _state(rate: float, machines: int = 1) -> PoolState:
    return PoolState(machine_gpus=8, machines=machines, knobs=_knobs(), forecast_req_per_s=rate, rate_req_per_s=rate)


def _week(name: str, level: float, *, hours: float = 2.0, **knobs: float) -> Week:
    control = BASELINES[name]
    factors = np.full(round(hours * 720), level)
    picked = _knobs() if control.shards else tuple(k for k in _knobs() if k.tp == 8)
    pools = [
        WeekPool(
            name=n, rate_req_per_s=40 * factors, provided_req_per_s=40.0, ttft_p99_s=1.0, tpot_s=0.06, knobs=picked
        )
        for n in (("a", "b") if control.pools else ("all",))
    ]  # fmt: skip
    return courses(pools, control, machine_gpus=8, host_w=500.0, host_ratio=0.2, seed=1, **knobs)[0]


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_load_never_needs_fewer_machines(one: float, other: float) -> None:
    """Machines grow with the forecast, and always carry it with the margin left free."""
    low, high = sorted((one, other))
    assert machines_needed(_state(low), FULL) <= machines_needed(_state(high), FULL)
    carried = machines_needed(_state(high), FULL) * best_rate(_state(high)) * (1 - FULL.margin_frac)
    assert carried >= high - 1e-6


@example([48.5, 1.9, 0.0])  # the first two fill whole machines but for rounding
@given(st.lists(st.floats(0, 60), min_size=2, max_size=5))
def test_only_the_last_pool_provides_more_than_it_needs(rates: list[float]) -> None:
    """Pools but the last are full, what they leave moves up, and the machines of all carry the load of all."""
    states = [_state(rate) for rate in rates]
    counts, moved = spilled(states, FULL)
    most = best_rate(states[0]) * (1 - FULL.margin_frac)
    assert sum(counts) * most >= sum(rates) - 1e-6
    assert moved[-1] == 0
    assert sum(counts[:-1]) * most <= sum(rates) + 1e-6
    assert all(0 <= share <= 1 for share in moved)


@given(st.floats(0.1, 30), st.integers(1, 4))
def test_the_chosen_shard_draws_least_of_those_that_carry_the_rate(rate: float, machines: int) -> None:
    """No other setting carries the rate with less; where none carries it, the one that carries most is taken."""
    state = _state(rate, machines)
    chosen = shard(state, FULL)

    def draw(knob: Knob) -> float | None:
        count = machines * 8 // knob.tp
        fits = rate / count <= knob.capacity_req_per_s * (1 - FULL.margin_frac)
        return count * knob.table.watts_at(rate / count) if fits else None

    fitting = [w for k in state.knobs if (w := draw(k)) is not None]
    if fitting:
        assert draw(chosen) == pytest.approx(min(fitting))
    else:
        assert chosen.capacity_req_per_s / chosen.tp == max(k.capacity_req_per_s / k.tp for k in state.knobs)


def test_a_knob_that_is_off_is_never_turned() -> None:
    """A control without instances or shards leaves both as they are."""
    fixed = BASELINES["SinglePool"]
    assert moves(_state(50.0, 2), fixed, _knobs()[0]) == (2, 4)
    assert moves(_state(50.0, 2), FULL, _knobs()[0])[0] == machines_needed(_state(50.0), FULL)


def test_the_same_seed_is_the_same_week() -> None:
    """A week is a function of its arguments."""
    one, other = _week("DynamoLLM", 0.4), _week("DynamoLLM", 0.4)
    assert one.energy_j == other.energy_j
    assert (one.power_w == other.power_w).all()


def test_each_knob_saves_energy_at_low_load() -> None:
    """Against all that stand still, machines, clocks, and all three together save energy where load is low."""
    fixed = _week("MultiPool", 0.2).energy_j
    assert _week("ScaleInst", 0.2).energy_j < fixed
    assert _week("ScaleFreq", 0.2).energy_j < fixed
    assert _week("DynamoLLM", 0.2).energy_j < min(_week("ScaleInst", 0.2).energy_j, _week("ScaleFreq", 0.2).energy_j)


def test_savings_fall_as_load_rises() -> None:
    """What the controllers save against a fixed pool shrinks towards the load it was bought for."""
    savings = [1 - _week("DynamoLLM", x).energy_j / _week("SinglePool", x).energy_j for x in (0.2, 0.5, 0.9)]
    assert savings == sorted(savings, reverse=True)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 0.9))
def test_fixed_machines_draw_no_less_than_idle_and_no_more_than_full(level: float) -> None:
    """Watts of a pool that stands still lie between all its GPUs idle and all of them busy."""
    found = _week("SinglePool", level)
    gpus = found.machines * 8
    assert (found.power_w >= gpus * 60.0 - 1e-6).all()
    assert (found.power_w <= gpus * 600.0 + 1e-6).all()
    assert found.energy_j == pytest.approx(float(found.power_w.sum()) * 5.0)


def test_slower_starts_cost_more_and_serve_no_worse() -> None:
    """A machine ordered earlier idles longer; the forecast is met either way."""
    steps = np.repeat([5.0, 40.0, 5.0, 40.0], 720)
    pool = WeekPool(
        name="a", rate_req_per_s=steps, provided_req_per_s=40.0, ttft_p99_s=1.0, tpot_s=0.06, knobs=_knobs()
    )

    def run(control: Control) -> Week:
        return courses([pool], control, machine_gpus=8, host_w=0.0, host_ratio=0.0, seed=1)[0]

    quick, slow = run(replace(FULL, start_s=60.0)), run(replace(FULL, start_s=900.0))
    assert slow.energy_j > quick.energy_j
    assert slow.starts == quick.starts > 0
    assert slow.kept_frac == quick.kept_frac


def test_misplaced_requests_are_served_all_the_same() -> None:
    """Wrong length predictions move work between pools and lose none of it."""
    right, wrong = _week("DynamoLLM", 0.5), _week("DynamoLLM", 0.5, misplaced_frac=0.4)
    assert wrong.requests == pytest.approx(right.requests, rel=0.02)


def test_operating_points_follow_the_rate() -> None:
    """Draw, waiting, token time and batch never fall as the rate rises; a tighter limit never raises capacity."""
    rng = np.random.default_rng(1)
    table = operating(toy_physics(), rng.integers(50, 400, 50), rng.integers(5, 60, 50), max_batch_size=64)
    for column in (table.rate_req_per_s, table.power_w, table.ttft_p99_s, table.tpot_s, table.batch):
        assert (np.diff(column) >= -1e-9).all()
    loose, tight = (table.capacity_req_per_s(ttft_p99_s=t, tpot_s=0.2) for t in (5.0, 0.2))
    assert table.saturated_req_per_s >= loose >= tight
