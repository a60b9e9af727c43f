"""Arrivals: when requests come, as draws from a process or as a re-timed trace."""

from dataclasses import dataclass, replace
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.stats import gap_cv
from workloads.traces import Trace

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalProfile:
    """How the rate of a workload moves with time, and how bursty it is beyond that.

    Attributes:
        interval_s: length of one interval, > 0.
        requests: requests observed in each interval, in order; only their proportions are used.
        cv: coefficient of variation of the gaps between arrivals, once time is stretched so that the rate is constant.
    """

    interval_s: float
    requests: tuple[int, ...]
    cv: float


def poisson(rate_req_per_s: float, duration_s: float, rng: np.random.Generator) -> Floats:
    """Arrivals independent of each other, at a constant rate.

    Args:
        rate_req_per_s: mean rate, > 0.
        duration_s: window, > 0.
        rng: source of randomness.

    Returns:
        (n,) seconds in [0, duration), sorted; n itself is Poisson distributed.
    """
    _check(rate_req_per_s=rate_req_per_s, duration_s=duration_s)
    return np.sort(rng.uniform(0.0, duration_s, rng.poisson(rate_req_per_s * duration_s)))


def gamma(rate_req_per_s: float, duration_s: float, rng: np.random.Generator, *, cv: float) -> Floats:
    """Arrivals whose gaps are gamma distributed: burstier than Poisson where cv > 1, steadier where cv < 1.

    The first arrival is drawn from the residual gap, as seen by an observer who starts to watch at a random moment;
    without that a bursty process would open with a burst, (cv² - 1) / 2 requests too many.

    Args:
        rate_req_per_s: mean rate, > 0.
        duration_s: window, > 0.
        rng: source of randomness.
        cv: coefficient of variation of the gaps, > 0; 1 is Poisson.

    Returns:
        (n,) seconds in [0, duration), sorted.

    Source: length-biased sampling of a gap, Cox, Renewal Theory (1962), section 5.4.
    """
    _check(rate_req_per_s=rate_req_per_s, duration_s=duration_s, cv=cv)
    shape, mean_gap_s = 1 / cv**2, 1 / rate_req_per_s
    chunk = ceil(rate_req_per_s * duration_s) + 100
    last_s = rng.random() * rng.gamma(shape + 1, mean_gap_s / shape)
    parts = [np.array([last_s])]
    while last_s < duration_s:
        parts.append(last_s + np.cumsum(rng.gamma(shape, mean_gap_s / shape, chunk)))
        last_s = float(parts[-1][-1])
    arrival_s = np.concatenate(parts)
    return arrival_s[arrival_s < duration_s]


def diurnal(
    rate_req_per_s: float,
    duration_s: float,
    rng: np.random.Generator,
    *,
    peak_to_mean_ratio: float,
    period_s: float = 86400.0,
) -> Floats:
    """Poisson arrivals whose rate swings as a sine, from the mean upwards first.

    rate(t) = rate · (1 + (ratio - 1) · sin(2π · t / period)), by thinning a Poisson process of the peak rate.

    Args:
        rate_req_per_s: mean rate over a whole period, > 0.
        duration_s: window, > 0; over a part of a period the mean differs from ``rate_req_per_s``.
        rng: source of randomness.
        peak_to_mean_ratio: highest over mean rate, 1..2 (a sine that swings further would turn negative).
        period_s: from peak to peak, > 0.

    Returns:
        (n,) seconds in [0, duration), sorted.

    Source: Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning (1979).
    """
    _check(period_s=period_s)
    if not 1 <= peak_to_mean_ratio <= 2:
        raise WorkloadError(f"diurnal arrivals: peak_to_mean_ratio is {peak_to_mean_ratio:g}, expected 1 to 2")
    arrival_s = poisson(rate_req_per_s * peak_to_mean_ratio, duration_s, rng)
    relative_rate = 1 + (peak_to_mean_ratio - 1) * np.sin(2 * np.pi * arrival_s / period_s)
    return arrival_s[rng.random(len(arrival_s)) * peak_to_mean_ratio < relative_rate]


