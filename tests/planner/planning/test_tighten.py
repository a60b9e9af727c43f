"""Laws of revisions: limits fall below what was planned, work is kept when machines go, sums add up."""

from collections import Counter
from dataclasses import astuple, replace
from math import inf
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planner.capacity.envelope import Option
from planner.perf.layout import Role
from planner.planning.overloads import overloads
from planner.planning.tighten import (
    LARGEST_STEP,
    SMALLEST_STEP,
    balanced,
    cheaper_pools,
    faster,
    price,
    smaller,
    tighten,
)
from planner.results.evidence import Evidence, Judgement, Verdict
from planner.results.plan import CandidatePlan, Pool, Totals
from planner.results.use import PoolUse
from planner.scenario.objectives import Headroom, Objective
from tests.planner import plans
from tests.planner.options import showcase
from workloads.slo import Slo

OPTIONS = {option.spec.name: option for option in showcase()}
OBJECTIVES = st.sampled_from([Objective.COST, Objective.POWER, Objective.MACHINES])


def pool(option: Option, machines: int, rates: dict[str, float]) -> Pool:
    """A pool with the loads that its envelopes predict."""
    instances = machines * option.instances_per_machine
    work = [(rate, option.envelopes[name]) for name, rate in rates.items()]
    return Pool(
        spec=option.spec, instances=instances, machines=machines, rate_req_per_s=rates,
        load_frac=sum(rate * (e.prefill_s + e.decode_s) for rate, e in work) / instances,
        kv_load_frac=sum(rate * e.kv_tokens_s for rate, e in work) / (option.kv_tokens * instances),
    )  # fmt: skip


def candidate(pools: tuple[Pool, ...]) -> CandidatePlan:
    """A candidate of pools, its totals added up here."""
    pools = tuple(sorted(pools, key=lambda p: p.spec.name))
    bought = [(p.machines, OPTIONS[p.spec.name]) for p in pools]
    watts = [(o.expected_w(n, p.rate_req_per_s), o) for p, (n, o) in zip(pools, bought, strict=True)]
    return replace(
        plans.candidate(),
        pools=pools,
        totals=Totals(
            cost_usd_per_h=sum(n * o.price_usd_per_h for n, o in bought),
            power_w=sum(n * o.machine.rated_w for n, o in bought),
            rack_units=sum(n * o.machine.rack_units for n, o in bought),
            machines=sum(n for n, _ in bought),
            gpus=sum(n * o.machine.gpus for n, o in bought),
            expected_power_w=sum(w for w, _ in watts),
            carbon_g_per_h=sum(3600 * w * o.carbon_g_per_j for w, o in watts),
        ),
    )


def added(made: CandidatePlan) -> Any:
    """Its totals but for rounding: from Python 3.12 on ``sum`` rounds once, not at every term."""
    return pytest.approx(astuple(made.totals), rel=1e-12)


@st.composite
def candidates(draw: st.DrawFn) -> CandidatePlan:
    """One to four pools, each serving some of the classes that its option can."""
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=4, unique=True))
    found = []
    for name in names:
        served = draw(st.lists(st.sampled_from(sorted(OPTIONS[name].envelopes)), min_size=1, unique=True))
        rates = {each: draw(st.floats(0.01, 20.0)) for each in served}
        found.append(pool(OPTIONS[name], draw(st.integers(1, 30)), rates))
    return candidate(tuple(found))


def routed(plan: CandidatePlan) -> Counter[tuple[Role, str]]:
    """Requests per second by role and class."""
    rates = Counter[tuple[Role, str]]()
    for each in plan.pools:
        for name, rate in each.rate_req_per_s.items():
            rates[each.spec.role, name] += rate  # type: ignore[assignment]
    return rates


