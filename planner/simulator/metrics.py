"""From records to evidence: percentiles, their confidence intervals, and what they say of an objective."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from math import ceil, inf
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from planner.perf.reference import Reference, unit_s
from planner.results.evidence import Evidence, Verdict
from planner.simulator.books import Books, bin_edges_s
from workloads.slo import Metric, Slo, Unit
from workloads.traces import Trace

Floats = NDArray[np.float64]

ENOUGH_BEYOND = 20.0
"""Observations that a percentile leaves beyond it, from which on a value that none exceeded bounds it.

Were there that many, in clusters of seven, none at all would be seen in one case of twenty. So the percentile says how
many requests it takes: 40 of a P50, 200 of a P90, 2,000 of a P99, 20,000 of a P99.9."""

FEWEST = 20
"""Observations of a whole population below which no percentile of it is called met or missed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Observed values, kept by batch (one slice of one seed's window each).

    Attributes:
        values: one sorted array of values per batch.
        weights: how often each value was seen, per batch.
        slices: of a seed, where seeds differ by chance alone, so that batches of one slice are compared; 0 elsewhere.
    """

    values: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    slices: int = 0

    @property
    def n(self) -> int:
        """Observations in all."""
        return int(sum(float(w.sum()) for w in self.weights))

    def quantile(self, q: float) -> float:
        """The smallest value that at least a share ``q`` of all observations do not exceed (inf counts as a value).

        Where nothing was observed, it is 0.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, shares: Sequence[float]) -> tuple[float, ...]:
        """The quantile of each share, of one look at the observations."""
        if not self.n:
            return tuple(0.0 for _ in shares)
        return tuple(_quantile(*self.distribution, shares))

    @cached_property
    def distribution(self) -> tuple[Floats, Floats]:
        """All values in ascending order, and how many observations do not exceed each."""
        if all(v is self.values[0] for v in self.values):  # the edges of one histogram, in every batch
            return self.values[0], np.cumsum(np.sum(self.weights, axis=0))
        values, weights = np.concatenate(self.values), np.concatenate(self.weights)
        if (weights == 1).all():
            return np.sort(values, kind="stable"), np.arange(1.0, len(values) + 1)  # merges sorted batches
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(weights[order])

    def within(self, limit: float) -> Floats:
        """(batches,) share of each batch that does not exceed ``limit``; empty batches are left out."""
        pairs = [(v, w) for v, w in zip(self.values, self.weights, strict=True) if w.sum() > 0]
        return np.array([w[: np.searchsorted(v, limit, side="right")].sum() / w.sum() for v, w in pairs])

    def error(self, limit: float) -> tuple[float, int]:
        """Standard error of the share that does not exceed ``limit``, and the degrees of freedom behind it.

        From batch to batch; where slices of seeds are compared, from seed to seed within each slice, since what one
        minute has more of than another is no error.
        """
        if not self.slices:
            shares = self.within(limit)
            spread = float(np.std(shares, ddof=1)) / len(shares) ** 0.5 if len(shares) > 1 else 0.0
            return spread, len(shares) - 1
        inside = [
            w[: np.searchsorted(v, limit, side="right")].sum() for v, w in zip(self.values, self.weights, strict=True)
        ]
        total = np.array([w.sum() for w in self.weights]).reshape(-1, self.slices)
        shares = np.array(inside).reshape(-1, self.slices) / np.maximum(total, 1.0)
        part = total.sum(axis=0) / max(1.0, float(total.sum()))
        seeds = len(total)
        return float(np.sqrt((part**2 * shares.var(axis=0, ddof=1)).sum() / seeds)), self.slices * (seeds - 1)


def _quantile(values: Floats, cumulative: Floats, shares: Sequence[float]) -> list[float]:
    """The smallest value that at least each share of the observations do not exceed; there is one at least."""
    places = np.searchsorted(cumulative, np.array(shares) * cumulative[-1] * (1 - 1e-12), side="left")
    found: list[float] = values[np.minimum(places, len(values) - 1)].tolist()
    return found


