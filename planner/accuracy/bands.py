"""Bands around predictions: how far measured runs were off, and how often new ones lie within."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hw_catalog.bands import INSIDE_FRAC, ErrorBand
from planner.accuracy.table import Comparison

FEWEST = 8
"""Runs below which no band is drawn."""

Key = tuple[str, str, str]


WIDEST_RATIO = 4.0
"""Most by which the ends of a band are moved apart, each; in steps of ``STEP_RATIO``."""
STEP_RATIO = 1.02


def bands(compared: Iterable[Comparison]) -> tuple[ErrorBand, ...]:
    """A band for every profile set, GPU and metric with enough runs, wide enough for groups it has not seen."""
    return tuple(
        _stretched(_band(key, members), stretch_ratio(members))
        for key, members in _grouped(compared).items()
        if len(members) >= FEWEST
    )


def within(compared: Iterable[Comparison], known: Mapping[Key, ErrorBand]) -> list[bool]:
    """Whether each comparison that has a band lies in it."""
    return [known[c.band].holds(1 / c.ratio) for c in compared if c.band in known]


def left_out(compared: Iterable[Comparison]) -> dict[Key, list[bool]]:
    """Of every band whether it holds the runs of each group when it is drawn around the other groups, as for a new one.

    A group is a model; where all runs are of one, a layout.
    """
    found: dict[Key, list[bool]] = {}
    for key, members in _grouped(compared).items():
        if held := _held(members, stretch_ratio(members)):
            found[key] = held
    return found


def stretch_ratio(members: Sequence[Comparison]) -> float:
    """The least ratio, 1 or more, by which bands around the other groups hold the stated share of each left out."""
    ratio = 1.0
    while ratio < WIDEST_RATIO:
        held = _held(members, ratio)
        if sum(held) >= INSIDE_FRAC * len(held):
            return ratio
        ratio *= STEP_RATIO
    return WIDEST_RATIO


def _held(members: Sequence[Comparison], ratio: float) -> list[bool]:
    """Whether each run lies in the band around the other groups, stretched; nothing where there are too few others."""
    of_model = len({c.run.model for c in members}) > 1
    groups = [c.run.model if of_model else c.run.layout for c in members]
    found: list[bool] = []
    for group in sorted(set(groups)):
        others = [c for c, g in zip(members, groups, strict=True) if g != group]
        if len(others) >= FEWEST:
            band = _stretched(_band(members[0].band, others), ratio)
            found += [band.holds(1 / c.ratio) for c, g in zip(members, groups, strict=True) if g == group]
    return found


def _stretched(band: ErrorBand, ratio: float) -> ErrorBand:
    """A band each of whose ends is moved out by a ratio."""
    return replace(band, low_ratio=band.low_ratio / ratio, high_ratio=band.high_ratio * ratio)


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
