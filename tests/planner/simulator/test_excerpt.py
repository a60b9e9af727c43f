"""Rules of the busiest stretch: what it misses the whole misses, and a plan found by it holds in the whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.planning.plan import plan
from planner.results.evidence import ValidatedPlan, Verdict
from planner.simulator.books import window
from planner.simulator.excerpt import LEAST_SHARE, excerpts, look
from planner.simulator.judge import judge
from planner.simulator.metrics import observations
from planner.simulator.traffic import Judging, Traffic
from tests.planner.small import small
from tests.planner.toy import toy_policy, toy_pools, toy_trace
from workloads.slo import Metric, Slo
from workloads.traces import Trace

FRACS = {"warmup_frac": 0.1, "cooldown_frac": 0.1}


def hilly(seed: int, peak: float) -> Trace:
    """Two minutes of requests, of which one in six lies in a peak of its own."""
    rng = np.random.default_rng(seed)
    at_s = np.sort(np.concatenate([rng.uniform(0, 120, 800), rng.uniform(60, 72, round(80 * peak))]))
    count = len(at_s)
    return toy_trace(at_s.tolist(), rng.integers(1, 900, count).tolist(), rng.integers(1, 90, count).tolist())


@settings(max_examples=12, deadline=None)
@example(seed=215, peak=5.8355988081048125, metric=Metric.STALL, percentile=99.0, above=1.0, name="colocated")
@example(seed=671489, peak=2.478828095709356, metric=Metric.STALL, percentile=99.0, above=1.0, name="colocated")
@given(
    seed=st.integers(0, 10**6),
    peak=st.floats(0.5, 6.0),
    metric=st.sampled_from(list(Metric)),
    percentile=st.sampled_from([90.0, 95.0, 99.0]),
    above=st.one_of(st.just(1.0), st.floats(1.0, 1.5)),
    name=st.sampled_from(["splitwise", "colocated"]),
)
def test_what_the_busiest_stretch_misses_the_whole_misses(
    seed: int, peak: float, metric: Metric, percentile: float, above: float, name: str
) -> None:
    """An objective that the whole trace meets, however narrowly, is not missed in its busiest stretch for sure."""
    trace, loose = hilly(seed, peak), Slo(metric=metric, percentile=percentile, limit=1e9)
    pools, policy = toy_pools(name), toy_policy(name)
    traffic = Traffic(draw=lambda _: trace, seeds=[1], workload="toy", exact=True)
    whole = judge(pools, policy, traffic, [loose], Judging(confidence_frac=0.95, **FRACS)).evidence[0]
    slos = [replace(loose, limit=whole.measured * above)]
    alone = look(pools, policy, [excerpts(trace, slos, **FRACS)], slos, first_seed=1, workload="toy").evidence[0]
    assert alone.n == whole.n
    assert alone.verdict is Verdict.MET


def test_the_busiest_stretch_holds_the_peak() -> None:
    """A stretch is one piece of the trace, longer for objectives that let more be late, and holds the busiest time."""
    trace = hilly(1, 6.0)
    slos = [Slo(metric=Metric.TTFT, percentile=p, limit=1.0) for p in (99.0, 90.0)]
    short, long = excerpts(trace, slos, **FRACS)
    measured = window(trace, slices=1, **FRACS)
    span_s = measured.end_s - measured.start_s
    assert short.trace.arrival_s[-1] - short.trace.arrival_s[0] <= LEAST_SHARE * span_s
    assert len(short.trace) < len(long.trace) < len(trace)
    for cut in (short, long):
        assert cut.trace.arrival_s[0] < 72
        assert cut.trace.arrival_s[-1] > 60
        assert cut.observations == tuple(
            observations(trace, np.arange(measured.first, measured.last), slo) for slo in slos
        )


def test_an_objective_on_the_median_needs_the_whole() -> None:
    """Where half of all requests may be late, no stretch tells anything."""
    assert excerpts(hilly(1, 2.0), [Slo(metric=Metric.TTFT, percentile=50.0, limit=1.0)], **FRACS) == ()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace file of ten minutes with two busy ones."""
    rng = np.random.default_rng(7)
    at_s = np.sort(np.concatenate([rng.uniform(0, 600, 900), rng.uniform(240, 360, 300)]))
    rows = [f"{at:.6f},{rng.integers(100, 900)},{rng.integers(5, 60)}" for at in at_s]
    path = tmp_path_factory.mktemp("excerpt") / "uneven.csv"
    path.write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    return path


def test_a_plan_found_by_the_busiest_stretch_holds_in_the_whole(uneven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long trace is planned by its busiest stretch, at no more cost than by the whole; the verdict is the whole's."""
    settings_ = (
        "workload.lengths=null", "workload.duration_s=null", "validation.seeds=null", f"workload.trace={uneven}",
        "workload.rate_req_per_s=150", "slo={ttft_p99_s: 0.25, tbt_p90_s: 0.1}",
    )  # fmt: skip
    answers = []
    for least in (10**9, 1):
        monkeypatch.setattr("planner.planning.screen.LONG_REQUESTS", least)
        answer = plan(small(*settings_), progress=lambda *_: None, with_margin=False)
        assert isinstance(answer, ValidatedPlan)
        assert "alone" not in answer.judgement.workload
        assert all(n.judgement is None or n.fails for n in answer.certificate.neighbours)
        answers.append(answer)
    slow, fast = answers
    assert any("busiest stretches" in each.judgement.workload for each in fast.rounds)
    assert fast.objective_value <= slow.objective_value
    assert replace(fast.judgement, workload="").arrived >= slow.judgement.arrived
