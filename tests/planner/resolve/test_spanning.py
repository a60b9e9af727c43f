"""Laws of replicas that span machines: machines are bought, saved and swapped by the replica."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.errors import BadInput
from planner.formulate import lift, problem
from planner.perf.layout import Layout, Role
from planner.planning.tighten import cheaper_pools, smaller
from planner.resolve.case import open_case
from planner.results.plan import CandidatePlan
from planner.scenario import Scenario
from planner.scenario.objectives import Budgets, Headroom, Objective
from solvers.solve import solve
from tests.architecture.sources import ROOT
from tests.planner.options import envelope, machine, option

HEADROOM = Headroom()


def spanning(machines: int, *, busy_s: float = 0.5, price: float = 10.0, name: str = "m") -> Option:
    """A mixed replica of so many machines."""
    one = option(Role.MIXED, machine(name), {"all": envelope(prefill_s=busy_s, kv_tokens_s=100.0)}, price=price)
    spec = replace(one.spec, layout=Layout(tp=8, pp=machines))
    return replace(one, spec=spec, machines_per_instance=machines)


def planned(options: list[Option], rate_req_per_s: float) -> CandidatePlan:
    """The cheapest plan for a rate."""
    program = problem(
        options, {"all": rate_req_per_s}, budgets=Budgets(), headroom=HEADROOM, objective=Objective.COST, available={}
    )
    solution = solve(program, backend="highs", time_limit_s=30.0, gap_frac=1e-6)
    return lift(solution, options, headroom=HEADROOM, policy="colocated")


@settings(deadline=None)
@given(span=st.integers(1, 4), rate=st.floats(0.1, 30.0))
def test_machines_are_bought_by_the_replica(span: int, rate: float) -> None:
    """A plan has as many machines as its replicas span, no fewer than its load needs and no replica too many."""
    pool = planned([spanning(span)], rate).pools[0]
    assert pool.machines == span * pool.instances
    assert pool.load_frac <= HEADROOM.mixed_frac + 1e-6
    assert rate * 0.5 / HEADROOM.mixed_frac > pool.instances - 1 - 1e-6


def test_a_smaller_plan_has_a_replica_less() -> None:
    """One step smaller means one replica less, with all its machines, and none of half a replica."""
    options = {o.spec.name: o for o in [spanning(2)]}
    plan = planned(list(options.values()), 5.0)
    pool = plan.pools[0]
    less = smaller(plan, pool.spec.name, 1, options)
    assert less is not None
    assert (less.pools[0].machines, less.pools[0].instances) == (pool.machines - 2, pool.instances - 1)
    assert smaller(plan, pool.spec.name, pool.instances + 1, options) is None


def test_a_cheaper_pool_is_made_of_whole_replicas() -> None:
    """A pool that takes over work has as many machines as its replicas span."""
    dear, cheap = spanning(1, price=50.0), spanning(2, price=10.0, name="n", busy_s=0.3)
    options = {o.spec.name: o for o in (dear, cheap)}
    plan = planned([dear], 5.0)
    offers = list(cheaper_pools(plan, dear.spec.name, Objective.COST, options))
    assert offers
    for other, _, machines in offers:
        assert machines % 2 == 0
        assert other.pools[0].instances * 2 == machines


def load(words: list[str]) -> Scenario:
    """The chunked example, changed."""
    return Scenario.load(ROOT / "planner" / "examples" / "sarathi-conv.yaml", words)


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (["catalog.pp=[3,7]"], "3 stages do not divide the 80 layers of llama-3.1-70b; expected one of 1, 2, 4, 5"),
        (["catalog.pp=[3,7]"], "7 stages do not divide"),
    ],
)
def test_uneven_stages_are_bad_input(words: list[str], finding: str) -> None:
    """A number of stages that does not divide the layers is named, with those that do."""
    with pytest.raises(BadInput, match=finding):
        open_case(load(words), "sarathi")


@pytest.mark.parametrize("stages", ["[0]", "[-2]", "[]"])
def test_stages_are_counted_from_one(stages: str) -> None:
    """No stage at all, or fewer, is a finding about ``catalog.pp``."""
    with pytest.raises(BadInput, match=r"catalog\.pp"):
        load([f"catalog.pp={stages}"])


def test_layouts_of_stages_share_a_machine_or_fill_several() -> None:
    """Stages are offered within a machine and over whole ones; what does neither is excused."""
    case = open_case(load(["catalog.tp=[4,8]", "catalog.pp=[1,2,5]", "policy.chunk_tokens=[512]"]), "sarathi")
    found = {(o.spec.layout.name, o.instances_per_machine, o.machines_per_instance) for o in case.options}
    assert {("tp4", 2, 1), ("tp4pp2", 1, 1), ("tp8pp2", 1, 2), ("tp8pp5", 1, 5)} <= found
    assert any(e.option.endswith("tp4pp5") and "neither divide" in e.reason for e in case.excuses)
    by_name: Callable[[str], Option] = lambda layout: next(o for o in case.options if o.spec.layout.name == layout)  # noqa: E731
    one, two = by_name("tp8"), by_name("tp8pp2")
    busy = [sum((o.envelopes["all"].prefill_s, o.envelopes["all"].decode_s)) for o in (one, two)]
    assert busy[1] == pytest.approx(busy[0] / 2, rel=0.05)
    assert two.kv_tokens > 2 * one.kv_tokens
