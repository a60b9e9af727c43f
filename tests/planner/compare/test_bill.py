"""What plans draw, spend and emit, beside each other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.compare.bill import MILLION, bill, bill_of
from planner.report.bill import bill_cells, bill_rows
from planner.report.figures import figures_of
from planner.report.power import expected_words
from planner.results.row import RowStudy
from planner.results.use import PowerUse
from planner.scenario.energy import EnergySection
from planner.simulator.books import window
from planner.simulator.watts import power_use, together
from tests.planner import plans
from tests.planner.perf.test_pipeline_watts import Flat
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools

ENERGY = EnergySection(pue_ratio=1.25, usd_per_kwh=0.1, carbon_g_per_kwh=400.0)


def use(mean_w: float) -> PowerUse:
    """A plan that draws so much on average."""
    return PowerUse(
        mean_w=mean_w, p50_w=mean_w, p95_w=1.2 * mean_w, p99_w=1.3 * mean_w, peak_w=1.5 * mean_w,
        standby_w=0.3 * mean_w, prefill_w=0.3 * mean_w, decode_w=0.4 * mean_w,
    )  # fmt: skip


STUDY = RowStudy(
    machine="dgx-h100", policy="polca", row_limit_w=5e5, provisioned_machines=48, peak_frac=0.8, uncapped_ratio=1.25,
    uncapped_machines=60, machines=63, ratio=63 / 48, rise_2s_frac=0.05, rise_40s_frac=0.1, trials=(), domains=(),
    weeks=2, week_s=604800.0, tick_s=2.0, assumptions=(),
)  # fmt: skip


def test_a_bill_follows_from_the_simulated_mean() -> None:
    """Joules of a token are mean watts over its rate; dollars and CO2 count the building; a million tokens add up."""
    judgement = replace(plans.judgement(), power=use(8000.0), output_tokens_per_s=100.0)
    totals = replace(plans.candidate().totals, power_w=20_000.0, expected_power_w=7000.0)
    found = bill(totals, judgement, ENERGY)
    assert (found.rated_w, found.expected_w, found.mean_w) == (20_000.0, 7000.0, 8000.0)
    assert found.token_j == pytest.approx(80.0)
    assert found.electricity_usd_per_h == pytest.approx(8 * 1.25 * 0.1)
    assert found.carbon_g_per_h == pytest.approx(8 * 1.25 * 400)
    hours = MILLION / 100 / 3600
    assert found.million_tokens_usd == pytest.approx(hours * (found.electricity_usd_per_h or 0))
    assert found.million_tokens_g == pytest.approx(hours * (found.carbon_g_per_h or 0))


@pytest.mark.parametrize("power", [use(8000.0), None], ids=["simulated", "planned"])
def test_a_page_says_what_the_bill_says(power: PowerUse | None) -> None:
    """Mean watts, electricity and CO2 in a plan's text are those of its bill, which sweeps and diffs show."""
    judgement = replace(plans.judgement(), power=power, output_tokens_per_s=100.0)
    totals = replace(plans.candidate().totals, power_w=20_000.0, expected_power_w=7000.0)
    asked = plans.scenario().model_copy(update={"energy": ENERGY})
    found, (said,) = bill(totals, judgement, ENERGY), expected_words(totals, judgement, asked)
    assert f"${found.electricity_usd_per_h:.2f}/h of electricity" in said
    assert f"{(found.carbon_g_per_h or 0) / 1000:.3g} kg CO2/h" in said
    screen = figures_of(replace(plans.candidate(), totals=totals), judgement, None)
    assert (screen.mean_w, screen.expected_w) == (found.mean_w, found.expected_w)


def test_a_plan_without_simulated_watts_is_billed_by_its_expected_ones() -> None:
    """Nothing is invented: joules of a token need a simulation, a bill needs some watts."""
    judgement = replace(plans.judgement(), power=None)
    known = bill(replace(plans.candidate().totals, expected_power_w=7000.0), judgement, ENERGY)
    assert known.electricity_usd_per_h == pytest.approx(7 * 1.25 * 0.1)
    assert (known.mean_w, known.token_j, known.million_tokens_g) == (None, None, None)
    blind = bill(replace(plans.candidate().totals, expected_power_w=0.0), judgement, ENERGY)
    assert (blind.expected_w, blind.electricity_usd_per_h, blind.carbon_g_per_h) == (None, None, None)


def test_two_bills_stand_beside_each_other() -> None:
    """Every number that either plan knows has a line with its unit; what one does not know is said to be unknown."""
    judged = replace(plans.judgement(), power=use(8000.0), output_tokens_per_s=100.0)
    totals = replace(plans.candidate().totals, expected_power_w=7000.0)
    full, poor = bill(totals, judged, ENERGY), bill(totals, replace(judged, power=None), ENERGY)
    rows = list(bill_rows(poor, full))
    assert rows[0] == ("expected", "7 kW", "7 kW", "mean wall power, at the planned rates")
    assert ("energy", "unknown", "80 J", "per output token") in rows
    assert any(row[:3] == ("P99", "unknown", "10.4 kW") for row in rows)
    assert list(bill_rows(full, poor))[-1][3].endswith("PUE included")
    assert bill_cells(full, totals.power_w)[1:] == ("7 kW", "10.4 kW", "80")
    assert bill_cells(None, 5000.0) == ("5 kW", "", "", "")


def test_a_plan_with_a_row_says_what_the_row_holds() -> None:
    """The number of machines and its ratio come from the row study, where there is one."""
    plan = replace(plans.plan(), power=STUDY)
    found = bill_of(plan, ENERGY)
    bare = bill_of(replace(plan, power=None), ENERGY)
    assert (found.row_machines, found.row_ratio) == (63, 63 / 48)
    assert (bare.row_machines, bare.row_ratio) == (None, None)
    assert replace(found, row_machines=None, row_ratio=None) == bare


@given(seed=st.integers(0, 1000), rate=st.floats(2.0, 60.0))
def test_what_pools_draw_at_once_is_no_more_than_what_each_draws_at_most(seed: int, rate: float) -> None:
    """Means add up; high quantiles of the whole are at most the sum of those of the pools, for the peak always."""
    pools = toy_pools("splitwise", physics=replace(toy_physics(), power=Flat()))
    trace = random_trace(seed, 60, rate)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    meters = run(pools, toy_policy("splitwise"), trace, measured, cutoff_s=1e4).meters
    parts = [(pool.physics.power, [meters[pool.name]], 1) for pool in pools]
    each, whole = [power_use(*part) for part in parts], together(parts)
    assert whole is not None
    assert all(u is not None for u in each)
    known = [u for u in each if u]
    assert whole.mean_w == pytest.approx(sum(u.mean_w for u in known))
    assert max(u.peak_w for u in known) <= whole.peak_w <= sum(u.peak_w for u in known) * (1 + 1e-9)
    assert whole.p99_w <= whole.peak_w
