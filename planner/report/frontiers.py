"""What is shown of a frontier."""

from collections.abc import Sequence

from planner.report.headlines import model_words
from planner.report.html.charts import line, short
from planner.report.interactivity import of_frontier
from planner.report.page import Chart, Lines, Page, Picker, Section, Table, Tile, columns
from planner.report.plans import again
from planner.report.words import OVER_TIME, valued
from planner.results.frontier import Design, Frontier
from workloads.counts import number, percent, plural

_UNITS = {"cost": "usd/h", "power": "w", "machines": "number", "throughput": "req/s", "energy": "w", "carbon": "g/h"}
_LABELS = {
    "cost": "cost per hour", "power": "rated power", "machines": "machines", "throughput": "throughput",
    "energy": "mean power, simulated", "carbon": "CO2 per hour",
}  # fmt: skip

_TOTALS = {"cost": "usd", "energy": "kWh", "carbon": "kg"}
"""Axes that count all hours of schedules -> their units."""
_BUDGETS = {"cost": "cost_usd_per_h", "power": "power_w", "machines": "machines", "energy": "expected_power_w"}
_DIGITS = 9
"""Of a value on a chart, so that it reads as in the table beside it."""
_BENT = 0.05
"""Share of both axes by which a point must lie off the line through the ends to be called a knee."""


def frontier_page(front: Frontier) -> Page:
    """The best of one quantity for every value of another."""
    efficient = sorted((d for d in front.designs if d.efficient), key=lambda d: d.values[front.x])
    bend = knee([(d.values[front.x], d.values[front.y]) for d in efficient])
    return Page(
        title=f"{front.scenario.name}: frontier",
        verdict="FRONTIER" if front.complete else "FRONTIER, NOT COMPLETE",
        good=front.complete,
        headline=_headline(front, efficient, bend),
        about=f"{_against(front)} of {model_words(front.scenario)}",
        tiles=[
            *([_tile("Knee", front, efficient[bend])] if bend is not None else []),
            *(
                [
                    _tile(f"{front.best[front.x]} {front.x}".capitalize(), front, _end(front, efficient, front.x)),
                    _tile(f"{front.best[front.y]} {front.y}".capitalize(), front, _end(front, efficient, front.y)),
                ]
                if efficient
                else []
            ),
            Tile(label="Efficient", value=number(len(efficient)), note="no other is better on both"),
            Tile(label="Dominated", value=number(len(front.designs) - len(efficient)), note="shown hollow"),
        ],
        sections=(
            Section(
                name="designs",
                title="Designs",
                blocks=[
                    *(_picker(front, efficient), _scatter(front), _designs(front), _how(front)),
                    *filter(None, [of_frontier(front)]),
                ],
            ),
            again(front.scenario),
        ),
    )


def _picker(front: Frontier, efficient: Sequence[Design]) -> Picker:
    """A slider along the efficient designs."""
    values = tuple(_shown(front, front.x, each.values[front.x]) for each in efficient)
    points = {
        str(at): (Tile(label=front.x, value=values[at]),
                  Tile(label=front.y, value=_shown(front, front.y, d.values[front.y])),
                  Tile(label="machines", value=number(sum(d.machines.values())), note=_bought(d)))
        for at, d in enumerate(efficient)
    }  # fmt: skip
    return Picker(name="along", knobs=((front.x, values),), points=points)


def knee(points: Sequence[tuple[float, float]]) -> int | None:
    """Where a frontier bends most: the point furthest from the line through its ends, both axes scaled to these.

    Args:
        points: of the frontier, by the first axis.

    Returns:
        Its place; None for fewer than three points, and where all lie on the line.
    """
    if len(points) < 3:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    if x0 == x1 or y0 == y1:
        return None
    off = [abs((x - x0) / (x1 - x0) - (y - y0) / (y1 - y0)) for x, y in points]
    best = max(range(len(points)), key=off.__getitem__)
    return best if off[best] > _BENT else None


def _against(front: Frontier) -> str:
    return f"{front.best[front.x]} {front.x} against {front.best[front.y]} {front.y}"


def _end(front: Frontier, efficient: Sequence[Design], axis: str) -> Design:
    """The design that is best on one axis."""
    pick = min if front.best[axis] == "least" else max
    return pick(efficient, key=lambda each: each.values[axis])


def _headline(front: Frontier, efficient: Sequence[Design], bend: int | None) -> str:
    """The trade in a sentence: from one end to the knee, or to the other end."""
    if not efficient:
        return "no design was validated"
    first = _end(front, efficient, front.x)
    if len(efficient) == 1:
        return f"one design is best on both: {_pair(front, first)}, {_bought(first)}"
    other = efficient[bend] if bend is not None and efficient[bend] is not first else _end(front, efficient, front.y)
    words = "knee" if bend is not None and other is efficient[bend] else "other end"
    gives = ", ".join(f"{axis} {_signed(other.values[axis], first.values[axis])}" for axis in (front.x, front.y))
    return (
        f"{plural(len(efficient), 'efficient design')}: {_pair(front, first)} at {front.best[front.x]} {front.x}; "
        f"{words} {_pair(front, other)} ({gives})"
    )


