"""Clocks, caps and watts in scenarios, plans and simulations."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.load import load_catalog
from planner.errors import BadInput
from planner.perf.power import WattTerms
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.resolve.clocks_caps import AUTO_RATIOS, knobs_of, nearest_clock_mhz
from planner.resolve.inputs import read_inputs
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from planner.scenario.reading import Document
from planner.simulator.books import Meter, window
from planner.simulator.judge import judge
from planner.simulator.pools import PoolModel
from planner.simulator.sketch import sketch
from planner.simulator.traffic import Judging, Traffic
from planner.simulator.watts import power_use
from tests.planner.served import run
from tests.planner.small import small
from tests.planner.toy import flat_terms, random_trace, toy_physics, toy_policy, toy_pools
from workloads.slo import Metric, Slo

BASE = {
    "name": "clocks",
    "model": {"name": "llama-3.1-8b"},
    "workload": {
        "rate_req_per_s": 30.0, "duration_s": 20.0,
        "lengths": {
            "prompt": {"median_tokens": 800.0, "p95_tokens": 2000.0},
            "output": {"median_tokens": 150.0, "p95_tokens": 400.0},
        },
    },
    "slo": {"ttft_p90_s": 3.0, "tbt_p90_s": 0.5},
    "catalog": {"machines": ["dgx-h100"], "tp": [2], "clocks_mhz": {"dgx-h100": [1200]}, "caps_w": {"dgx-h100": [400]}},
    "policy": {"name": "colocated"},
    "validation": {"seeds": 1},
}  # fmt: skip


def scenario(*overrides: str) -> Scenario:
    """A small question with one lock and one cap on offer."""
    return Scenario.parse(Document(data=BASE, places={(): "test"})).changed(list(overrides))


def complaints(*overrides: str) -> str:
    """What is said against a scenario."""
    with pytest.raises(BadInput) as found:
        open_case(scenario(*overrides), "colocated")
    return str(found.value)


def test_every_knob_becomes_an_option() -> None:
    """The driver's own clock, a lock and a cap are three options, each named by its knob; the slower cost more time."""
    case = open_case(scenario(), "colocated")
    offered = {o.spec.name: o.envelopes["all"] for o in case.options}
    assert set(offered) == {"mixed/dgx-h100/tp2", "mixed/dgx-h100/tp2/1200mhz", "mixed/dgx-h100/tp2/400w"}
    free = offered.pop("mixed/dgx-h100/tp2")
    for slower in offered.values():
        assert slower.prefill_s > free.prefill_s
    locked = next(o for o in case.options if o.spec.clock_mhz)
    assert locked.floor_w < next(o for o in case.options if o.spec.name == "mixed/dgx-h100/tp2").floor_w


def test_clocks_and_caps_that_a_gpu_does_not_have_are_named() -> None:
    """All at once: a clock between steps, a clock and a cap out of range, each with the nearest there is."""
    said = complaints("catalog.clocks_mhz={dgx-h100: [1201, 2500]}", "catalog.caps_w={dgx-h100: [100, 900]}")
    assert "found 1201; expected 345 to 1980 MHz in steps of 15" in said
    assert "nearest 1200" in said
    assert "found 2500" in said
    assert "nearest 1980" in said
    assert "found 100; expected 200 to 700 W" in said
    assert "found 900" in said


def test_knobs_are_for_machines_on_offer() -> None:
    """A clock for a machine type that is not listed is an error, and so is a word other than auto."""
    with pytest.raises(BadInput, match=r"only machine types that catalog\.machines lists, not dgx-a100"):
        scenario("catalog.clocks_mhz={dgx-a100: [1200]}")
    with pytest.raises(BadInput, match="clocks_mhz"):
        scenario("catalog.clocks_mhz={dgx-h100: all}")


@pytest.mark.parametrize("name", sorted(load_catalog().machines))
def test_auto_offers_clocks_that_exist(name: str) -> None:
    """``auto`` tries shares of the range, rounded to clocks and limits that the GPU has."""
    machine = load_catalog().machines[name]
    tried = knobs_of([machine], {name: "auto"}, {name: "auto"})[name]
    clocks = tuple(clock for clock, _ in tried if clock)
    assert len(clocks) == len(AUTO_RATIOS)
    explicit = knobs_of([machine], {name: clocks}, {name: tuple(cap for _, cap in tried if cap)})
    assert explicit[name] == tried
    assert all(nearest_clock_mhz(machine.gpu, clock) == clock for clock in clocks)


