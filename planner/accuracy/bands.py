"""Bands around predictions: how far measured runs were off, and how often new ones lie within."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hw_catalog.bands import INSIDE_FRAC, ErrorBand
from planner.accuracy.table import Comparison

FEWEST = 8
"""Runs below which no band is drawn."""

Key = tuple[str, str, str]


def bands(compared: Iterable[Comparison]) -> tuple[ErrorBand, ...]:
    """A band for every profile set, GPU and metric with enough runs."""
    return tuple(_band(key, members) for key, members in _grouped(compared).items() if len(members) >= FEWEST)


def within(compared: Iterable[Comparison], known: Mapping[Key, ErrorBand]) -> list[bool]:
    """Whether each comparison that has a band lies in it."""
    return [known[c.band].holds(1 / c.ratio) for c in compared if c.band in known]


def left_out(compared: Iterable[Comparison]) -> list[bool]:
    """Whether each comparison lies in the band drawn around the other models on its GPU, as for a new one."""
    found: list[bool] = []
    for key, members in _grouped(compared).items():
        for model in sorted({c.run.model for c in members}):
            others = [c for c in members if c.run.model != model]
            if len(others) >= FEWEST:
                band = _band(key, others)
                found += [band.holds(1 / c.ratio) for c in members if c.run.model == model]
    return found


def _grouped(compared: Iterable[Comparison]) -> dict[Key, list[Comparison]]:
    """Comparisons by what a band is drawn for."""
    found: dict[Key, list[Comparison]] = defaultdict(list)
    for c in compared:
        found[c.band].append(c)
    return dict(sorted(found.items()))


def _band(key: Key, members: Sequence[Comparison]) -> ErrorBand:
    """The band around these runs, of which a further run of the kind is to be inside: quantiles at (n + 1) p."""
    tail = (1 - INSIDE_FRAC) / 2
    ratios = [1 / c.ratio for c in members]
    low, middle, high = np.quantile(ratios, (tail, 0.5, 1 - tail), method="weibull").tolist()
    return ErrorBand(
        profile_set=key[0], gpu=key[1], metric=key[2], n=len(members), models=len({c.run.model for c in members}),
        low_ratio=low, median_ratio=middle, high_ratio=high,
    )  # fmt: skip
