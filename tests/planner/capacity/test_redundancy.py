"""Spare machines: how many it takes, and how often enough machines are up."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from planner.capacity.redundancy import (
    Reliability,
    Rule,
    Stock,
    at_most,
    enough_frac,
    least_spares,
    lost_machines,
    racks,
    spares,
    up_frac,
    with_spares,
)
from planner.perf.layout import Role
from planner.scenario.objectives import Objective

RULE = Rule(
    target_frac=0.999, spares={}, objective=Objective.COST, rack_machines=4, rack_down_frac=2e-4,
    rack_failures_per_h=5e-5, domains=1, domain_down_frac=3e-4, domain_failures_per_h=5e-5,
)  # fmt: skip
EACH = Reliability(down_frac=0.004, failures_per_h=1 / 6000, maintained_frac=0.0, rule=RULE)

Needed = list[tuple[Role, Stock, float]]


def needed(*pools: int, rule: Rule = RULE, span: int = 1, each: Reliability = EACH) -> Needed:
    """Pools that need so many machines, each worth the same."""
    own = replace(each, rule=rule)
    return [(Role.MIXED, Stock(machines=n, needed=n, span=span, each=own), 10.0) for n in pools]


rules = st.builds(
    Rule, target_frac=st.floats(0.9, 0.9995), spares=st.just({}), objective=st.just(Objective.COST),
    rack_machines=st.integers(1, 8), rack_down_frac=st.floats(0, 0.002), rack_failures_per_h=st.just(1e-4),
    domains=st.integers(1, 3), domain_down_frac=st.floats(0, 3e-4), domain_failures_per_h=st.just(1e-4),
)  # fmt: skip
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=3)


@given(rules, sizes, st.floats(0, 0.02))
def test_spares_are_enough_and_none_is_below_zero(rule: Rule, pools: list[int], down_frac: float) -> None:
    """The plan with its spares is up as often as asked for, and no pool has fewer machines than it needs."""
    asked = needed(*pools, rule=rule, each=replace(EACH, down_frac=down_frac))
    found = spares(asked)
    assert found is not None
    assert min(found) >= 0
    assert up_frac(with_spares(asked, found), rule) >= rule.target_frac


HALVES = replace(RULE, target_frac=0.94, rack_machines=2, rack_down_frac=0.0016, domains=2)


@example(HALVES, [8, 11, 4], 0.0052, 0.9995)  # each pool must stand in one domain alone: many ways to share spares
@given(rules, sizes, st.floats(0, 0.02), st.floats(0.5, 0.9995))
def test_more_nines_never_need_fewer_machines(rule: Rule, pools: list[int], down_frac: float, other: float) -> None:
    """A larger share of time never takes fewer machines of one price."""
    each = replace(EACH, down_frac=down_frac)
    counts = [
        spares(needed(*pools, rule=replace(rule, target_frac=target), each=each))
        for target in sorted((rule.target_frac, other))
    ]
    assert counts[0] is not None
    assert counts[1] is not None
    assert sum(counts[0]) <= sum(counts[1])


SMALL_RACKS = replace(RULE, target_frac=0.9995, rack_machines=1, rack_down_frac=8.5e-4, domains=2)


MANY_DOMAINS = replace(RULE, target_frac=0.995, domains=20)


@example(MANY_DOMAINS, [1], 0.004)  # one machine stands in one domain, whatever the others do
@example(SMALL_RACKS, [1, 3], 0.0053)  # one domain of two is down too often, and half of each pool is in the other
@given(rules, st.lists(st.integers(1, 6), min_size=1, max_size=2), st.floats(0, 0.02))
def test_no_cheaper_spares_are_enough(rule: Rule, pools: list[int], down_frac: float) -> None:
    """Of all ways to share out fewer machines, tried one by one, none is up as often as asked for."""
    asked = needed(*pools, rule=rule, each=replace(EACH, down_frac=down_frac))
    found = spares(asked)
    assert found is not None
    for less in product(range(sum(found)), repeat=len(pools)):
        if sum(less) < sum(found):
            assert up_frac(with_spares(asked, less), rule) < rule.target_frac


@example(MANY_DOMAINS, 1, 0.004)
@given(rules, st.integers(1, 12), st.floats(0, 0.02))
def test_spares_never_fall_below_what_the_program_asks_for(rule: Rule, machines: int, down_frac: float) -> None:
    """The program's line is a true bound: the fewest spares of a pool lie on it or above."""
    each = replace(EACH, down_frac=down_frac, rule=rule)
    found = spares(needed(machines, rule=rule, each=each))
    assert found is not None
    fixed, ratio = least_spares(Role.MIXED, 1, each)
    assert found[0] >= fixed - 1e-9
    assert found[0] >= ratio * (machines + found[0]) - 1e-9


