"""Arrival processes and re-timed traces."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.workloads.strategies import traces
from workloads.arrivals import (
    ArrivalProfile,
    diurnal,
    fit_profile,
    gamma,
    poisson,
    profiled,
    resample_blocks,
)
from workloads.errors import WorkloadError
from workloads.stats import gap_cv, stats
from workloads.traces import Trace

Rng = np.random.Generator
Process = Callable[[float, float, Rng], NDArray[np.float64]]

PROFILE = ArrivalProfile(interval_s=10.0, requests=(5, 0, 20, 15, 0), cv=2.0)
PROCESSES: dict[str, Process] = {
    "poisson": poisson,
    "steady": lambda rate, duration, rng: gamma(rate, duration, rng, cv=0.3),
    "bursty": lambda rate, duration, rng: gamma(rate, duration, rng, cv=4.0),
    "diurnal": lambda rate, duration, rng: diurnal(rate, duration, rng, peak_to_mean_ratio=1.8, period_s=20.0),
    "profile": lambda rate, duration, rng: profiled(rate, duration, rng, profile=PROFILE),
}


@given(
    name=st.sampled_from(sorted(PROCESSES)),
    rate=st.floats(0.01, 50.0),
    duration_s=st.floats(0.1, 200.0),
    seed=st.integers(0, 2**32),
)
def test_arrivals_are_sorted_within_the_window_and_repeatable(
    name: str, rate: float, duration_s: float, seed: int
) -> None:
    """Every process gives sorted times in [0, duration), the same ones for the same seed."""
    draws = [PROCESSES[name](rate, duration_s, np.random.default_rng(seed)) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    assert np.all(np.diff(draws[0]) >= 0)
    assert np.all((draws[0] >= 0) & (draws[0] < duration_s))


@pytest.mark.parametrize("name", sorted(PROCESSES))
@pytest.mark.parametrize("duration_s", [7.0, 100.0])
def test_the_mean_rate_is_the_one_asked_for(name: str, duration_s: float) -> None:
    """Over seeds the mean count is rate times duration, in short windows too (five standard errors)."""
    if name == "diurnal" and duration_s % 20:
        duration_s = 20.0  # its mean is promised over whole periods
    counts = [len(PROCESSES[name](5.0, duration_s, np.random.default_rng(seed))) for seed in range(1500)]
    assert np.mean(counts) == pytest.approx(5.0 * duration_s, abs=5 * np.std(counts) / np.sqrt(len(counts)))


@pytest.mark.parametrize(("cv", "process"), [(1.0, None), (0.5, 0.5), (1.0, 1.0), (3.0, 3.0)])
def test_gaps_vary_as_asked(cv: float, process: float | None) -> None:
    """Poisson gaps have a CV of 1 and gamma gaps the one asked for (interval over seeds, five standard errors)."""
    seeds = [np.random.default_rng(seed) for seed in range(40)]
    found = [gap_cv(poisson(10, 2000, r) if process is None else gamma(10, 2000, r, cv=process)) for r in seeds]
    # A sample CV is biased low by the order of cv³ / n, which 20,000 gaps bring below half a percent.
    assert np.mean(found) == pytest.approx(cv, abs=5 * np.std(found) / np.sqrt(len(found)) + 0.005 * cv)


def test_a_sine_peaks_as_high_as_asked() -> None:
    """The quarter period around the peak carries the share of requests that the sine gives it."""
    arrival_s = diurnal(50.0, 40_000.0, np.random.default_rng(1), peak_to_mean_ratio=1.6, period_s=400.0)
    phase = (arrival_s % 400.0) / 400.0
    expected = 0.25 + 0.6 * np.sin(np.pi / 4) / np.pi
    assert np.mean((phase > 0.125) & (phase < 0.375)) == pytest.approx(expected, abs=5 * np.sqrt(0.25 / len(arrival_s)))


def test_a_profile_keeps_its_idle_and_busy_intervals() -> None:
    """Over a whole circle each interval gets its share of the requests, and idle ones get none."""
    counts = np.zeros(5)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        start_s = np.random.default_rng(seed).uniform(0.0, 50.0)  # the first draw of the process
        interval = ((profiled(8.0, 50.0, rng, profile=PROFILE) + start_s) % 50.0 / 10.0).astype(int)
        counts += np.bincount(interval, minlength=5)
    assert counts[[1, 4]].tolist() == [0, 0]
    np.testing.assert_allclose(counts / counts.sum(), np.array(PROFILE.requests) / 40, atol=0.01)


def test_a_fitted_profile_keeps_every_request(azure_code: Trace) -> None:
    """The intervals of a profile hold all requests of its trace, and stretching time takes burstiness away."""
    profile = fit_profile(azure_code)
    assert sum(profile.requests) == len(azure_code)
    assert 1 < profile.cv < stats(azure_code).gap_cv


@given(trace=traces(), block_s=st.floats(1.0, 1e5), seed=st.integers(0, 2**32), stretch=st.floats(0.5, 3.0))
def test_resampling_draws_requests_of_the_trace(trace: Trace, block_s: float, seed: int, stretch: float) -> None:
    """A resampled trace holds only pairs of lengths that were observed, in order, within the window asked for."""
    window_s = trace.duration_s * stretch
    try:
        drawn = resample_blocks(trace, np.random.default_rng(seed), block_s, duration_s=window_s)
    except WorkloadError as error:
        assert "no request" in error.problems[0]  # noqa: PT017 - an empty draw is an honest answer
        return
    pairs = set(zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True))
    assert set(zip(drawn.prompt_tokens.tolist(), drawn.output_tokens.tolist(), strict=True)) <= pairs
    assert np.all(np.diff(drawn.arrival_s) >= 0)
    assert drawn.arrival_s[0] >= 0
    assert drawn.arrival_s[-1] < drawn.duration_s == window_s


def test_resampling_keeps_rate_and_burstiness(azure_code: Trace) -> None:
    """Blocks of a minute keep the mean rate without bias and most of the burstiness (interval over seeds)."""
    drawn = [resample_blocks(azure_code, np.random.default_rng(seed)) for seed in range(60)]
    rates = [trace.rate_req_per_s for trace in drawn]
    error = 5 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) == pytest.approx(azure_code.rate_req_per_s, abs=error)
    assert 8 < np.mean([gap_cv(trace.arrival_s) for trace in drawn]) < 14
    assert np.mean([stats(trace).peak_minute_ratio for trace in drawn]) == pytest.approx(4.2, abs=0.8)


def test_a_block_as_long_as_the_trace_turns_it_round(azure_conv: Trace) -> None:
    """One block as long as the trace, or longer, is the trace started elsewhere: every request once."""
    drawn = resample_blocks(azure_conv, np.random.default_rng(3), 1e9)
    assert sorted(drawn.prompt_tokens) == sorted(azure_conv.prompt_tokens)
    assert drawn.duration_s == azure_conv.duration_s


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: poisson(0.0, 1.0, rng),
        lambda rng: poisson(1.0, -1.0, rng),
        lambda rng: poisson(float("nan"), float("inf"), rng),
        lambda rng: gamma(1.0, 1.0, rng, cv=0.0),
        lambda rng: diurnal(1.0, 1.0, rng, peak_to_mean_ratio=2.5),
        lambda rng: diurnal(1.0, 1.0, rng, peak_to_mean_ratio=1.5, period_s=0.0),
        lambda rng: profiled(-1.0, 1.0, rng, profile=PROFILE),
    ],
)
def test_numbers_out_of_range_are_refused(draw: Callable[[Rng], object]) -> None:
    """Rates, windows and spreads that make no process are refused by name, all at once."""
    with pytest.raises(WorkloadError, match="expected"):
        draw(np.random.default_rng(0))


def test_all_wrong_numbers_are_named() -> None:
    """Two wrong numbers give two findings."""
    with pytest.raises(WorkloadError) as caught:
        poisson(-1.0, 0.0, np.random.default_rng(0))
    assert [problem.split()[0] for problem in caught.value.problems] == ["rate_req_per_s", "duration_s"]
