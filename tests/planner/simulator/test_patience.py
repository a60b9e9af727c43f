"""What is too close to call is served with more requests while these cost little."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.results.evidence import Evidence, Judgement, Verdict
from planner.schedules import judged, serving
from planner.schedules.planning import timetable
from planner.simulator import judge as simulator
from planner.simulator.judge import MOST_PATIENT, judge
from planner.simulator.metrics import Sample
from planner.simulator.traffic import Judging, Traffic
from tests.planner.small import small
from tests.planner.toy import random_trace, toy_physics, toy_policy, toy_pools
from workloads.slo import Metric, Slo

SEEDS, REQUESTS = (1, 2, 3), 400
JUDGING = Judging(warmup_frac=0.1, cooldown_frac=0.05, confidence_frac=0.95, early=True)


def _judged(limit_s: float, rate: float, *, patient: bool, exact: bool = False, brief: bool = False) -> Judgement:
    """What is said of two instances of each phase that a window of some hundred requests arrives at."""
    pools = toy_pools("splitwise", prefills=2, decodes=2, physics=toy_physics())
    traffic = Traffic(draw=lambda seed: random_trace(seed, REQUESTS, rate), seeds=SEEDS, workload="toy", exact=exact)
    slo = Slo(metric=Metric.E2E, percentile=90.0, limit=limit_s)
    return judge(pools, toy_policy("splitwise"), traffic, [slo], replace(JUDGING, patient=patient, brief=brief))


@cache
def _usual_s(rate: float) -> float:
    """The percentile that a long look measures."""
    return _judged(1e-9, rate, patient=False, exact=True).evidence[0].measured


@settings(max_examples=6, deadline=None)
@given(ratio=st.floats(0.9, 1.1), rate=st.sampled_from([10.0, 30.0]))
@example(ratio=0.97, rate=20.0)
@example(ratio=1.01, rate=30.0)
def test_nothing_is_too_close_to_call_under_few_requests(ratio: float, rate: float) -> None:
    """A patient look decides what another leaves open, or has served many requests; what is decided stays as it is."""
    limit_s = ratio * _usual_s(rate)
    plain, patient = (_judged(limit_s, rate, patient=each) for each in (False, True))
    if plain.evidence[0].verdict is not Verdict.UNDECIDED:
        assert patient == plain
        return
    assert patient.seeds[: len(plain.seeds)] == plain.seeds
    assert patient.evidence[0].verdict is not Verdict.UNDECIDED or patient.arrived >= MOST_PATIENT
    assert patient.arrived <= 2 * MOST_PATIENT


@pytest.mark.parametrize(("rate", "ratio", "right"), [(20.0, 0.98, Verdict.MET), (18.0, 0.97, Verdict.MISSED)])
def test_a_few_seeds_beyond_a_limit_are_no_miss(rate: float, ratio: float, right: Verdict) -> None:
    """Measured beyond its limit in three seeds, and too close to call: more of them tell on which side it is."""
    plain, patient = (_judged(ratio * _usual_s(rate), rate, patient=each).evidence[0] for each in (False, True))
    assert plain.verdict is Verdict.UNDECIDED
    assert plain.measured > plain.limit
    assert patient.verdict is right
    assert (patient.measured <= patient.limit) is (right is Verdict.MET)


def test_epochs_are_looked_at_patiently_where_they_may_be_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at an epoch is patient: what one that only tells how to go on finds wrong is not looked at again."""
    seen = list[Judging]()

    def noted(*given: Any, **more: Any) -> Judgement:
        seen.append(given[4])
        return judge(*given, **more)

    monkeypatch.setattr(judged, "judge", noted)
    monkeypatch.setattr(serving, "BRIEF_FROM", 0)
    asked = small("catalog.machines=[dgx-h100]", "validation.seeds=3", "schedule={load: [0.5, 3.0]}")
    assert timetable(asked, progress=lambda *_: None).valid
    assert {each.brief for each in seen} == {True, False}
    assert all(each.patient for each in seen)


@settings(max_examples=6, deadline=None)
@given(ratio=st.floats(0.9, 1.1), rate=st.sampled_from([10.0, 30.0]))
@example(ratio=0.98, rate=20.0)
def test_what_a_brief_look_finds_wrong_is_wrong_in_full(ratio: float, rate: float) -> None:
    """A refusal may rest on a brief look: unless that finds all well, it says what a full one says."""
    brief, full = (_judged(ratio * _usual_s(rate), rate, patient=True, brief=each) for each in (True, False))
    assert brief.valid or brief == full


def test_all_looks_together_pass_no_more_misses_than_the_confidence_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a percentile at its limit each interval lies within it in half the cases it leaves out: they add up to 5 %."""
    left_out, weighed = list[float](), simulator.evidence

    def noted(slo: Slo, seen: Sample, *, confidence_frac: float, exact: bool) -> Evidence:
        left_out.append((1 - confidence_frac) / 2)
        return weighed(slo, seen, confidence_frac=confidence_frac, exact=exact)

    limit_s = 0.972 * _usual_s(20.0)
    monkeypatch.setattr(simulator, "evidence", noted)
    monkeypatch.setattr(simulator, "_steady", lambda *_: True)  # whose intervals only refuse
    assert _judged(limit_s, 20.0, patient=True).arrived >= MOST_PATIENT
    first, *further = left_out  # the first seed alone, which only refuses
    assert (first, further[0]) == pytest.approx((0.025, 0.025))
    assert len(further) > 4
    assert sum(further) <= 1 - JUDGING.confidence_frac
