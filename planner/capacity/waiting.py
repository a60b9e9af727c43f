"""Waiting for an instance: how busy instances may be while few requests wait for long."""

from math import exp

MANY = 400.0
"""Busy instances from which on so few more are needed that they may be full."""

HALVINGS = 30
"""Of the interval that holds the share."""


def most_busy_frac(busy: float, patience_ratio: float, beyond_frac: float) -> float:
    """The largest share of their time that alike instances may be busy while few enough requests wait too long.

    Requests come at random and wait for the first of c instances, of which a are busy on average:
    P(W > t) = C(c, a) exp(-(c - a) t / s), where s is what a request takes and C the share that waits at all. Prompts
    of a class are spread less than exponential times, and are routed with less than full knowledge: taken to make up
    for each other.

    Source: Erlang's delay formula (M/M/c).

    Args:
        busy: instances that are busy on average; as many more are there as it takes.
        patience_ratio: how long a request may wait, in times of what one takes, t / s; not below zero.
        beyond_frac: share of the requests that may wait longer.

    Returns:
        a / c in (0, 1] at the fewest instances c that may be as busy as is asked.
    """
    if busy >= MANY:
        return 1.0
    count = max(1, int(busy))
    while not _kept(count, busy, patience_ratio, beyond_frac):
        count += 1
    low, high = busy, float(count)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _kept(count, middle, patience_ratio, beyond_frac) else (low, middle)
    return low / count


def _kept(count: int, busy: float, patience_ratio: float, beyond_frac: float) -> bool:
    """Whether so many instances, so many of them busy, let few enough requests wait too long."""
    if busy >= count:
        return False
    return _waits_frac(count, busy) * exp(-(count - busy) * patience_ratio) <= beyond_frac


def _waits_frac(count: int, busy: float) -> float:
    """C(c, a): the share of requests that finds every instance busy, by way of Erlang's loss formula."""
    lost = 1.0
    for there in range(1, count + 1):
        lost = busy * lost / (there + busy * lost)
    return lost / (1 - busy / count * (1 - lost))
