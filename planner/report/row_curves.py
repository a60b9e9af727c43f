"""A row over time: its draw against breaker and thresholds, its duration curve, and who was slowed down."""

from collections.abc import Iterator

from planner.report.html.charts import line, short
from planner.report.html.drawings import bar
from planner.report.page import Chart, Table, columns
from planner.results.row import CappedUse, RowSeries, RowStudy
from workloads.counts import number, percent, plural, watts

_H_S = 3600.0


def levels(row: RowStudy) -> list[dict[str, object]]:
    """The breaker and the thresholds, as lines across a chart of shares of the limit."""
    found: list[dict[str, object]] = [{"y": 1.0, "label": f"breaker {watts(row.row_limit_w)}"}]
    return found + [{"y": edge, "label": f"threshold {percent(edge)}"} for edge in row.thresholds_frac]


def curves(row: RowStudy) -> Iterator[Chart]:
    """Draw over time and over shares of the time."""
    if row.series is None:
        return
    yield _over_time(row, row.series)
    yield _duration(row, row.series)


def _over_time(row: RowStudy, found: RowSeries) -> Chart:
    hours = [place * found.bin_s / _H_S for place in range(len(found.mean_frac))]
    series = [
        {**line("highest", short(found.peak_frac), 1), "stepped": True},
        {**line("mean", short(found.mean_frac), 0), "stepped": True},
    ]
    spec = {
        "x": short(hours), "series": series, "xUnit": "h", "yUnit": "share", "levels": levels(row), "reach": True,
        "height": 240,
    }  # fmt: skip
    note = (
        f"{plural(found.machines, 'machine')} under control, the week with the highest peak (seed {found.seed}), as a "
        f"share of the breaker's limit; mean and highest tick of each {number(round(found.bin_s / 60))} min"
    )
    return Chart(name="row-draw", title="Power of the row over time", spec=spec, note=note, whole=True)


def _duration(row: RowStudy, found: RowSeries) -> Chart:
    series = [line("under control", short(found.duration_frac), 0)]
    if found.free_duration_frac:
        series.append(line("without control", short(found.free_duration_frac), 6, 1))
    spec = {
        "x": [place / (len(found.duration_frac) - 1) for place in range(len(found.duration_frac))], "series": series,
        "xUnit": "share", "xLabel": "share of the time", "yUnit": "share", "levels": levels(row), "reach": True,
        "height": 240,
    }  # fmt: skip
    note = "draw that is exceeded during a share of the time, all weeks; without control: the first week"
    return Chart(name="row-duration", title="Duration curve", spec=spec, note=note, whole=True)


def capped_table(row: RowStudy) -> Table | None:
    """Who ran below the full clock, and how long."""
    if row.series is None or not row.series.capped:
        return None
    rows = [
        (
            use.pool, _priority(use), number(use.instances), _hours(use.capped_s),
            bar(use.capped_frac, f"capped {percent(use.capped_frac)} of the time", limited=False),
            percent(use.capped_frac),
        )
        for use in row.series.capped
    ]  # fmt: skip
    headings = columns("pool", "priority", "#instances", "#capped, each", "!share of time", "#of the time")
    weeks = f"{plural(row.weeks, 'week')} with {plural(row.series.machines, 'machine')}"
    return Table(columns=headings, rows=rows, caption=f"who is capped: instances below their full clock, {weeks}")


def _priority(use: CappedUse) -> str:
    return "low" if use.low_priority else "high"


def _hours(seconds: float) -> str:
    return f"{number(round(seconds))} s" if seconds < _H_S else f"{seconds / _H_S:.1f} h"
