"""Classes of requests, and the demand they make."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workloads.strategies import traces
from workloads.demand import demand
from workloads.errors import WorkloadError
from workloads.requests import ALL_REQUESTS, RequestClass
from workloads.stats import stats
from workloads.traces import Trace, classify, plain_trace

SHORT = RequestClass(name="short", prompt_max_tokens=1000)
LONG = RequestClass(name="long", prompt_min_tokens=1001)
REST = RequestClass(name="rest")


@given(trace=traces(), edge=st.integers(1, 100_000))
def test_every_request_falls_into_the_first_class_that_holds_it(trace: Trace, edge: int) -> None:
    """The first class takes what it holds, an enclosing class after it takes the rest."""
    first = RequestClass(name="first", prompt_max_tokens=edge)
    found = classify(trace, (first, REST))
    assert found.class_index.tolist() == [0 if prompt <= edge else 1 for prompt in trace.prompt_tokens]
    assert found.classes == (first, REST)


@given(trace=traces(), edge=st.integers(1, 100_000))
def test_demand_shares_the_rate_out(trace: Trace, edge: int) -> None:
    """The rates of the classes add up to that of the trace, as do their shares to one."""
    found = classify(trace, (RequestClass(name="first", output_max_tokens=edge), REST))
    assert demand(found).rate_req_per_s == pytest.approx(trace.rate_req_per_s)
    assert sum(stats(found).class_frac.values()) == pytest.approx(1.0)


def test_limits_are_inclusive() -> None:
    """Both ends of a range belong to it."""
    trace = plain_trace("edges", np.arange(2.0), np.array([1000, 1001]), np.array([1, 1]), duration_s=2.0)
    assert classify(trace, (SHORT, LONG)).class_index.tolist() == [0, 1]


def test_a_request_without_a_class_is_shown() -> None:
    """Requests that fit nowhere are counted and one is shown."""
    trace = plain_trace("homeless", np.arange(3.0), np.array([5, 2000, 3000]), np.array([1, 7, 8]), duration_s=3.0)
    with pytest.raises(
        WorkloadError, match="2 of 3 requests fit no class, for example request 2 with 2,000 prompt and 7"
    ):
        classify(trace, (SHORT,))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((), ["found none"]),
        ((SHORT, LONG, SHORT), ["class 'short': the name", "class 'short': its ranges overlap"]),
        ((RequestClass(name="empty", output_min_tokens=9, output_max_tokens=8), REST), ["class 'empty': output range"]),
        ((RequestClass(name="nil", prompt_max_tokens=0), REST), ["class 'nil': prompt range"]),
        ((SHORT, RequestClass(name="mid", prompt_min_tokens=500, prompt_max_tokens=2000)), ["class 'mid': its ranges"]),
        ((REST, SHORT), ["class 'short': its ranges overlap those of 'rest'"]),
        ((ALL_REQUESTS, REST), ["class 'rest': its ranges overlap those of 'all'"]),
    ],
)
def test_classes_that_contradict_each_other_are_refused(classes: tuple[RequestClass, ...], expected: list[str]) -> None:
    """No class, a name used twice, empty ranges, overlaps and classes that can never be reached are all listed."""
    trace = plain_trace("one", np.zeros(1), np.ones(1, dtype=np.int64), np.ones(1, dtype=np.int64), duration_s=1.0)
    with pytest.raises(WorkloadError) as caught:
        classify(trace, classes)
    assert len(caught.value.problems) == len(expected)
    for problem, start in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(f"workload.classes: {start}")


def test_ranges_apart_in_either_length_do_not_overlap() -> None:
    """Classes may share prompt lengths where their output lengths are apart."""
    brief = RequestClass(name="brief", output_max_tokens=99)
    wordy = RequestClass(name="wordy", output_min_tokens=100)
    trace = plain_trace("two", np.arange(2.0), np.array([5, 5]), np.array([500, 5]), duration_s=2.0)
    assert classify(trace, (brief, wordy)).class_index.tolist() == [1, 0]


@given(trace=traces(min_size=1))
def test_stats_are_json_and_consistent(trace: Trace) -> None:
    """Statistics of any trace are plain JSON without NaN, percentiles rise, and token rates are rate times mean."""
    found = stats(trace)
    json.dumps(asdict(found), allow_nan=False)
    for lengths in (found.prompt, found.output):
        percentiles = [getattr(lengths, f"p{p}_tokens") for p in (1, 10, 50, 90, 99)]
        assert percentiles == sorted(percentiles)
    assert found.prompt_tokens_per_s == pytest.approx(found.rate_req_per_s * found.prompt.mean_tokens)
    assert found.output_tokens_per_s == pytest.approx(found.rate_req_per_s * found.output.mean_tokens)
    assert found.peak_minute_ratio >= 1 - 1e-12
    assert -1.000001 <= found.correlation <= 1.000001
