"""Search: how many machines of each kind, for the five provisioning problems of the paper.

A bisection finds where the counts lie, as if more machines never hurt. Under the public rules they can, so whatever is
up to a tenth cheaper is tried as well; the grid (``grid``) tries everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor, inf, log
from typing import Protocol

from planner.reproduce.designs import Cluster, Tariff, affordable
from planner.scenario.designs import Design

RATE_STEP_RATIO = 1.02
"""Rates are tried on a ladder whose rungs are 2 % apart."""

SWEEP_REQ_PER_S = 10
"""Step of the published sweeps."""

CHEAPER_FRAC = 0.1
"""How far below a cluster that was found cheaper ones are tried, one by one."""

MOST_MACHINES = 160
"""Of one kind; the paper's grid ends at 139."""


class Oracle(Protocol):
    """A judge of whether a cluster holds its objectives at a rate."""

    def holds(self, cluster: Cluster, rate_req_per_s: float) -> bool:
        """Whether every objective holds."""


class Problem(StrEnum):
    """The paper's provisioning problems."""

    ISO_THROUGHPUT_COST = "iso-throughput cost-optimized"
    ISO_THROUGHPUT_POWER = "iso-throughput power-optimized"
    ISO_THROUGHPUT_SPACE = "iso-throughput space-optimized"
    ISO_COST_THROUGHPUT = "iso-cost throughput-optimized"
    ISO_POWER_THROUGHPUT = "iso-power throughput-optimized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provision:
    """A cluster and the highest rate it was seen to hold (for iso-throughput problems: the rate asked for)."""

    cluster: Cluster
    rate_req_per_s: float


def weights(problem: Problem, tariff: Tariff) -> Mapping[str, float]:
    """What one machine of each type counts in a problem: dollars, watts, or one."""
    if problem in (Problem.ISO_THROUGHPUT_POWER, Problem.ISO_POWER_THROUGHPUT):
        return tariff.power_w
    if problem is Problem.ISO_THROUGHPUT_SPACE:
        return dict.fromkeys(tariff.usd_per_h, 1.0)
    return tariff.usd_per_h


def provision(
    problem: Problem,
    made: Design,
    bench: Oracle,
    tariff: Tariff,
    amount: float,
    *,
    most: int = MOST_MACHINES,
    start: int | None = None,
) -> Provision | None:
    """The best cluster of a design.

    Args:
        problem: what is held fixed and what is made best.
        made: the machine types.
        bench: one reading of one workload.
        tariff: prices and watts.
        amount: requests/s for iso-throughput, else the budget in USD/h or W.
        most: machines of one kind that are tried for iso-throughput.
        start: prompt machines to begin with under a budget; half of what it buys where not given.

    Returns:
        None where no cluster holds.
    """
    each = weights(problem, tariff)
    if problem in (Problem.ISO_COST_THROUGHPUT, Problem.ISO_POWER_THROUGHPUT):
        return _fastest(made, bench, each, amount, start)
    found = _smallest(made, bench, each, amount, most)
    found = found and _cheaper(found, bench, each, amount, most)
    return Provision(cluster=found, rate_req_per_s=amount) if found else None


def measure(cluster: Cluster, each: Mapping[str, float]) -> float:
    """Price, watts or machines of a cluster."""
    token = cluster.design.token_machine
    prompts = cluster.prompt_machines * each[cluster.design.prompt_machine]
    return prompts + (cluster.token_machines * each[token] if token else 0.0)


def within(made: Design, prompt_machines: int, each: Mapping[str, float], budget: float) -> Cluster | None:
    """The cluster a budget buys with that many prompt machines; None where nothing is left for tokens."""
    rest = affordable(made, prompt_machines, each, budget)
    if rest < 1:
        return None
    if made.token_machine is None:
        return Cluster(design=made, prompt_machines=rest)
    return Cluster(design=made, prompt_machines=prompt_machines, token_machines=rest)


def throughput(bench: Oracle, cluster: Cluster, *, at_least_req_per_s: float | None = None) -> float:
    """Highest rung of the rate ladder at which a cluster holds, requests/s; 0 where not even 0.05 is held.

    Args:
        bench: says what holds.
        cluster: what is asked of.
        at_least_req_per_s: a rate it is known to hold and unlikely to exceed by much.
    """
    guess = at_least_req_per_s or 1.5 * cluster.machines
    first = _rung(guess)
    rung = _highest(lambda k: bench.holds(cluster, _rate(k)), first, 1 if at_least_req_per_s else 8)
    return 0.0 if rung is None else _rate(rung)


