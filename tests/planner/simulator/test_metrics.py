"""Laws of evidence: intervals that cover, verdicts that follow from them, percentiles that round upward only."""

from collections.abc import Callable
from dataclasses import replace
from math import inf, sqrt
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from planner.results.evidence import Verdict
from planner.simulator.books import _INV, _LOG_MIN, GAP_BIN_RATIO, GAP_BINS, Books, bin_edges_s, window
from planner.simulator.core.ledger import note_gap, note_stretch
from planner.simulator.judge import MOST_SEEDS_RATIO, TO_THE_END_S, _cutoff_s, judge
from planner.simulator.metrics import FEWEST, Observed, Sample, attained, evidence, interval, sample, student_t
from planner.simulator.traffic import Judging, Traffic
from tests.planner.toy import random_trace, toy_policy, toy_pools, toy_trace
from workloads.requests import RequestClass
from workloads.slo import Metric, Slo
from workloads.traces import Trace, classify

REPETITIONS = 200
TTFT_P99 = Slo(metric=Metric.TTFT, percentile=99.0, limit=1.0)


def batched(values: NDArray[np.float64], batches: int) -> Sample:
    """Observations in the order they were made, cut into batches of equal size."""
    parts = tuple(np.sort(part) for part in np.array_split(values, batches))
    return Sample(values=parts, weights=tuple(np.ones(len(part)) for part in parts))


def normal_draws(n: int, correlation: float) -> NDArray[np.float64]:
    """(repetitions, n) standard normal sequences in which neighbours are correlated: x' = c·x + √(1-c²)·e."""
    noise = np.random.default_rng(7).normal(size=(REPETITIONS, n))
    draws = noise.copy()
    for i in range(1, n):
        draws[:, i] = correlation * draws[:, i - 1] + sqrt(1 - correlation**2) * noise[:, i]
    return draws


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(("n", "correlation"), [(50, 0.0), (900, 0.0), (3000, 0.9)])
def test_intervals_cover_the_true_quantile(n: int, correlation: float, q: float) -> None:
    """A 95 % interval holds the true quantile in at least 90 % of 200 repetitions.

    Of independent draws, however few, and of draws whose correlation (0.9 from one to the next) has died out within a
    fifteenth of them.
    """
    true = NormalDist().inv_cdf(q)
    bounds = [interval(batched(values, 15), q, 0.95) for values in normal_draws(n, correlation)]
    assert sum(low <= true <= high for low, high in bounds) >= 0.9 * REPETITIONS


def test_correlation_widens_the_interval() -> None:
    """Neighbours that tell the same story count as fewer observations than strangers."""
    alone, together = (
        np.mean([np.subtract(*interval(batched(x, 15), 0.9, 0.95)) for x in normal_draws(3000, c)]) for c in (0.0, 0.9)
    )
    assert together < 2 * alone < 0  # both are low - high


def test_too_few_observations_bound_nothing_from_above() -> None:
    """Forty requests cannot promise a 99th percentile: the interval ends at infinity and the verdict is undecided."""
    found = evidence(TTFT_P99, batched(np.full(40, 0.01), 5), confidence_frac=0.95, exact=False)
    assert (found.measured, found.high, found.verdict) == (0.01, inf, Verdict.UNDECIDED)


def test_nothing_observed_decides_nothing() -> None:
    """An objective of which no request speaks is undecided, unless the trace is all there is."""
    empty = batched(np.array([]), 3)
    assert evidence(TTFT_P99, empty, confidence_frac=0.95, exact=False).verdict is Verdict.UNDECIDED
    found = evidence(TTFT_P99, empty, confidence_frac=0.95, exact=True)
    assert (found.n, found.verdict) == (0, Verdict.MET)


@pytest.mark.parametrize(
    ("confidence_frac", "degrees", "table"),
    [(0.95, 4, 2.776), (0.95, 9, 2.262), (0.95, 14, 2.145), (0.95, 29, 2.045), (0.99, 4, 4.604), (0.99, 14, 2.977)],
)
def test_student_t_is_that_of_the_tables(confidence_frac: float, degrees: int, table: float) -> None:
    """The quantile of Student's t is within 0.3 % of the printed tables from four degrees of freedom on."""
    assert student_t(confidence_frac, degrees) == pytest.approx(table, rel=0.003)


