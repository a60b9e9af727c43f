"""Bands around predictions: how far measured runs were off, and how often new ones lie within.

A band spans so many spreads of its runs to each side of their median. How many is read from runs left out, of all bands
of its kind together: layouts of a model for bands of a model, whole models for bands of models that were not measured.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

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
ROUNDING = 1e-9
"""A run at the end of a band is inside, whatever its logarithm lost."""

Floats = NDArray[np.float64]
_TAIL = (1 - INSIDE_FRAC) / 2


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


def bands(compared: Iterable[Comparison]) -> tuple[ErrorBand, ...]:
    """A band for every profile set, GPU, model and metric with enough runs, and one for all other models."""
    return tuple(_band(cell, _ends(cell, cells)) for cells in _kinds(compared) for cell in cells)


def within(compared: Iterable[Comparison], known: Mapping[Key, ErrorBand]) -> list[bool]:
    """Whether each comparison that has a band lies in it."""
    return [band.holds(1 / c.ratio) for c in compared if (band := band_of(known, c.band))]


def left_out(compared: Iterable[Comparison]) -> dict[Key, list[bool]]:
    """Of every band whether it holds the runs of each group that nothing of it has seen, neither place nor width."""
    found: dict[Key, list[bool]] = {}
    for cells in _kinds(compared):
        for cell in cells:
            held: list[bool] = []
            for group, part in cell.others.items():
                rest = [part if other is cell else other for other in cells]
                low, high = _ends(part, rest)
                held += ((cell.of(group) >= low) & (cell.of(group) <= high)).tolist()
            if held:
                found[cell.key] = held
    return found


def _ends(cell: _Cell, cells: Sequence[_Cell]) -> tuple[float, float]:
    """Where a band ends: logarithms."""
    same = [c for c in cells if c.key[0] == cell.key[0]] if cell.key[2] != ANY else cells
    for kind in (same, cells):
        spread = float(np.median([c.spread for c in kind]))
        scores = np.concatenate([
            (c.of(group) - part.middle) / part.lent(spread) for c in kind for group, part in c.others.items()
        ] or [np.zeros(0)])  # fmt: skip
        if len(scores) >= FEWEST_LEFT_OUT:
            low, high = _quantiles(scores)
            mine = cell.lent(spread)
            return cell.middle + min(0.0, low) * mine, cell.middle + max(0.0, high) * mine
    low, high = _quantiles(cell.log_ratio)
    return low - ROUNDING, high + ROUNDING


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


def _band(cell: _Cell, ends: tuple[float, float]) -> ErrorBand:
    """A band with these ends."""
    tables, gpu, model, metric = cell.key
    low, middle, high = np.exp([ends[0], cell.middle, ends[1]]).tolist()
    n = len(cell.log_ratio)
    return ErrorBand(
        profile_set=tables, gpu=gpu, model=model, metric=metric, n=n, models=cell.models, low_ratio=low,
        median_ratio=middle, high_ratio=high,
    )  # fmt: skip
