"""Layouts between which the engine moves no KV cache never stand in one plan."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.formulate import problem
from planner.perf.layout import Layout, Role
from planner.planning.limits import parted
from planner.planning.loop import PlanningLoop
from planner.planning.plan import check, plan
from planner.planning.tighten import cluster
from planner.resolve.case import open_case
from planner.resolve.inputs import inputs_of
from planner.resolve.layouts import loadable
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.solve import solve
from tests.planner.options import envelope, machine, option
from tests.planner.small import small

LAYOUTS = [Layout(tp=1), Layout(tp=2), Layout(tp=4), Layout(tp=8)]
Pair = tuple[Layout, Layout]


@st.composite
def offers(draw: st.DrawFn) -> tuple[Option, ...]:
    """Prefill and decode options in a few layouts, of any price and speed."""
    found = []
    for role in (Role.PREFILL, Role.DECODE):
        for layout in draw(st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=3, unique=True)):
            busy_s = draw(st.integers(1, 20)) / 10
            work = envelope(prefill_s=busy_s) if role is Role.PREFILL else envelope(decode_s=busy_s)
            made = option(role, machine("box"), {"all": work}, price=draw(st.integers(1, 30)), per_machine=2)
            found.append(replace(made, spec=replace(made.spec, layout=layout)))
    return tuple(found)


def least(offered: Sequence[Option], apart: Sequence[Pair]) -> float | None:
    """The price of the cheapest machines; None where no machines do."""
    roles = {each.spec.role for each in offered}
    if roles != {Role.PREFILL, Role.DECODE}:
        return None
    program = problem(
        offered, {"all": 3.0}, budgets=Budgets(), headroom=Headroom(), objective=Objective.COST, available={},
        apart=apart,
    )  # fmt: skip
    return solve(program, gap_frac=0.0).termination.objective


@settings(max_examples=20, deadline=None)
@given(offered=offers(), apart=st.lists(st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)), max_size=8))
def test_the_optimum_is_the_best_of_all_that_fit_together(offered: tuple[Option, ...], apart: list[Pair]) -> None:
    """The program's optimum is the best of those over every set of prefill layouts and the decode layouts of all."""
    first = [each for each in offered if each.spec.role is Role.PREFILL]
    then = [each for each in offered if each.spec.role is Role.DECODE]
    values = []
    for count in range(1, len(first) + 1):
        for chosen in combinations(first, count):
            barred = {decode for prefill, decode in apart if any(each.spec.layout == prefill for each in chosen)}
            values.append(least([*chosen, *(each for each in then if each.spec.layout not in barred)], ()))
    known = [value for value in values if value is not None]
    assert least(offered, apart) == (pytest.approx(min(known)) if known else None)


def test_neighbours_of_a_plan_are_held_to_it_too() -> None:
    """A cluster that local search would try is refused before it is simulated, in words."""
    case = open_case(small("policy.name=splitwise", "catalog.tp=[4, 8]", "catalog.machines=[dgx-h100]"), "splitwise")
    pair = (Layout(tp=8), Layout(tp=4))
    loop = PlanningLoop(replace(case, apart=((pair, "no link"),)), lambda *_: None)
    machines = {"prefill/dgx-h100/tp8": 1, "decode/dgx-h100/tp4": 1}
    made = cluster("splitwise", machines, {"all": 1.0}, loop.options)
    assert not isinstance(made, str)
    assert any("sends no KV to decode/dgx-h100/tp4: no link" in words for words in loop.overloads(made))
    other = cluster("splitwise", {"prefill/dgx-h100/tp4": 1, "decode/dgx-h100/tp8": 1}, {"all": 1.0}, loop.options)
    assert not isinstance(other, str)
    assert parted(other, loop.case.apart) == ()


STAGES = ("policy.name=splitwise", "catalog.machines=[dgx-h100]", "catalog.tp=[4]", "workload.rate_req_per_s=5")


def test_layouts_that_exchange_no_kv_are_left_out_of_a_plan() -> None:
    """Stages and whole layouts on offer: the plan has no stages, for vLLM moves no KV of pipelines."""
    found = plan(small(*STAGES, "catalog.pp=[1, 2]"), progress=lambda *_: None, with_margin=False)
    assert isinstance(found, ValidatedPlan)
    assert {pool.spec.layout.pp for pool in found.candidate.pools} == {1}


def test_a_question_without_a_pair_is_refused_with_the_reason() -> None:
    """Nothing but stages on offer: there is no plan, and the limit of the engine is said, by ``check`` too."""
    question = small(*STAGES, "catalog.pp=[2]")
    found = plan(question, progress=lambda *_: None)
    assert isinstance(found, NoPlan)
    assert found.reason == "infeasible"
    assert "NixlConnector moves no KV of pipeline stages" in " ".join(found.explanation)
    assert any("NixlConnector moves no KV of pipeline stages" in words for words in check(question).warnings)


def test_layouts_that_the_checkpoint_does_not_load_on_are_not_offered() -> None:
    """Qwen3-235B's experts are 1,536 wide: eight GPUs cut the blocks of 128 that share a scale."""
    inputs = inputs_of(small("model.name=qwen3-235b-a22b", "model.dtype=fp8", "catalog.machines=[dgx-h100]"))
    profile = inputs.profiles[0]
    layouts = [(Layout(tp=4), profile), (Layout(tp=8), profile), (Layout(tp=8, ep=8), profile)]
    kept, excuses = loadable(inputs, inputs.machines[0], layouts)
    assert [layout.name for layout, _ in kept] == ["tp4", "tp8ep8"]
    assert [(e.option, e.bottleneck) for e in excuses] == [("*/dgx-h100/tp8", "engine")]
    assert "blocks of 128" in excuses[0].reason
