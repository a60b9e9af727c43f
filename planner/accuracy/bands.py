"""Bands around predictions: how far measured runs were off, and how often new ones lie within.

A band spans so many spreads of its runs to each side of their median. How many is read from runs left out, of all bands
of its kind together: layouts of a model for bands of a model, whole models for bands of models that were not measured.
Together they then hold the stated share, but runs of one layout or model err alike, and some bands hold less. So a band
keeps these ends only where groups left out of it show that it holds the share. Any other is widened, to each side, by
what 80 % of all groups of its kind need to have their share inside, and at least to where its own need it: conformal
quantiles whose unit is the group. Runs left out of the band that comes of it are then counted inside and outside. Where
fewer are inside than chance leaves of a band that holds the share, it is widened until as many are.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import ceil, comb, exp

import numpy as np
from numpy.typing import NDArray

from hw_catalog.bands import ANY, INSIDE_FRAC, ErrorBand, Key, band_of
from planner.accuracy.table import Comparison

FEWEST = 8
"""Runs below which no band is drawn."""
FEWEST_LEFT_OUT = 10
"""Runs left out below which bands of other tables are asked as well how many spreads hold them."""
LENT_RUNS = 8
"""Runs that the median spread of all bands of the kind counts for beside those of a band."""
LEAST_SPREAD = 0.01
CHANCE = 0.05
"""Of a band that holds the stated share to hold fewer of the runs left out of it than are asked for."""
ROUNDING = 1e-9
"""A run at the end of a band is inside, whatever its logarithm lost."""

Floats = NDArray[np.float64]
_TAIL = (1 - INSIDE_FRAC) / 2


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where a band ends.

    Attributes:
        low_log_ratio: logarithm of its lower end.
        high_log_ratio: of its upper end.
        widened_ratio: by which it was widened to the side where it was widened most.
    """

    low_log_ratio: float
    high_log_ratio: float
    widened_ratio: float = 1.0

    def hold(self, values: Floats) -> list[bool]:
        """Which values are inside."""
        return list(((values >= self.low_log_ratio) & (values <= self.high_log_ratio)).tolist())

    def beyond(self, values: Floats) -> Floats:
        """How much further it has to reach for each value; 0 for those inside."""
        return np.maximum(0.0, np.maximum(values - self.high_log_ratio, self.low_log_ratio - values))

    def lacks(self, values: Floats) -> float:
        """How much further it has to reach to each side to hold the stated share of some values."""
        return float(np.sort(self.beyond(values))[ceil(INSIDE_FRAC * len(values) - ROUNDING) - 1])

    def wider(self, by: float) -> "_Ends":
        """Moved out by so much to each side."""
        return _Ends(self.low_log_ratio - by, self.high_log_ratio + by, self.widened_ratio * exp(by))


