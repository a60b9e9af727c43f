"""Built-in workloads, fitted and drawn again."""

from dataclasses import asdict
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.workloads.strategies import traces
from workloads.arrivals import ArrivalProfile
from workloads.builtin import WorkloadFile, builtin_names, load_builtin, workload_from_json
from workloads.errors import WorkloadError
from workloads.lengths import Fixed, Independent, JointQuantiles
from workloads.stats import gap_cv, stats
from workloads.synthesis import Process, WorkloadModel, fit_workload, synthesize
from workloads.traces import Trace

OF_TRACE = {"azure-code-2023": "azure_code", "azure-conv-2023": "azure_conv"}

WRITTEN_DOWN = WorkloadModel(
    name="written-down",
    source="assumed",
    rate_req_per_s=1.0,
    gap_cv=1.0,
    lengths=Independent(prompt=Fixed(tokens=100), output=Fixed(tokens=10)),
    profile=None,
)


def written(model: WorkloadModel) -> str:
    """A workload in its JSON form."""
    return WorkloadFile.model_validate(asdict(model)).model_dump_json()


def seeds(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def test_the_built_in_workloads_are_these() -> None:
    """Two workloads ship, and each loads under its own name with source, licence and what was changed."""
    assert builtin_names() == tuple(OF_TRACE)
    for name in builtin_names():
        model = load_builtin(name)
        assert model.name == name
        for word in ("Azure", "CC BY 4.0", "changed"):
            assert word in model.source


@pytest.mark.parametrize("name", OF_TRACE)
def test_a_shipped_workload_is_the_fit_of_its_trace(name: str, request: pytest.FixtureRequest) -> None:
    """The JSON that ships is what fit_workload makes of the public trace today, to the last digit."""
    shipped = load_builtin(name)
    assert fit_workload(request.getfixturevalue(OF_TRACE[name]), name=name, source=shipped.source) == shipped


@given(trace=traces(min_size=1))
def test_json_gives_a_fit_back(trace: Trace) -> None:
    """Any trace can be fitted, and a fit survives its JSON form."""
    model = fit_workload(trace)
    assert workload_from_json(written(model)) == model


def test_an_unknown_key_in_a_workload_file_is_refused() -> None:
    """The JSON form takes no key it does not know."""
    text = written(load_builtin("azure-conv-2023")).replace('"gap_cv"', '"gap_cvs"')
    with pytest.raises(ValidationError, match="gap_cvs"):
        workload_from_json(text)


def test_an_unknown_workload_is_told_the_nearest() -> None:
    """A mistyped id is answered with the nearest known one."""
    with pytest.raises(WorkloadError, match="did you mean 'azure-conv-2023'"):
        load_builtin("azure-conv")


@given(
    name=st.sampled_from(builtin_names()),
    process=st.sampled_from(get_args(Process)),
    seed=st.integers(0, 2**32),
    rate=st.floats(1.0, 20.0),
)
def test_a_drawn_trace_is_valid_and_repeatable(name: str, process: Process, seed: int, rate: float) -> None:
    """Same seed, same trace; times sorted in the window, lengths at least one, columns of one length."""
    model = load_builtin(name)
    try:
        one, two = (
            synthesize(model, rate_req_per_s=rate, duration_s=30, rng=np.random.default_rng(seed), process=process)
            for _ in range(2)
        )
    except WorkloadError as error:
        assert "no request came" in error.problems[0]  # noqa: PT017 - the code trace idles for minutes
        return
    for column in ("arrival_s", "prompt_tokens", "output_tokens", "class_index"):
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column))
        assert len(getattr(one, column)) == len(one)
    assert one.arrival_s[0] >= 0
    assert np.all(np.diff(one.arrival_s) >= 0)
    assert one.arrival_s[-1] < one.duration_s == 30
    assert min(one.prompt_tokens.min(), one.output_tokens.min()) >= 1