def test_spares_of_every_role_are_kept() -> None:
    """Spares that a scenario names are on top of each pool of the role, however seldom machines fail."""
    rule = replace(RULE, target_frac=0.0, spares={Role.MIXED: 2})
    assert spares(needed(5, 3, rule=rule)) == (2, 2)


def test_instances_over_several_machines_fail_whole() -> None:
    """Where one instance stands on two machines, spares are pairs, for either machine takes both."""
    found = spares(needed(8, span=2))
    assert found is not None
    assert found[0] % 2 == 0
    assert found[0] >= 2


def test_a_pool_beyond_one_domain_survives_it() -> None:
    """A share of time in which one of two domains is down takes half of the machines in each of them."""
    rule = replace(RULE, target_frac=0.9999, domains=2)
    found = spares(needed(6, rule=rule))
    assert found is not None
    assert found[0] >= 6


def test_one_domain_is_not_up_often_enough() -> None:
    """No number of machines in one domain is up more often than the domain."""
    assert spares(needed(4, rule=replace(RULE, target_frac=0.9999))) is None
    assert not replace(RULE, target_frac=0.9999).reachable()
    assert replace(RULE, target_frac=0.9999, domains=2).reachable()


def test_maintenance_by_turns_takes_one_machine_at_a_time() -> None:
    """One of ten machines out of service at any time is one spare on top, not a chance of several."""
    rule = replace(RULE, target_frac=0.99, rack_down_frac=0.0, domain_down_frac=0.0)
    still = replace(EACH, down_frac=0.0, maintained_frac=0.1, rule=rule)
    assert spares(needed(9, rule=rule, each=still)) == (1,)


def test_seconds_after_failures_count() -> None:
    """Objectives missed for a minute after each failure are a minute of each time between failures."""
    stocks, late = with_spares(needed(20), (4,)), replace(RULE, recovery_s=60.0)
    per_h = 24 / 6000 + 6 * 5e-5 + 5e-5
    assert up_frac(stocks, RULE) - up_frac(stocks, late) == pytest.approx(per_h * 60 / 3600)


