"""Laws of slowdowns: against oneself there is none, they scale with time, and they say what seconds would say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Unfit, envelope
from planner.errors import BadInput
from planner.perf.layout import Role
from planner.perf.published import PublishedReference
from planner.perf.reference import Reference, unit_s
from planner.perf.step_time import StepTime
from planner.planning.plan import check
from planner.resolve.case import open_case
from planner.resolve.provenance import provenance
from planner.resolve.warnings import doubts
from planner.results.evidence import Verdict
from planner.scenario import Scenario
from planner.simulator.books import GAP_BINS, Books, window
from planner.simulator.judge import judge
from planner.simulator.metrics import Observed, attained, evidence, sample
from planner.simulator.traffic import Judging, Traffic
from tests.planner import plans
from tests.planner.plans import EXAMPLES
from tests.planner.served import run
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools, toy_profile, toy_trace
from workloads.demand import demand
from workloads.slo import Metric, Slo, Unit
from workloads.traces import Trace

PAPER = EXAMPLES / "splitwise-paper-slos.yaml"
SPEEDS = st.sampled_from([0.25, 0.5, 2.0, 8.0])  # powers of two: rounding cannot reorder events
FLAT = toy_profile(token_s=0.0, request_s=0.0, context_s=0.0, bend=False)
"""Every prefill takes 10 ms, every decode step 20 ms."""
PUBLISHED = StepTime(replace(toy_profile(), model="bloom-176b", gpu="a100-sxm"))
"""A model and a GPU whose times were published; the toy's own are not used."""


def slowdown(metric: Metric, percentile: float = 50.0, limit: float = 2.0) -> Slo:
    return Slo(metric=metric, percentile=percentile, limit=limit, unit=Unit.SLOWDOWN)


def step(k: float = 1.0) -> StepTime:
    """The toy's step time, ``k`` times as long."""
    return StepTime(toy_profile(), prefill_slowdown_ratio=k, decode_slowdown_ratio=k)


def observed(trace: Trace, k: float = 1.0, *, instances: int = 1) -> Observed:
    """A trace served by colocated toys that take ``k`` times as long as the reference."""
    body = replace(toy_physics(), step=step(k))
    pools = toy_pools("colocated", prefills=instances, decodes=0, physics=body)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    served = run(pools, toy_policy("colocated"), trace, measured, cutoff_s=1e9)
    return Observed(trace=trace, ledger=served.ledger, reference=Reference(step()))


def books(rows: list[tuple[float, float, int]], reference: Reference) -> Observed:
    """Requests with these waits, mean gaps and output tokens."""
    wait, _, output = (list(column) for column in zip(*rows, strict=True))
    trace = toy_trace([float(i) for i in range(len(rows))], [100] * len(rows), output)
    measured = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=2)
    ledger = Books(
        window=measured, ttft_s=np.array(wait), e2e_s=np.array([w + g * (n - 1) for w, g, n in rows]),
        max_gap_s=np.array([0.0] * len(rows)),
        served_by=np.full((len(trace), 2), -1, np.int32), gaps=np.zeros((2 * len(trace.classes), GAP_BINS), np.int64),
        arrived=0, finished=0, refused=0, restarted=0, transfers=0, transfer_s=0.0, link_wait_s=0.0, output_tokens=0,
    )  # fmt: skip
    return Observed(trace=trace, ledger=ledger, reference=reference)


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 400)), min_size=1, max_size=5), k=SPEEDS)
def test_alone_on_the_reference_there_is_no_slowdown(lengths: list[tuple[int, int]], k: float) -> None:
    """Requests that never meet have TTFT and E2E slowdowns of 1 on the reference, and of k on one k times as slow."""
    trace = toy_trace([1e2 * i for i in range(len(lengths))], [p for p, _ in lengths], [o for _, o in lengths])
    for metric in (Metric.TTFT, Metric.E2E):
        assert observed(trace).values(slowdown(metric)) == pytest.approx(1.0, rel=1e-9)
        assert observed(trace, k).values(slowdown(metric)) == pytest.approx(k, rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), rate=st.floats(1.0, 50.0), k=SPEEDS, metric=st.sampled_from(Metric))
def test_slowdowns_scale_with_time(seed: int, rate: float, k: float, metric: Metric) -> None:
    """Under any load, steps and gaps between arrivals k times as long make every slowdown k times as large."""
    trace = random_trace(seed, 60, rate)
    stretched = replace(trace, arrival_s=trace.arrival_s * k, duration_s=trace.duration_s * k)
    before, after = observed(trace, instances=2), observed(stretched, k, instances=2)
    assert after.values(slowdown(metric)) == pytest.approx(k * before.values(slowdown(metric)), rel=1e-9)