@given(plan=candidates(), fewer=st.integers(1, 30), data=st.data())
def test_fewer_machines_keep_the_work(plan: CandidatePlan, fewer: int, data: st.DataObject) -> None:
    """Taking machines away leaves every role and class its rate, and the totals and loads are those of what is left."""
    name = data.draw(st.sampled_from([p.spec.name for p in plan.pools]))
    less = smaller(plan, name, fewer, OPTIONS)
    assume(less is not None)
    assert less is not None
    assert less.totals.machines == plan.totals.machines - fewer
    assert dict(routed(less)) == pytest.approx(dict(routed(plan)))
    again = candidate(tuple(pool(OPTIONS[p.spec.name], p.machines, dict(p.rate_req_per_s)) for p in less.pools))
    assert astuple(less.totals) == added(again)
    for one, other in zip(less.pools, again.pools, strict=True):
        assert (one.spec, one.instances) == (other.spec, other.instances)
        assert one.load_frac == pytest.approx(other.load_frac)
        assert one.kv_load_frac == pytest.approx(other.kv_load_frac)


@given(plan=candidates(), data=st.data())
def test_a_pool_goes_only_where_others_inherit(plan: CandidatePlan, data: st.DataObject) -> None:
    """The last machine of a pool can go if and only if other pools of its role can serve each of its classes."""
    gone = data.draw(st.sampled_from(plan.pools))
    heirs = [p for p in plan.pools if p.spec != gone.spec and p.spec.role is gone.spec.role]
    able = all(any(c in OPTIONS[h.spec.name].envelopes for h in heirs) for c in gone.rate_req_per_s)
    less = smaller(plan, gone.spec.name, gone.machines, OPTIONS)
    assert (less is not None) == (bool(heirs) and able)
    if less is not None:
        assert gone.spec.name not in {p.spec.name for p in less.pools}
        assert all(set(p.rate_req_per_s) <= set(OPTIONS[p.spec.name].envelopes) for p in less.pools)


@given(plan=candidates(), more=st.integers(1, 5))
def test_no_pool_gives_more_than_it_has(plan: CandidatePlan, more: int) -> None:
    """A pool that is not there, or has fewer machines than are to go, gives none."""
    first = plan.pools[0]
    assert smaller(plan, first.spec.name, first.machines + more, OPTIONS) is None
    assert smaller(plan, "decode/nowhere/tp8", 1, OPTIONS) is None


@given(plan=candidates(), data=st.data(), run_faster=st.booleans())
def test_no_limit_is_below_what_is_left(plan: CandidatePlan, data: st.DataObject, run_faster: bool) -> None:
    """The limits told of a smaller or faster plan are those it came from, or its own loads where these are higher."""
    gone = data.draw(st.sampled_from(plan.pools))
    less = (
        faster(plan, 1.3, OPTIONS)
        if run_faster
        else smaller(plan, gone.spec.name, data.draw(st.integers(1, gone.machines)), OPTIONS)
    )
    assume(less is not None)
    assert less is not None
    for role in Role:
        loads = [p.load_frac for p in less.pools if p.spec.role is role]
        assert less.headroom.of(role) == min(1.0, max([plan.headroom.of(role), *loads]))
    held = [p.kv_load_frac for p in less.pools]
    assert less.headroom.kv_frac == min(1.0, max([plan.headroom.kv_frac, *held]))


@given(plan=candidates(), factor=st.floats(0.1, 3.0))
def test_a_faster_plan_carries_the_factor_everywhere(plan: CandidatePlan, factor: float) -> None:
    """Serving more on the same machines multiplies rates and loads alike, and buys nothing."""
    more = faster(plan, factor, OPTIONS)
    assert astuple(more.totals) == added(candidate(more.pools))
    assert more.rate_scale == plan.rate_scale * factor
    assert (more.totals.machines, more.totals.cost_usd_per_h) == (plan.totals.machines, plan.totals.cost_usd_per_h)
    assert dict(routed(more)) == pytest.approx({key: rate * factor for key, rate in routed(plan).items()})
    for one, other in zip(more.pools, plan.pools, strict=True):
        assert (one.spec, one.instances) == (other.spec, other.instances)
        assert one.load_frac == pytest.approx(other.load_frac * factor)
        assert one.kv_load_frac == pytest.approx(other.kv_load_frac * factor)


