"""Laws of growth: a trace at another rate keeps its time, its lengths with their time, and its busy minutes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workloads.strategies import traces
from workloads.errors import WorkloadError
from workloads.growth import JITTER_S, Growth, grown
from workloads.traces import Trace, plain_trace

FACTORS = st.floats(0.1, 12.0)
GROWTHS = st.sampled_from(["shared", "independent"])


def busy_middle(seed: int = 1) -> Trace:
    """Twenty minutes of 2 req/s, of which two in the middle are three times as busy, with prompts ten times as long."""
    rng = np.random.default_rng(seed)
    arrival_s = np.sort(np.concatenate([rng.uniform(0, 1200, 2400), rng.uniform(540, 660, 480)]))
    busy = (arrival_s >= 540) & (arrival_s < 660)
    prompt = np.where(busy, 5000, 500) + rng.integers(0, 100, len(arrival_s))
    return plain_trace("busy", arrival_s, prompt, rng.integers(1, 300, len(arrival_s)), duration_s=1200.0)


def requests(trace: Trace) -> Counter[tuple[float, int, int]]:
    """Every request, to the microsecond."""
    return Counter(
        zip(trace.arrival_s.round(6).tolist(), trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
    )


@given(trace=traces(), factor=FACTORS, seed=st.integers(0, 99))
def test_every_request_keeps_its_lengths_near_its_time(trace: Trace, factor: float, seed: int) -> None:
    """What is added under shared growth copies a request that arrived within five seconds, round the trace."""
    try:
        more = grown(trace, factor, seed)
    except WorkloadError:
        assert factor < 1
        return
    assert (np.diff(more.arrival_s) >= 0).all()
    assert 0 <= more.arrival_s[0] <= more.arrival_s[-1] < more.duration_s == trace.duration_s
    for at_s, prompt, output in zip(more.arrival_s, more.prompt_tokens, more.output_tokens, strict=True):
        same = (trace.prompt_tokens == prompt) & (trace.output_tokens == output)
        away_s = np.abs(trace.arrival_s[same] - at_s)
        away_s = np.minimum(away_s, trace.duration_s - away_s)
        assert away_s.min() <= JITTER_S + 1e-6


@given(trace=traces(), factor=FACTORS, growth=GROWTHS, seed=st.integers(0, 99))
def test_every_request_comes_as_often_as_asked(trace: Trace, factor: float, growth: Growth, seed: int) -> None:
    """Each request comes floor(factor) or ceil(factor) times, and the same seed gives the same trace."""
    if factor < 1:
        return
    more = grown(trace, factor, seed, growth=growth)
    assert len(trace) * np.floor(factor) <= len(more) <= len(trace) * np.ceil(factor)
    assert requests(more) == requests(grown(trace, factor, seed, growth=growth))


@given(growth=GROWTHS, low=FACTORS, high=FACTORS, seed=st.integers(0, 99))
def test_a_lower_rate_is_part_of_a_higher_one(growth: Growth, low: float, high: float, seed: int) -> None:
    """With one seed, the requests at a lower factor are among those at a higher one; at 1 they are the trace."""
    low, high = sorted((low, high))
    trace = busy_middle()
    few, many = (requests(grown(trace, factor, seed, growth=growth)) for factor in (low, high))
    assert few <= many
    assert requests(grown(trace, 1.0, seed, growth=growth)) == requests(trace)


def test_the_mean_rate_is_the_one_asked_for() -> None:
    """Over many seeds the rate is factor times that of the trace, fractions and thinning included."""
    trace = busy_middle()
    for factor in (0.3, 1.02, 2.5, 7.0):
        rates = [grown(trace, factor, seed).rate_req_per_s for seed in range(20)]
        assert np.mean(rates) == pytest.approx(factor * trace.rate_req_per_s, rel=0.01)


def test_shared_growth_keeps_busy_minutes_and_independent_growth_averages_them() -> None:
    """The peak minute stays as high over the mean under shared growth, and nears the mean under independent growth."""
    trace = busy_middle()

    def peak_to_mean(more: Trace) -> float:
        tokens = np.histogram(more.arrival_s, np.arange(0, 1201, 60), weights=more.prompt_tokens)[0]
        return float(tokens.max() / tokens.mean())

    assert peak_to_mean(grown(trace, 40, 1)) == pytest.approx(peak_to_mean(trace), rel=0.05)
    assert peak_to_mean(grown(trace, 40, 1, growth="independent")) < 0.5 * peak_to_mean(trace)


def test_a_window_goes_round_the_trace() -> None:
    """A window three times as long holds every request three times; what is added differs from turn to turn."""
    trace = busy_middle()
    thrice = grown(trace, 1.0, 1, window_s=(0.0, 3 * trace.duration_s))
    assert len(thrice) == 3 * len(trace)
    np.testing.assert_allclose(thrice.arrival_s[len(trace) : 2 * len(trace)], trace.arrival_s + trace.duration_s)
    more = grown(trace, 2.0, 1, window_s=(0.0, 2 * trace.duration_s))
    first, second = (
        more.arrival_s[(more.arrival_s >= at) & (more.arrival_s < at + trace.duration_s)] - at
        for at in (0.0, trace.duration_s)
    )
    assert len(np.setdiff1d(second.round(6), first.round(6))) > 0


@pytest.mark.parametrize(("factor", "window_s"), [(0.0, None), (np.inf, None), (-1.0, None), (2.0, (5.0, 5.0))])
def test_what_cannot_be_grown_is_refused(factor: float, window_s: tuple[float, float] | None) -> None:
    """A factor that is not above 0, or a window without length, is named."""
    with pytest.raises(WorkloadError, match="expected a finite factor above 0"):
        grown(busy_middle(), factor, 1, window_s=window_s)
