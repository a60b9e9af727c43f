"""Traces that are kept while candidates are judged on them."""

import numpy as np
import pytest

from planner.resolve import kept as module
from planner.resolve.drawing import Drawing
from planner.resolve.kept import kept
from planner.resolve.workload import asked
from tests.planner.small import small
from workloads.synthesis import WorkloadModel
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


def test_a_seed_is_drawn_once_for_its_longest_request_and_for_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reading draws of a seed, to find its longest request, is what the simulator serves."""
    drawn, over = list[object](), Drawing.over

    def counted(
        self: Drawing, seed: int | tuple[int, ...], factor: float, window_s: float, of: WorkloadModel | None = None
    ) -> Trace:
        drawn.append(seed)
        return over(self, seed, factor, window_s, of)

    monkeypatch.setattr(Drawing, "over", counted)
    wanted = asked(small())
    wanted.traces(1.0)
    assert [drawn.count(seed) for seed in wanted.seeds] == [1] * len(wanted.seeds)