def swept(bench: Oracle, cluster: Cluster, *, most_req_per_s: int) -> int:
    """Highest rate of a published sweep, in steps of 10 requests/s, at which a cluster holds; 0 where none.

    As published: the highest that holds counts, whatever lower ones do.
    """
    rates = range(most_req_per_s, 0, -SWEEP_REQ_PER_S)
    return next((rate for rate in rates if bench.holds(cluster, float(rate))), 0)


def _rung(rate_req_per_s: float) -> int:
    """The rung nearest to a rate."""
    return round(log(rate_req_per_s) / log(RATE_STEP_RATIO))


def _rate(rung: int) -> float:
    """Requests/s of a rung; rounded, so that equal rungs are equal numbers."""
    return round(RATE_STEP_RATIO**rung, 6)


def _highest(holds: Callable[[int], bool], start: int, step: int) -> int | None:
    """Highest rung that holds, by galloping from ``start`` and bisection."""
    low = high = start
    if holds(start):
        while holds(high := low + step):
            low, step = high, 2 * step
    else:
        while not holds(low := high - step):
            high, step = low, 2 * step
            if low < _rung(0.05):
                return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def least(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """Smallest count in [low, high] that holds; None where not even ``high`` does."""
    if high < low or not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _smallest(made: Design, bench: Oracle, each: Mapping[str, float], rate: float, most: int) -> Cluster | None:
    """The cluster of least weight that holds a rate.

    With plenty of the other kind, the fewest prompt machines P0 and token machines T0 are lower bounds. From T0
    upwards, each T gets its least P below what the best so far leaves; once that is P0, no larger T can be better.
    """

    def holds(p: int, t: int) -> bool:
        return bench.holds(Cluster(design=made, prompt_machines=p, token_machines=t), rate)

    if made.token_machine is None:
        alone = least(lambda p: holds(p, 0), 1, most)
        return Cluster(design=made, prompt_machines=alone) if alone else None
    first_p = least(lambda p: holds(p, most), 1, most)
    first_t = least(lambda t: holds(most, t), 1, most)
    if first_p is None or first_t is None:
        return None
    best: Cluster | None = None
    bound = inf
    a, b = each[made.prompt_machine], each[made.token_machine]
    for t in range(first_t, most + 1):
        top = most if best is None else min(most, ceil((bound - t * b) / a - 1e-9) - 1)
        if top < first_p:
            break
        p = _least_from(lambda p, t=t: holds(p, t), first_p, top)  # type: ignore[misc]
        if p is not None:
            best = Cluster(design=made, prompt_machines=p, token_machines=t)
            bound = measure(best, each)
            if p == first_p:
                break
    return best


def _cheaper(found: Cluster, bench: Oracle, each: Mapping[str, float], rate: float, most: int) -> Cluster:
    """The first that holds of all clusters that are up to a tenth cheaper, the cheapest first; else the one found."""
    made, bound = found.design, measure(found, each)
    tokens = range(1, most + 1) if made.token_machine else range(1)
    tried = (Cluster(design=made, prompt_machines=p, token_machines=t) for p in range(1, most + 1) for t in tokens)
    near = [c for c in tried if (1 - CHEAPER_FRAC) * bound <= measure(c, each) < bound - 1e-9]
    near.sort(key=lambda c: measure(c, each))
    return next((c for c in near if bench.holds(c, rate)), found)


def _least_from(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """``least``, looking just above ``low`` first, where the answer usually is."""
    step = 1
    at = low
    while at < high:
        if holds(at):
            return least(holds, max(low, at - step // 2), at)
        at, step = at + step, 2 * step
    return least(holds, min(low + 1, high), high)


def _fastest(
    made: Design, bench: Oracle, each: Mapping[str, float], budget: float, start: int | None
) -> Provision | None:
    """The split of a budget that holds the highest rate.

    Prompt capacity rises with P and token capacity falls, so the rate has one peak. From the start, steps of falling
    size are taken wherever the neighbour holds one rung more than the best so far.
    """
    most = floor(budget / each[made.prompt_machine])
    best = within(made, start or max(1, most // 2), each, budget)
    if best is None:
        return None
    rate = throughput(bench, best)
    step = 1
    while made.token_machine is not None and step * 16 <= most:
        step *= 2
    while made.token_machine is not None and step:
        moved, higher = False, _rate(_rung(max(rate, 0.05)) + 1)
        for p in (best.prompt_machines + step, best.prompt_machines - step):
            tried = within(made, p, each, budget) if p >= 1 else None
            if tried and bench.holds(tried, higher):
                best, rate, moved = tried, throughput(bench, tried, at_least_req_per_s=higher), True
                break
        if not moved:
            step //= 2
    return Provision(cluster=best, rate_req_per_s=rate)