def test_least_joules_are_looked_for_among_clocks() -> None:
    """Least energy or carbon tries lower clocks of a type of which no clock or cap is named; other objectives do not.

    A named list stands as it is; so it is over time.
    """
    day = "schedule={load: [0.5, 1.5], objectives: [energy]}"
    for words, tried in (
        (["objective=energy"], [None, 1185, 1590]), (["objective=carbon"], [None, 1185, 1590]), ([], [None]),
        (["objective=energy", "catalog.clocks_mhz={dgx-h100: [1980]}"], [None, 1980]),
        (["objective=energy", day], [None, 1185, 1590]),
    ):  # fmt: skip
        limits = read_inputs(small(*words)).limits
        assert [limit.clock_mhz for limit in limits["dgx-h100"]] == tried


@pytest.mark.parametrize("key", ["power_w", "expected_power_w"])
def test_a_budget_below_idle_names_the_smallest_machine(key: str) -> None:
    """A power budget that not even one idle machine keeps is an error that says what the smallest draws idle."""
    said = complaints(f"budgets.{key}=1000")
    assert f"budgets.{key}: found 1000; expected at least 2800 W, what dgx-h100" in said


def test_the_energy_section_says_what_is_out_of_range() -> None:
    """A PUE below 1, negative carbon, and a day that has not 24 hours are errors."""
    for word in (
        "energy.pue_ratio=0.9",
        "energy.carbon_g_per_kwh=-1",
        "energy.hourly_carbon_g_per_kwh=[1, 2]",
        "energy.usd_per_kwh=-0.1",
    ):
        with pytest.raises(BadInput, match=word.partition("=")[0]):
            scenario(word)


def test_carbon_by_the_hour_is_averaged_over_the_day() -> None:
    """24 intensities count as their mean, with the building's share on top."""
    hours = [float(h) for h in range(24)]
    energy = scenario(f"energy={{pue_ratio: 1.5, hourly_carbon_g_per_kwh: {hours}}}").energy
    assert energy.carbon_g_per_j == pytest.approx(1.5 * np.mean(hours) / 3.6e6)
    assert energy.bill_usd_per_h(2000.0) == pytest.approx(1.5 * energy.usd_per_kwh * 2)


@pytest.mark.slow
def test_least_energy_draws_no_more_than_least_cost() -> None:
    """By energy a plan is expected to draw no more than by cost, by cost it costs no more; carbon follows energy."""
    cost, energy, carbon = (
        plan(scenario(f"objective={goal}"), progress=lambda _words, _done: None)
        for goal in ("cost", "energy", "carbon")
    )
    assert isinstance(cost, ValidatedPlan)
    assert isinstance(energy, ValidatedPlan)
    assert isinstance(carbon, ValidatedPlan)
    cheap, frugal = cost.candidate.totals, energy.candidate.totals
    assert frugal.expected_power_w <= cheap.expected_power_w * (1 + 1e-9)
    assert cheap.cost_usd_per_h <= frugal.cost_usd_per_h * (1 + 1e-9)
    assert carbon.candidate.totals.expected_power_w == pytest.approx(frugal.expected_power_w, rel=1e-6)
    drawn = energy.judgement.pools[0].power
    assert drawn is not None
    assert drawn.mean_w == pytest.approx(frugal.expected_power_w, rel=0.2)


class Flat:
    """Simple watts: 100 idle, 300 in prefill, 150 and 2 per request in decode."""

    idle_w, limit_w, standby_w, wall_ratio = 100.0, 400.0, 130.0, 1.2

    def terms(self, batches: int) -> WattTerms:
        """The same, as numbers."""
        return flat_terms(200.0, [50.0 + 2 * batch for batch in range(batches + 1)])

    def decode_w(self, batch: int, _mean_context_tokens: float) -> float:
        """By batch."""
        return 150.0 + 2 * batch

    def prefill_w(self, _prompts: list[tuple[int, int]], _batch: int = 0, _context_tokens: int = 0) -> float:
        """Whatever the prompt."""
        return 300.0


