"""Clocks and caps are decided together with machines, whatever is minimised and whatever limits the watts."""

from functools import cache

import pytest

from planner.planning.plan import plan
from planner.results.evidence import ValidatedPlan
from tests.planner.small import small

pytestmark = pytest.mark.slow

QUESTION = ("workload.rate_scale=60", "catalog.machines=[dgx-h100]", "catalog.tp=[2, 8]")
KNOBS = {"clocks_mhz": (1200, 1590), "caps_w": (350, 550)}
OBJECTIVES = ("cost", "power", "energy", "machines", "throughput")


@cache
def value(*words: str) -> float | None:
    """The objective of the validated plan; None where there is none."""
    found = plan(small(*QUESTION, *words), progress=lambda *_: None, with_margin=False)
    return found.objective_value if isinstance(found, ValidatedPlan) else None


@cache
def limits() -> dict[str, str]:
    """Watts that the cheapest plan without knobs just passes, expected, and just a tenth below its rating."""
    free = plan(small(*QUESTION), progress=lambda *_: None, with_margin=False)
    assert isinstance(free, ValidatedPlan)
    assert free.judgement.power is not None
    return {
        "clocks_mhz": f"budgets.expected_power_w={free.judgement.power.mean_w:.0f}",
        "caps_w": f"budgets.power_w={free.candidate.totals.power_w * 0.9:.0f}",
    }


@pytest.mark.parametrize("knob", KNOBS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_joint_answer_is_no_worse_than_any_separate_one(objective: str, knob: str) -> None:
    """With a list of clocks, or of caps, no plan is worse than the best of those with one of them."""
    asked = (f"objective={objective}", limits()[knob])
    apart = [value(*asked, f"catalog.{knob}={{dgx-h100: [{each}]}}") for each in KNOBS[knob]]
    joint = value(*asked, f"catalog.{knob}={{dgx-h100: [{', '.join(map(str, KNOBS[knob]))}]}}")
    known = [each for each in apart if each is not None]
    assert known, "a question without any answer proves nothing"
    assert joint is not None
    if objective == "throughput":
        assert joint >= max(known) * (1 - 1e-6)
    else:
        assert joint <= min(known) * (1 + 1e-6)