@given(
    values=st.lists(st.floats(0.001, 10.0), min_size=5, max_size=400),
    limit=st.floats(0.001, 10.0),
    q=st.sampled_from([50.0, 90.0, 99.0]),
    exact=st.booleans(),
)
def test_verdicts_follow_from_intervals(values: list[float], limit: float, q: float, exact: bool) -> None:
    """Met means the whole interval is within the limit, missed that all of it is beyond, undecided the rest."""
    slo = Slo(metric=Metric.TTFT, percentile=q, limit=limit)
    found = evidence(slo, batched(np.array(values), 5), confidence_frac=0.95, exact=exact)
    assert found.low <= found.measured <= found.high
    assert (found.verdict is Verdict.MET) == (found.high <= limit)
    assert (found.verdict is Verdict.MISSED) == (found.low > limit)
    if exact:
        enough = len(values) >= FEWEST and len(values) * (1 - q / 100) >= 1 - 1e-9
        assert (found.low == found.high) is enough
        assert (found.verdict is Verdict.UNDECIDED) is (not enough and found.measured <= limit)


@given(n=st.integers(1, 3000), q=st.sampled_from([50.0, 90.0, 99.0, 99.9]), exact=st.booleans(), late=st.booleans())
def test_too_few_observations_are_never_met(n: int, q: float, exact: bool, late: bool) -> None:
    """Where not one observation may exceed the limit, or there are fewer than twenty, a percentile is never met."""
    values = np.full(n, 2.0 if late else 0.5)
    slo = Slo(metric=Metric.TTFT, percentile=q, limit=1.0)
    found = evidence(slo, batched(values, 5), confidence_frac=0.95, exact=exact)
    if n * (1 - q / 100) < 1 - 1e-9 or (exact and n < FEWEST):
        assert found.verdict is not Verdict.MET
        assert found.few is not late
        assert found.words == ("missed" if late else "too few requests")


@pytest.mark.parametrize("worst", [0.5, 1.5])
def test_what_none_of_many_exceeded_is_bounded(worst: float) -> None:
    """Of many observations that cluster, none beyond the limit: it is met; one beyond it: it stays open.

    What lies at and beyond the percentile is all in one batch, so the batches say little of it.
    """
    values = np.full(3000, 0.2)
    values[:80] = np.linspace(0.25, 0.3, 80)
    values[250] = worst
    found = evidence(TTFT_P99, batched(values, 15), confidence_frac=0.95, exact=False)
    assert found.high == worst
    assert found.verdict is (Verdict.MET if worst <= TTFT_P99.limit else Verdict.UNDECIDED)
    assert not found.few
    assert found.words == ("met" if worst <= TTFT_P99.limit else "too close to call")


@given(
    values=st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(1, 9)), min_size=1, max_size=50),
    q=st.sampled_from([0.01, 0.5, 0.9, 0.99]),
)
def test_weights_are_repetitions(values: list[tuple[float, int]], q: float) -> None:
    """A value seen w times counts as w observations, in any order of the batches."""
    each = [np.array([value]) for value, _ in values]
    weighted = Sample(values=tuple(each), weights=tuple(np.array([float(w)]) for _, w in values))
    repeated = np.repeat([v for v, _ in values], [w for _, w in values])
    assert weighted.quantile(q) == np.percentile(repeated, 100 * q, method="inverted_cdf")
    assert weighted.n == len(repeated)


def open_books(trace: Trace, ttft_s: list[float], e2e_s: list[float], max_gap_s: list[float]) -> Books:
    """The books of a seed of which every request is measured, with the rows given."""
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return Books(
        window=measured, ttft_s=np.array(ttft_s), e2e_s=np.array(e2e_s), max_gap_s=np.array(max_gap_s),
        served_by=np.full((len(trace), 2), -1, np.int32), gaps=np.zeros((len(trace.classes), GAP_BINS), np.int64),
        arrived=0, finished=0, refused=0, restarted=0, transfers=0, transfer_s=0.0, link_wait_s=0.0, output_tokens=0,
    )  # fmt: skip


def books(trace: Trace, ttft_s: list[float], e2e_s: list[float], max_gap_s: list[float]) -> Observed:
    """A seed with these books."""
    return Observed(trace=trace, ledger=open_books(trace, ttft_s, e2e_s, max_gap_s))