@dataclass(frozen=True)
class _Cell:
    """What a band is drawn around.

    Attributes:
        key: of the band.
        log_ratio: logarithms of measured over predicted values.
        groups: of each run, what it would be left out with.
        models: how many.
    """

    key: Key
    log_ratio: Floats
    groups: tuple[str, ...]
    models: int

    @cached_property
    def names(self) -> list[str]:
        """The groups."""
        return sorted(set(self.groups))

    @cached_property
    def middle(self) -> float:
        """The median of the runs."""
        return float(np.median(self.log_ratio))

    @cached_property
    def spread(self) -> float:
        """Of the runs: the standard deviation of a normal distribution with their outer tenths."""
        low, high = _quantiles(self.log_ratio)
        return max(LEAST_SPREAD, (high - low) / 2.563)

    def without(self, group: str) -> "_Cell":
        """The runs of the other groups."""
        kept = [i for i, g in enumerate(self.groups) if g != group]
        return _Cell(self.key, self.log_ratio[kept], tuple(self.groups[i] for i in kept), self.models)

    def of(self, group: str) -> Floats:
        """The runs of a group."""
        return self.log_ratio[[g == group for g in self.groups]]

    @cached_property
    def others(self) -> "dict[str, _Cell]":
        """Group -> the runs of the others, where those are enough for a band."""
        parts = {group: self.without(group) for group in self.names}
        return {group: part for group, part in parts.items() if len(part.log_ratio) >= FEWEST}

    def lent(self, spread: float) -> float:
        """Its spread, with that of all bands of the kind beside it."""
        n = len(self.log_ratio)
        return float(np.sqrt((n * self.spread**2 + LENT_RUNS * spread**2) / (n + LENT_RUNS)))

    def ends(self, spread: float, spreads: tuple[float, float]) -> _Ends:
        """Those so many of its spreads away from its median."""
        mine = self.lent(spread)
        return _Ends(self.middle + spreads[0] * mine, self.middle + spreads[1] * mine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How bands hold runs that nothing of them has seen.

    Attributes:
        bands: how many had runs left out of them.
        left_out: of all of them.
        inside: of those.
        beyond: bands that held fewer than chance leaves.
        by_chance: how many would if all held the stated share of runs that err independently of each other.
    """

    bands: int
    left_out: int
    inside: int
    beyond: int
    by_chance: float


def coverage(drawn: Iterable[ErrorBand]) -> Coverage:
    """Of bands together, each compared with what chance leaves."""
    asked = [(b, fewest_by_chance(b.left_out)) for b in drawn if b.left_out]
    return Coverage(
        bands=len(asked), left_out=sum(b.left_out for b, _ in asked), inside=sum(b.left_out_inside for b, _ in asked),
        beyond=sum(b.left_out_inside < fewest for b, fewest in asked),
        by_chance=sum(_fewer(fewest, b.left_out) for b, fewest in asked),
    )  # fmt: skip


def fewest_by_chance(n: int) -> int:
    """Of so many runs those that a band of the stated share holds at least, but for a chance of 5 %: binomial."""
    return next(k for k in range(n + 1) if _fewer(k + 1, n) > CHANCE)


def _fewer(k: int, n: int) -> float:
    """Chance that fewer than k of n runs are inside, each with the stated share."""
    return sum(comb(n, i) * INSIDE_FRAC**i * (1 - INSIDE_FRAC) ** (n - i) for i in range(k))


def bands(compared: Iterable[Comparison]) -> tuple[ErrorBand, ...]:
    """A band for every profile set, GPU, model and metric with enough runs, and one for all other models."""
    return tuple(_drawn(cell, cells) for cells in _kinds(compared) for cell in cells)


def _drawn(cell: _Cell, cells: Sequence[_Cell]) -> ErrorBand:
    """A band, and how it held the runs left out of it."""
    ends, beyond = _ends(cell, cells), np.sort(_beyond(cell, cells))
    needed = fewest_by_chance(len(beyond)) if len(beyond) else 0
    ends = ends.wider(float(beyond[needed - 1])) if needed and beyond[needed - 1] > 0 else ends
    return _band(cell, ends, left_out=len(beyond), inside=int(np.sum(beyond == 0)))


def within(compared: Iterable[Comparison], known: Mapping[Key, ErrorBand]) -> list[bool]:
    """Whether each comparison that has a band lies in it."""
    return [band.holds(1 / c.ratio) for c in compared if (band := band_of(known, c.band))]


def _beyond(cell: _Cell, cells: Sequence[_Cell]) -> Floats:
    """How far each run lies outside of the band of the others, which has seen nothing of its group, place or width."""
    found = [
        _ends(part, [part if other is cell else other for other in cells]).beyond(cell.of(group))
        for group, part in cell.others.items()
    ]
    return np.concatenate([*found, np.zeros(0)])


def _ends(cell: _Cell, cells: Sequence[_Cell]) -> _Ends:
    """Where a band ends."""
    same = [c for c in cells if c.key[0] == cell.key[0]] if cell.key[2] != ANY else cells
    for kind in (same, cells):
        spread = float(np.median([c.spread for c in kind]))
        left_out = [(c, c.of(group), part) for c in kind for group, part in c.others.items()]
        scores = [(values - part.middle) / part.lent(spread) for _, values, part in left_out]
        if sum(map(len, scores)) >= FEWEST_LEFT_OUT:
            low, high = _quantiles(np.concatenate(scores))
            spreads = min(0.0, low), max(0.0, high)
            before = [(c is cell, values, part.ends(spread, spreads)) for c, values, part in left_out]
            return _widened(cell.ends(spread, spreads), before)
    low, high = _quantiles(cell.log_ratio)
    return _Ends(low - ROUNDING, high + ROUNDING)


def _widened(ends: _Ends, left_out: Sequence[tuple[bool, Floats, _Ends]]) -> _Ends:
    """The ends of a band, further out where groups left out of it do not show that they hold.

    Source: jackknife+ (Barber et al. 2021, arXiv 1905.02928), a layout or a model in the place of a point.

    Args:
        ends: of all its runs.
        left_out: of every group left out of a band of its kind whether it is of this one, its runs, and where the band
            of the others ends.
    """
    held = [inside for own, values, of in left_out if own for inside in of.hold(values)]
    if held and sum(held) >= INSIDE_FRAC * len(held):
        return ends
    lacking = [(own, of, of.lacks(values)) for own, values, of in left_out]
    more = _conformal([lack for _, _, lack in lacking])
    low = -_conformal([lack - of.low_log_ratio for own, of, lack in lacking if own] or [-ends.low_log_ratio])
    high = _conformal([of.high_log_ratio + lack for own, of, lack in lacking if own] or [ends.high_log_ratio])
    found = min(ends.low_log_ratio - more, low), max(ends.high_log_ratio + more, high)
    return _Ends(*found, widened_ratio=exp(max(ends.low_log_ratio - found[0], found[1] - ends.high_log_ratio)))


def _conformal(values: Sequence[float]) -> float:
    """What a further value stays below with the stated probability: at (n + 1) p, the largest where that is beyond."""
    return float(np.quantile(values, INSIDE_FRAC, method="weibull"))


def _quantiles(values: Floats) -> tuple[float, float]:
    """The outer tenths, of which a further value is to be inside: at (n + 1) p."""
    low, high = np.quantile(values, (_TAIL, 1 - _TAIL), method="weibull").tolist()
    return low, high


def _kinds(compared: Iterable[Comparison]) -> list[list[_Cell]]:
    """What bands are drawn around, of models and of all others, metric by metric."""
    of_model: dict[Key, list[Comparison]] = defaultdict(list)
    of_all: dict[Key, list[Comparison]] = defaultdict(list)
    for c in compared:
        tables, gpu, _, metric = c.band
        of_model[c.band].append(c)
        of_all[tables, gpu, ANY, metric].append(c)
    found: list[list[_Cell]] = []
    for runs, group_of in ((of_model, lambda c: c.run.layout), (of_all, lambda c: c.run.model)):
        cells = [
            _Cell(key, -np.log([c.ratio for c in some]), tuple(map(group_of, some)), len({c.run.model for c in some}))
            for key, some in runs.items()
            if len(some) >= FEWEST
        ]
        metrics = groupby(sorted(cells, key=lambda cell: (cell.key[3], cell.key)), key=lambda cell: cell.key[3])
        found += [list(some) for _, some in metrics]
    return found


def _band(cell: _Cell, ends: _Ends, *, left_out: int, inside: int) -> ErrorBand:
    """A band with these ends."""
    tables, gpu, model, metric = cell.key
    low, middle, high = np.exp([ends.low_log_ratio, cell.middle, ends.high_log_ratio]).tolist()
    n = len(cell.log_ratio)
    return ErrorBand(
        profile_set=tables, gpu=gpu, model=model, metric=metric, n=n, models=cell.models, low_ratio=low,
        median_ratio=middle, high_ratio=high, widened_ratio=ends.widened_ratio, left_out=left_out,
        left_out_inside=inside,
    )  # fmt: skip
