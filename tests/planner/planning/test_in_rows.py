"""Plans and rows decided together: how many machines stand in a row, under which control, at which caps."""

from functools import cache

import pytest

from planner.errors import BadInput
from planner.planning.plan import plan
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.row import RowStudy
from planner.scenario import Scenario
from tests.planner.small import small

QUICK = (
    "power.weeks=1",
    "power.week_s=900.0",
    "power.policy=[no-cap, polca]",
    "catalog.machines=[dgx-h100]",
    "objective=power",
)


@cache
def _planned(*words: str) -> ValidatedPlan | NoPlan:
    return plan(small(*QUICK, *words), progress=lambda _words, _frac: None, with_margin=False)


def planned(*words: str) -> tuple[ValidatedPlan, RowStudy]:
    """A plan in its rows, and their study."""
    found = _planned(*words)
    assert isinstance(found, ValidatedPlan), found
    assert found.power is not None
    return found, found.power


LIMITS_W = (11_000.0, 14_000.0, 22_000.0)


@pytest.mark.parametrize(
    "rate", ["workload.rate_req_per_s=40", pytest.param("workload.rate_req_per_s=400", marks=pytest.mark.slow)]
)
def test_a_higher_limit_never_costs_more(rate: str) -> None:
    """The larger the breaker, the less the plan takes of its objective, or the same."""
    values = [_planned(rate, f"power.row_limit_w={limit}") for limit in LIMITS_W]
    worth = [each.objective_value if isinstance(each, ValidatedPlan) else float("inf") for each in values]
    assert worth == sorted(worth, reverse=True)
    assert worth[-1] < float("inf")


@pytest.mark.parametrize("limit_w", LIMITS_W)
def test_a_plan_never_exceeds_the_breaker_of_its_own_study(limit_w: float) -> None:
    """The fullest row of a plan is one that was simulated without a brake, and its machines are all placed."""
    found, row = planned("workload.rate_req_per_s=40", f"power.row_limit_w={limit_w}")
    fullest = max(sum(places.values()) for places in row.placed)
    assert fullest <= row.machines
    assert len(row.placed) == row.needed_rows <= row.rows
    kept = next(trial for trial in row.trials if trial.machines == row.machines)
    assert not kept.fails
    assert kept.brakes == 0
    for pool in found.candidate.pools:
        assert sum(places.get(pool.spec.name, 0) for places in row.placed) == pool.machines


def test_rated_limits_imply_row_limits() -> None:
    """Machines whose nameplates fit the limit stand in one row, under some control that may be chosen."""
    found, row = planned("workload.rate_req_per_s=400", "power.row_limit_w=10200", "power.rows=20")
    each_w = found.candidate.totals.power_w / found.candidate.totals.machines
    assert row.machines >= row.row_limit_w // each_w


@pytest.mark.slow
def test_most_throughput_takes_the_places_of_the_rows() -> None:
    """With a row as the only limit the plan is as large as the row holds, and serves more in two rows than in one."""
    words = ("objective=throughput", "power.row_limit_w=11000")
    one, row = planned(*words)
    two, rows = planned(*words, "power.rows=2")
    assert one.candidate.totals.machines >= 1
    assert row.fits
    assert rows.fits
    assert two.objective_value > one.objective_value
    assert two.candidate.totals.machines > one.candidate.totals.machines


def test_throughput_without_row_or_budget_is_refused() -> None:
    """Something has to bound it: a budget, or a row."""
    with pytest.raises(BadInput, match=r"or power\.row_limit_w, to go with throughput"):
        small("objective=throughput")


def shares(*words: str) -> str:
    """What a study assumes of priorities."""
    _, row = planned(*words, "power.row_limit_w=22000")
    return next(line for line in row.assumptions if line.startswith("priorities"))


def test_priorities_of_a_row_are_those_of_the_classes() -> None:
    """Requests below the highest priority are the low ones; where all are alike half is assumed; a given share wins."""
    classes = (
        "workload.classes=[{name: now, prompt_max_tokens: 199, priority: 1}, {name: later, prompt_min_tokens: 200}]",
    )
    assert shares().startswith("priorities: 50 %")
    low = float(shares(*classes).split()[1].rstrip("%")) / 100
    assert 0.3 < low < 0.7
    assert low != 0.5
    assert shares(*classes, "power.low_priority_frac=0.25").startswith("priorities: 25 %")


def test_controls_are_chosen_among_those_allowed() -> None:
    """Of a list the control is taken that slows down least and holds the plan; its thresholds are told."""
    _, free = planned("power.row_limit_w=22000")
    assert free.policy == "no-cap"
    _, forced = planned("power.row_limit_w=22000", "power.policy=polca", "power.t2_frac=[0.86, 0.95]")
    assert forced.policy == "polca"
    assert forced.thresholds_frac in ((0.8, 0.86), (0.8, 0.95))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("power.policy=[polca, polcat]", "did you mean 'polca'"),
        ("power.policy=[]", "a list of these, or any"),
        ("power.t2_frac=[0.7, 0.9]", "t1_frac below t2_frac, not 0.8 and 0.7"),
        ("power.t2_frac=[]", "power.t2_frac"),
    ],
)
def test_impossible_controls_are_refused(word: str, said: str) -> None:
    """Unknown controls and thresholds out of order end with what was expected."""
    with pytest.raises(BadInput) as found:
        small(word)
    assert said in "\n".join(found.value.problems)


def test_one_control_of_a_section_for_each_choice() -> None:
    """``any`` is all controls, those that slow down least first; second thresholds only matter to POLCA."""
    section = Scenario.model_validate(
        small("power.row_limit_w=20000", "power.policy=any", "power.t2_frac=[0.85, 0.95]").model_dump()
    ).power
    assert [(each.policy, each.t2_frac) for each in section.controls()] == [
        ("no-cap", 0.85), ("one-threshold-low", 0.85), ("polca", 0.85), ("polca", 0.95), ("one-threshold-all", 0.85),
    ]  # fmt: skip
