"""Charts as data: what ``page.js`` draws."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from planner.report.html.cluster import colour
from planner.report.page import Chart
from planner.results.evidence import Evidence
from planner.results.picture import LatencyCurve, Picture, PoolSeries
from planner.results.plan import CandidatePlan
from workloads.slo import Unit

_DIGITS = 5
_DASHES = ((), (8, 4), (2, 3), (10, 3, 2, 3), (4, 4), (14, 4), (1, 3))
_METRICS = {
    "ttft": "time to first token",
    "tbt": "time between tokens",
    "tpot": "time per output token",
    "e2e": "end to end",
    "stall": "longest gap of a request",
}


def short(values: Sequence[float], digits: int = _DIGITS) -> list[float | None]:
    """Values as they are worth drawing: five digits or as many as are asked, nothing for what is infinite."""
    rounded = (float(f"{v:.{digits}g}") for v in values)
    return [v if isfinite(v) else None for v in rounded]


def line(label: str, values: Sequence[float | None], hue: int, dash: int = 0) -> dict[str, Any]:
    """One series of a chart."""
    return {"label": label, "values": list(values), "colour": hue % 7, "dash": list(_DASHES[dash % len(_DASHES)])}


def pool_lines(candidate: CandidatePlan, rows: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """A series per pool: the role gives the colour, the place among pools of that role the dash."""
    made, seen = [], dict[str, int]()
    for pool in candidate.pools:
        tone = colour(pool.spec.role)
        made.append(line(pool.spec.name, short(rows[pool.spec.name]), int(tone[1:]), seen.get(tone, 0)))
        seen[tone] = seen.get(tone, 0) + 1
    return made


def over_time(picture: Picture, candidate: CandidatePlan) -> list[Chart]:
    """Load, queues, batches, memory and busy time of every pool, moment by moment, with one shared axis of time."""
    shown: tuple[tuple[str, str, str, str], ...] = (
        (
            "queue_tokens",
            "Queue, prompt tokens",
            "tokens",
            "prompt tokens that wait on an instance, mean over the pool",
        ),
        ("batch_mean", "Batch, requests", "number", "requests that decode on an instance, mean over the pool"),
        ("kv_frac", "KV memory", "share", "share of the blocks in use, mean over the pool"),
        ("busy_frac", "Busy", "share", "share of the instances that are in a step"),
    )
    arrivals = [
        line("prompt tokens", short(picture.prompt_tokens_per_s), 5),
        line("output tokens", short(picture.output_tokens_per_s), 4, 1),
    ]
    made = [_timed("arrivals", "Load", "tokens/s", "tokens per second of the requests that arrive", picture, arrivals)]
    for column, title, unit, note in shown:
        rows = {series.pool: _column(series, column) for series in picture.pools}
        made.append(_timed(column, title, unit, note, picture, pool_lines(candidate, rows)))
    drawn = {series.pool: series.power_w for series in picture.pools}
    if all(drawn.values()):
        note = "wall power of the machines of a pool, from a meter that reads once a second"
        made.append(_timed("power_w", "Power", "w", note, picture, pool_lines(candidate, drawn)))
    return made


def _column(series: PoolSeries, column: str) -> Sequence[float]:
    values: Sequence[float] = getattr(series, column)
    return values


def _timed(name: str, title: str, unit: str, note: str, picture: Picture, series: list[dict[str, Any]]) -> Chart:
    """A chart over the simulated time; what was not measured is shaded."""
    spec = {
        "x": short(picture.moments_s), "series": series, "xUnit": "s", "xLabel": "simulated time", "yUnit": unit,
        "sync": "time", "window": short((picture.start_s, picture.end_s)), "zero": True,
    }  # fmt: skip
    return Chart(name=name, title=title, spec=spec, note=note)


def latencies(curves: Sequence[LatencyCurve], evidence: Sequence[Evidence]) -> Chart:
    """All distributions in one chart: latency on a logarithmic axis, and shares by their nines."""
    series, dashes = [], {"ttft": 0, "tbt": 1, "tpot": 2, "e2e": 3, "stall": 4}
    hues = {"ttft": 0, "tbt": 1, "tpot": 3, "e2e": 2}
    for curve in curves:
        points = dict(zip(curve.latency_s, curve.share_frac, strict=True))  # of equal latencies the largest share
        pairs = [(x, y) for x, y in points.items() if isfinite(x) and x > 0 and y < 1]
        made = line(_METRICS.get(curve.metric, curve.metric), short([y for _, y in pairs]), hues.get(curve.metric, 4))
        made["x"], made["dash"] = short([x for x, _ in pairs]), list(_DASHES[dashes.get(curve.metric, 4)])
        series.append(made)
    marks = [
        {
            "x": e.limit,
            "y": e.slo.percentile / 100,
            "label": f"{e.key} ≤ {e.limit:g} s",
            "colour": hues.get(e.slo.metric, 4),
        }
        for e in evidence
        if e.unit is Unit.SECONDS
    ]
    spec = {"series": series, "marks": marks, "xUnit": "s", "xLabel": "latency", "xLog": True, "yUnit": "nines"}
    note = (
        "Share of requests (time between tokens: of gaps) within a latency. A triangle is an objective: its curve must "
        "pass above and to the left of it."
    )
    return Chart(name="latencies", title="Latency", spec=spec, note=note, whole=True)