def _signed(value: float, against: float) -> str:
    change = value / against - 1 if against else 0.0
    return f"{'+' if change >= 0 else '-'}{percent(abs(change))}"


def _shown(front: Frontier, axis: str, value: float) -> str:
    """A value in the unit of its axis: a total of a schedule's hours, or what a plan takes an hour."""
    return valued(f"{OVER_TIME}{axis}" if _total(front, axis) else axis, value)


def _total(front: Frontier, axis: str) -> bool:
    """Whether an axis counts all hours of schedules."""
    return front.scenario.schedule is not None and axis in _TOTALS


def _unit(front: Frontier, axis: str) -> str:
    """The unit of an axis as charts know it."""
    return _TOTALS[axis] if _total(front, axis) else _UNITS.get(axis, "")


def _label(front: Frontier, axis: str) -> str:
    """What an axis is called on a chart."""
    if front.scenario.schedule is None:
        return _LABELS.get(axis, axis)
    return f"{axis} of the schedule" if axis in _TOTALS else f"most {_LABELS.get(axis, axis)} of an epoch"


def _pair(front: Frontier, design: Design) -> str:
    return " and ".join(_shown(front, axis, design.values[axis]) for axis in (front.x, front.y))


def _tile(label: str, front: Frontier, design: Design) -> Tile:
    """A design of the frontier."""
    return Tile(label=label, value=_pair(front, design).replace(" and ", ", "), note=_bought(design))


def _how(front: Frontier) -> Lines:
    """What was optimised under which limit, and why it ended."""
    if not front.bounded:
        words = (
            f"Schedules of least {front.x} and of least {front.y}, and of least cost at prices of electricity between."
        )
        return Lines(lines=(words, front.ended))
    goal = front.y if front.bounded == front.x else front.x
    step = "" if front.step is None else f", in changes of {front.step:g} {front.units[front.bounded]}"
    words = f"{front.best[goal].capitalize()} {goal} under a falling limit on {front.bounded}{step}."
    return Lines(lines=(words, front.ended))


def _scatter(front: Frontier) -> Chart:
    """Every design as a point; the efficient ones joined by steps."""
    ordered = sorted(front.designs, key=lambda d: (d.values[front.x], d.values[front.y]))
    series = []
    for label, wanted, hue in (("efficient", True, 0), ("dominated", False, 1)):
        mine = [d for d in ordered if d.efficient is wanted]
        if mine:
            made = line(label, short([d.values[front.y] for d in mine], _DIGITS), hue)
            more = {"dots": True, "stepped": True} if wanted else {"points": 8, "hollow": True}
            series.append({**made, "x": short([d.values[front.x] for d in mine], _DIGITS), **more})
    efficient = [d for d in ordered if d.efficient]
    bend = knee([(d.values[front.x], d.values[front.y]) for d in efficient])
    budgets = front.scenario.budget()
    known = {axis: _BUDGETS.get(axis, "") for axis in (front.x, front.y) if not _total(front, axis)}
    lines = {axis: getattr(budgets, known.get(axis, ""), None) for axis in (front.x, front.y)}
    axes = (front.x, front.y) if efficient else ()
    named = [(efficient[bend], "knee")] if bend is not None else []
    named += [(_end(front, efficient, axis), f"{front.best[axis]} {axis}") for axis in axes]
    spec = {
        "points": [{"x": d.values[front.x], "y": d.values[front.y], "label": words} for d, words in named],
        "levels": [{"y": most, "label": f"budget {_shown(front, front.y, most)}"} for most in [lines[front.y]] if most],
        "uprights": [
            {"x": most, "label": f"budget {_shown(front, front.x, most)}"} for most in [lines[front.x]] if most
        ],
        "series": series, "xUnit": _unit(front, front.x), "xLabel": _label(front, front.x),
        "yUnit": _unit(front, front.y), "height": 340,
    }  # fmt: skip
    note = f"{_label(front, front.y)} over {_label(front, front.x)}; every point was validated"
    return Chart(name="frontier-chart", title="Designs", spec=spec, note=note, whole=True)


def _designs(front: Frontier) -> Table:
    """A row for each design, with what its users and its GPUs get where it was planned itself."""
    seen = any(d.outcome is not None and d.outcome.concurrency is not None for d in front.designs)
    rows = []
    for d in front.designs:
        shown = [_shown(front, axis, d.values[axis]) for axis in (front.x, front.y)]
        rows.append((*shown, "efficient" if d.efficient else "dominated", *(_served(d) if seen else ()), _bought(d)))
    extra = ("?#tokens/s/GPU", "?#tokens/s/user", "?#concurrency") if seen else ()
    headings = columns(f"#{front.x}", f"#{front.y}", "kind", *extra, "machines")
    return Table(columns=headings, rows=rows, caption="designs")


def _served(design: Design) -> tuple[str, ...]:
    """Output tokens a second of a GPU and of a user, and requests that decode at once on a machine."""
    found = design.outcome
    values = (found.gpu_tokens_per_s, found.user_tokens_per_s, found.concurrency) if found else (None, None, None)
    return tuple("" if value is None else number(value, 3) for value in values)


def _bought(design: Design) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(design.machines.items()))