@given(st.integers(1, 60), st.integers(1, 20))
def test_racks_share_a_pool_evenly(machines: int, count: int) -> None:
    """The fullest racks hold as many machines as any, and all racks hold all of them."""
    assert lost_machines(machines, count, count) == machines
    assert lost_machines(machines, 1, count) == -(-machines // count)


def test_binomial_by_hand() -> None:
    """No more than one of three down at a tenth each: 0.9³ + 3·0.1·0.9²."""
    assert at_most(3, 1, 0.1) == pytest.approx(0.9**3 + 3 * 0.1 * 0.9**2)
    assert at_most(3, -1, 0.1) == 0.0
    assert at_most(2, 5, 0.3) == pytest.approx(1.0)


def _up(rng: np.random.Generator, moments_h: NDArray[np.float64], mtbf_h: float, mttr_h: float) -> NDArray[np.bool_]:
    """Whether a component is up at each moment: it runs and is repaired for exponential times in turn."""
    turns = int(2.5 * moments_h[-1] / (mtbf_h + mttr_h)) + 50
    lengths = rng.exponential(np.where(np.arange(turns) % 2, mttr_h, mtbf_h))
    started_up = rng.random() < mtbf_h / (mtbf_h + mttr_h)
    ends = np.cumsum(lengths if started_up else lengths[1:])
    after = np.searchsorted(ends, moments_h)
    return after % 2 == (0 if started_up else 1)


def _seen(pools: tuple[int, ...], up: tuple[int, ...]) -> tuple[float, float, float]:
    """The share computed, that of a long run of failing and repaired parts, and four standard errors of it."""
    rng = np.random.default_rng(7)
    moments_h = np.arange(1, 20_001) * 60.0
    rule = replace(RULE, rack_down_frac=5 / 505, domain_down_frac=4 / 1004)
    each = replace(EACH, down_frac=20 / 420, rule=rule)
    count = racks(sum(pools), rule)
    stood = np.array([_up(rng, moments_h, 500, 5) for _ in range(count)])
    enough = _up(rng, moments_h, 1000, 4)
    for machines, least in zip(pools, up, strict=True):
        each_up = np.array([_up(rng, moments_h, 400, 20) & stood[k % count] for k in range(machines)])
        enough &= each_up.sum(axis=0) >= least
    stocks = [Stock(machines=n, needed=k, span=1, each=each) for n, k in zip(pools, up, strict=True)]
    share = float(enough.mean())
    return enough_frac(stocks, rule), share, 4 * float(np.sqrt(share * (1 - share) / len(moments_h)))


@pytest.mark.parametrize(("pools", "up"), [((8, 8), (6, 6)), ((12,), (9,)), ((18, 6), (14, 4))])
def test_share_of_time_is_that_of_failing_and_repaired_machines(pools: tuple[int, ...], up: tuple[int, ...]) -> None:
    """Machines, racks and a domain that fail and are repaired leave enough for as much of the time as is computed."""
    computed, seen, error = _seen(pools, up)
    assert computed == pytest.approx(seen, abs=error)


@pytest.mark.parametrize(("pools", "up"), [((8, 4), (6, 3)), ((7,), (5,))])
def test_racks_of_unequal_shares_are_counted_as_the_fullest(pools: tuple[int, ...], up: tuple[int, ...]) -> None:
    """Where racks hold unequally many machines of a pool, no more than the true share of time is computed."""
    computed, seen, error = _seen(pools, up)
    assert computed <= seen + error
    assert computed > seen - 0.02


def _exactly_up(stocks: list[Stock], rule: Rule) -> float:
    """The share of time by every state of every domain and rack, instances dealt to racks in turn, these to domains.

    What is down is none of the plan's where it holds no machine, and a plan has nothing where all domains are down.
    """
    count = racks(sum(stock.machines for stock in stocks), rule)
    spread = max(1, min(rule.domains, sum(stock.machines for stock in stocks)))
    first = np.cumsum([0, *(stock.machines // stock.span for stock in stocks)])
    total = 0.0
    for domains_up in product((True, False), repeat=spread):
        for racks_up in product((True, False), repeat=count):
            likely = np.prod([1 - rule.domain_down_frac if up else rule.domain_down_frac for up in domains_up])
            likely *= np.prod([1 - rule.rack_down_frac if up else rule.rack_down_frac for up in racks_up])
            for stock, start in zip(stocks, first, strict=False):
                places = [(start + k) % count for k in range(stock.machines // stock.span)]
                left = sum(racks_up[place] and domains_up[place % spread] for place in places)
                down_frac = 1 - (1 - stock.each.down_frac) ** stock.span
                likely *= at_most(left, left - stock.needed // stock.span, down_frac)
            total += float(likely)
    return total


few = st.builds(
    replace, rules, rack_machines=st.integers(1, 3), rack_down_frac=st.floats(0, 0.3), domains=st.integers(1, 3),
    domain_down_frac=st.floats(0, 0.3),
)  # fmt: skip


PAIRS = replace(RULE, rack_machines=3, rack_down_frac=0.02, domains=4)


@example(PAIRS, [(3, 3)], 0.01, 2)  # two of four racks hold four of six pairs, not three
@given(
    few, st.lists(st.tuples(st.integers(1, 2), st.integers(0, 2)), min_size=1, max_size=2), st.floats(0, 0.3),
    st.integers(1, 3),
)  # fmt: skip
def test_no_more_is_computed_than_a_layout_has(
    rule: Rule, pools: list[tuple[int, int]], down_frac: float, span: int
) -> None:
    """Instances dealt to racks and domains in turn are up at least as often as is computed."""
    rule = replace(rule, rack_machines=max(span, rule.rack_machines))  # each stands in one rack
    each = replace(EACH, down_frac=down_frac, rule=rule)
    stocks = [Stock(machines=(least + more) * span, needed=least * span, span=span, each=each) for least, more in pools]
    assert enough_frac(stocks, rule) <= _exactly_up(stocks, rule) + 1e-9


@given(few, st.integers(1, 3), st.integers(1, 2))
def test_a_domain_takes_its_share_of_each_pool(rule: Rule, half: int, pools: int) -> None:
    """Where nothing but domains fail, pools with twice what they need survive one of two, however small racks are."""
    rule = replace(rule, domains=2, rack_down_frac=0.0)
    each = replace(EACH, down_frac=0.0, rule=rule)
    stocks = [Stock(machines=2 * half, needed=half, span=1, each=each)] * pools
    assert enough_frac(stocks, rule) == pytest.approx(1 - rule.domain_down_frac**2)


@given(st.integers(1, 6), st.integers(1, 50), st.floats(0, 0.02))
def test_domains_without_a_machine_change_nothing(machines: int, more: int, down_frac: float) -> None:
    """Where there are as many domains as machines, further ones hold none: what fails there is no loss."""
    stock = Stock(machines=machines, needed=1, span=1, each=replace(EACH, down_frac=down_frac))
    just, beyond = (replace(RULE, domains=count, recovery_s=600.0) for count in (machines, machines + more))
    assert racks(machines, beyond) == racks(machines, just)
    assert up_frac([stock], beyond) == up_frac([stock], just)