def profiled(rate_req_per_s: float, duration_s: float, rng: np.random.Generator, *, profile: ArrivalProfile) -> Floats:
    """Arrivals that follow an observed profile, its burstiness within the intervals included.

    A gamma process of constant rate is bent in time so that each interval gets its share. The window starts at a random
    moment of the profile, which is read as a circle: seeds differ, and their mean rate is the one asked for.

    Args:
        rate_req_per_s: mean rate over the whole profile, > 0.
        duration_s: window, > 0.
        rng: source of randomness.
        profile: what was observed.

    Returns:
        (n,) seconds in [0, duration), sorted.

    Source: time rescaling of a renewal process, Gerhardt and Nelson, Transforming renewal processes (2009).
    """
    _check(rate_req_per_s=rate_req_per_s, duration_s=duration_s)
    intervals = len(profile.requests)
    start_s = rng.uniform(0.0, intervals * profile.interval_s)
    rounds = ceil((start_s + duration_s) / (intervals * profile.interval_s))
    share = np.tile(np.asarray(profile.requests, dtype=np.float64) / np.mean(profile.requests), rounds)
    edge_s = np.arange(len(share) + 1) * profile.interval_s
    # Stretched time runs `share` times as fast as the clock, so a constant rate there is a profiled rate here.
    stretched_s = np.concatenate(([0.0], np.cumsum(share * profile.interval_s)))
    first_s, last_s = np.interp([start_s, start_s + duration_s], edge_s, stretched_s)
    if last_s <= first_s:
        return np.empty(0)
    even_s = first_s + gamma(rate_req_per_s, last_s - first_s, rng, cv=profile.cv)
    arrival_s: Floats = np.interp(even_s, stretched_s, edge_s) - start_s
    return arrival_s.clip(0.0, np.nextafter(duration_s, 0.0))


def fit_profile(trace: Trace, *, interval_s: float = 10.0) -> ArrivalProfile:
    """The profile of a trace: requests per interval, and the burstiness left once time is stretched by them.

    Args:
        trace: at least one request.
        interval_s: shorter follows bursts more closely; ten seconds reproduce the gaps and the peak minutes of the
            public Azure traces (tests/workloads/test_synthesis.py).
    """
    _check(interval_s=interval_s)
    intervals = ceil(trace.duration_s / interval_s)
    position = np.minimum((trace.arrival_s / interval_s).astype(np.int64), intervals - 1)
    requests = np.bincount(position, minlength=intervals)
    edge_s = np.arange(intervals + 1) * interval_s
    stretched = np.interp(trace.arrival_s, edge_s, np.concatenate(([0], np.cumsum(requests))))
    return ArrivalProfile(interval_s=interval_s, requests=tuple(requests.tolist()), cv=positive_cv(stretched))


def positive_cv(arrival_s: Floats) -> float:
    """Coefficient of variation of the gaps, to three digits; a beat without any is put at 0.01, close enough to it."""
    return max(0.01, round(gap_cv(arrival_s), 3))


def resample_blocks(
    trace: Trace, rng: np.random.Generator, block_s: float = 60.0, *, duration_s: float | None = None
) -> Trace:
    """Another trace that could have been: blocks of the trace, taken at random and laid end to end.

    What happens within a block (bursts, gaps, which lengths follow each other) is kept; what spans blocks is not.
    The trace is read as a circle, so that its ends are drawn as often as its middle.

    Args:
        trace: what was observed.
        rng: source of randomness.
        block_s: length of a block; that of the trace where it is shorter.
        duration_s: length of the result; that of the trace where None.

    Raises:
        WorkloadError: a length is not above 0, or no request was drawn.

    Source: circular block bootstrap, Politis and Romano (1992).
    """
    window_s = trace.duration_s if duration_s is None else duration_s
    _check(block_s=block_s, duration_s=window_s)
    block_s = min(block_s, trace.duration_s)
    start_s = rng.uniform(0.0, trace.duration_s, ceil(window_s / block_s))
    circle_s = np.concatenate((trace.arrival_s, trace.arrival_s + trace.duration_s))
    first, last = np.searchsorted(circle_s, (start_s, start_s + block_s))
    rows = np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])
    shift_s = np.repeat(np.arange(len(start_s)) * block_s - start_s, last - first)
    arrival_s = np.maximum.accumulate(np.maximum(circle_s[rows] + shift_s, 0.0))
    kept = arrival_s < window_s
    blocks = np.repeat(np.arange(len(start_s)), last - first)[kept]
    rows = rows[kept] % len(trace)
    if not len(rows):
        raise WorkloadError(f"{trace.name}: no request in the drawn blocks, expected a window above {window_s:g} s")
    return replace(
        trace,
        arrival_s=arrival_s[kept],
        prompt_tokens=trace.prompt_tokens[rows],
        output_tokens=trace.output_tokens[rows],
        class_index=trace.class_index[rows],
        duration_s=window_s,
        prefixes=trace.prefixes and trace.prefixes.picked(rows, blocks),
    )


def _check(**numbers: float) -> None:
    """Every number is finite and above 0.

    Raises:
        WorkloadError: naming all that are not.
    """
    wrong = [
        f"{key} is {value:g}, expected a finite number above 0" for key, value in numbers.items() if not 0 < value < inf
    ]
    if wrong:
        raise WorkloadError(*wrong)
