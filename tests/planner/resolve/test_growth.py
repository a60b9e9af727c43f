"""Rules of growth in a plan: what is replayed, what is exact, and what a verdict on a thickened trace rests on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from planner.planning.plan import check, plan
from planner.resolve.workload import Asked, asked
from planner.results.evidence import ValidatedPlan, Verdict
from planner.simulator.judge import SEVERAL, judge
from planner.simulator.metrics import Sample, interval
from planner.simulator.traffic import Judging, Traffic
from tests.planner.small import small
from tests.planner.toy import random_trace, toy_policy, toy_pools
from workloads.slo import Metric, Slo
from workloads.traces import Trace

SLO = "slo={ttft_p99_s: 0.25, tbt_p90_s: 0.1}"
REPLAYED = (
    "workload.lengths=null",
    "workload.rate_req_per_s=null",
    "workload.duration_s=null",
    "validation.seeds=null",
)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace file of ten minutes, one of which has four times the requests, with prompts four times as long."""
    rng = np.random.default_rng(5)
    at_s = np.sort(np.concatenate([rng.uniform(0, 600, 1200), rng.uniform(300, 360, 360)]))
    prompts = np.where((at_s >= 300) & (at_s < 360), 2000, 500)
    rows = [
        f"{at:.6f},{prompt},{output}"
        for at, prompt, output in zip(at_s, prompts, rng.integers(5, 40, len(at_s)), strict=True)
    ]
    path = tmp_path_factory.mktemp("growth") / "busy.csv"
    path.write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    return path


def wanted(trace: Path, *settings: str) -> Asked:
    """The workload of a scenario that replays a trace."""
    return asked(small(*REPLAYED, f"workload.trace={trace}", *settings))


def test_a_trace_is_exact_at_its_own_rate_alone(busy: Path) -> None:
    """At any other rate, a load margin's too, percentiles carry an interval from several thickenings."""
    own, more = wanted(busy), wanted(busy, "workload.rate_scale=4")
    assert own.exact_at(1.0)
    assert len(own.seeds_at(1.0)) == 1
    for found, scale in ((own, 1.02), (more, 1.0), (more, 0.5)):
        assert not found.exact_at(scale)
        assert len(found.seeds_at(scale)) > 1


def test_growth_keeps_the_time_of_a_trace(busy: Path) -> None:
    """Four times the rate is four times the requests over the same time, not the same requests in a quarter of it."""
    own, more = (wanted(busy, f"workload.rate_scale={scale}").draw(1, 1.0, 1.0) for scale in (1, 4))
    assert more.duration_s == own.duration_s
    assert len(more) == 4 * len(own)
    minute = [
        t.prompt_tokens[(t.arrival_s >= 300) & (t.arrival_s < 360)].sum() / t.prompt_tokens.sum() for t in (own, more)
    ]
    assert minute[1] == pytest.approx(minute[0], rel=0.1)


def test_a_profile_keeps_lengths_with_their_time(busy: Path) -> None:
    """Under arrivals.process profile a trace file is grown as under replay: prompts of the busy minute come in it."""
    replayed, profiled = (
        wanted(busy, "workload.rate_scale=4", f"workload.arrivals={{process: {name}}}")
        for name in ("replay", "profile")
    )
    one, other = replayed.draw(1, 1.0, 1.0), profiled.draw(1, 1.0, 1.0)
    np.testing.assert_array_equal(one.arrival_s, other.arrival_s)
    np.testing.assert_array_equal(one.prompt_tokens, other.prompt_tokens)


@pytest.mark.parametrize("growth", ["shared", "independent"])
def test_the_growth_that_was_assumed_is_told(busy: Path, growth: str) -> None:
    """The workload in words names the growth, in ``check`` too, and only where a trace is grown."""
    scenario = small(*REPLAYED, f"workload.trace={busy}", f"workload.growth={growth}")
    assert "growth" not in check(scenario).workload
    assert f"{growth} growth" in check(scenario.changed(["workload.rate_scale=3"])).workload


