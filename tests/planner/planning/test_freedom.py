"""More freedom: whatever a narrow question reaches, the wider one reaches within its stated gap."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.planning.plan import plan
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario.objectives import Objective
from tests.planner.small import small

FREEDOMS = {
    "model.dtype": ("bf16", "[bf16, fp8]", "any"),
    "model.kv_dtype": ("bf16", "[bf16, fp8]", "any"),
    "model.engine": ("vllm", "[vllm, trtllm]", "auto"),
    "policy.name": ("colocated", "[colocated, splitwise]", "auto"),
    "policy.chunk_tokens": ("[512]", "[512, 2048]", "[512, 1024, 2048]"),
    "catalog.tp": ("[1]", "[1, 2]", "[1, 2, 4]"),
    "catalog.clocks_mhz": ("null", "{dgx-h100: [1590]}", "{dgx-h100: [1200, 1590]}"),
    "catalog.caps_w": ("null", "{dgx-h100: [500]}", "{dgx-h100: [400, 500]}"),
}
"""Key -> one value, more, and all: each of these offers what those before it do."""

Widths = dict[str, int]


def _answer(widths: Widths, rate: int, objective: str) -> ValidatedPlan | NoPlan:
    """The plan of a small question in which each key offers so much."""
    goal = (f"objective={objective}", *(["budgets.cost_usd_per_h=45"] if objective == "throughput" else []))
    words = (f"{key}={FREEDOMS[key][width]}" for key, width in widths.items())
    question = small("catalog.machines=[dgx-h100]", f"workload.rate_req_per_s={rate}", *goal, *words)
    return plan(question, progress=lambda *_: None, with_margin=False)


@pytest.mark.slow
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    narrow=st.fixed_dictionaries({key: st.integers(0, 1) for key in FREEDOMS}),
    key=st.sampled_from(sorted(FREEDOMS)), rate=st.sampled_from([40, 200, 400]),
    objective=st.sampled_from(["cost", "power", "energy", "throughput"]),
)  # fmt: skip
@example(narrow=dict.fromkeys(FREEDOMS, 0), key="catalog.caps_w", rate=400, objective="power")
def test_more_freedom_never_costs_more_than_the_stated_gap(narrow: Widths, key: str, rate: int, objective: str) -> None:
    """A key that offers more gives an answer that is no worse by more than its gap, and a bound that still holds."""
    try:
        alone = _answer(narrow, rate, objective)
    except BadInput:  # what is asked was not measured together
        return
    free = _answer({**narrow, key: 2}, rate, objective)
    if isinstance(alone, NoPlan):
        return
    assert isinstance(free, ValidatedPlan), "a plan of the narrow question is one of the wide question"
    sign = -1 if free.objective == Objective.THROUGHPUT else 1
    assert free.certificate.bound is not None
    assert free.certificate.gap_frac is not None
    assert sign * free.certificate.bound <= sign * alone.objective_value + 1e-6 * abs(alone.objective_value)
    lost = sign * (free.objective_value - alone.objective_value) / abs(free.objective_value)
    assert lost <= free.certificate.gap_frac + 1e-6


def test_a_policy_that_fits_the_budgets_in_simulation_alone_is_tried_too() -> None:
    """Where the program of each policy has nothing within the budgets, the answer of both is the better plan."""
    asked = (
        "catalog.machines=[dgx-h100]", "budgets.machines=2", "objective=energy", "solver.search_evaluations=4",
        "workload.lengths={prompt: {median_tokens: 100, p95_tokens: 200}, output: {median_tokens: 10, p95_tokens: 10}}",
        "workload.rate_req_per_s=1900", "slo={ttft_p50_s: 0.3, tbt_p50_s: 0.3}",
    )  # fmt: skip
    found = [
        plan(small(*asked, f"policy.name={name}"), progress=lambda *_: None, with_margin=False)
        for name in ("sarathi", "[colocated, sarathi]")
    ]
    alone, both = (each.objective_value for each in found if isinstance(each, ValidatedPlan))
    assert both <= alone * (1 + 1e-6)
