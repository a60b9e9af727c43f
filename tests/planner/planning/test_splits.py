"""Rules of splits: no better way to divide the same two options is left, as far as more machines never hurt."""

from dataclasses import replace
from functools import cache
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.planning.loop import PlanningLoop
from planner.planning.shrink import MOST_RATE_STEPS, slower
from planner.planning.splits import split_anew
from planner.planning.tighten import cluster, price
from planner.resolve.case import Case, open_case
from planner.results.evidence import Judgement
from planner.results.plan import CandidatePlan
from planner.scenario.objectives import Objective
from tests.planner import plans
from tests.planner.small import small

PROMPT, TOKEN = "prefill/dgx-h100/tp8", "decode/dgx-a100/tp8"
MOST = 12
Corners = list[tuple[int, int]]


@cache
def case(objective: str, machines: int | None = None) -> Case:
    """A question with prompt machines of one type and token machines of another, and a budget of machines."""
    limit = () if machines is None else (f"budgets.machines={machines}",)
    asked = small("policy.name=splitwise", f"objective={objective}", "workload.rate_req_per_s=0.1", *limit)
    return open_case(asked, "splitwise")


class Staircase(PlanningLoop):
    """A loop in which a plan holds if it has at least the machines of some corner."""

    def __init__(self, case: Case, corners: Corners) -> None:
        """Nothing judged yet."""
        super().__init__(case, lambda *_: None)
        self.corners, self.judgements = corners, 0

    def judged(self, candidate: CandidatePlan, **_: object) -> Judgement:  # noqa: ARG002
        """Count, and say nothing of it."""
        self.judgements += 1
        return plans.judgement()

    def fails(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[str, ...]:  # noqa: ARG002
        """By the corners."""
        count = {p.spec.name: p.machines for p in candidate.pools}
        return () if any(count[PROMPT] >= p and count[TOKEN] >= t for p, t in self.corners) else ("too few",)

    @property
    def simulated_requests(self) -> int:
        """One for each judgement."""
        return self.judgements

    def plan(self, prompts: int, tokens: int) -> CandidatePlan:
        """So many machines of each."""
        rates = {c.request_class.name: c.rate_req_per_s for c in self.case.asked.demand.classes}
        made = cluster("splitwise", {PROMPT: prompts, TOKEN: tokens}, rates, self.options)
        assert not isinstance(made, str)
        return made


COUNT = st.integers(1, MOST)


@settings(max_examples=60)
@given(
    corners=st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=5),
    objective=st.sampled_from(["cost", "machines", "power"]),
)
def test_no_better_split_is_left(corners: Corners, objective: str) -> None:
    """From any plan that holds, the best of all splits that hold is found, however far from it."""
    loop = Staircase(case(objective), corners)
    start = loop.plan(*corners[0])
    found = split_anew(loop, (start, plans.judgement()), 10_000)[0]
    best = min(price(Objective(objective), loop.plan(*corner).totals) for corner in corners)
    assert price(Objective(objective), found.totals) == pytest.approx(best, rel=1e-9)


class Balance(Staircase):
    """A loop in which a plan holds if each pool carries the rate: 3 a prompt machine, 1 a token machine."""

    def fails(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[str, ...]:  # noqa: ARG002
        """By what the pools carry."""
        count = {p.spec.name: p.machines for p in candidate.pools}
        return () if candidate.rate_scale <= min(3 * count[PROMPT], count[TOKEN]) else ("too few",)


@settings(max_examples=25)
@given(prompts=st.integers(1, 19), budget=st.integers(20, 24))
def test_the_fastest_split_of_a_budget_is_found(prompts: int, budget: int) -> None:
    """From any split, what is found serves what the best split of the budget serves, to within 1 %."""
    loop = Balance(case("throughput", budget), [])
    start = replace(loop.plan(prompts, 20 - prompts), rate_scale=float(min(3 * prompts, 20 - prompts)))
    found = split_anew(loop, (start, plans.judgement()), 10_000)[0]
    best = max(min(3 * p, budget - p) for p in range(1, budget))
    assert best / 1.0101 <= found.rate_scale <= best


def test_a_budget_of_requests_is_kept() -> None:
    """No more is simulated than asked, and what is given back holds."""
    loop = Staircase(case("machines"), [(12, 12), (1, 20)])
    start = loop.plan(12, 12)
    assert split_anew(loop, (start, plans.judgement()), 3)[0] == start
    assert loop.judgements == 3


def test_plans_of_one_pool_are_given_back() -> None:
    """There is nothing to divide."""
    loop = Staircase(case("machines"), [(1, 1)])
    both = loop.plan(2, 2)
    alone = replace(both, pools=both.pools[:1])
    assert split_anew(loop, (alone, plans.judgement()), 10)[0] is alone
    assert loop.judgements == 0


class Twice(Balance):
    """A loop in which the first look lets every split pass, and the longer one those that are not odd."""

    def judged(self, candidate: CandidatePlan, *, brief: bool = False, **_: object) -> Judgement:  # noqa: ARG002
        """A longer look has two seeds."""
        return replace(plans.judgement(), seeds=(1,) if brief else (1, 2))

    def fails(self, candidate: CandidatePlan, judgement: Judgement) -> tuple[str, ...]:
        """By what the pools carry, and on a longer look by whether prompt machines are even in number."""
        odd = {p.spec.name: p.machines for p in candidate.pools}[PROMPT] % 2
        return ("odd",) if odd and len(judgement.seeds) > 1 else super().fails(candidate, judgement)


@settings(max_examples=20)
@given(prompts=st.integers(1, 10))
def test_a_split_that_only_a_first_look_lets_pass_is_not_taken(prompts: int) -> None:
    """Where splits are asked for in full, the one found holds on the longer look, or what was given is given back."""
    loop = Twice(case("throughput", 20), [])
    start = replace(loop.plan(prompts, 20 - prompts), rate_scale=0.5 * min(3 * prompts, 20 - prompts))
    held = (start, plans.judgement())
    found = split_anew(loop, held, 10_000, in_full=True)
    others = {p.spec.name: p.machines for p in found[0].pools}
    assert found is not held
    assert others[PROMPT] % 2 == 0
    assert found[0].rate_scale == pytest.approx(1.01 * start.rate_scale)


@settings(max_examples=30)
@given(allowed=st.floats(0.4, 0.999))
def test_a_longer_look_slows_a_plan_no_more_than_it_must(allowed: float) -> None:
    """The highest rate on a ladder of 1 % that the longer look allows is found, down to 0.53 of the rate."""
    loop = Balance(case("throughput", 20), [])
    missed = replace(loop.plan(4, 16), rate_scale=12.0 / allowed)
    found = slower(loop, missed, plans.judgement())
    steps = -log(allowed) / log(1.01)
    assert (found is None) == (steps > MOST_RATE_STEPS)
    if found is not None:
        (held, _), (neighbour,) = found
        assert 12 / 1.0101 <= held.rate_scale <= 12
        assert neighbour.fails
