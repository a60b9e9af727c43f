"""Failures that a plan does not survive as it is: more machines must be up, or it serves less, or it is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from planner.planning import survived
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan, simulation
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.scenario import Scenario
from tests.planner.small import small

BURST, STEADY = 19, 2000
"""Prompts that come at once, and others: in the whole window too few to count, after a failure more than 1 %."""


@pytest.fixture(name="words", scope="module")
def _words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A replay whose few long prompts come in a burst after most other requests."""
    rows = [(each * 0.05, 200) for each in range(STEADY)] + [(60 + 0.001 * each, 4000) for each in range(BURST)]
    path: Path = tmp_path_factory.mktemp("burst") / "burst.csv"
    lines = [f"{arrival:.4f},{prompt},20" for arrival, prompt in sorted(rows)]
    path.write_text("\n".join(["arrival_s,prompt_tokens,output_tokens", *lines]), encoding="utf-8")
    return (
        f"workload={{trace: {path}}}", "slo={ttft_p99_s: 0.3, tbt_p99_s: 0.2}", "catalog.machines=[dgx-a100]",
        "availability=0.999",
    )  # fmt: skip


def _planned(question: Scenario, *, with_margin: bool = False) -> ValidatedPlan | NoPlan:
    return plan(question, progress=lambda *_: None, with_margin=with_margin)


def _found(question: Scenario, *, with_margin: bool = False) -> ValidatedPlan:
    found = _planned(question, with_margin=with_margin)
    assert isinstance(found, ValidatedPlan), found
    return found


def _serving(candidate: CandidatePlan) -> int:
    return sum(pool.machines - pool.spares for pool in candidate.pools)


def _smaller(pool: Pool) -> Pool:
    """A pool with one machine less that must be up."""
    each = pool.instances // pool.machines
    return replace(pool, machines=pool.machines - 1, instances=pool.instances - each)


def test_failures_that_are_not_survived_buy_machines(words: tuple[str, ...]) -> None:
    """More machines must be up than without failures; with one less of them a failure is not survived."""
    plain = _found(small(*words[:-1]))
    safe = _found(small(*words))
    assert safe.availability is not None
    assert _serving(safe.candidate) > plain.candidate.totals.machines
    assert all(not outage.fails for outage in safe.availability.outages)
    assert simulation(small(*words), safe.candidate, progress=lambda *_: None).judgement.valid
    less = replace(safe.candidate, pools=tuple(_smaller(pool) for pool in safe.candidate.pools))
    said = simulation(small(*words), less, progress=lambda *_: None).judgement
    assert any("fails: ttft_p99_s missed" in line for line in said.over)


def test_what_fewer_machines_miss_is_told(words: tuple[str, ...]) -> None:
    """The plan that is one machine smaller, and the failure that it does not survive, stand beside the answer."""
    safe = _found(small(*words))
    (beside,) = safe.certificate.neighbours
    assert beside.pool.endswith("(of what must be up)")
    assert beside.machines == _serving(safe.candidate) - 1
    assert all("fails: ttft_p99_s missed" in line for line in beside.fails)


def test_market_too_small_for_failures_is_refused_by_name(words: tuple[str, ...]) -> None:
    """With one machine fewer for sale than it takes, the failure is named and what to raise; with as many it plans."""
    machines = _found(small(*words)).candidate.totals.machines
    most = f"catalog.available={{dgx-a100: {machines}}}"
    fewer = f"catalog.available={{dgx-a100: {machines - 1}}}"
    assert _found(small(*words, most)).candidate.totals.machines == machines
    refused = _planned(small(*words, fewer))
    assert isinstance(refused, NoPlan)
    assert any("fails: ttft_p99_s missed" in line for line in refused.explanation)
    assert any(f"raise catalog.available.dgx-a100 from {machines - 1}" in line for line in refused.explanation)


@pytest.mark.parametrize("most", [0.99, 0.8, 0.56])
def test_failures_that_are_not_survived_lower_the_rate(most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where throughput is asked, the highest rate at which failures are survived is found, to within 1 %."""
    question = small("objective=throughput", "budgets.machines=2", "availability=0.999")
    own, plain = survived.struck, _found(question)
    limit = plain.candidate.rate_scale * most

    def struck(loop: PlanningLoop, needed: CandidatePlan) -> survived.Struck:
        found = own(loop, needed)
        return replace(found, fails=("a machine fails: too late",)) if needed.rate_scale > limit else found

    monkeypatch.setattr(survived, "struck", struck)
    safe = _found(question)
    assert limit / 1.01 < safe.candidate.rate_scale <= limit
    (beside,) = safe.certificate.neighbours
    assert beside.fails == ("a machine fails: too late",)


def test_another_policy_is_the_answer_where_the_best_does_not_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures that one policy cannot survive leave those that can."""
    question = small("availability=0.999", "policy.name=[colocated, splitwise]")
    assert _found(question).candidate.policy == "colocated"
    own = survived.struck

    def struck(loop: PlanningLoop, needed: CandidatePlan) -> survived.Struck:
        found = own(loop, needed)
        return replace(found, fails=("no",), judgement=None) if needed.policy == "colocated" else found

    monkeypatch.setattr(survived, "struck", struck)
    assert _found(question).candidate.policy == "splitwise"


def test_load_margin_counts_no_spare_machine() -> None:
    """A plan's margin with a spare machine is that of the machines that must be up, not of all of them."""
    plain = _found(small("availability={spares: n+1}"), with_margin=True)
    alone = _found(small(), with_margin=True)
    assert _serving(plain.candidate) == alone.candidate.totals.machines
    assert plain.margin == alone.margin
