"""What the loop concludes from a judgement, without a solver or a simulation."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from planner.executor.ahead import Ahead
from planner.perf.layout import Role
from planner.planning import loop
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.planning.tighten import smaller
from planner.resolve.case import open_case
from planner.results.evidence import NoPlan, ValidatedPlan, Verdict
from planner.results.failings import failures
from planner.scenario import Scenario
from planner.scenario.sections import FailureSection
from planner.simulator.judge import Bench
from planner.simulator.outages import outage
from planner.simulator.pools import Failure, PoolModel
from solvers.allocation import Limit, Solution
from solvers.problem import Problem
from tests.planner import plans
from tests.planner.small import small
from tests.planner.toy import toy_physics
from workloads.traces import Trace

FEW = """
schema_version: 1
name: few
model: {name: llama-3.1-70b}
workload: {trace: azure-conv-2023, rate_req_per_s: 1, duration_s: 20}
slo: {ttft_p99_s: 1.0, e2e_p50_s: 30}
catalog: {machines: [dgx-h100], channel: reserved, tp: [8]}
policy: {name: splitwise}
"""


def test_nothing_fails_in_a_valid_judgement() -> None:
    """A valid judgement has no failure to tell, an invalid one at least one line for each thing that is wrong."""
    assert failures(plans.judgement()) == ()
    lines = " / ".join(failures(plans.overloaded()))
    for word in ("tbt_p99_s missed", "e2e_p90_s missed", "backlog", "213 requests left unfinished"):
        assert word in lines


def test_an_endless_interval_is_blamed_on_the_sample_only_where_it_is_within() -> None:
    """Too few observations are blamed for an endless interval of what was measured within its limit, and only then."""
    found = plans.judgement()
    endless = replace(found.evidence[0], high=inf, verdict=Verdict.UNDECIDED, n=400)
    few = replace(found, evidence=(endless, *found.evidence[1:]))
    assert any("too few to bound ttft_p99_s" in line for line in failures(few))
    beyond = replace(endless, measured=endless.limit * 2)
    assert not any("too few" in line for line in failures(replace(found, evidence=(beyond, *found.evidence[1:]))))


def fifty(directory: Path) -> Path:
    """A scenario that replays fifty requests."""
    file, trace = directory / "few.yaml", directory / "few.csv"
    rows = [f"{k},{100 + k},{20 + k}" for k in range(50)]
    trace.write_text("\n".join(("arrival_s,prompt_tokens,output_tokens", *rows)))
    file.write_text(FEW.replace("azure-conv-2023, rate_req_per_s: 1, duration_s: 20", str(trace)))
    return file


def test_a_short_window_gets_more_seeds_instead_of_machines(tmp_path: Path) -> None:
    """Twenty requests a seed cannot bound a P99, so more seeds are served until they can, and no machine is added."""
    file = tmp_path / "few.yaml"
    file.write_text(FEW)
    answer = plan(Scenario.load(file), progress=lambda *_: None)
    assert isinstance(answer, ValidatedPlan)
    assert [turn.step for turn in answer.rounds].count("plan") == 1
    assert len(answer.judgement.seeds) > 9
    assert all(found.verdict is Verdict.MET for found in answer.judgement.evidence)


def test_what_no_number_of_seeds_can_bound_is_told_instead_of_buying_machines(tmp_path: Path) -> None:
    """Where only the number of observations leaves an objective open, the answer is how to observe more, at once."""
    file = fifty(tmp_path)
    answer = plan(Scenario.load(file), progress=lambda *_: None)
    assert isinstance(answer, NoPlan)
    assert len(answer.rounds) == 1
    assert "observations are too few to bound ttft_p99_s" in " ".join(answer.explanation)


def test_policies_together_are_infeasible_only_if_each_is(tmp_path: Path) -> None:
    """Where one policy is proven infeasible and another merely not validated, nothing is proven of both together."""
    scenario = Scenario.load(fifty(tmp_path), ["catalog.roles={dgx-h100: [mixed]}"])
    answers = {
        name: plan(scenario.changed([f"policy.name={name}"]), progress=lambda *_: None)
        for name in ("colocated", "splitwise", "auto")
    }
    reasons = [answer.reason for answer in answers.values() if isinstance(answer, NoPlan)]
    assert reasons == ["not validated", "infeasible", "not validated"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_is_not_met_is_told(verdict: Verdict) -> None:
    """An objective appears among the failures if and only if it is not met, with its interval and its limit."""
    lines = [line for line in failures(plans.judgement(0.1, verdict)) if line.startswith("tbt_p99_s")]
    assert bool(lines) == (verdict is not Verdict.MET)
    assert all("(interval 0.09 to 0.11), limit 0.1 s" in line for line in lines)


def test_a_failure_finds_its_machine() -> None:
    """A failure names a machine by role, counted over its pools, or by pool; elsewhere there is none to fail."""
    body = toy_physics(instances_per_machine=2)
    pools = [
        PoolModel(name=str(i), role=role, physics=body, instances=n, speed=1.0, classes=frozenset({0}))
        for i, (role, n) in enumerate([(Role.DECODE, 3), (Role.PREFILL, 2), (Role.DECODE, 1)])
    ]
    expected = {("decode", 0): 0, ("decode", 1): 1, ("decode", 2): 3, ("prefill", 0): 2, (0, 1): 1, (2, 0): 3}
    for (pool, machine), position in expected.items():
        found = outage(FailureSection(pool=pool, machine=machine, at_s=5.0), pools)  # type: ignore[arg-type]
        assert found == Failure(machine=position, at_s=5.0)
    for pool, machine in (("decode", 3), ("prefill", 1), ("mixed", 0), (3, 0), (1, 1)):
        assert outage(FailureSection(pool=pool, machine=machine, at_s=5.0), pools) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("seeds", "served"), [(1, 1), (3, 4)])
def test_a_full_look_after_a_brief_one_is_a_full_look(
    monkeypatch: pytest.MonkeyPatch, seeds: int, served: int
) -> None:  # fmt: skip
    """A brief look that served every seed is only looked at over a longer window, and the verdict is the same."""
    own, traces = Bench.serve, list[int]()

    def counted(bench: Bench, trace: Trace, **more: bool) -> object:
        traces.append(len(trace))
        return own(bench, trace, **more)

    monkeypatch.setattr(Bench, "serve", counted)
    case = open_case(small(f"validation.seeds={seeds}", "workload.rate_req_per_s=100"), "colocated")
    first, other = (PlanningLoop(case, lambda *_: None) for _ in range(2))
    found = first.propose_and_tighten()
    assert not isinstance(found, NoPlan)
    assert len(first.judged(found[0], brief=True).seeds) == 1
    traces.clear()
    after = first.judged(found[0])
    assert len(traces) == served
    assert (after, after.longer_s is None) == (other.judged(found[0]), False)


@pytest.mark.parametrize("backend", ["highs", "cbc"])
def test_an_answer_names_the_clock_that_ended_its_solves(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last resort of a solve stopped may be another answer under another load: a plan says so."""
    own = loop.solve

    def stopped(program: Problem, **limits: Any) -> Solution:
        found = own(program, **limits)
        return replace(found, termination=replace(found.termination, limit=Limit.TIME))

    question = small("policy.name=colocated", f"solver.backend={backend}")
    quiet = plan(question, progress=lambda *_: None, with_margin=False)
    assert isinstance(quiet, ValidatedPlan)
    assert not any("the clock" in words for words in quiet.warnings)
    monkeypatch.setattr(loop, "solve", stopped)
    found = plan(question, progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    assert sum("under another load the answer may be another" in words for words in found.warnings) == 1
    refused = plan(question.changed(["budgets.cost_usd_per_h=1.0"]), progress=lambda *_: None, with_margin=False)
    assert isinstance(refused, NoPlan)
    assert any("under another load" in words for words in refused.explanation)


def test_nothing_is_looked_at_ahead_beside_an_answer_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is worth its time beside a simulation alone: what follows a known answer is this process's own to do."""
    case = open_case(small("workload.rate_req_per_s=100"), "colocated")
    one, started = PlanningLoop(case, lambda *_: None), list[object]()
    monkeypatch.setattr(Ahead, "idle", True)
    monkeypatch.setattr(Ahead, "start", lambda _, key, act: started.append((key, act())))
    found = one.propose_and_tighten()
    assert not isinstance(found, NoPlan)
    larger, largest = (smaller(found[0], found[0].pools[0].spec.name, -more, one.options) for more in (1, 2))
    assert larger is not None
    one.look_ahead([largest], beside=found[0])
    assert not started
    one.look_ahead([found[0], larger], beside=larger)
    ((_, brief),) = started
    assert brief == one.judged(larger, brief=True)
    one.look_ahead_in_full(found[0])
    assert started[1][1] == one.judged(found[0])  # type: ignore[index]
    one.look_ahead_in_full(found[0])
    assert len(started) == 2