@given(
    rows=st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.02, 1.0), st.integers(2, 50)), min_size=8, max_size=60),
    metric=st.sampled_from([Metric.TTFT, Metric.TPOT]), limit=st.floats(1.0, 100.0), q=st.sampled_from([50.0, 90.0]),
)  # fmt: skip
def test_both_units_agree_where_the_reference_is_constant(
    rows: list[tuple[float, float, int]], metric: Metric, limit: float, q: float
) -> None:
    """Against a request that always takes t, a slowdown of L is a limit of L·t: same percentile, same verdict."""
    reference = Reference(StepTime(FLAT))
    seed, ratio = books(rows, reference), slowdown(metric, q, limit)
    t = float(unit_s(ratio, reference, [100], [5])[0])
    # ties, with the limit or with each other, may fall to either side of rounding
    marks = np.sort(np.append(seed.values(ratio), limit))
    assume(bool(np.all(np.diff(marks) > 1e-9 * marks[:-1])))
    seconds = replace(ratio, unit=Unit.SECONDS, limit=limit * t)
    found, plain = (evidence(s, sample([seed], s), confidence_frac=0.9, exact=False) for s in (ratio, seconds))
    assert found.measured * t == pytest.approx(plain.measured)
    assert (found.verdict, found.n) == (plain.verdict, plain.n)
    assert attained(seed, [ratio]).tolist() == attained(seed, [seconds]).tolist()


def test_the_slowdown_of_tbt_is_that_of_the_mean_gap() -> None:
    """TBT as a slowdown has one value per request with a second token, that of TPOT; others are left out."""
    seed = books([(0.1, 0.04, 5), (0.1, 0.06, 9), (0.1, 0.0, 1)], Reference(StepTime(FLAT)))
    tbt, tpot = (sample([seed], slowdown(metric)) for metric in (Metric.TBT, Metric.TPOT))
    assert np.concatenate(tbt.values).tolist() == pytest.approx([2.0, 3.0])
    assert [v.tolist() for v in tbt.values] == [v.tolist() for v in tpot.values]
    assert attained(seed, [slowdown(Metric.TBT, limit=2.5)]).tolist() == [True, False, True]


def test_attainment_joins_seconds_and_slowdowns() -> None:
    """A request is good when it meets the objectives in seconds and the slowdowns, each at its loosest percentile."""
    seed = books([(0.02, 0.02, 5), (0.05, 0.02, 5), (0.02, 0.09, 5)], Reference(StepTime(FLAT)))
    slos = [slowdown(Metric.TTFT, 50.0, 1.5), slowdown(Metric.TTFT, 99.0, 3.0)]
    assert attained(seed, slos).tolist() == [True, False, True]
    assert attained(seed, [*slos, Slo(metric=Metric.TPOT, percentile=99.0, limit=0.05)]).tolist() == [
        True,
        False,
        False,
    ]


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.tuples(st.integers(1, 40_000), st.integers(1, 400)), min_size=1, max_size=30))
def test_many_requests_alone_are_each_of_them_alone(lengths: list[tuple[int, int]]) -> None:
    """Times of many requests at once are those of one after the other, measured or published, repeated ones too."""
    prompts, outputs = np.array([*lengths, lengths[0]]).T
    for alone in (Reference(step()), PublishedReference(PUBLISHED)):
        assert alone.each_ttft_s(prompts) == pytest.approx([alone.ttft_s(p) for p in prompts])
        assert alone.each_tbt_s(prompts) == pytest.approx([alone.tbt_s(p) for p in prompts])
        assert alone.each_e2e_s(prompts, outputs) == pytest.approx(
            [alone.e2e_s(*one) for one in zip(prompts, outputs, strict=True)]
        )


def test_a_slowdown_needs_a_reference() -> None:
    """Without something to measure against, a slowdown is a mistake and seconds are seconds."""
    with pytest.raises(ValueError, match="ttft_p50_slowdown is a slowdown, and there is no reference"):
        unit_s(slowdown(Metric.TTFT), None, [1], [1])
    assert unit_s(Slo(metric=Metric.TTFT, percentile=50.0, limit=1.0), None, [1, 2], [1, 1]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("metric", "limit", "words"),
    [
        (Metric.TTFT, 3.9, "ttft_p50_slowdown is 4 . on an idle instance, the limit is 3.9 .$"),
        (Metric.E2E, 3.9, "e2e_p50_slowdown is 4.* . on an idle instance"),
        (Metric.TBT, 3.9, "no decode batch meets the objectives"),
        (Metric.TPOT, 3.9, "no decode batch meets the objectives"),
    ],
)
def test_an_instance_too_slow_is_excused(metric: Metric, limit: float, words: str) -> None:
    """An instance four times as slow as the reference cannot promise less than four, whatever it is bounded on."""
    body, asked = replace(toy_physics(), step=step(4.0)), demand(toy_trace([0.0, 1.0], [100, 100], [9, 9])).classes[0]
    rules, reference = toy_policy("colocated"), Reference(step())
    with pytest.raises(Unfit, match=words) as stop:
        envelope(Role.MIXED, body, rules, asked, [slowdown(metric, 50.0, limit)], reference)
    assert stop.value.bottleneck == "latency"


