"""What more may be chosen from never gives less: no machine type, and no chunk size, keeps out another."""

from functools import cache

import pytest

from planner.planning.loop import PlanningLoop
from planner.planning.plan import plan
from planner.resolve.case import open_case
from planner.results.evidence import ValidatedPlan
from planner.scenario import Scenario


def silent(_words: str, _done: float) -> None:
    """No progress is shown."""


def asked(*changes: str) -> Scenario:
    """First tokens that an L40S cannot keep to in small chunks, however little it is given."""
    lengths = {
        "prompt": {"median_tokens": 500, "p95_tokens": 1500},
        "output": {"median_tokens": 40, "p95_tokens": 100},
    }
    return Scenario.model_validate(
        {
            "name": "late",
            "model": {"name": "llama-3.1-8b"},
            "workload": {"lengths": lengths, "rate_req_per_s": 20, "duration_s": 60},
            "slo": {"ttft_p99_s": 0.25, "tpot_p99_s": 0.05},
            "catalog": {"machines": ["aws-g6e.xlarge", "dgx-a100"], "tp": [1]},
            "policy": {"name": "sarathi"},
            "validation": {"seeds": 1},
            "solver": {"search_evaluations": 0},
        }
    ).changed(changes)


@cache
def cost_usd_per_h(*changes: str) -> float | None:
    """Of the plan; None where there is none."""
    found = plan(asked(*changes), progress=silent, with_margin=False)
    return found.candidate.totals.cost_usd_per_h if isinstance(found, ValidatedPlan) else None


SMALL_CHUNKS = "policy.chunk_tokens=[512]"


def test_a_cheap_machine_that_stays_late_keeps_out_no_other() -> None:
    """The cheap type alone takes very many machines, or has no plan: with both allowed the dear one's is found."""
    dear = cost_usd_per_h(SMALL_CHUNKS, "catalog.machines=[dgx-a100]")
    both = cost_usd_per_h(SMALL_CHUNKS)
    assert dear is not None
    assert both is not None
    assert both <= dear


@pytest.mark.parametrize("size", [2048])
def test_a_chunk_that_costs_less_keeps_out_none_that_is_sooner(size: int) -> None:
    """Chunks of 512 tokens cost less of an instance and are late: larger ones are offered, and found, beside them."""
    alone = cost_usd_per_h("catalog.machines=[aws-g6e.xlarge]", f"policy.chunk_tokens=[{size}]")
    beside = cost_usd_per_h("catalog.machines=[aws-g6e.xlarge]", f"policy.chunk_tokens=[512, {size}]")
    assert alone is not None
    assert beside is not None
    assert beside <= alone


def bound(*changes: str) -> float:
    """What is proven of a question, dollars an hour."""
    longer = ("workload.lengths.output.median_tokens=80", "workload.lengths.output.p95_tokens=250")
    case = open_case(asked("workload.rate_req_per_s=60", "slo.ttft_p99_s=2", *longer, *changes), "sarathi")
    loop = PlanningLoop(case, silent)
    loop.prove()
    assert loop.bound is not None
    return loop.bound


@pytest.mark.parametrize("size", [512, 2048])
def test_a_bound_holds_for_every_chunk_that_may_be_chosen(size: int) -> None:
    """What is proven of all chunk sizes is no more than what is proven of one of them."""
    assert bound() <= bound(f"policy.chunk_tokens=[{size}]")


def test_limits_that_need_twice_the_machines_are_reached() -> None:
    """Close to the least latency of instances the rounds go as far as it takes: a cut a round ended far from there."""
    many = ("workload.rate_req_per_s=600", "workload.duration_s=10", "slo.ttft_p99_s=0.26", SMALL_CHUNKS)
    longer = ("workload.lengths.output.median_tokens=80", "workload.lengths.output.p95_tokens=250")
    alone = (*many, *longer, "catalog.machines=[aws-g6e.xlarge]")
    assert cost_usd_per_h(*alone) is not None