def test_shared_growth_needs_what_its_busy_minute_needs(busy: Path) -> None:
    """Where busy minutes are shared more is bought than where they average out, and both plans hold."""
    costs = []
    for growth in ("shared", "independent"):
        words = (*REPLAYED, f"workload.trace={busy}", "workload.rate_req_per_s=120", f"workload.growth={growth}", SLO)
        answer = plan(small(*words), progress=lambda *_: None, with_margin=False)
        assert isinstance(answer, ValidatedPlan)
        assert all(e.low <= e.measured <= e.high <= e.limit for e in answer.judgement.evidence)
        costs.append(answer.candidate.totals.cost_usd_per_h)
    assert costs[0] > costs[1]


@pytest.mark.parametrize(("growth", "other"), [("shared", "independent"), ("independent", "shared")])
def test_the_answer_says_what_the_other_growth_needs(busy: Path, growth: str, other: str) -> None:
    """A plan for a grown trace names its growth and what the other one needs; one at the trace's own rate does not."""
    words = (*REPLAYED, f"workload.trace={busy}", f"workload.growth={growth}", SLO)
    for rate, told in (("120", True), ("null", False)):
        scenario = small(*words, f"workload.rate_req_per_s={rate}")
        answer = plan(scenario, progress=lambda *_: None, with_margin=False, with_growth=True)
        assert isinstance(answer, ValidatedPlan)
        lines = [line for line in answer.alternatives if "growth is assumed" in line]
        assert bool(lines) is told
        assert all(line.startswith(f"{growth} growth") and f"{other} growth" in line and "$" in line for line in lines)


def test_a_growth_too_large_to_plan_is_said_to_be(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other growth would take too many requests, the answer names how many and how to ask for it."""
    monkeypatch.setattr("planner.planning.other_growth.MOST_REQUESTS", 10)
    words = (*REPLAYED, f"workload.trace={busy}", "workload.rate_req_per_s=120", SLO)
    answer = plan(small(*words), progress=lambda *_: None, with_margin=False, with_growth=True)
    assert isinstance(answer, ValidatedPlan)
    assert any("was not planned" in line and "workload.growth to independent" in line for line in answer.alternatives)


def aligned(late: Callable[[int, int], float]) -> Sample:
    """Two seeds of twenty slices, a share of each slice late."""
    slices = [(seed, k) for seed in range(2) for k in range(20)]
    values = tuple(np.repeat([0.1, 2.0], [round(100 * (1 - late(*each))), round(100 * late(*each))]) for each in slices)
    return Sample(values=values, weights=tuple(np.ones(len(v)) for v in values), slices=20)


def test_a_busy_minute_is_no_sampling_error() -> None:
    """Slices that differ within a seed and agree between seeds leave no doubt; those that differ between seeds do."""
    low, high = interval(aligned(lambda _, k: 0.3 if k == 7 else 0.0), 0.98, 0.95)
    assert low <= high <= 0.1
    assert interval(aligned(lambda seed, k: 0.3 if k == 7 * seed else 0.0), 0.98, 0.95)[1] > 0.1


@pytest.mark.parametrize("output", [2, 400])
def test_a_window_shorter_than_requests_take_is_made_longer(output: int) -> None:
    """Where all objectives hold, a window lasts at least three times as long as 99 of 100 requests take."""
    asked_for: list[float] = []

    def lengthen(_: int, times: float) -> Trace:
        asked_for.append(times)
        return random_trace(1, round(200 * times), 20.0, output_max=output)

    found = judge(
        toy_pools("colocated"),
        toy_policy("colocated"),
        Traffic(
            draw=lambda _: random_trace(1, 200, 20.0, output_max=output),
            seeds=[1],
            workload="",
            exact=True,
            lengthen=lengthen,
        ),
        [Slo(metric=Metric.TTFT, percentile=50.0, limit=1e3)],
        Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95),
    )
    assert bool(asked_for) is ("made longer" in found.workload)
    assert all(e.verdict is Verdict.MET for e in found.evidence)
    if not asked_for:
        assert found.horizon_s >= SEVERAL * found.latency_s["e2e_p99_s"]
