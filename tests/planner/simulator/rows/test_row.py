"""Rows over time: delays, losses, brakes, and the books."""

import os
import subprocess
import sys
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.policies.power import Clocks, NoCap, OneThreshold, Polca, PowerPolicy
from planner.simulator.rows.control import Actuator
from planner.simulator.rows.load import interleaved
from planner.simulator.rows.metrics import largest_rise_w, losses, quantile_s
from planner.simulator.rows.rows import RowCase, RowRun, run_rows
from tests.architecture.sources import ROOT
from tests.planner.rows import CLOCKS, controls, toy_floor

POLCA = Polca(t1_frac=0.8, t2_frac=0.89, release_frac=0.05, low_t1_mhz=900.0, low_t2_mhz=800.0, high_mhz=900.0)
LOW = OneThreshold(threshold_frac=0.89, release_frac=0.05, low_mhz=800.0, high_mhz=None)
NONE = NoCap(release_frac=0.05)


def rows(
    cases: list[tuple[int, float, PowerPolicy | None]], *, seed: int = 1, duration_s: float = 1800.0,
    tick_s: float = 1.0, peak_req_per_s: float = 1.0,
) -> list[RowRun]:  # fmt: skip
    """Toy rows side by side in the same half hour."""
    floor = toy_floor(max(n for n, _, _ in cases), peak_req_per_s=peak_req_per_s)
    made = [RowCase(machines=n, limit_w=w, policy=p, seed=seed) for n, w, p in cases]
    return run_rows(floor, made, controls(), duration_s=duration_s, tick_s=tick_s)


def actuator(loss_frac: float = 0.0, machines: int = 8) -> Actuator:
    """One row, every other machine of low priority."""
    m = np.arange(machines)
    return Actuator(
        replace(controls(), command_loss_frac=loss_frac), CLOCKS, np.zeros(machines, np.int64), m, m % 2 == 0, [1]
    )


def test_no_command_acts_before_its_delay() -> None:
    """A clock command changes nothing for 40 s, then everything it named; the brake takes 5 s."""
    orders = actuator()
    orders.order(0, Clocks(low_mhz=800.0), False, 10.0)
    for now_s in (10.0, 30.0, 49.9):
        orders.step(now_s)
        assert not orders.clock.any()
        assert not orders.settled[0]
    orders.step(50.0)
    assert orders.clock.tolist() == [2, 0] * 4
    assert orders.settled[0]
    orders.order(0, Clocks(low_mhz=800.0), True, 60.0)
    orders.step(64.9)
    assert not orders.braked[0]
    orders.step(65.0)
    assert set(orders.clock.tolist()) == {len(CLOCKS) - 1}


def test_lost_commands_are_issued_again() -> None:
    """Whatever share of commands is lost, every machine ends at its clock, one command per loss more."""
    orders = actuator(loss_frac=0.6, machines=40)
    orders.order(0, Clocks(low_mhz=900.0, high_mhz=900.0), False, 0.0)
    for now_s in np.arange(0.0, 4000.0, 40.0):
        orders.step(float(now_s))
    assert orders.settled[0]
    assert set(orders.clock.tolist()) == {1}
    assert orders.lost[0] > 0
    assert orders.commands[0] == 40 + orders.lost[0]


def test_an_order_taken_back_on_its_way_never_acts() -> None:
    """A newer order replaces one still on its way: taken back within its delay it has no effect at all."""
    orders = actuator()
    orders.order(0, Clocks(low_mhz=800.0), False, 0.0)
    orders.order(0, Clocks(), False, 20.0)
    assert orders.settled[0]
    for now_s in (40.0, 60.0, 100.0):
        orders.step(now_s)
        assert not orders.clock.any()


def test_seconds_capped_are_those_of_the_clock_that_is_lost() -> None:
    """Under a law of one clock, seconds below the full clock times what the clock lacks are the clock that is lost."""
    (free,) = rows([(12, inf, None)])
    peak_w = float(free.row_w.max())
    law, braking = rows([(12, 1.001 * peak_w, replace(LOW, threshold_frac=0.7)), (12, 0.9 * peak_w, NONE)])
    assert law.brakes == 0 < braking.brakes
    assert law.low_clock_lost_s > 0
    assert sum(law.capped_s) * (1 - 800.0 / CLOCKS[0]) == pytest.approx(law.low_clock_lost_s)
    assert not any(free.capped_s)
    lost_s = braking.low_clock_lost_s + braking.high_clock_lost_s
    assert sum(braking.capped_s) * (1 - CLOCKS[-1] / CLOCKS[0]) == pytest.approx(lost_s)
    assert all(seconds > 0 for seconds in braking.capped_s)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 99), share=st.floats(0.8, 1.05))
