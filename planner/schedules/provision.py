"""The rate that each class is provided for in each epoch, over its peak: raised where it misses, tried with less."""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Protocol

import numpy as np

from planner.results.evidence import Evidence, Verdict
from planner.results.timetable import Served
from workloads.load import Floats

Provided = Mapping[str, Floats]
"""Class -> (epochs,) rate provided for over the peak."""

NUDGE_RATIO = 1.06
"""Growth for an objective that is measured within its limit and not yet beyond doubt."""

LEAST_RATIO, MOST_RATIO = 1.085, 1.35
"""Growth for one that is measured beyond its limit: the root of by how much, within these."""

LEAST_WATTS_STEP = 0.995
"""By which planned watts fall below the metered share of their budget when the simulator finds it passed."""


class Seen(Protocol):
    """What is known of pools that served an epoch."""

    @property
    def evidence(self) -> Sequence[Evidence]:
        """One per objective."""

    @property
    def longer_missed(self) -> tuple[str, ...]:
        """Objectives that a longer run misses."""


def level(load: Mapping[str, Floats], ratio: float) -> dict[str, Floats]:
    """The same ratio for every class in every epoch."""
    return {name: np.full(len(peaks), ratio) for name, peaks in load.items()}


def growth(seen: Seen, classes: Iterable[str]) -> dict[str, float]:
    """By how much each class of an epoch has to be provided for more; 1 where its own objectives are met.

    An objective of no class is every class's. Where all are met and something else is wrong, all classes get more.
    """
    found = dict.fromkeys(classes, 1.0)
    for each in seen.evidence:
        if each.verdict is Verdict.MET and each.key not in seen.longer_missed:
            continue
        for name in (each.slo.request_class,) if each.slo.request_class in found else tuple(found):
            assert name is not None
            found[name] = max(found[name], _step(each))
    if all(ratio == 1.0 for ratio in found.values()):
        return dict.fromkeys(found, LEAST_RATIO)
    return found


def _step(found: Evidence) -> float:
    """Growth for one objective: percentiles rise steeply near saturation, a large miss is no large shortage."""
    over = found.measured / found.limit
    return NUDGE_RATIO if over <= 1 else min(MOST_RATIO, max(LEAST_RATIO, sqrt(over)))


def raised(provided: Provided, served: Iterable[Served]) -> dict[str, Floats]:
    """More for the classes that missed in epochs that were served, in all epochs alike to them."""
    found = {name: ratios.copy() for name, ratios in provided.items()}
    for each in served:
        if not each.served_well:
            mine = each.classes(found)
            for name, ratio in growth(each, mine).items():
                found[mine[name]][list(each.epochs)] *= ratio
    return found


def missed(little: Provided, provided: Provided, served: Iterable[Served]) -> dict[str, Floats]:
    """What is known to be too little, with what epochs that were served missed with."""
    found = {name: ratios.copy() for name, ratios in little.items()}
    for each in served:
        if not each.served_well:
            for name in each.classes(found).values():
                found[name][list(each.epochs)] = provided[name][list(each.epochs)]
    return found


def fewer_watts(served: Iterable[Served]) -> float:
    """By how much planned watts have to fall where metered ones pass their budget; 1 where they do not."""
    passed = [e.limit_w / e.simulated_w for e in served if e.excess_w and e.limit_w and e.simulated_w]
    return LEAST_WATTS_STEP * min(passed) if passed else 1.0


def between(low: Provided, high: Provided, share: float = 0.5) -> dict[str, Floats]:
    """What lies between two provisions, by their logarithms."""
    return {name: low[name] ** (1 - share) * high[name] ** share for name in high}


def same(one: Provided, other: Provided) -> bool:
    """Whether two provisions are alike."""
    return all(np.array_equal(one[name], other[name]) for name in one)
