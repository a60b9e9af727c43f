"""Rules of the load margin, of windows that are long enough to judge, and of requests too long for a model."""

from dataclasses import replace

import pytest

from planner.errors import BadInput
from planner.planning.load_margin import RATIOS, unsure_of_load
from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.results.evidence import Margin, ValidatedPlan
from tests.planner.small import small


def quiet(_: str, __: float) -> None:
    """Progress for nobody."""


@pytest.mark.parametrize("rate", [40, 400])
def test_a_plan_holds_up_to_its_margin_and_not_beyond(rate: int) -> None:
    """The same machines meet every objective at the load of the margin, and miss one at the next load tried."""
    scenario = small(f"workload.rate_req_per_s={rate}")
    answer = plan(scenario, progress=quiet)
    assert isinstance(answer, ValidatedPlan)
    found = answer.margin
    assert found is not None
    assert found.holds_ratio in (1.0, *RATIOS)
    assert bool(found.fails) is (found.misses_ratio is not None)
    loop = PlanningLoop(open_case(scenario, answer.candidate.policy), quiet)
    for ratio, holds in ((found.holds_ratio, True), (found.misses_ratio, False)):
        if ratio is not None:
            assert loop.judged(replace(answer.candidate, rate_scale=ratio)).valid is holds


def test_a_plan_without_margin_says_so() -> None:
    """A plan that misses an objective at the smallest step says that it has no margin, and what to do."""
    (words,) = unsure_of_load(Margin(holds_ratio=1.0, misses_ratio=1.02, fails=("ttft_p99_s missed",)))
    assert words.startswith("no load margin: at 1.02 times the load ttft_p99_s missed")
    assert "workload.rate_scale" in words
    (words,) = unsure_of_load(Margin(holds_ratio=1.0, misses_ratio=1.02, fails=("it fails",)), spare_machines=2)
    assert words.startswith("no load margin with 2 spare machines down: at 1.02 times the load")  # all serve, else
    (words,) = unsure_of_load(Margin(holds_ratio=1.0, misses_ratio=1.02, fails=("ttft_p99_s missed",)), most=True)
    assert "the most that the simulated seeds carry" in words
    assert "workload.rate_scale" not in words  # a rate that is maximised does not follow it


@pytest.mark.parametrize(("rate", "window_s"), [(40.0, 120.0), (0.5, 2000.0)])
def test_a_window_that_is_not_given_is_long_enough_to_judge(rate: float, window_s: float) -> None:
    """Where no window is given it lasts two minutes, or as long as a thousand requests take."""
    case = open_case(small(f"workload.rate_req_per_s={rate}", "workload.duration_s=null"), "colocated")
    assert case.asked.draw(1, 1.0, 1.0).duration_s == pytest.approx(window_s)


@pytest.mark.parametrize("policy", ["colocated", "sarathi", "splitwise"])
def test_requests_longer_than_the_model_was_made_for_are_refused(policy: str) -> None:
    """Under every policy, unless scaled positions are asked for: an engine would refuse such a request."""
    scenario = small(f"policy.name={policy}", "workload.prompt_scale=500")
    with pytest.raises(BadInput, match="was made for has 131,072"):
        open_case(scenario, policy)
    open_case(scenario.changed(["policy.longer_context=true"]), policy)