def test_the_brake_ends_every_excursion(seed: int, share: float) -> None:
    """No excursion outlasts what it takes to see it and to brake, and none that was seen goes without a brake."""
    (free,) = rows([(12, inf, None)], seed=seed, duration_s=900.0)
    limit_w = share * float(free.row_w.max())
    for run in rows([(12, limit_w, NONE), (12, limit_w, POLCA)], seed=seed, duration_s=900.0):
        late_s = controls().telemetry_interval_s + controls().telemetry_delay_s + controls().brake_delay_s
        assert run.longest_above_s <= late_s
        seen = run.row_w[: -int(late_s)]
        assert (run.brakes > 0) == bool((seen > limit_w).any()) or (run.row_w[-int(late_s) :] > limit_w).any()
        assert run.case.limit_w == limit_w


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 99), machines=st.integers(1, 11))
def test_more_machines_never_lower_the_peak(seed: int, machines: int) -> None:
    """On the same weeks a row draws more at every moment with a machine more, and what the others draw is the same."""
    fewer, more = rows([(machines, inf, None), (machines + 1, inf, None)], seed=seed, duration_s=600.0)
    assert (more.row_w > fewer.row_w).all()
    assert more.peak_w[machines - 1] == pytest.approx(fewer.peak_w[-1])


@pytest.mark.parametrize("policy", [None, NONE, LOW, POLCA], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("tick_s", [1.0, 2.0])
def test_no_request_is_lost(policy: PowerPolicy | None, tick_s: float) -> None:
    """Whoever arrived has left or is still there, under any law and at any resolution."""
    (run,) = rows([(12, 2000.0, policy)], tick_s=tick_s)
    assert (run.arrived == run.finished + run.waiting).all()
    assert run.latencies.sum() == run.finished.sum() > 5000


def test_a_cap_costs_latency_and_lifting_it_gives_it_back() -> None:
    """Control never shortens a latency; where it caps low priority alone, high priority loses nothing at all."""
    floor = toy_floor(12)
    (free,) = rows([(12, inf, None)])
    (low,) = rows([(12, 1.02 * float(free.row_w.max()), replace(LOW, threshold_frac=0.5))])
    lost = losses([low], [free], floor)
    assert low.brakes == 0
    assert lost["low_p50"] > 0.01
    assert lost["low_p99"] > 0
    assert lost["high_p50"] == lost["high_p99"] == 0
    assert low.low_clock_lost_s > 0
    assert low.high_clock_lost_s == 0


def test_low_priority_first_keeps_power_below_the_limit() -> None:
    """Where the brake alone is pulled, capping at two thresholds draws less and pulls it less often."""
    (free,) = rows([(12, inf, None)])
    limit_w = 0.98 * float(free.row_w.max())
    brake, polca = rows([(12, limit_w, NONE), (12, limit_w, POLCA)])
    assert polca.brakes < brake.brakes
    assert polca.row_w.max() < brake.row_w.max()


def test_rows_side_by_side_do_not_disturb_each_other() -> None:
    """A row simulated alone and the same row beside others draw the same watts, losses of commands included."""
    (alone,) = rows([(10, 1800.0, POLCA)])
    _, beside, _ = rows([(12, inf, None), (10, 1800.0, POLCA), (8, 1500.0, LOW)])
    assert np.array_equal(alone.row_w, beside.row_w)
    assert alone.commands == beside.commands


def test_idle_rows_draw_idle_watts() -> None:
    """With hardly any request every machine draws its idle watts, to the watt."""
    (run,) = rows([(5, inf, None)], peak_req_per_s=1e-12)
    assert run.row_w == pytest.approx(500.0)


@given(shares=st.lists(st.integers(1, 9), min_size=1, max_size=4), machines=st.integers(1, 60))
def test_every_beginning_has_the_mix(shares: list[int], machines: int) -> None:
    """The first n places hold every kind to within one machine of its share."""
    order = interleaved(shares, machines)
    for n in range(1, machines + 1):
        assert all(abs(order[:n].count(k) - n * s / sum(shares)) <= 1 for k, s in enumerate(shares))


def test_percentiles_and_rises_by_hand() -> None:
    """A percentile lies in its bin, and a rise is the most within its window, not beyond."""
    bins = np.zeros(7000, np.int64)
    bins[3000] = 10
    assert quantile_s(bins, 0.5) == pytest.approx(0.01 * 1.002**3000.5)
    watts = np.array([10.0, 10.0, 12.0, 19.0, 5.0])
    assert largest_rise_w(watts, 2.0, 2.0) == 7.0
    assert largest_rise_w(watts, 2.0, 40.0) == 9.0


def test_compiled_and_plain_code_agree() -> None:
    """Without compilation the same row draws the same watts, to the last bit."""
    program = (
        "from tests.planner.simulator.rows.test_row import POLCA, rows; "
        "print([w.hex() for w in rows([(4, 900.0, POLCA)], duration_s=60.0)[0].row_w.tolist()])"
    )
    plain = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    (run,) = rows([(4, 900.0, POLCA)], duration_s=60.0)
    assert plain.stdout.strip() == str([w.hex() for w in run.row_w.tolist()])