@given(plan=candidates(), objective=OBJECTIVES, data=st.data())
def test_replacements_are_better(plan: CandidatePlan, objective: Objective, data: st.DataObject) -> None:
    """A pool's replacement does the same work on another option of its role, for less; what it carries is simulated."""
    old = data.draw(st.sampled_from(plan.pools))
    found = list(cheaper_pools(plan, old.spec.name, objective, OPTIONS))
    assert [price(objective, c.totals) for c, _, _ in found] == sorted(price(objective, c.totals) for c, _, _ in found)
    for other, name, machines in found:
        new = next(p for p in other.pools if p.spec.name == name)
        assert price(objective, other.totals) < price(objective, plan.totals)
        assert (new.machines, new.spec.role) == (machines, old.spec.role)
        assert new.rate_req_per_s == old.rate_req_per_s
        assert astuple(other.totals) == added(candidate(other.pools))


def judged(slo: str, verdict: Verdict, measured_s: float, limit_s: float, *, wait_s: float = 0.1) -> Judgement:
    """A judgement with one objective."""
    found = Evidence(
        slo=Slo.named(slo, limit_s), measured=measured_s, low=measured_s * 0.9, high=measured_s * 1.1,
        verdict=verdict, n=1000,
    )  # fmt: skip
    base = plans.judgement()
    return replace(base, evidence=(found,), latency_s={**base.latency_s, "ttft_p99_s": wait_s})


@given(
    limit_frac=st.floats(0.1, 1.0), load=st.floats(0.05, 1.5), measured_s=st.floats(0.01, 100.0),
    worse=st.floats(1.0, 10.0), verdict=st.sampled_from([Verdict.MISSED, Verdict.UNDECIDED]),
)  # fmt: skip
def test_a_limit_falls_below_what_was_planned(
    limit_frac: float, load: float, measured_s: float, worse: float, verdict: Verdict
) -> None:
    """Whatever was not met lowers its role's limit below the planned load and below itself, the more the worse.

    The same plan thus cannot come back, and no other role is touched.
    """
    plan = candidate(tuple(pool(o, 1, {"short": 1.0}) for o in showcase()[:2]))
    plan = replace(plan, pools=tuple(replace(p, load_frac=load) for p in plan.pools))
    headroom = Headroom(decode_frac=limit_frac)
    after = tighten(headroom, plan, judged("tbt_p99_s", verdict, measured_s, 0.1))
    planned = min(limit_frac, load)
    assert LARGEST_STEP * planned * (1 - 1e-9) <= after.decode_frac <= SMALLEST_STEP * planned * (1 + 1e-9)
    assert replace(after, decode_frac=limit_frac) == headroom
    if measured_s <= 0.1:
        assert after.decode_frac == pytest.approx(SMALLEST_STEP * planned)
    deeper = tighten(headroom, plan, judged("tbt_p99_s", verdict, measured_s * worse, 0.1))
    assert deeper.decode_frac <= after.decode_frac


@given(load=st.floats(0.05, 1.0), measured_frac=st.floats(0.0, 1.0), n=st.integers(1, 10**6))
def test_fewer_observations_never_lower_the_load(load: float, measured_frac: float, n: int) -> None:
    """What is measured within its limit costs at most a nudge, and nothing at all where observations are lacking.

    The interval of few observations has no upper end, that of more of them has one beyond the limit.
    """
    plan = candidate(tuple(pool(o, 1, {"short": 1.0}) for o in showcase()[:2]))
    plan = replace(plan, pools=tuple(replace(p, load_frac=load) for p in plan.pools))
    open_ended = judged("tbt_p99_s", Verdict.UNDECIDED, measured_frac * 0.1, 0.1)
    few, many = (
        tighten(Headroom(), plan, replace(open_ended, evidence=(replace(open_ended.evidence[0], high=high, n=n),)))
        for high in (inf, 0.2)
    )
    assert many.decode_frac == pytest.approx(SMALLEST_STEP * min(load, Headroom().decode_frac))
    assert few.decode_frac >= many.decode_frac


