"""Length distributions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workloads.strategies import traces
from workloads.errors import WorkloadError
from workloads.lengths import Fixed, Independent, JointQuantiles, LogNormal, Uniform, fit_lengths, lognormal
from workloads.traces import MOST_TOKENS, Trace, plain_trace

PERCENTILES = (10, 50, 90, 99)


def drawn(lengths: JointQuantiles | Independent, requests: int = 200_000) -> tuple[Any, Any]:
    return lengths.sample(requests, np.random.default_rng(1))


@given(low=st.integers(1, 1000), more=st.integers(0, 1000), seed=st.integers(0, 2**32))
def test_lengths_stay_within_their_limits(low: int, more: int, seed: int) -> None:
    """No draw of any distribution leaves its limits, and every draw is at least one token."""
    high = low + more
    for lengths in (
        Fixed(tokens=low),
        Uniform(min_tokens=low, max_tokens=high),
        LogNormal(median_tokens=500.0, sigma=2.0, min_tokens=low, max_tokens=high),
    ):
        tokens = lengths.sample(200, np.random.default_rng(seed))
        assert tokens.shape == (200,)
        assert tokens.dtype == np.int64
        assert low <= tokens.min()
        assert tokens.max() <= high


@given(
    centre=st.floats(10.0, 1e4),
    kind=st.sampled_from(["median_tokens", "mean_tokens"]),
    ratio=st.floats(1.0, 3.8),
)
def test_a_lognormal_has_the_centre_and_p95_it_was_given(centre: float, kind: str, ratio: float) -> None:
    """Median or mean, and 95th percentile, of the fitted parameters are those asked for."""
    found = lognormal(**{kind: centre, "p95_tokens": centre * ratio})  # type: ignore[arg-type]
    mean = found.median_tokens * np.exp(found.sigma**2 / 2)
    assert {"median_tokens": found.median_tokens, "mean_tokens": mean}[kind] == pytest.approx(centre)
    assert found.median_tokens * np.exp(1.6448536 * found.sigma) == pytest.approx(centre * ratio)
    if kind == "mean_tokens":  # two spreads fit a mean and a percentile; the narrower is meant
        assert found.sigma <= 1.6449


def test_lognormal_draws_have_the_median_and_p95() -> None:
    """Draws show the percentiles they were asked for, within 1 % at 200,000 draws."""
    tokens = lognormal(median_tokens=1000, p95_tokens=4000).sample(200_000, np.random.default_rng(2))
    assert np.percentile(tokens, (50, 95)) == pytest.approx([1000, 4000], rel=0.01)


@pytest.mark.parametrize(
    "arguments",
    [
        {"median_tokens": 5.0},
        {"p95_tokens": 5.0},
        {"median_tokens": 5.0, "mean_tokens": 5.0, "sigma": 1.0},
        {"median_tokens": 5.0, "sigma": 1.0, "p95_tokens": 9.0},
        {"median_tokens": 5.0, "p95_tokens": 4.0},
        {"mean_tokens": 5.0, "p95_tokens": 50.0},
        {"median_tokens": 0.0, "sigma": 1.0},
        {"median_tokens": 5.0, "sigma": -1.0},
        {"median_tokens": 5.0, "sigma": 1.0, "min_tokens": 0},
        {"median_tokens": 5.0, "sigma": 1.0, "min_tokens": 9, "max_tokens": 8},
    ],
)
def test_impossible_lognormals_are_refused(arguments: dict[str, Any]) -> None:
    """Too many, too few or contradictory parameters are refused with what was expected."""
    with pytest.raises(WorkloadError, match="expected"):
        lognormal(**arguments)


def test_empty_ranges_are_refused() -> None:
    """A range with nothing in it, or below one token, is refused."""
    for low, high in ((0, 5), (6, 5)):
        with pytest.raises(WorkloadError, match="expected 1 <= lowest <= highest"):
            Uniform(min_tokens=low, max_tokens=high)
    with pytest.raises(WorkloadError):
        Fixed(tokens=0)


def test_independent_lengths_do_not_speak_of_each_other() -> None:
    """Prompt and output drawn independently are uncorrelated (five standard errors), also of the same distribution."""
    same = Uniform(min_tokens=1, max_tokens=1000)
    prompt, output = drawn(Independent(prompt=same, output=same))
    assert abs(np.corrcoef(prompt, output)[0, 1]) < 5 / np.sqrt(len(prompt))


@given(trace=traces(min_size=1), seed=st.integers(0, 2**32))
def test_fitted_lengths_stay_within_those_observed(trace: Trace, seed: int) -> None:
    """A fit never invents lengths outside the observed range."""
    prompt, output = fit_lengths(trace).sample(100, np.random.default_rng(seed))
    for observed, found in ((trace.prompt_tokens, prompt), (trace.output_tokens, output)):
        assert observed.min() <= found.min()
        assert found.max() <= observed.max()


@given(st.integers(0, 50), st.integers(0, 2**32))
def test_an_output_comes_from_the_row_of_its_prompts_rank(requests: int, seed: int) -> None:
    """Each output is the quantile, among those of prompts of that rank, of a draw of its own."""
    rows = ((1, 50, 99), (100, 150, 199), (200, 250, 299))
    lengths = JointQuantiles(knots_frac=(0.0, 0.3, 1.0), prompt_tokens=(1, 10, 100), output_tokens=rows)
    uniform = np.random.default_rng(seed).random((requests, 2))
    expected = [round(float(np.interp(own, lengths.knots_frac, rows[int(3 * rank)]))) for rank, own in uniform]
    assert lengths.sample(requests, np.random.default_rng(seed))[1].tolist() == expected


def test_a_fit_follows_dependence_that_is_no_correlation() -> None:
    """Outputs that are long for middling prompts only stay so, although the correlation is zero."""
    prompt = np.arange(1, 10_001)
    output = np.where((prompt > 4000) & (prompt <= 6000), 1000, 10)
    trace = plain_trace("hump", np.arange(10_000.0), prompt, output, duration_s=1e4)
    found_prompt, found_output = drawn(fit_lengths(trace))
    middling = (found_prompt > 4050) & (found_prompt < 5950)
    assert np.all(found_output[middling] == 1000)
    assert np.all(found_output[(found_prompt < 3950) | (found_prompt > 6050)] == 10)


@pytest.mark.parametrize("name", ["azure_code", "azure_conv"])
def test_fitted_lengths_reproduce_the_trace(name: str, request: pytest.FixtureRequest) -> None:
    """Percentiles of both lengths within 3 % or a token, means within 2 %, correlation within 0.02."""
    trace: Trace = request.getfixturevalue(name)
    prompt, output = drawn(fit_lengths(trace))
    for observed, found in ((trace.prompt_tokens, prompt), (trace.output_tokens, output)):
        expected = np.percentile(observed, PERCENTILES)
        np.testing.assert_allclose(np.percentile(found, PERCENTILES), expected, rtol=0.03, atol=1.0)
        assert found.mean() == pytest.approx(observed.mean(), rel=0.02)
    observed_correlation = np.corrcoef(trace.prompt_tokens, trace.output_tokens)[0, 1]
    assert np.corrcoef(prompt, output)[0, 1] == pytest.approx(observed_correlation, abs=0.02)


@given(median=st.floats(1e-3, 1e12), sigma=st.floats(0, 400), seed=st.integers(0, 9))
def test_no_length_is_negative_or_without_end(median: float, sigma: float, seed: int) -> None:
    """However wide a distribution, a length is a whole number from 1 to the longest that is counted."""
    tokens = LogNormal(median_tokens=median, sigma=sigma).sample(50, np.random.default_rng(seed))
    assert tokens.min() >= 1
    assert tokens.max() <= MOST_TOKENS
