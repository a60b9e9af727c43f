"""Traces that are kept while candidates are judged on them."""

import numpy as np
import pytest

from planner.resolve import kept as module
from planner.resolve.kept import kept
from workloads.traces import Trace, plain_trace


def trace(requests: int) -> Trace:
    """So many requests."""
    ones = np.ones(requests, np.int64)
    return plain_trace("t", np.arange(requests, dtype=float), ones, ones, duration_s=float(requests))


def test_the_last_traces_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for last is the same object; the one longest ago is drawn anew; a long one is never kept."""
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    asked = list[tuple[int, float, float]]()

    def draw(seed: int, factor: float, times: float) -> Trace:
        asked.append((seed, factor, times))
        return trace(round(4 * times))

    drawn = kept(draw)
    first = drawn(1, 1.0, 1.0)
    assert drawn(1, 1.0, 1.0) is first
    assert drawn(1, 2.0, 1.0) is not first
    assert drawn(1, 1.0, 1.0) is first
    drawn(2, 1.0, 1.0)  # 12 requests: the trace at twice the rate goes
    assert drawn(1, 1.0, 1.0) is first
    assert asked == [(1, 1.0, 1.0), (1, 2.0, 1.0), (2, 1.0, 1.0)]
    drawn(1, 2.0, 1.0)
    assert len(asked) == 4
    assert drawn(1, 1.0, 9.0) is not drawn(1, 1.0, 9.0)