@pytest.mark.parametrize(
    ("slo", "wait_s", "role"),
    [
        ("ttft_p99_s", 0.1, Role.PREFILL),
        ("tbt_p99_s", 0.1, Role.DECODE),
        ("tpot_p50_s", 0.1, Role.DECODE),
        ("e2e_p90_s", 0.1, Role.DECODE),
        ("e2e_p90_s", 0.9, Role.DECODE),
        ("e2e_p90_s", 1.1, Role.PREFILL),
        ("long:ttft_p99_s", 0.1, Role.PREFILL),
        ("long:tbt_p99_s", 0.9, Role.DECODE),
    ],
)
def test_the_phase_to_blame_is_tightened(slo: str, wait_s: float, role: Role) -> None:
    """Prefill answers for first tokens, decode for gaps, and for the whole whichever took the larger part of it."""
    plan = candidate(tuple(pool(o, 1, {"short": 1.0}) for o in showcase()[:2]))
    after = tighten(Headroom(), plan, judged(slo, Verdict.MISSED, 2.0, 1.0, wait_s=wait_s))
    assert [r for r in Role if after.of(r) < Headroom().of(r)] == [role]


def test_mixed_pools_answer_for_everything() -> None:
    """Where one pool does both phases, it is the one to blame."""
    plan = candidate((pool(OPTIONS["mixed/slow-8/tp4"], 2, {"short": 1.0}),))
    after = tighten(Headroom(), plan, judged("ttft_p99_s", Verdict.MISSED, 2.0, 1.0))
    assert [r for r in Role if after.of(r) < Headroom().of(r)] == [Role.MIXED]


def test_a_growing_backlog_nudges_the_busiest() -> None:
    """Where every objective is met and the plan is not valid all the same, the busiest pool's role is tightened."""
    plan = candidate(tuple(pool(o, 1, {"short": 1.0}) for o in showcase()[:2]))
    use = [
        PoolUse(
            pool=p.spec.name, busy_frac=busy_frac, kv_peak_frac=0.5, kv_mean_frac=0.4, batch_mean=3.0,
            queue_mean_tokens=0.0, preemptions=0,
        )
        for p, busy_frac in zip(plan.pools, (0.5, 0.99), strict=True)
    ]  # fmt: skip
    met = judged("ttft_p99_s", Verdict.MET, 0.5, 1.0)
    after = tighten(Headroom(), plan, replace(met, steady=False, pools=tuple(use)))
    assert [r for r in Role if after.of(r) < Headroom().of(r)] == [plan.pools[1].spec.role]


@given(made=candidates())
def test_balancing_keeps_the_work_and_evens_the_load(made: CandidatePlan) -> None:
    """Balancing moves rates, not machines; pools of a role that all serve every class end up equally busy."""
    even = balanced(made, OPTIONS, OPTIONS)
    for role in Role:
        before, after = ([p for p in plan.pools if p.spec.role is role] for plan in (made, even))
        assert [(p.spec, p.machines) for p in before] == [(p.spec, p.machines) for p in after]
        rates = [sum((Counter(p.rate_req_per_s) for p in pools), Counter()) for pools in (before, after)]
        assert rates[1] == pytest.approx(rates[0])
        if even is not made and all(c in OPTIONS[p.spec.name].envelopes for p in before for c in rates[0]):
            assert [p.load_frac for p in after] == pytest.approx([after[0].load_frac] * len(after) if after else [])
    assert not overloads(even, OPTIONS) or even is made


@given(made=candidates(), factor=st.floats(1.0, 20.0))
def test_more_than_a_pool_carries_is_an_overload(made: CandidatePlan, factor: float) -> None:
    """A pool is named exactly when its planned load or KV share is above what it can carry."""
    pushed = faster(made, factor, OPTIONS)
    named = {line.split()[0] for line in overloads(pushed, OPTIONS)}
    assert named == {p.spec.name for p in pushed.pools if max(p.load_frac, p.kv_load_frac) > 1 + 1e-9}
