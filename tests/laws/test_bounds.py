"""Laws of bounds and budgets over random questions: what is called proven holds against plans that are known."""

from functools import cache

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from planner.planning.plan import plan
from planner.report.certificates import certified
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.plan import Totals
from tests.planner.small import small

BUDGETS = {"cost_usd_per_h": "cost", "machines": "machines", "power_w": "power"}
TYPES = ("[dgx-a100]", "[dgx-h100]", "[dgx-a100, dgx-h100]")
FAST = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SLOW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

rates = st.sampled_from((40, 300, 900, 2000))
types = st.sampled_from(TYPES)
policies = st.sampled_from(("colocated", "splitwise", "sarathi"))
objectives = st.sampled_from(("cost", "machines", "power", "energy"))


@cache
def answered(*words: str) -> ValidatedPlan | NoPlan:
    """The answer to the small question with these keys, planned once."""
    return plan(small("workload.duration_s=5", *words), progress=lambda *_: None)


def asked(rate: int, machines: str, policy: str, objective: str) -> tuple[str, ...]:
    """The keys of a random question."""
    return (
        f"workload.rate_req_per_s={rate}", f"catalog.machines={machines}", f"policy.name={policy}",
        f"objective={objective}",
    )  # fmt: skip


def needs(totals: Totals, key: str) -> float:
    """What a plan needs of a budget."""
    return float(getattr(totals, key))


def check_optimal(words: tuple[str, ...]) -> None:
    found = answered(*words)
    assume(isinstance(found, ValidatedPlan))
    assert isinstance(found, ValidatedPlan)
    assert found.certificate.bound is not None
    assert found.certificate.bound <= found.objective_value * (1 + 1e-6)
    if found.margin and found.margin.holds_ratio >= 1.1:
        assert "optimal" not in certified(found)


def check_budget(words: tuple[str, ...], key: str, slack: float) -> None:
    known = answered(*words)
    assume(isinstance(known, ValidatedPlan))
    assert isinstance(known, ValidatedPlan)
    limit = needs(known.candidate.totals, key)
    given_limit = int(limit * (1 + slack)) if key == "machines" else limit * (1 + slack)
    found = answered(*words, f"budgets.{key}={given_limit!r}")
    assert isinstance(found, ValidatedPlan), found
    gap = found.certificate.gap_frac
    assert gap is not None
    assert found.objective_value * (1 - gap) <= known.objective_value * (1 + 1e-6)


def check_needed(words: tuple[str, ...], key: str) -> None:
    known = answered(*words)
    assume(isinstance(known, ValidatedPlan))
    assert isinstance(known, ValidatedPlan)
    limit = needs(known.candidate.totals, key)
    assume(key != "machines" or limit > 1)
    less = answered(*words, f"budgets.{key}={max(1, int(limit / 2))}")
    if isinstance(less, NoPlan):
        for name, (asked_for, needed) in less.raises.items():
            assert asked_for < needed
            if name == BUDGETS[key]:
                assert needed <= limit * (1 + 1e-6)


@FAST
@given(rate=rates, machines=types, policy=policies, objective=objectives)
def test_a_plan_with_load_to_spare_is_never_called_optimal(
    rate: int, machines: str, policy: str, objective: str
) -> None:
    """A bound is never above a plan of ours, and a plan that carries 1.1 times its load is not called optimal."""
    check_optimal(asked(rate, machines, policy, objective))


@FAST
@given(
    rate=rates, machines=types, policy=policies, key=st.sampled_from(sorted(BUDGETS)), slack=st.sampled_from((0, 0.3))
)
def test_a_budget_at_or_above_a_plan_of_ours_has_a_plan(
    rate: int, machines: str, policy: str, key: str, slack: float
) -> None:
    """Such a budget is never refused, and never costs more than the stated gap."""
    check_budget(asked(rate, machines, policy, "cost"), key, slack)


@FAST
@given(rate=rates, machines=types, policy=policies, key=st.sampled_from(sorted(BUDGETS)))
def test_what_is_needed_is_never_above_a_plan_we_know(rate: int, machines: str, policy: str, key: str) -> None:
    """A refusal asks for no more of a budget than a plan that was found without it."""
    check_needed(asked(rate, machines, policy, "cost"), key)


@FAST
@given(rate=rates, policy=policies, objective=objectives)
def test_more_options_never_worsen_a_plan_by_more_than_the_gap(rate: int, policy: str, objective: str) -> None:
    """With another machine type on offer the objective is at most worse by the gap that the certificate states."""
    one, both = answered(*asked(rate, TYPES[1], policy, objective)), answered(*asked(rate, TYPES[2], policy, objective))
    assume(isinstance(one, ValidatedPlan))
    assert isinstance(one, ValidatedPlan)
    assert isinstance(both, ValidatedPlan)
    gap = both.certificate.gap_frac
    assert gap is not None
    assert both.objective_value * (1 - gap) <= one.objective_value * (1 + 1e-6)


@pytest.mark.slow
@SLOW
@given(
    rate=st.integers(1, 2500), machines=types, policy=policies, objective=objectives,
    key=st.sampled_from(sorted(BUDGETS)),
    slack=st.floats(0, 0.5),
)  # fmt: skip
def test_all_laws_over_many_questions(
    rate: int, machines: str, policy: str, objective: str, key: str, slack: float
) -> None:
    """The laws above at any rate, for every objective."""
    words = asked(rate, machines, policy, objective)
    check_optimal(words)
    check_budget(words, key, slack)
    check_needed(words, key)


def test_a_cap_that_is_offered_never_lowers_the_throughput_found() -> None:
    """Under a budget of rated watts the best plan with caps on offer carries what it carries without them, or more."""
    words = ("objective=throughput", "budgets.power_w=31000", "catalog.machines=[dgx-h100]", "policy.name=splitwise")
    without, offered = answered(*words), answered(*words, "catalog.caps_w={dgx-h100: [350, 500]}")
    assert isinstance(without, ValidatedPlan)
    assert isinstance(offered, ValidatedPlan)
    assert offered.objective_value >= without.objective_value * (1 - 1e-9)
    assert offered.candidate.totals.power_w <= 31000
