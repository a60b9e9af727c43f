"""Predictions against measured runs, point by point: one chart a metric, and the band that holds most of them."""

from collections.abc import Sequence

import numpy as np

from hw_catalog.bands import INSIDE_FRAC
from planner.accuracy.table import Accuracy, ComparedValue, ErrorTotal
from planner.report.html.charts import line, short
from planner.report.page import Chart, Lines, Page, Section, Table, Tile, columns
from planner.report.words import bias
from workloads.counts import number, percent, plural

METRICS = {
    "ttft_mean_s": ("time to first token, mean", "s"),
    "tpot_mean_s": ("time per output token, mean", "s"),
    "e2e_mean_s": ("end to end, mean", "s"),
    "ttft_p99_s": ("time to first token, P99", "s"),
    "e2e_p99_s": ("end to end, P99", "s"),
    "output_tokens_per_s_per_gpu": ("output tokens per second and GPU", "tokens/s"),
}
ALL = "all rows"


def accuracy_page(found: Accuracy) -> Page:
    """Every measured value with its prediction, and what the errors come to."""
    rows = len({value.row for value in found.values})
    mine = _by_metric(found)
    return Page(
        title="accuracy",
        verdict="COMPARED" if rows else "NOTHING COMPARED",
        good=rows > 0,
        headline=answer(found),
        about=f"predicted by the simulator as each run was served; {plural(len(found.excluded), 'row')} left out",
        tiles=[_tile(metric, values) for metric, values in mine.items() if values],
        sections=(
            Section(
                name="values", title="Predicted against measured",
                blocks=[*(_scatter(metric, values) for metric, values in mine.items() if values), _how()],
            ),
            Section(name="errors", title="Errors", blocks=[_errors(found.totals)]),
        ),
    )  # fmt: skip


def _by_metric(found: Accuracy) -> dict[str, list[ComparedValue]]:
    return {metric: [v for v in found.values if v.metric == metric] for metric in METRICS}


def answer(found: Accuracy) -> str:
    """How far predictions are from what was measured: median errors."""
    rows = len({value.row for value in found.values})
    errors = [f"{METRICS[metric][0]} {_error(some)}" for metric, some in _by_metric(found).items() if some]
    return f"{plural(rows, 'measured run')} replayed" + (f"; median errors: {'; '.join(errors)}" if errors else "")


def _error(values: Sequence[ComparedValue]) -> str:
    return percent(float(np.median(np.abs(np.array(_ratios(values)) - 1))))


def _ratios(values: Sequence[ComparedValue]) -> list[float]:
    return [v.predicted_value / v.measured_value for v in values]


def _tile(metric: str, values: Sequence[ComparedValue]) -> Tile:
    """The median error of a metric."""
    return Tile(label=METRICS[metric][0], value=_error(values), note=f"median error of {number(len(values))} values")


def _scatter(metric: str, values: Sequence[ComparedValue]) -> Chart:
    """A point for each run, by engine, on logarithmic axes; lines where they agree, and around most of them."""
    words, unit = METRICS[metric]
    ends = [min(v.measured_value for v in values), max(v.measured_value for v in values)]
    tail = (1 - INSIDE_FRAC) / 2
    low, high = np.quantile(_ratios(values), (tail, 1 - tail)).tolist()
    series = []
    for hue, engine in enumerate(sorted({v.engine for v in values})):
        of = sorted((v for v in values if v.engine == engine), key=lambda v: v.measured_value)
        drawn = line(engine, short([v.predicted_value for v in of]), hue)
        series.append({**drawn, "x": short([v.measured_value for v in of]), "points": 4, "hollow": True})
    for label, ratio, dash in (("as measured", 1.0, 0), (f"{low:.2g} times", low, 1), (f"{high:.2g} times", high, 1)):
        series.append({**line(label, short([end * ratio for end in ends]), 5, dash), "x": short(ends)})
    spec = {
        "series": series, "xUnit": unit, "xLabel": f"measured {words}", "xLog": True, "yUnit": unit, "yLog": True,
        "yLabel": "predicted", "height": 300,
    }  # fmt: skip
    note = f"{plural(len(values), 'run')}; between the dashed lines lie {percent(INSIDE_FRAC)} of them"
    return Chart(name=f"scatter-{metric}", title=words, spec=spec, note=note)


def _how() -> Lines:
    """What the points are not."""
    return Lines(lines=("Factors were fitted to some of these runs: docs/accuracy.md says to which.",))


def _errors(totals: Sequence[ErrorTotal]) -> Table:
    """Median, p90 and bias of everything that has something in common."""
    rows = [
        (t.dataset, t.of, t.metric, str(t.n), percent(t.median_ape), percent(t.p90_ape), bias(t.median_ratio))
        for t in totals
        if t.of == ALL or t.of.startswith(("engine", "system", "with"))
    ]
    return Table(columns=columns("data", "rows", "metric", "#n", "#median", "#p90", "#bias"), rows=rows)