def flat_meters(seed: int, max_run_steps: int) -> tuple[list[Meter], list[PoolModel]]:
    """Meters of a simulation in which every instance draws flat watts."""
    physics = replace(toy_physics(), power=Flat())
    pools = toy_pools("splitwise", physics=physics)
    trace = random_trace(seed, 150, 8.0)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=2)
    done = run(pools, toy_policy("splitwise"), trace, measured, cutoff_s=1e4, max_run_steps=max_run_steps)
    return [m for meters in done.meters.values() for m in meters], pools


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_joules_do_not_depend_on_how_a_run_is_cut(seed: int) -> None:
    """Energy step by step equals energy in closed form, in each second, where watts are linear in the context."""
    (whole, _), (steps, _) = flat_meters(seed, 1 << 60), flat_meters(seed, 1)
    for one, other in zip(whole, steps, strict=True):
        assert one.prefill_j == pytest.approx(other.prefill_j, rel=1e-9, abs=1e-9)
        assert one.decode_j == pytest.approx(other.decode_j, rel=1e-9, abs=1e-9)
        assert one.above_j == pytest.approx(other.above_j, rel=1e-6, abs=1e-6)
    for pool in (whole[:2], whole[2:]):
        spent_j = sum(m.prefill_j + m.decode_j for m in pool)
        assert sum(pool[0].above_j) == pytest.approx(spent_j, rel=1e-9, abs=1e-9)


def test_a_judgement_tells_what_a_pool_drew() -> None:
    """Mean is standby, prefill and decode together; quantiles are in order and within standby and the limit."""
    physics = replace(toy_physics(), power=Flat())
    pools = toy_pools("splitwise", physics=physics)
    judgement = judge(
        pools,
        toy_policy("splitwise"),
        Traffic(draw=lambda seed: random_trace(seed, 200, 8.0), seeds=(1, 2), workload="toy", exact=False),
        [Slo(metric=Metric.E2E, percentile=90.0, limit=1e3)],
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
    )
    for use in judgement.pools:
        drawn = use.power
        assert drawn is not None
        assert drawn.standby_w == 2 * 130.0
        assert drawn.mean_w == pytest.approx(drawn.standby_w + drawn.prefill_w + drawn.decode_w)
        assert drawn.standby_w <= drawn.p50_w <= drawn.p95_w <= drawn.p99_w <= drawn.peak_w <= 2 * (130 + 1.2 * 300)
        assert (drawn.prefill_w > 0) == use.pool.startswith("prefill")
        assert (drawn.decode_w > 0) == use.pool.startswith("decode")


def test_watts_over_time_are_those_of_the_meters() -> None:
    """The mean of a drawn series is the pool's mean draw; outside the measured window there is nothing to draw."""
    pools = toy_pools("splitwise", physics=replace(toy_physics(), power=Flat()))
    trace = random_trace(1, 200, 8.0)
    seen = sketch(pools, toy_policy("splitwise"), trace, warmup_frac=0.1, cooldown_frac=0.1)
    measured = window(trace, warmup_frac=0.1, cooldown_frac=0.1, slices=1)
    meters = run(pools, toy_policy("splitwise"), trace, measured, cutoff_s=1e4).meters
    for pool, series in zip(pools, seen.pools, strict=True):
        drawn = power_use(pool.physics.power, [meters[pool.name]])
        assert drawn is not None
        finite = [w for w in series.power_w if w < inf]
        assert len(series.power_w) == len(seen.moments_s)
        assert 0.75 * len(series.power_w) < len(finite) < 0.81 * len(series.power_w)
        assert sum(finite) / len(finite) == pytest.approx(drawn.mean_w, rel=0.02)


def test_watts_that_nobody_knows_are_not_told() -> None:
    """A pool without a power curve reports no power rather than none drawn."""
    judgement = judge(
        toy_pools("colocated"),
        toy_policy("colocated"),
        Traffic(draw=lambda seed: random_trace(seed, 50, 5.0), seeds=(1,), workload="toy", exact=False),
        [Slo(metric=Metric.E2E, percentile=90.0, limit=1e3)],
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
    )
    assert [use.power for use in judgement.pools] == [None]
