"""What a row drew over time, short enough for a plan's file: bins of one week, and shares of the time of all."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.results.row import CappedUse, RowSeries
from planner.simulator.rows.rows import Floor, RowRun

Floats = NDArray[np.floating]

BINS = 336
"""Bins that a week is shown in at most: half an hour each of seven days."""

PERCENTS = 101

_DIGITS = 4
"""Of shares of a limit: a file says the same where the last bits of a sum do not."""


def duration(draw_frac: Floats) -> tuple[float, ...]:
    """The draw that is exceeded during 0, 1, ... 100 % of the time."""
    return _short(np.quantile(draw_frac, np.linspace(1.0, 0.0, PERCENTS)))


def series_of(weeks: Sequence[RowRun], floor: Floor, settled_w: Sequence[Floats], free: tuple[float, ...]) -> RowSeries:
    """The series of the weeks of one number of machines.

    Args:
        weeks: under control.
        floor: what stands in the row.
        settled_w: their watts without the first, empty hour.
        free: duration curve of the first week without control.
    """
    case = weeks[0].case
    worst = max(weeks, key=lambda run: float(run.row_w.max()))
    size = -(-len(worst.row_w) // BINS)
    starts = np.arange(0, len(worst.row_w), size)
    draw = worst.row_w / case.limit_w
    means = np.add.reduceat(draw, starts) / np.diff(np.append(starts, len(draw)))
    return RowSeries(
        machines=case.machines, seed=worst.case.seed, bin_s=size * worst.tick_s, mean_frac=_short(means),
        peak_frac=_short(np.maximum.reduceat(draw, starts)),
        duration_frac=duration(np.concatenate(settled_w) / case.limit_w), free_duration_frac=free,
        capped=_capped(weeks, floor),
    )  # fmt: skip


def _capped(weeks: Sequence[RowRun], floor: Floor) -> tuple[CappedUse, ...]:
    """How long instances of each pool and priority that stand in the row ran below their full clock."""
    n, total_s = weeks[0].case.machines, sum(len(run.row_w) * run.tick_s for run in weeks)
    counts = np.bincount(np.repeat(np.array(floor.kind_of[:n]), floor.cut(n)), minlength=len(floor.kinds)).tolist()
    sums = np.sum([run.capped_s for run in weeks], axis=0).tolist()
    return tuple(
        CappedUse(
            pool=kind.name, low_priority=kind.low_priority, instances=count, capped_s=round(summed / count, 1),
            capped_frac=round(summed / count / total_s, _DIGITS),
        )
        for kind, count, summed in zip(floor.kinds, counts, sums, strict=True) if count
    )  # fmt: skip


def _short(values: Floats) -> tuple[float, ...]:
    found: list[float] = np.round(values, _DIGITS).tolist()
    return tuple(found)
