"""The same question in other precisions and on other engines: what the integer program alone would pay."""

from collections.abc import Iterator
from pathlib import Path

from hw_catalog.profile_files import load_profiles
from planner.errors import BadInput
from planner.formulate import lift
from planner.planning.loop import PlanningLoop
from planner.planning.tighten import price
from planner.policies.presets import NAMES
from planner.resolve.case import open_case
from planner.resolve.inputs import Inputs, inputs_of
from planner.results.plan import CandidatePlan
from planner.results.precision import Elsewise
from planner.scenario import Scenario
from planner.scenario.objectives import Objective

MOST = 16
"""Combinations that are looked at; models with more kernel profiles than that do not ship."""


def elsewise(question: Scenario | Inputs, chosen: CandidatePlan) -> tuple[Elsewise, ...]:
    """What the question would cost in every other precision and on every other engine with kernel profiles.

    One program is solved for each under every policy that the scenario leaves open, at its load limits; the simulator
    sees none of them. Combinations that cannot serve the workload are left out.

    Args:
        question: the scenario, or what was read of it; what it says of precision and engine is varied.
        chosen: the plan, which is left out itself.

    Returns:
        The best first.
    """
    inputs = inputs_of(question)
    scenario = inputs.scenario
    sign = -1 if scenario.objective is Objective.THROUGHPUT else 1
    policies = NAMES if scenario.policy.name == "auto" else (chosen.policy,)
    found = []
    for each in _others(inputs):
        optima = [row for policy in policies for row in _optimum(each, policy)]
        found += [min(optima, key=lambda row: sign * row.objective_value)] if optima else []
    return tuple(sorted(found, key=lambda row: (sign * row.objective_value, row.profile_set, row.dtype, row.kv_dtype)))


def _others(inputs: Inputs) -> Iterator[Scenario]:
    """The question in each other precision and set of kernel profiles."""
    scenario = inputs.scenario
    directory = Path(scenario.catalog.directory) if scenario.catalog.directory else None
    gpus = {machine.gpu.profile_gpu for machine in inputs.machines}
    profiles = [p for p in load_profiles(directory, model=scenario.model.name) if p.gpu in gpus]
    used = (scenario.model.profile_set, inputs.dtype, inputs.kv_dtype)
    ways = sorted({(p.profile_set, p.dtype, p.kv_dtype) for p in profiles} - {used})
    for profile_set, dtype, kv_dtype in ways[:MOST]:
        section = scenario.model.model_copy(
            update={"profile_set": profile_set, "dtype": dtype, "kv_dtype": kv_dtype}
        )  # fmt: skip
        yield scenario.model_copy(update={"model": section})


def _optimum(scenario: Scenario, policy: str) -> Iterator[Elsewise]:
    """The program's optimum of one combination under a policy; nothing where it has none."""
    try:
        case = open_case(scenario, policy)
    except BadInput:  # for example a reference that this set of profiles does not hold
        return
    loop = PlanningLoop(case, lambda _words, _done: None)
    headroom = scenario.headroom_limits()
    solution = loop.solve(loop.problem(headroom)) if case.options else None
    if solution is None or solution.allocation is None:
        return
    plan = lift(solution, case.options, headroom=headroom, policy=policy)
    profile = case.profiles[plan.pools[0].spec.name]
    rate = case.asked.rate_req_per_s * plan.rate_scale
    value = rate if scenario.objective is Objective.THROUGHPUT else price(scenario.objective, plan.totals)
    yield Elsewise(
        dtype=profile.dtype, kv_dtype=profile.kv_dtype, profile_set=profile.profile_set, engine=profile.engine,
        engine_version=profile.engine_version, objective_value=value, cost_usd_per_h=plan.totals.cost_usd_per_h,
        machines=plan.totals.machines, policy=policy,
    )  # fmt: skip
