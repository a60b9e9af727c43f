"""Percentiles that are told of every metric."""

from dataclasses import replace
from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.simulator.metrics import percentiles, sample
from tests.planner.simulator.test_metrics import books
from tests.planner.toy import toy_trace
from workloads.requests import RequestClass
from workloads.slo import Metric, Slo


@given(
    seeds=st.lists(st.lists(st.sampled_from([0.1, 0.5, 2.0, inf]), min_size=1, max_size=40), min_size=1, max_size=3),
    metric=st.sampled_from(Metric),
)
def test_percentiles_are_the_quantiles_of_all_observations(seeds: list[list[float]], metric: Metric) -> None:
    """What is told of every metric, by partial order, is what sorting all of its observations gives."""
    observed = []
    for ttft_s in seeds:
        count = len(ttft_s)
        trace = toy_trace([float(k) for k in range(count)], [9] * count, [1 + k % 3 for k in range(count)])
        observed.append(books(trace, ttft_s, [first + 1.0 for first in ttft_s], [0.5] * count))
    slo, shares = Slo(metric=metric, percentile=50.0, limit=1.0), (0.0, 0.5, 0.9, 0.99, 1.0)
    assert percentiles(observed, slo, shares) == sample(observed, slo).quantiles(shares)


@given(kinds=st.lists(st.integers(0, 3), min_size=1, max_size=40), data=st.data())
def test_an_objective_speaks_of_the_requests_of_its_class(kinds: list[int], data: st.DataObject) -> None:
    """Each request is observed by the objective of its own class, once, and by the one of all."""
    count = len(kinds)
    trace = toy_trace([float(k) for k in range(count)], [9] * count, [2] * count)
    names = [RequestClass(name=name) for name in "abcd"]
    trace = replace(trace, class_index=np.array(kinds), classes=tuple(names))
    ttft_s = data.draw(st.lists(st.sampled_from([0.1, 0.5, 2.0, inf]), min_size=count, max_size=count))
    seen = books(trace, ttft_s, [first + 1.0 for first in ttft_s], [0.5] * count)
    for metric in (Metric.TTFT, Metric.E2E, Metric.TPOT):
        every = Slo(metric=metric, percentile=50.0, limit=1.0)
        parts = [sample([seen], replace(every, request_class=each.name)) for each in names]
        whole = np.sort(np.concatenate(sample([seen], every).values))
        assert np.sort(np.concatenate([values for part in parts for values in part.values])).tolist() == whole.tolist()
        assert [part.n for part in parts] == [kinds.count(kind) for kind in range(4)]
