"""Failures that a scenario asks for strike what is sold, and rows called validated were looked at as the plan was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.planning.choices import Depth
from planner.planning.loop import PlanningLoop
from planner.planning.one import First, confirmed, first
from planner.planning.plan import check, plan
from planner.planning.refusals import raise_words
from planner.resolve.case import open_case
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.precision import Served, precision
from tests.planner.small import small

MIXED = "validation.failures=[{pool: mixed, at_s: 1.0, repair_s: 1.0}]"


def _silent(_words: str, _done: float) -> None:
    pass


def test_no_policy_without_the_failing_pool_is_sold() -> None:
    """Where a machine of a mixed pool fails, plans with phases apart have none: neither answer nor row is one."""
    found = plan(small("policy.name=auto", MIXED), progress=_silent, with_margin=False, depth=Depth.FULL)
    assert isinstance(found, ValidatedPlan)
    assert "while 1 machine failed" in found.judgement.workload
    assert found.candidate.policy != "splitwise"
    assert "splitwise" not in {row.policy for row in found.choices}


@pytest.mark.parametrize("verb", [check, lambda asked: plan(asked, progress=_silent)])
def test_a_failure_of_a_pool_that_no_policy_has_is_refused(verb: object) -> None:
    """``check`` refuses it as ``plan`` does, and names the pools there are."""
    assert callable(verb)
    with pytest.raises(BadInput, match="policy splitwise has no mixed pool; expected prefill or decode"):
        verb(small("policy.name=splitwise", MIXED))


def test_a_plan_without_the_failing_machine_is_none() -> None:
    """The machine that is to fail has a number that the plan does not reach: it is not said to survive that."""
    found = plan(
        small("validation.failures=[{pool: mixed, machine: 77, at_s: 1.0, repair_s: 1.0}]"),
        progress=_silent, with_margin=False,
    )  # fmt: skip
    assert isinstance(found, NoPlan)
    assert any("no machine mixed 77" in line for line in found.explanation)


def test_a_row_is_confirmed_as_the_plan_is() -> None:
    """What is confirmed holds on the longer look, and has every seed that an answer has."""
    loop = PlanningLoop(open_case(small("validation.seeds=3"), "colocated"), _silent)
    start = first(loop)
    assert isinstance(start, First)
    held = confirmed(loop, start)
    assert held is not None
    assert len(held[1].seeds) == 3
    assert held[1] == loop.judged(held[0])
    assert loop.holds(*held)


def test_machines_on_the_market_are_named_by_their_key() -> None:
    """A limit is named as the scenario spells it; ``availability`` is another key."""
    assert raise_words({"availability[dgx-h100]": (2.0, 3.0)}) == [
        "raise catalog.available.dgx-h100 from 2 to at least 3"
    ]


@given(st.floats(1e-3, 1e12))
def test_a_budget_raised_as_told_is_enough(needed: float) -> None:
    """The number that is read, to six digits, is not below what is needed, nor a hundred-thousandth above it."""
    (words,) = raise_words({"cost": (1e-4, needed)})
    read = float(words.rpartition(" ")[2])
    assert needed * (1 - 1e-9) <= read <= needed * (1 + 1.1e-5)


def test_formats_of_phases_say_which_phase() -> None:
    """Two formats are followed by the roles that serve in them; one format by none."""
    pools = [
        Served(
            pool=f"{role}/x/tp8",
            dtype=dtype,
            kv_dtype="fp8",
            engine="trtllm",
            engine_version="1.2",
            checkpoint="",
            stored="",
        )
        for role, dtype in (("prefill", "fp4"), ("decode", "fp8"))
    ]
    assert precision(pools) == "fp4 weights, fp8 KV cache (prefill), fp8 weights, fp8 KV cache (decode), trtllm 1.2"
    assert precision(pools[:1]) == "fp4 weights, fp8 KV cache, trtllm 1.2"


@pytest.mark.parametrize("verb", [check, lambda asked: plan(asked, progress=_silent)])
def test_a_failure_after_the_last_request_is_refused(verb: object) -> None:
    """It would never strike: the seconds that a simulation lasts are named."""
    assert callable(verb)
    late = "validation.failures=[{pool: mixed, at_s: 5.0}]"
    with pytest.raises(BadInput, match=r"validation.failures: found at_s 5; expected below 5, the seconds"):
        verb(small("policy.name=colocated", late))


def test_what_a_failure_costs_in_a_short_window_is_told() -> None:
    """Machines beyond those without failures, and the failing one, have a line; in a long window there are none."""
    asked = (
        "policy.name=colocated", "workload.rate_req_per_s=150", "slo={ttft_p99_s: 0.1, tbt_p99_s: 0.1}",
        "catalog.machines=[dgx-a100]", "validation.failures=[{pool: mixed, at_s: 2.0, repair_s: 60.0}]",
    )  # fmt: skip
    short, long = (
        plan(small(*asked, f"workload.duration_s={window_s}"), progress=_silent, with_margin=False)
        for window_s in (5, 100)
    )
    assert isinstance(short, ValidatedPlan)
    assert isinstance(long, ValidatedPlan)
    assert long.candidate.totals.machines == 2
    (words,) = [line for line in short.warnings if line.startswith("validation.failures")]
    assert f"2 machines would do, not {short.candidate.totals.machines}; of a window of 5 s ttft_p99_s" in words
    assert not [line for line in long.warnings if line.startswith("validation.failures")]