def test_lengths_do_not_hang_on_rate_or_process() -> None:
    """With the same seed, the i-th request has the same lengths whatever the rate and the process."""
    model = load_builtin("azure-conv-2023")
    drawn = [
        synthesize(model, rate_req_per_s=rate, duration_s=60, rng=np.random.default_rng(7), process=process)
        for rate, process in ((3.0, "poisson"), (9.0, "poisson"), (5.0, "gamma"))
    ]
    common = min(len(trace) for trace in drawn)
    for trace in drawn[1:]:
        np.testing.assert_array_equal(trace.prompt_tokens[:common], drawn[0].prompt_tokens[:common])
        np.testing.assert_array_equal(trace.output_tokens[:common], drawn[0].output_tokens[:common])


def test_draws_from_one_generator_differ() -> None:
    """A generator that is used twice gives two different traces."""
    model, rng = load_builtin("azure-conv-2023"), np.random.default_rng(7)
    one, two = (synthesize(model, rate_req_per_s=5, duration_s=60, rng=rng) for _ in range(2))
    assert not np.array_equal(one.arrival_s, two.arrival_s)


@pytest.mark.parametrize("name", OF_TRACE)
def test_a_profile_reproduces_how_bursty_a_trace_is(name: str, request: pytest.FixtureRequest) -> None:
    """Over a window like the trace's, mean rate, CV of the gaps and peak minute are those observed, within 15 %."""
    observed, model = stats(request.getfixturevalue(OF_TRACE[name])), load_builtin(name)
    window = {"rate_req_per_s": observed.rate_req_per_s, "duration_s": observed.duration_s}
    drawn = [stats(synthesize(model, **window, rng=rng, process="profile")) for rng in seeds(20)]
    for quantity in ("rate_req_per_s", "gap_cv", "peak_minute_ratio"):
        found = np.mean([getattr(one, quantity) for one in drawn])
        assert found == pytest.approx(getattr(observed, quantity), rel=0.15), quantity


def test_poisson_is_steadier_than_the_code_trace() -> None:
    """Drawn as Poisson, the code workload has gaps of CV 1: a plan validated on it is not validated on the bursts."""
    model = load_builtin("azure-code-2023")
    found = [gap_cv(synthesize(model, rate_req_per_s=10, duration_s=500, rng=rng).arrival_s) for rng in seeds(20)]
    assert np.mean(found) == pytest.approx(1.0, abs=5 * np.std(found) / np.sqrt(len(found)) + 0.005)
    assert model.gap_cv > 10


def test_gamma_takes_the_observed_spread_where_none_is_given() -> None:
    """Under gamma a given cv is used, and the observed one otherwise."""
    model = load_builtin("azure-conv-2023")
    window = {"rate_req_per_s": 10.0, "duration_s": 3000.0}
    given_cv, observed = (
        np.mean([gap_cv(synthesize(model, **window, rng=rng, process="gamma", cv=cv).arrival_s) for rng in seeds(10)])
        for cv in (2.0, None)
    )
    assert given_cv == pytest.approx(2.0, rel=0.03)
    assert observed == pytest.approx(model.gap_cv, rel=0.03)


def test_what_cannot_be_drawn_is_refused() -> None:
    """A profile that was never observed, an unknown process and an empty window are refused with a reason."""
    window = {"rate_req_per_s": 5.0, "duration_s": 10.0}
    with pytest.raises(WorkloadError, match="needs observed arrivals"):
        synthesize(WRITTEN_DOWN, **window, rng=np.random.default_rng(0), process="profile")
    with pytest.raises(WorkloadError, match="expected one of poisson, gamma, diurnal, profile"):
        synthesize(WRITTEN_DOWN, **window, rng=np.random.default_rng(0), process="weibull")  # type: ignore[arg-type]
    with pytest.raises(WorkloadError, match="no request came"):
        synthesize(WRITTEN_DOWN, rate_req_per_s=1e-9, duration_s=1.0, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", OF_TRACE)
def test_shipped_tables_rise(name: str) -> None:
    """Quantiles and their knots never fall, so interpolation between them is a distribution."""
    model = load_builtin(name)
    assert isinstance(model.lengths, JointQuantiles)
    assert isinstance(model.profile, ArrivalProfile)
    for table in (model.lengths.knots_frac, model.lengths.prompt_tokens, *model.lengths.output_tokens):
        assert np.all(np.diff(table) >= 0)
        assert len(table) == len(model.lengths.knots_frac)
    assert (model.lengths.knots_frac[0], model.lengths.knots_frac[-1]) == (0.0, 1.0)