def student_t(confidence_frac: float, degrees: int) -> float:
    """Two-sided quantile of Student's t.

    t = z + (z³+z)/(4ν) + (5z⁵+16z³+3z)/(96ν²) + (3z⁷+19z⁵+17z³-15z)/(384ν³)
          + (79z⁹+776z⁷+1482z⁵-1920z³-945z)/(92160ν⁴)

    Source: Abramowitz & Stegun 26.7.5; within 0.3 % for ν >= 4 and a confidence of up to 99 %.
    """
    z = NormalDist().inv_cdf((1 + confidence_frac) / 2)
    v = degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def interval(sample: Sample, q: float, confidence_frac: float) -> tuple[float, float]:
    """Confidence interval of a quantile, by batch means.

    A value x is in the interval when the share p(x) of observations within it is compatible with q:
    |p(x) - q| <= t · √(p̃(1-p̃)/m), p̃ = (p·m + 2)/(m + 4), m = min(n, q(1-q)/s²)

    s is the standard error of p at the measured quantile, from batch to batch, so m is the number of independent
    requests that would tell as much: correlation between neighbours is inside the batches and therefore counted. p̃ is
    two successes and two failures short of certainty (Agresti & Coull, 1998), so that a sample in which all went well
    still has an error. Where not even the largest value is beyond doubt the observations are too few to bound the
    quantile from above, and the upper end is inf.
    """
    if sample.n == 0:
        return 0.0, inf
    values, cumulative = sample.distribution
    spread, degrees = sample.error(_quantile(values, cumulative, (q,))[0])
    m = min(float(sample.n), q * (1 - q) / spread**2) if spread > 0 else float(sample.n)
    t = student_t(confidence_frac, max(4, degrees))
    p = cumulative / cumulative[-1]
    smooth = (p * m + 2) / (m + 4)
    h = t * np.sqrt(smooth * (1 - smooth) / m)
    return _first(values, p + h >= q), _first(values, p - h >= q)


def _first(values: Floats, holds: NDArray[np.bool_]) -> float:
    """The smallest value from which on a condition holds; inf where it never does."""
    return float(values[int(np.argmax(holds))]) if holds.any() else inf


