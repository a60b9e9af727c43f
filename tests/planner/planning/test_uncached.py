"""What a prefix cache is worth: the same question with every prompt computed in full."""

from dataclasses import replace

import pytest

from planner.planning.choices import Depth
from planner.planning.plan import plan
from planner.planning.uncached import uncached
from planner.report.choices import best_others
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario
from tests.planner import plans
from tests.planner.resolve.test_prefix_cache import question


def silent(_words: str, _done_frac: float) -> None:
    """Said to no one."""


@pytest.fixture(scope="module")
def answered() -> tuple[Scenario, ValidatedPlan, Choice]:
    """A question of which four fifths of each prompt are found, its plan, and the row beside it."""
    asked = question(
        "prefix_cache.gib=20", "prefix_cache.hit_frac=0.8", "policy.name=splitwise", "workload.rate_req_per_s=120"
    )
    best = plan(asked, progress=silent, with_margin=False)
    assert isinstance(best, ValidatedPlan)
    (row,) = uncached(asked, best, Depth.SHORT)
    return asked, best, row


def test_a_plan_with_a_cache_says_what_it_costs_without(answered: tuple[Scenario, ValidatedPlan, Choice]) -> None:
    """The row is the plan's own precision, engine and policy; what is not found has to be bought."""
    _, best, row = answered
    (mine,) = best.choices
    assert (row.variant, row.engine, row.policy, row.cached, row.allowed) == (
        mine.variant, mine.engine, mine.policy, False, True,
    )  # fmt: skip
    assert row.standing is Standing.VALIDATED
    assert row.cost_usd_per_h > mine.cost_usd_per_h
    assert (row.bound or 0.0) >= (mine.bound or 0.0)


def test_the_row_is_named_first(answered: tuple[Scenario, ValidatedPlan, Choice]) -> None:
    """Beside three other rows the one without a cache is among those that a first screen names, in words of its own."""
    _, _, row = answered
    shown = plans.plan()
    others = [replace(row, cached=True, policy=f"policy-{n}", objective_value=1.0 + n) for n in range(4)]
    words = best_others(replace(shown, choices=(*others, row)))
    assert "splitwise, no prefix cache" in words[0]
    assert sum("no prefix cache" in line for line in words) == 1


@pytest.mark.parametrize("depth", [Depth.NONE, Depth.SHORT])
def test_without_a_cache_there_is_no_such_row(answered: tuple[Scenario, ValidatedPlan, Choice], depth: Depth) -> None:
    """A question that has no cache, or asks for no alternatives, has no row without one."""
    asked, best, _ = answered
    assert not uncached(asked.changed(["prefix_cache.gib=null", "prefix_cache.hit_frac=null"]), best, depth)
    assert bool(uncached(asked, best, depth)) is (depth is Depth.SHORT)
