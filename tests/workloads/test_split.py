"""Laws of traces that are divided among the cells of a fleet."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.toy import random_trace
from workloads.split import share, together

CELLS, SEEDS = st.integers(1, 9), st.integers(0, 10_000)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, cells=CELLS, count=st.integers(1, 300))
def test_each_request_is_in_exactly_one_cell(seed: int, cells: int, count: int) -> None:
    """What the cells are sent, put together again, is the trace: every request once, at its own time, unchanged."""
    trace = random_trace(seed, count, 20.0)
    again = together([share(trace, cells, cell, seed) for cell in range(cells)])
    assert again.duration_s == trace.duration_s
    for column in ("arrival_s", "prompt_tokens", "output_tokens", "class_index"):
        np.testing.assert_array_equal(getattr(again, column), getattr(trace, column))


def test_a_burst_is_shared_by_all_cells() -> None:
    """A minute in which three times as many requests come has three times as many in every cell."""
    calm, busy = random_trace(1, 3000, 50.0), random_trace(2, 9000, 150.0)
    joined = together([calm, busy])
    edge_s = joined.duration_s / 2
    half = joined.arrival_s < edge_s
    ratio = half.sum() / (~half).sum()
    for cell in range(4):
        mine = share(joined, 4, cell, 7).arrival_s < edge_s
        assert abs(mine.sum() / (~mine).sum() / ratio - 1) < 0.15, "five standard errors of some 3,000 requests"


def test_cells_are_equal_but_for_chance() -> None:
    """A cell of k is sent 1/k of the requests, within five standard errors."""
    trace = random_trace(3, 8000, 100.0)
    counts = [len(share(trace, 8, cell, 0)) for cell in range(8)]
    assert max(abs(count - 1000) for count in counts) < 5 * (8000 * (1 / 8) * (7 / 8)) ** 0.5
