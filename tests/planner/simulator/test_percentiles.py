"""Percentiles that are told of every metric."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from planner.simulator.metrics import percentiles, sample
from tests.planner.simulator.test_metrics import books
from tests.planner.toy import toy_trace
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