def test_attainment_is_joint() -> None:
    """A request is good when it meets every objective that speaks of it, at the loosest percentile of each metric."""
    short, rest = RequestClass(name="short", prompt_max_tokens=100), RequestClass(name="rest")
    trace = classify(toy_trace([0.0, 1.0, 2.0, 3.0, 4.0], [50, 50, 500, 500, 500], [5] * 5), (short, rest))
    seed = books(trace, [0.1, 0.3, 0.3, 0.3, 0.3], [1.0, 1.0, 1.0, 9.0, inf], [0.01, 0.01, 0.01, 0.01, 0.0])
    slos = [
        Slo(metric=Metric.TTFT, percentile=50.0, limit=0.2, request_class="short"),
        Slo(metric=Metric.TTFT, percentile=99.0, limit=0.5),
        Slo(metric=Metric.E2E, percentile=50.0, limit=2.0),
    ]
    assert attained(seed, slos).tolist() == [True, True, True, False, False]
    strict = [*slos, Slo(metric=Metric.TBT, percentile=99.0, limit=0.005, request_class="rest")]
    assert attained(seed, strict).tolist() == [True, True, False, False, False]


def test_what_never_ends_is_infinite() -> None:
    """A request without a first token has an infinite TTFT; without a last one, infinite E2E, TPOT and gaps."""
    trace = toy_trace([0.0, 1.0, 2.0], [9, 9, 9], [5, 5, 5])
    seed = books(trace, [0.1, 0.1, inf], [0.9, inf, inf], [0.2, 0.0, 0.0])
    assert seed.values_s(Metric.TTFT).tolist() == [0.1, 0.1, inf]
    assert seed.values_s(Metric.E2E).tolist() == [0.9, inf, inf]
    assert seed.values_s(Metric.TPOT).tolist() == pytest.approx([0.2, inf, inf])
    assert seed.values_s(Metric.TBT).tolist() == [0.2, inf, inf]
    tbt = sample([seed], Slo(metric=Metric.TBT, percentile=50.0, limit=1.0))
    assert tbt.quantile(0.5) == inf


def noting(requests: int) -> Any:
    """A world in which a batch of so many measured requests of one group has nothing noted yet."""
    clock = SimpleNamespace(groups=1, gap_bins=GAP_BINS, gap_inv=_INV, gap_log_min=_LOG_MIN, now_s=0.0)
    return SimpleNamespace(
        cluster=[clock], groups=[requests], histogram=[0] * GAP_BINS, edges_s=bin_edges_s(),
        lanes=[SimpleNamespace(joiners=0)], requests=[SimpleNamespace(group=0, max_gap_s=0.0)],
    )  # fmt: skip


@settings(max_examples=50)
@given(gaps=st.lists(st.floats(2e-4, 100.0), min_size=1, max_size=300), q=st.sampled_from([0.5, 0.9, 0.99]))
def test_gaps_round_upward_by_a_bin_at_most(gaps: list[float], q: float) -> None:
    """A percentile of the gap histogram is never below the exact one and at most 0.2 % above it."""
    trace = toy_trace([0.0], [9], [len(gaps) + 1])
    seed = Observed(trace=trace, ledger=open_books(trace, [0.1], [1.0], [0.1]))
    world = noting(1)
    for gap_s in gaps:
        note_gap(world, 0, gap_s)
    seed.ledger.gaps[0] = world.histogram
    exact = float(np.percentile(gaps, 100 * q, method="inverted_cdf"))
    found = sample([seed], Slo(metric=Metric.TBT, percentile=100 * q, limit=1.0)).quantile(q)
    assert exact * (1 - 1e-9) <= found <= exact * GAP_BIN_RATIO * (1 + 1e-9)


@given(first_s=st.floats(1e-3, 1.0), slope=st.floats(-1e-3, 0.5), steps=st.integers(1, 300), requests=st.integers(1, 5))
def test_a_run_is_noted_as_its_steps_would_be(first_s: float, slope: float, steps: int, requests: int) -> None:
    """Noting a stretch of steps in one go fills the bins that noting each step fills, but for gaps on an edge."""
    whole, single = noting(requests), noting(requests)
    note_stretch(whole, 0, first_s, slope * first_s / steps, steps)
    for j in range(steps):
        note_stretch(single, 0, first_s + slope * first_s / steps * j, 0.0, 1)
    moved = np.cumsum(whole.histogram) - np.cumsum(single.histogram)
    assert moved[-1] == 0
    assert sum(whole.histogram) == steps * requests
    assert np.abs(moved).max() <= requests
    assert np.count_nonzero(moved) <= max(2, 0.02 * steps)