@given(seed=st.integers(0, 999), limit=st.floats(1.01, 2.0), metric=st.sampled_from([Metric.TBT, Metric.TPOT]))
def test_the_working_batch_keeps_slowdowns(seed: int, limit: float, metric: Metric) -> None:
    """A decode instance of the reference's kind works at a step that its percentile of requests may call that slow."""
    reference, asked = Reference(step()), demand(random_trace(seed, 40, 1.0)).classes[0]
    slo = slowdown(metric, 90.0, limit)
    found = envelope(Role.DECODE, toy_physics(), toy_policy("splitwise"), asked, [slo], reference)
    alone = np.array([reference.tbt_s(int(p)) for p in asked.prompt_tokens])
    assert np.mean(found.tbt_s / alone <= limit) >= 0.85
    assert found.batch <= envelope(Role.DECODE, toy_physics(), toy_policy("splitwise"), asked, []).batch


def test_slowdowns_are_judged() -> None:
    """The judge measures a slowdown in times and tells latencies in seconds; beyond a limit it is missed."""
    trace, reference = random_trace(3, 200, 2.0), Reference(step())
    slos = [slowdown(Metric.TTFT, 50.0, 50.0), slowdown(Metric.E2E, 50.0, 1.0)]
    found = judge(
        toy_pools("splitwise"),
        toy_policy("splitwise"),
        Traffic(draw=lambda _: trace, seeds=[1], workload="", exact=True),
        slos,
        Judging(warmup_frac=0.0, cooldown_frac=0.0, confidence_frac=0.95),
        reference=reference,
    )
    assert [(e.key, e.unit, e.verdict) for e in found.evidence] == [
        ("ttft_p50_slowdown", Unit.SLOWDOWN, Verdict.MET), ("e2e_p50_slowdown", Unit.SLOWDOWN, Verdict.MISSED),
    ]  # fmt: skip
    assert found.evidence[0].measured >= 1
    assert found.latency_s["ttft_p50_s"] < 1 < found.evidence[1].measured


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("reference.machine=dgx-a10", "reference.machine: no machine 'dgx-a10'; nearest known: dgx-a100"),
        (
            "reference.tp=3",
            "reference: no bf16 kernel profile of llama-2-70b on dgx-a100 at tp3 .*bf16 tp2, .*bf16 tp8",
        ),
        ("reference.dtype=fp8", "reference: no fp8 kernel profile"),
        ("reference.machine=hgx-h200", "there are: none"),
    ],
)
def test_a_missing_reference_is_bad_input(change: str, words: str) -> None:
    """A reference that does not exist is named with what there is; where nothing is a slowdown nobody asks for it."""
    with pytest.raises(BadInput, match=words):
        check(Scenario.load(PAPER, [change]))
    assert open_case(Scenario.load(PAPER, [change, "slo={ttft_p99_s: 9}"]), "splitwise").reference is None


def test_the_reference_is_told() -> None:
    """One sees what slowdowns are measured against before anything is solved, and what a plan owes to it after."""
    case = open_case(Scenario.load(PAPER), "splitwise")
    nothing = replace(plans.candidate(), pools=())
    _, sources = provenance(case, nothing)
    assert "slowdowns: against the same request alone on dgx-a100 tp8 (bf16, splitwise-2023)" in sources
    assert any("splitwise-sim" in source for source in sources)
    assert any(doubt.startswith("the reference: requests of up to") for doubt in doubts(case, nothing))
    assert check(case.scenario).reference == "dgx-a100 tp8 (bf16, splitwise-2023)"
    assert not check(Scenario.load(PAPER, ["slo={ttft_p99_s: 9}"])).reference


def test_the_published_objectives_are_nine() -> None:
    """The example holds the nine objectives of the paper, all slowdowns."""
    paper = {("ttft", 50): 2, ("ttft", 90): 3, ("ttft", 99): 6} | {
        (metric, p): limit for metric in ("tbt", "e2e") for p, limit in ((50, 1.25), (90, 1.5), (99, 5))
    }
    found = Scenario.load(PAPER).slos()
    assert {(s.metric.value, s.percentile): s.limit for s in found} == paper
    assert {s.unit for s in found} == {Unit.SLOWDOWN}
