"""Whatever solver a scenario names, the program proposes the same machines and rates."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from planner.formulate import lift
from planner.planning.loop import PlanningLoop
from planner.resolve.case import Case, open_case
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from solvers.allocation import Reason

SCENARIOS = 12 if os.environ.get("PHASEWISE_LAWS") != "wide" else 60
"""Each is solved three times over, by SCIP in a process of its own."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scenarios on packaged machines: models, policies, lengths, objectives, budgets and availability at random."""
    policy = draw(st.sampled_from(["colocated", "splitwise"]))
    machines = draw(st.lists(st.sampled_from(["dgx-a100", "dgx-h100", "hgx-h200"]), min_size=1, unique=True))
    prompt, output = draw(st.sampled_from([200, 1500, 6000])), draw(st.sampled_from([50, 400]))
    lengths = {name: {"median_tokens": n, "p95_tokens": 3 * n} for name, n in (("prompt", prompt), ("output", output))}
    objective = draw(st.sampled_from(["cost", "power", "machines", "energy", "throughput"]))
    budgets: dict[str, float] = {}
    if objective == "throughput" or draw(st.booleans()):
        budgets = draw(st.sampled_from([{"machines": 12}, {"cost_usd_per_h": 250.0}, {"power_w": 90_000.0}]))
    question = {
        "schema_version": 1, "name": "three", "objective": objective, "budgets": budgets, "policy": {"name": policy},
        "model": {"name": draw(st.sampled_from(["llama-3.1-8b", "llama-3.1-70b"])), "dtype": "bf16"},
        "workload": {"rate_req_per_s": draw(st.integers(1, 80)) / 2, "duration_s": 5.0, "lengths": lengths},
        "slo": {"ttft_p90_s": 20.0, "tpot_p90_s": 1.0},
        "catalog": {"machines": machines, "tp": [1, 2, 4, 8],
                    "available": {machines[0]: 3} if draw(st.booleans()) and len(machines) > 1 else {}},
        "validation": {"seeds": 1}, "solver": {"time_limit_s": 60.0},
    }  # fmt: skip
    return open_case(Scenario.model_validate(json.loads(json.dumps(question))), policy)


def proposed(case: Case, backend: str) -> CandidatePlan | Reason:
    """The plan of the program, under a backend."""
    other = replace(case, scenario=case.scenario.changed([f"solver.backend={backend}"]))
    loop, headroom = PlanningLoop(other, lambda *_: None), case.scenario.headroom_limits()
    solution = loop.canonical(loop.problem(headroom))
    if solution.allocation is None:
        return solution.termination.reason
    return lift(solution, case.options, headroom=headroom, policy=case.policy.name)


@pytest.mark.slow
@settings(max_examples=SCENARIOS)
@given(cases())
def test_three_solvers_propose_the_same_plan(case: Case) -> None:
    """HiGHS, CBC and SCIP buy the same machines at the same rates on random scenarios, or prove there is none."""
    one, *others = [proposed(case, backend) for backend in ("highs", "cbc", "mathopt")]
    event("a plan" if isinstance(one, CandidatePlan) else f"{one}")
    for other in others:
        if isinstance(one, CandidatePlan) and isinstance(other, CandidatePlan):
            assert (one.pools, one.totals, one.rate_scale) == (other.pools, other.totals, other.rate_scale)
        else:
            assert one == other
