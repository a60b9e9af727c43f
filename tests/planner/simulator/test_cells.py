"""Laws of a fleet in cells: what its cells did adds up, whatever number of them was served at once."""

from functools import partial, reduce
from operator import add

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.results.evidence import Judgement
from planner.simulator.cells import CellTraffic, _Books, _parts, judge_cells
from planner.simulator.judge import judge
from planner.simulator.tally import ENDS, Tally
from planner.simulator.traffic import Judging, Traffic
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools
from workloads.slo import Metric, Slo
from workloads.split import share
from workloads.traces import Trace

SLOS = (
    Slo(metric=Metric.TTFT, percentile=90.0, limit=1.0), Slo(metric=Metric.E2E, percentile=90.0, limit=30.0),
    Slo(metric=Metric.TBT, percentile=99.0, limit=0.5),
)  # fmt: skip
JUDGING = Judging(warmup_frac=0.1, cooldown_frac=0.05, confidence_frac=0.95)
BIN_RATIO = 1.0021
"""A percentile of counted values lies at most a bin above the value itself."""


def _fleet(trace: Trace, cells: int, *, seed: int = 5, aligned: bool = False) -> Judgement:
    pools = toy_pools("splitwise", prefills=2, decodes=2, physics=toy_physics())
    traffic = CellTraffic(
        draw=partial(_sent, trace, cells, seed), seed=seed, workload="toy", exact=False, aligned=aligned
    )
    return judge_cells([pools] * cells, toy_policy("splitwise"), traffic, SLOS, JUDGING)


def _sent(trace: Trace, cells: int, seed: int, cell: int) -> Trace:
    return share(trace, cells, cell, seed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(2.0, 40.0))
def test_a_fleet_of_one_cell_is_judged_as_a_pool(seed: int, rate: float) -> None:
    """One cell that is sent everything says what the judge says of the same pool, to the width of a bin."""
    trace = random_trace(seed, 400, rate)
    pools = toy_pools("splitwise", prefills=2, decodes=2, physics=toy_physics())
    traffic = Traffic(draw=lambda _seed: trace, seeds=(5,), workload="toy", exact=False)
    alone, fleet = judge(pools, toy_policy("splitwise"), traffic, SLOS, JUDGING), _fleet(trace, 1)
    assume(alone.seeds == (5,))  # what is undecided is given further seeds, which a fleet has not
    for one, other in zip(alone.evidence, fleet.evidence, strict=True):
        assert one.n == other.n
        assert one.measured <= other.measured * (1 + 1e-9)
        assert other.measured <= one.measured * BIN_RATIO
    for name in ("arrived", "finished", "refused", "unfinished"):
        assert getattr(alone, name) == getattr(fleet, name)
    assert fleet.goodput_req_per_s == pytest.approx(alone.goodput_req_per_s)
    assert fleet.output_tokens_per_s == pytest.approx(alone.output_tokens_per_s)
    assert fleet.prompt_tokens_per_s == pytest.approx(alone.prompt_tokens_per_s)
    assert [p.busy_frac for p in fleet.pools] == pytest.approx([p.busy_frac for p in alone.pools])
    if alone.power and fleet.power:
        assert fleet.power.mean_w == pytest.approx(alone.power.mean_w)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cells=st.integers(2, 12))
def test_a_fleet_serves_every_request_once(seed: int, cells: int) -> None:
    """Requests of all cells add up to those of the trace; watts, goodput and tokens to those of the whole fleet."""
    trace = random_trace(seed, 100 * cells, 10.0 * cells)
    fleet = _fleet(trace, cells)
    assert fleet.arrived == len(trace)
    assert fleet.finished + fleet.unfinished + fleet.refused == len(trace)
    ended = trace.output_tokens.sum() / trace.duration_s
    assert fleet.output_tokens_per_s == pytest.approx(ended, rel=0.25), "the window leaves its first tenth out"


def test_what_dividing_costs_is_measured_on_the_same_requests() -> None:
    """Cells wait at least as long as their machines would as one pool, which the judgement states."""
    fleet = _fleet(random_trace(1, 6000, 150.0), 4)
    assert fleet.pooled is not None
    assert fleet.pooled.fleet_cells == fleet.pooled.cells == 4
    assert fleet.pooled.together["ttft_p90_s"] <= fleet.pooled.apart["ttft_p90_s"] * BIN_RATIO


@pytest.mark.parametrize("cells", [2, 5])
def test_minutes_of_a_trace_are_no_error_but_chance_is(cells: int) -> None:
    """Where cells share the minutes of a trace, their halves differ by chance, which the interval states.

    The percentile of another draw was outside an interval of no width.
    """
    trace = random_trace(2, 900 * cells, 12.0 * cells)
    draws = [_fleet(trace, cells, seed=seed, aligned=True).evidence[0] for seed in range(6)]
    for found in draws:
        assert found.low < found.measured < found.high
    middle = sorted(found.measured for found in draws)[len(draws) // 2]
    assert sum(found.low <= middle <= found.high for found in draws) >= len(draws) - 1, "of 95 %"


@pytest.mark.parametrize("cells", [2, 19])
def test_the_answer_does_not_depend_on_how_many_cells_are_served_at_once(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One core or two: the same judgement, to the last bit."""
    trace = random_trace(4, 80 * cells, 8.0 * cells)
    found = []
    for count in ("1", "2"):
        monkeypatch.setenv("PHASEWISE_CORES", count)
        found.append(_fleet(trace, cells))
    assert found[0] == found[1]


def _waited(cell: int) -> tuple[float, Tally]:
    """A cell in which links were waited for so long that the order of a sum decides its last bits."""
    bins = np.zeros((1, len(ENDS)))
    return 60.0 + cell, Tally(
        objectives=[bins + cell], odd=[bins], figures=[], counts={"arrived": cell}, sums={"link_wait_s": 0.1 * 3**cell},
        meters={"decode": []}, above_j={"decode": np.full(3, 0.7 * 5.0**-cell)}, engine="core",
    )  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(first=st.integers(1, 12), ended=st.permutations(range(19)))
def test_cells_are_added_up_in_their_order_whichever_ends_first(first: int, ended: list[int]) -> None:
    """Those of a part one after the other, then the parts: whatever order they end in, to the last bit."""
    parts = _parts(19, first)
    books, sums = _Books(parts, SLOS[:1]), list[float]()
    for cell in ended:
        books.booked(_waited, cell)
    for part in parts:
        each = [_waited(cell)[1].sums["link_wait_s"] for cell in part]
        sums.append(reduce(add, each))
    assert books.fleet.sums["link_wait_s"] == reduce(add, sums)
    assert (books.fleet.counts["arrived"], books.horizon_s) == (sum(range(19)), 60.0)
    assert books.fleet.objectives[0][0, 0] == sum(range(19))
