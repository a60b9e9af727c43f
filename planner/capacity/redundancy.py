"""Machines beyond those that the objectives need: how likely enough of them are up, and how few that takes.

A pool needs K of its N machines to meet every objective. Machines fail alone, with their rack or with their domain. The
pools are spread evenly over the domains, and in each over its racks, so a rack takes some of every pool: what is asked
for is the share of time in which *every* pool has its K machines.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import ceil, comb, floor

from planner.perf.layout import Role
from planner.scenario.objectives import Objective

NEVER_FRAC = 1e-15
"""A share of time as small as this is none."""

MOST_TIMES, MOST_MORE = 4, 50
"""Spare machines that are looked at, at most: so many times those that a pool needs, and so many more."""

MOST_TRIED = 30_000
"""Ways to share spares out that are looked at: three pools that each lose half to a domain take some 20,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of the machines of a plan together, and what takes several of them at once.

    Attributes:
        target_frac: share of time in which every pool must have the machines it needs; 0 asks for none.
        spares: role -> machines on top of each of its pools, at least.
        objective: whose value the spares make least.
        rack_machines: that share a rack, at most.
        rack_down_frac: share of time that a rack is down.
        rack_failures_per_h: how often a rack fails.
        domains: that the racks are spread over.
        domain_down_frac: share of time that a domain is down.
        domain_failures_per_h: how often a domain fails.
        recovery_s: seconds after a failure in which an objective is missed although enough machines are up.
    """

    target_frac: float
    spares: Mapping[Role, int]
    objective: Objective
    rack_machines: int
    rack_down_frac: float
    rack_failures_per_h: float
    domains: int
    domain_down_frac: float
    domain_failures_per_h: float
    recovery_s: float = 0.0

    def reachable(self) -> bool:
        """Whether any number of machines reaches the share of time: all domains down leave none."""
        return 1 - self.domain_down_frac**self.domains > self.target_frac


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How often a machine of an option is gone, whatever happens to others.

    Attributes:
        down_frac: share of time that it is down by itself: failed, or taken back.
        failures_per_h: how often that happens.
        maintained_frac: share of time that it is out of service in turn.
        rule: of the plan it is part of.
    """

    down_frac: float
    failures_per_h: float
    maintained_frac: float
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The machines of a pool.

    Attributes:
        machines: N.
        needed: K, with which every objective is met.
        span: machines that one instance stands on and that go down together.
        each: what is known of one.
    """

    machines: int
    needed: int
    span: int
    each: Reliability


def racks(machines: int, rule: Rule) -> int:
    """Racks that so many machines take: as few as hold them, and equally many in every domain that has any."""
    filled, spread = ceil(machines / rule.rack_machines), _domains(machines, rule)
    return ceil(max(1, filled) / spread) * spread


def _domains(machines: int, rule: Rule) -> int:
    """Domains that hold machines: what happens to one without any is no failure of the plan."""
    return max(1, min(rule.domains, machines))


def up_frac(stocks: Sequence[Stock], rule: Rule) -> float:
    """Share of time in which every pool has the machines it needs and no failure is being recovered from.

    sum over d domains and j other racks that are down of P(d)·P(j)·(product over pools of P(at least K up | d, j)),
    less failures_per_s·recovery_s.
    """
    return max(0.0, enough_frac(stocks, rule) - failures_per_h(stocks, rule) * rule.recovery_s / 3600)


def enough_frac(stocks: Sequence[Stock], rule: Rule) -> float:
    """Share of time in which every pool has the machines it needs."""
    machines = sum(stock.machines for stock in stocks)
    count, spread = racks(machines, rule), _domains(machines, rule)
    each = count // spread
    total = 0.0
    for lost_domains in range(spread):
        likely = _exactly(spread, lost_domains, rule.domain_down_frac)
        left = count - lost_domains * each
        for lost in range(left):
            chance = likely * _exactly(left, lost, rule.rack_down_frac)
            if chance < NEVER_FRAC:
                break
            for stock in stocks:
                parts = stock.machines // (stock.span if stock.span <= rule.rack_machines else 1)
                gone = min(
                    lost_machines(parts, lost_domains * each + lost, count),
                    lost_machines(parts, lost_domains, spread) + lost_machines(parts, lost, count),
                )  # an instance stands in one rack where it can; else every machine that is gone takes one
                chance *= _pool_up(stock, gone)
            total += chance
    return min(1.0, total)


def failures_per_h(stocks: Sequence[Stock], rule: Rule) -> float:
    """How often anything fails, of all machines, racks and domains of a plan."""
    machines = sum(stock.machines for stock in stocks)
    count, spread = racks(machines, rule), _domains(machines, rule)
    alone = sum(stock.machines * stock.each.failures_per_h for stock in stocks)
    return alone + count * rule.rack_failures_per_h + spread * rule.domain_failures_per_h


def _exactly(n: int, k: int, each_frac: float) -> float:
    """Binomial: chance that k of n are down."""
    return float(comb(n, k)) * each_frac**k * (1 - each_frac) ** (n - k)


def at_most(n: int, most: int, each_frac: float) -> float:
    """Binomial: chance that no more than ``most`` of n are down; 0 where ``most`` is below 0."""
    if most < 0:
        return 0.0
    term = total = (1 - each_frac) ** n
    for k in range(min(most, n)):
        term *= (n - k) / (k + 1) * each_frac / (1 - each_frac)
        total += term
    return min(1.0, total)


def lost_machines(machines: int, lost: int, count: int) -> int:
    """Machines, or instances, of a pool in ``lost`` of ``count`` racks or domains that hold it evenly: the fullest."""
    whole, rest = divmod(machines, count)
    return lost * whole + min(lost, rest)


def _pool_up(stock: Stock, gone: int) -> float:
    """Chance that a pool has what it needs while so many of its instances are gone with racks and domains."""
    needed = ceil(stock.needed / stock.span)
    left = stock.machines // stock.span - gone
    down_frac = 1 - (1 - stock.each.down_frac) ** stock.span
    serviced = left * stock.each.maintained_frac  # by turns: now and then one more than usual
    usual, more_frac = floor(serviced), serviced - floor(serviced)
    found = (1 - more_frac) * at_most(left - usual, left - usual - needed, down_frac)
    if more_frac:
        found += more_frac * at_most(left - usual - 1, left - usual - 1 - needed, down_frac)
    return found


def least_spares(role: Role, span: int, each: Reliability, machines: int = 1) -> tuple[float, float]:
    """What the spares of a pool never fall below: so many machines; and, by itself, this share of all its machines.

    One instance is not up often enough by itself; and domains that are down too often must leave enough. Fewer domains
    are down less often, so plans of fewer machines than there are domains may need less.

    Args:
        role: of the pool.
        span: machines of an instance.
        each: what is known of one.
        machines: of the plan, at least.
    """
    rule = each.rule
    ratios = [
        _survived(rule, spread) / spread
        for spread in range(_domains(machines, rule), rule.domains + 1)
        if 1 - rule.domain_down_frac**spread >= rule.target_frac
    ]
    alone = (1 - each.down_frac) ** span * (1 - each.maintained_frac)
    fixed = max(rule.spares.get(role, 0), span if alone < rule.target_frac else 0)
    return float(fixed), min(ratios, default=0.0)


def _survived(rule: Rule, domains: int) -> int:
    """Of so many domains, those whose failing together must be survived: it happens more often than may be missed."""
    found, more = 0, 1.0
    for lost in range(domains):
        more -= _exactly(domains, lost, rule.domain_down_frac)
        if more > 1 - rule.target_frac:
            found = lost + 1
    return min(found, domains - 1)


def spares(needed: Sequence[tuple[Role, Stock, float]]) -> tuple[int, ...] | None:
    """Machines on top of each pool, of least worth together, with which the plan is up as often as is asked.

    Args:
        needed: of each pool its role, its machines as many as it needs, and what one machine more counts.

    Returns:
        One number a pool, none below 0; None where no number of machines that is looked at is enough.
    """
    if not needed:
        return ()
    rule = needed[0][1].each.rule
    if 1 - rule.domain_down_frac**rule.domains < rule.target_frac:  # all domains at once are down too often
        return None
    start = tuple(_alone(role, stock) for role, stock, _ in needed)
    if None in start:
        return None
    first = tuple(count for count in start if count is not None)
    seen, heap = {first}, [(_worth(needed, first), first)]
    for _ in range(MOST_TRIED):
        if not heap:
            return None
        _, tried = heappop(heap)
        if up_frac(with_spares(needed, tried), rule) >= rule.target_frac:
            return tried
        for more in _one_more(needed, tried):
            if more not in seen:
                seen.add(more)
                heappush(heap, (_worth(needed, more), more))
    return None


def with_spares(needed: Sequence[tuple[Role, Stock, float]], on_top: Sequence[int]) -> list[Stock]:
    """The pools with machines on top of what they need."""
    return [replace(stock, machines=stock.needed + more) for (_, stock, _), more in zip(needed, on_top, strict=True)]


def _worth(needed: Sequence[tuple[Role, Stock, float]], on_top: Sequence[int]) -> tuple[float, int]:
    """What spares count, and how many they are."""
    return sum(each * more for (_, _, each), more in zip(needed, on_top, strict=True)), sum(on_top)


def _one_more(needed: Sequence[tuple[Role, Stock, float]], tried: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """One instance more in each pool in turn."""
    for place, (_, stock, _) in enumerate(needed):
        more = tried[place] + stock.span
        if more <= MOST_TIMES * stock.needed + MOST_MORE:
            yield (*tried[:place], more, *tried[place + 1 :])


def _alone(role: Role, stock: Stock) -> int | None:
    """Spares that a pool needs whatever the others have: for its own machines, and for domains that fail together."""
    rule, span = stock.each.rule, stock.span
    fixed, ratio = least_spares(role, span, stock.each, stock.needed)
    count = max(int(fixed), ceil(stock.needed / (1 - ratio) - stock.needed - 1e-9))
    count = ceil(count / span) * span
    while count <= MOST_TIMES * stock.needed + MOST_MORE:
        if _pool_up(replace(stock, machines=stock.needed + count), 0) >= rule.target_frac:
            return count
        count += span
    return None
