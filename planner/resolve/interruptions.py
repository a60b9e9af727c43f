"""Machines that a provider may take back: how many of them to count as missing."""

from math import comb, inf

from planner.errors import BadInput
from workloads.counts import percent

MOST = 200
"""Machines up to which the line below is checked one by one; beyond them the share that is missing only falls."""

USUAL = 10
"""Machines on top at which the line is as low as it can be."""


def missing_frac(per_h: float, start_s: float) -> float:
    """Share of the time that a machine is gone: a = r·s/(1 + r·s), r interruptions per hour, s hours of a start."""
    gone = per_h * start_s / 3600
    return gone / (1 + gone)


def missing(machines: int, each_frac: float, confidence_frac: float) -> int:
    """The least k such that with the confidence asked for no more than k of them are gone: a binomial quantile."""
    total = 0.0
    for k in range(machines + 1):
        total += comb(machines, k) * each_frac**k * (1 - each_frac) ** (machines - k)
        if total >= confidence_frac:
            return k
    return machines


def spare_line(per_h: float, start_s: float, confidence_frac: float) -> tuple[float, float]:
    """Spare machines as a line over the machines on top: (so many, and this share of them).

    Of all lines that nowhere fall below the binomial quantile, the lowest at ``USUAL`` machines.

    Raises:
        BadInput: so many are gone that no number of machines leaves one.
    """
    each = missing_frac(per_h, start_s)
    if not each:
        return 0.0, 0.0
    needed = [missing(n, each, confidence_frac) for n in range(1, MOST + 1)]
    if not needed[-1]:  # so rarely that no fleet up to MOST needs one; a larger one does
        return 1.0, 0.0
    best, found = inf, (0.0, 0.0)
    for step in range(101):
        ratio = needed[-1] / MOST + (1 - needed[-1] / MOST) * step / 100
        fixed = max(0.0, *(k - ratio * n for n, k in enumerate(needed, 1)))
        if fixed + ratio * USUAL < best - 1e-12:
            best, found = fixed + ratio * USUAL, (fixed, ratio)
    if found[1] >= 1:
        raise BadInput(
            f"schedule.interruptions_per_h_ratio: found {per_h:g}; expected fewer: machines are gone "
            f"{percent(each)} of the time, and no number of them is enough"
        )
    return found