@given(
    n=st.integers(1, 200), slices=st.integers(1, 7), warmup=st.floats(0.0, 0.6), cooldown=st.floats(0.0, 0.39),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_windows_trim_and_slice(n: int, slices: int, warmup: float, cooldown: float, seed: int) -> None:
    """The window leaves out the first and last shares of time and cuts the rest into slices of equal request count."""
    trace = random_trace(seed, n, 10.0)
    measured = window(trace, warmup_frac=warmup, cooldown_frac=cooldown, slices=slices)
    inside = (trace.arrival_s >= warmup * trace.duration_s) & (trace.arrival_s <= (1 - cooldown) * trace.duration_s)
    parts = [measured.slice_of(i) for i in range(n)]
    if inside.any():
        assert [part >= 0 for part in parts] == inside.tolist()
    counts = np.bincount([part for part in parts if part >= 0])
    assert len(counts) == measured.slices == min(slices, sum(part >= 0 for part in parts))
    assert counts.max() - counts.min() <= 1
    assert sorted(parts[measured.first : measured.last]) == parts[measured.first : measured.last]


def test_a_workload_of_single_tokens_is_judged() -> None:
    """Requests that end with their first token have no token gaps, and are judged by the rest."""
    trace = toy_trace(np.linspace(0, 30, 150).tolist(), [100] * 150, [1] * 150)
    found = judge(
        toy_pools("colocated"),
        toy_policy("colocated"),
        Traffic(draw=lambda _: trace, seeds=[1], workload="", exact=True),
        [TTFT_P99],
        Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95),
    )
    assert found.valid
    assert found.latency_s["tpot_p99_s"] == 0.0


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_looking_again_seldom_passes_what_lies_on_its_limit(q: float) -> None:
    """A percentile exactly at its limit is called met in at most 8 % of 400 cases, however often more seeds are asked.

    As in ``judge``: more are asked while it is undecided and measured within the limit. One look is wrong in 2.5 %.
    """
    slo = Slo(metric=Metric.TTFT, percentile=100 * q, limit=NormalDist().inv_cdf(q))
    draws = np.random.default_rng(11).normal(size=(400, MOST_SEEDS_RATIO * 1000))
    met = 0
    for values in draws:
        for looks in range(1, MOST_SEEDS_RATIO + 1):
            found = evidence(slo, batched(values[: looks * 1000], 15 * looks), confidence_frac=0.95, exact=False)
            if found.verdict is not Verdict.UNDECIDED or found.measured > slo.limit:
                break
        met += found.verdict is Verdict.MET
    assert met <= 0.08 * len(draws)


@pytest.mark.parametrize("limit_s", [0.02, 0.13, 50.0])
@pytest.mark.parametrize("early", [False, True])
def test_seeds_served_together_tell_the_same(on_cores: Callable[[int], None], limit_s: float, early: bool) -> None:
    """A judgement is the same on one core and on four: the seeds in their order, and as many of them."""
    slo = Slo(metric=Metric.TTFT, percentile=99.0, limit=limit_s)
    found = []
    for cores in (1, 4):
        on_cores(cores)
        traffic = Traffic(draw=lambda seed: random_trace(seed, 60, 10.0), seeds=[3, 4, 5], workload="", exact=False)
        judging = Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95, early=early)
        found.append(judge(toy_pools("colocated"), toy_policy("colocated"), traffic, [slo], judging))
    assert found[0] == found[1]
    assert (found[0].seeds == (3,)) is (early and limit_s < 0.1)


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=5), st.floats(0.01, 0.99))
def test_batches_of_one_histogram_add_up(counts: list[list[int]], q: float) -> None:
    """Batches that share their edges have the quantile and interval of the same counts on edges of their own."""
    edges = np.array([1.0, 2.0, 3.0, inf])
    weights = tuple(np.array(batch, float) for batch in counts)
    shared = Sample(values=tuple(edges for _ in counts), weights=weights)
    apart = Sample(values=tuple(edges.copy() for _ in counts), weights=weights)
    assert shared.quantile(q) == apart.quantile(q)
    assert interval(shared, q, 0.95)[1] == interval(apart, q, 0.95)[1]


PATIENT = Slo(metric=Metric.E2E, percentile=90.0, limit=6.0)


def at_the_brink(seed: int, duration_s: float) -> Trace:
    """More prompts of 500 tokens, one token each, than a toy instance can serve: 20 a second instead of some 18."""
    rng = np.random.default_rng(seed)
    arrivals = np.sort(rng.uniform(0, duration_s, int(20 * duration_s)))
    return toy_trace(arrivals.tolist(), [500] * len(arrivals), [1] * len(arrivals))


