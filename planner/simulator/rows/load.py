"""Weeks of load on a row: how fast requests come, and how many in each tick."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
Counts = NDArray[np.integer]

KEPT_BYTES = 128 << 20
"""Memory that arrivals may take which are kept for another pass."""

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyLoad:
    """The rate of every instance as a share of its peak rate, the same for all of a row.

    rate(t) = (valley + (1 - valley) · (1 + cos(2π·(t - peak)/day)) / 2) · weekend · exp(noise(t))

    Attributes:
        peak_to_valley_ratio: of a working day, >= 1.
        peak_at_s: time of day of the peak.
        weekend_ratio: days six and seven over the others.
        noise_frac: standard deviation of the noise's logarithm, common to the row.
        noise_s: time over which the noise forgets itself.
    """

    peak_to_valley_ratio: float
    peak_at_s: float
    weekend_ratio: float
    noise_frac: float
    noise_s: float

    def shape(self, at_s: Floats) -> Floats:
        """Share of the peak rate without noise, at times counted from a Monday's midnight."""
        valley = 1.0 / self.peak_to_valley_ratio
        wave = (1.0 + np.cos(2 * np.pi * (at_s - self.peak_at_s) / DAY_S)) / 2
        weekend = np.where((at_s // DAY_S) % 7 >= 5, self.weekend_ratio, 1.0)
        share: Floats = (valley + (1.0 - valley) * wave) * weekend
        return share

    def noise(self, start: float, draws: Floats, tick_s: float) -> Floats:
        """Factors on the rate, one per tick: exp of a random walk that is pulled back to 0."""
        keep = float(np.exp(-tick_s / self.noise_s))
        push = np.sqrt(1.0 - keep * keep) * draws
        level, path = start, np.empty(len(draws))
        for i, kick in enumerate(push.tolist()):
            level = keep * level + kick
            path[i] = level
        return path


class WeekArrivals:
    """Arrivals of one week, instance by instance; an instance's do not depend on how many others there are."""

    def __init__(self, load: WeeklyLoad, peak_req_per_s: Sequence[float], *, seed: int, tick_s: float) -> None:
        """Before the first tick.

        Args:
            load: common to the row.
            peak_req_per_s: of each instance.
            seed: of the week.
            tick_s: length of a tick.
        """
        self._load, self._tick_s, self._peak = load, tick_s, peak_req_per_s
        self._common = np.random.default_rng([seed, 0])
        self._own = [np.random.default_rng([seed, 1 + i]) for i in range(len(peak_req_per_s))]
        self._level = float(self._common.standard_normal())
        self.offset = np.array([int(rng.integers(1 << 30)) for rng in self._own])

    def draw(self, begin: int, ticks: int) -> Ints:
        """(ticks, instances) requests that come in each tick from ``begin`` on; call in order."""
        at_s = (begin + np.arange(ticks)) * self._tick_s
        path = self._load.noise(self._level, self._common.standard_normal(ticks), self._tick_s)
        self._level = float(path[-1])
        mean = self._load.shape(at_s) * np.exp(self._load.noise_frac * path) * self._tick_s
        return np.stack([r.poisson(mean * p) for r, p in zip(self._own, self._peak, strict=True)], axis=1)


class Stream:
    """One pass over the arrivals of a week; chunks that were drawn before are taken from there."""

    def __init__(self, source: WeekArrivals, kept: dict[int, Counts], left: Callable[[int], bool]) -> None:
        """At the beginning; chunks are kept while there is room ``left`` for so many bytes."""
        self.offset, self._source, self._kept, self._left, self._at = source.offset, source, kept, left, 0

    def draw(self, begin: int, ticks: int) -> Counts:
        """(ticks, instances) requests that come in each tick from ``begin`` on; call in order, by the same steps."""
        found = self._kept.get(begin)
        while found is None or len(found) != ticks:
            drawn = self._source.draw(self._at, min(ticks, begin + ticks - self._at))
            small = drawn.astype(np.uint16) if drawn.max(initial=0) <= np.iinfo(np.uint16).max else drawn
            if self._at == begin:
                found = small
            if self._left(small.nbytes):
                self._kept[self._at] = small
            self._at += len(small)
        return found


class Weeks:
    """Arrivals of weeks, drawn once as far as memory goes."""

    def __init__(self, load: WeeklyLoad, peak_req_per_s: Sequence[float], *, tick_s: float) -> None:
        """None drawn; see ``WeekArrivals``."""
        self._load, self._peak, self._tick_s = load, peak_req_per_s, tick_s
        self._kept: dict[int, dict[int, Counts]] = {}

    def stream(self, seed: int) -> Stream:
        """One pass over a week."""
        source = WeekArrivals(self._load, self._peak, seed=seed, tick_s=self._tick_s)
        return Stream(source, self._kept.setdefault(seed, {}), self._room)

    def _room(self, more_bytes: int) -> bool:
        """Whether so much more may be kept."""
        kept = sum(chunk.nbytes for week in self._kept.values() for chunk in week.values())
        return kept + more_bytes <= KEPT_BYTES


def interleaved(shares: Sequence[float], machines: int) -> list[int]:
    """Kinds of a row's machines, position by position, so that every beginning has the mix as nearly as it can.

    Each place goes to the kind that is furthest behind its share.
    """
    counts = [0] * len(shares)
    total = sum(shares)
    order = []
    for place in range(1, machines + 1):
        behind = [place * s / total - n for s, n in zip(shares, counts, strict=True)]
        chosen = max(range(len(shares)), key=lambda i: behind[i])
        counts[chosen] += 1
        order.append(chosen)
    return order