def evidence(slo: Slo, sample: Sample, *, confidence_frac: float, exact: bool) -> Evidence:
    """What a sample says of an objective.

    Args:
        slo: the objective.
        sample: all observations of its metric.
        confidence_frac: of the interval. Where neighbours tell the same story its upper end can be infinite however
            many they are; once ``ENOUGH_BEYOND`` of them may exceed the limit, the largest value seen is that end.
        exact: the sample is the whole population (a trace replayed as it is), so the interval is the value itself.
            Of fewer than ``FEWEST`` observations, or of so few that none may exceed the limit, nothing is claimed.
    """
    q = slo.percentile / 100
    measured = sample.quantile(q)
    if not exact:
        low, high = interval(sample, q, confidence_frac)
        if high == inf and sample.n * (1 - q) >= ENOUGH_BEYOND:
            high = sample.quantile(1.0)
    elif sample.n and (sample.n < FEWEST or sample.n * (1 - q) < 1 - 1e-9):
        low, high = measured, inf
    else:
        low = high = measured
    if high <= slo.limit:
        verdict = Verdict.MET
    elif low > slo.limit:
        verdict = Verdict.MISSED
    else:
        verdict = Verdict.UNDECIDED
    return Evidence(slo=slo, measured=measured, low=low, high=high, verdict=verdict, n=sample.n)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """One seed: the trace that arrived, the books that were kept, and what slowdowns are measured against.

    ``seen`` are the sorted values of metrics that were asked for, ``told`` those of every measured request.
    """

    trace: Trace
    ledger: Books
    reference: Reference | None = None
    seen: dict[tuple[Metric, Unit, str | None], list[Floats]] = field(default_factory=dict, init=False, repr=False)
    told: dict[tuple[Metric, Unit], Floats] = field(default_factory=dict, init=False, repr=False)

    def sorted_parts(self, slo: Slo) -> list[Floats]:
        """The values of an objective's metric, sorted, of each slice; worked out once, as every look asks for them."""
        key = slo.metric, slo.unit, slo.request_class
        if key not in self.seen:
            values, mine = self.values(slo), speaks_of(self, slo)
            slices = self.ledger.window.slices
            ends = (-(-self.count * each // slices) for each in range(slices + 1))  # the first row of each slice
            self.seen[key] = [np.sort(values[a:b][mine[a:b]]) for a, b in pairwise(ends)]
        return self.seen[key]

    @property
    def count(self) -> int:
        """Measured requests."""
        return self.ledger.window.last - self.ledger.window.first

    def rows(self) -> slice:
        """Where the measured requests are."""
        return slice(self.ledger.window.first, self.ledger.window.last)

    def slices(self) -> NDArray[np.int64]:
        """Slice of each measured request."""
        return np.arange(self.count) * self.ledger.window.slices // self.count

    def values_s(self, metric: Metric) -> Floats:
        """The metric of each measured request (for TBT as for the stall: its longest gap)."""
        rows = self.rows()
        ttft, e2e = self.ledger.ttft_s[rows], self.ledger.e2e_s[rows]
        if metric is Metric.TTFT:
            return ttft
        if metric is Metric.E2E:
            return e2e
        if metric.bounds_gaps:
            return np.where(np.isinf(e2e), np.inf, self.ledger.max_gap_s[rows])
        gaps = self.trace.output_tokens[rows] - 1
        decoding = np.where(np.isinf(e2e), np.inf, e2e - np.where(np.isinf(ttft), 0.0, ttft))
        return np.where(gaps > 0, decoding / np.maximum(gaps, 1), 0.0)

    def values(self, slo: Slo) -> Floats:
        """What an objective bounds, of each measured request, in the objective's unit: the same of every class.

        The slowdown of TBT is that of the mean gap.
        """
        key = slo.metric, slo.unit
        if key not in self.told:
            self.told[key] = self._values(slo)
        return self.told[key]

    def _values(self, slo: Slo) -> Floats:
        rows = self.rows()
        mean_gap = slo.metric is Metric.TBT and slo.unit is Unit.SLOWDOWN
        values_s = self.values_s(Metric.TPOT if mean_gap else slo.metric)
        if mean_gap and self.reference is not None and self.reference.per_token:
            tokens = self.trace.output_tokens[rows]
            values_s = values_s * (np.maximum(tokens - 1, 0) / tokens)
        return values_s / unit_s(slo, self.reference, self.trace.prompt_tokens[rows], self.trace.output_tokens[rows])


def sample(observed: Sequence[Observed], slo: Slo, *, second_half: bool = False, aligned: bool = False) -> Sample:
    """All observations of an objective's metric, by batch.

    Args:
        observed: one entry per seed.
        slo: says which metric and which class.
        second_half: only the later slices of each seed.
        aligned: slices of different seeds are of the same minutes, so that they are compared.
    """
    values: list[Floats] = []
    weights: list[Floats] = []
    gaps = slo.metric is Metric.TBT and slo.unit is Unit.SECONDS
    ends = np.append(bin_edges_s(), np.inf) if gaps else np.empty(0)
    for seed in observed:
        slices = seed.ledger.window.slices
        keep = range(slices // 2 if second_half else 0, slices)
        for part in gap_parts(seed, slo, keep, ends) if gaps else _row_parts(seed, slo, keep):
            values.append(part[0])
            weights.append(part[1])
    counts = {seed.ledger.window.slices for seed in observed}
    paired = aligned and len(observed) > 1 and len(counts) == 1
    return Sample(values=tuple(values), weights=tuple(weights), slices=counts.pop() if paired else 0)


def percentiles(observed: Sequence[Observed], slo: Slo, shares: Sequence[float]) -> tuple[float, ...]:
    """``quantiles`` of all observations of an objective's metric: only so much of them is sorted as that takes."""
    if slo.metric is Metric.TBT and slo.unit is Unit.SECONDS:
        return sample(observed, slo).quantiles(shares)
    values = np.concatenate([seed.values(slo)[speaks_of(seed, slo)] for seed in observed])
    if not len(values):
        return tuple(0.0 for _ in shares)
    places = [max(0, ceil(share * len(values) * (1 - 1e-12)) - 1) for share in shares]
    found = np.partition(values, places)
    return tuple(float(found[place]) for place in places)


def _classes(trace: Trace, slo: Slo) -> list[int]:
    """Indices of the classes an objective speaks of."""
    return [i for i, c in enumerate(trace.classes) if slo.request_class in (None, c.name)]


def observations(trace: Trace, rows: NDArray[np.int64], slo: Slo) -> float:
    """How many observations of an objective's metric these requests give."""
    mine = rows[np.isin(trace.class_index[rows], _classes(trace, slo))]
    gaps = np.maximum(trace.output_tokens[mine] - 1, 0)
    if slo.metric is Metric.TBT and slo.unit is Unit.SECONDS:
        return float(gaps.sum())
    return float(np.count_nonzero(gaps) if slo.metric in (Metric.TPOT, Metric.TBT, Metric.STALL) else len(mine))


def _row_parts(seed: Observed, slo: Slo, keep: range) -> list[tuple[Floats, Floats]]:
    """Values and unit weights of a per-request metric, one pair per slice."""
    return [(part, np.ones(len(part))) for part in seed.sorted_parts(slo)[keep.start : keep.stop]]


def _of_classes(seed: Observed, slo: Slo) -> NDArray[np.bool_]:
    """(measured requests,) those of the classes that an objective speaks of."""
    classes = _classes(seed.trace, slo)
    if len(classes) == len(seed.trace.classes):
        return np.ones(seed.count, bool)
    index = seed.trace.class_index[seed.rows()]
    mine = index == classes[0] if classes else np.zeros(seed.count, bool)
    for other in classes[1:]:  # few: each costs less than looking requests up in a set
        mine |= index == other
    return mine


def speaks_of(seed: Observed, slo: Slo) -> NDArray[np.bool_]:
    """(measured requests,) those that have a value of an objective's metric."""
    mine = _of_classes(seed, slo)
    if slo.metric in (Metric.TPOT, Metric.TBT, Metric.STALL):
        mine &= seed.trace.output_tokens[seed.rows()] > 1
    return mine


def gap_parts(seed: Observed, slo: Slo, keep: range, ends: Floats) -> list[tuple[Floats, Floats]]:
    """Bin edges (``ends``, the last of them inf) and counts of the token gaps, one pair per slice.

    Gaps that a request which never finished would still have had cannot be counted; each such request adds one
    infinite gap per missing token, so that an overloaded run cannot look better by being cut off.
    """
    slices = seed.ledger.window.slices
    missing = np.flatnonzero(np.isinf(seed.values_s(Metric.E2E)) & _of_classes(seed, slo))
    tokens = seed.trace.output_tokens[seed.rows()][missing]
    endless = np.bincount(seed.slices()[missing], weights=tokens, minlength=slices)
    parts = []
    for k in keep:
        counts = np.zeros(len(ends) - 1)
        for c in _classes(seed.trace, slo):
            counts += seed.ledger.gaps[c * slices + k]
        parts.append((ends, np.append(counts, endless[k])))
    return parts


def attained(seed: Observed, slos: Sequence[Slo]) -> NDArray[np.bool_]:
    """(measured requests,) whether each met every objective that speaks of it, jointly.

    Where a metric is bounded at several percentiles, in one unit, a single request is held to the loosest of them.
    """
    good = np.ones(seed.count, bool)
    class_index = seed.trace.class_index[seed.rows()]
    for metric, unit in product(Metric, Unit):
        for index, request_class in enumerate(seed.trace.classes):
            speak = (None, request_class.name)
            mine = [s for s in slos if (s.metric, s.unit) == (metric, unit) and s.request_class in speak]
            if mine:
                loosest = max(mine, key=lambda s: s.limit)
                good &= (class_index != index) | (seed.values(loosest) <= loosest.limit)
    return good & np.isfinite(seed.values_s(Metric.E2E))