@pytest.mark.parametrize("longer", [False, True])
def test_a_backlog_that_grows_slowly_is_seen_in_the_longer_run(longer: bool) -> None:
    """A load just beyond capacity may pass a short window; the run of several times its length misses, and says so."""
    found = judge(
        toy_pools("colocated", prefills=1, decodes=0),
        toy_policy("colocated"),
        Traffic(
            draw=lambda seed: at_the_brink(seed, 30.0),
            seeds=[1, 2, 3],
            workload="",
            exact=False,
            longer=(lambda seed: at_the_brink(seed, 600.0)) if longer else None,
        ),
        [PATIENT],
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
    )
    assert found.evidence[0].verdict is Verdict.MET
    assert found.valid is not longer
    assert found.longer_s == (pytest.approx(600.0, rel=0.01) if longer else 0.0)
    assert found.growth == (f"a run of {found.longer_s:.0f} s misses e2e_p90_s" if longer else "")


def test_the_stall_of_a_request_is_its_longest_gap() -> None:
    """A stall bound counts requests, each by its longest gap; the same bound on TBT counts gaps and is far looser."""
    trace = random_trace(5, 80, 6.0)
    pools, policy = toy_pools("colocated", prefills=1, decodes=0), toy_policy("colocated")
    found = judge(
        pools,
        policy,
        Traffic(draw=lambda _: trace, seeds=[1], workload="", exact=True),
        [Slo(metric=m, percentile=90.0, limit=1.0) for m in (Metric.STALL, Metric.TBT)],
        Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95),
    )
    stall, gap = found.evidence
    assert stall.n == int(np.sum(trace.output_tokens > 1))
    assert gap.n == int(np.sum(trace.output_tokens - 1))
    assert stall.measured > gap.measured


def test_a_trace_of_one_request_says_nothing() -> None:
    """One request is never a valid plan, at any percentile, and its goodput is one request in the time that passed."""
    trace = replace(toy_trace([0.0], [100], [5]), duration_s=10.0)
    for percentile in (50.0, 99.9):
        found = judge(
            toy_pools("colocated"),
            toy_policy("colocated"),
            Traffic(draw=lambda _: trace, seeds=[1], workload="", exact=True),
            [Slo(metric=Metric.TTFT, percentile=percentile, limit=100.0)],
            Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95),
        )
        assert not found.valid
        assert found.evidence[0].few
        assert found.goodput_req_per_s == pytest.approx(0.1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), rate=st.floats(0.5, 20.0), limits=st.lists(st.sampled_from(Metric), unique=True))
def test_unfinished_alone_never_spoils_a_plan(seed: int, rate: float, limits: list[Metric]) -> None:
    """A run whose every objective is met has ended to its last request, however long outputs and loose limits are."""
    trace = random_trace(seed, 120, rate, output_max=4000)
    slos = [Slo(metric=metric, percentile=50.0, limit=1e3) for metric in limits]
    found = judge(
        toy_pools("colocated"),
        toy_policy("colocated"),
        Traffic(draw=lambda _: trace, seeds=[1], workload="", exact=True),
        slos,
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
    )
    assert found.unfinished == 0
    assert found.finished == found.arrived
    assert found.valid


@pytest.mark.parametrize("kinds", [("ttft", "tpot"), ("e2e",), ("ttft",), ("tbt",)])
def test_the_drain_lasts_as_long_as_the_objectives_allow(kinds: tuple[str, ...]) -> None:
    """A run is given up no sooner than the longest request may take by its limits; without such limits it is not."""
    trace = toy_trace([0.0, 1.0], [10, 10], [5, 1001])
    limit = {"ttft": 2.0, "tpot": 0.5, "tbt": 0.5, "e2e": 700.0}
    slos = [Slo(metric=Metric(kind), percentile=90.0, limit=limit[kind]) for kind in kinds]
    allowed = {("ttft", "tpot"): 502.0, ("e2e",): 700.0}.get(kinds, TO_THE_END_S)
    assert _cutoff_s(trace, slos, None) >= min(allowed + trace.duration_s, TO_THE_END_S)
    assert _cutoff_s(trace, slos, None) <= min(2 * allowed + 2 * trace.duration_s + 60, TO_THE_END_S)
