"""What is shown of a frontier."""

from planner.report.html.charts import line, short
from planner.report.page import Chart, Lines, Page, Section, Table, Tile, columns
from planner.report.plans import again
from planner.report.words import number, plural, valued
from planner.results.frontier import Design, Frontier

_UNITS = {"cost": "usd", "power": "w", "machines": "number", "throughput": "req/s", "energy": "w", "carbon": "g/h"}
_LABELS = {
    "cost": "cost per hour", "power": "rated power", "machines": "machines", "throughput": "throughput",
    "energy": "expected power", "carbon": "CO2 per hour",
}  # fmt: skip


def frontier_page(front: Frontier) -> Page:
    """The best of one quantity for every value of another."""
    efficient = [d for d in front.designs if d.efficient]
    return Page(
        title=f"{front.scenario.name}: frontier",
        verdict="FRONTIER" if front.complete else "FRONTIER, NOT COMPLETE",
        good=front.complete,
        headline=f"{plural(len(efficient), 'efficient design')}: {front.best[front.x]} {front.x} against "
        f"{front.best[front.y]} {front.y}",
        about=f"{front.scenario.model.name}; {front.ended}",
        tiles=[
            Tile(label="Efficient", value=number(len(efficient)), note="no other is better on both"),
            Tile(label="Dominated", value=number(len(front.designs) - len(efficient)), note="shown hollow"),
        ],
        sections=(
            Section(name="designs", title="Designs", blocks=[_scatter(front), _designs(front), _how(front)]),
            again(front.scenario),
        ),
    )


def _how(front: Frontier) -> Lines:
    """What was optimised under which limit, and why it ended."""
    goal = front.y if front.bounded == front.x else front.x
    step = "any change" if front.step is None else f"changes of {front.step:g} {front.units[front.bounded]}"
    words = f"{front.best[goal].capitalize()} {goal} under a falling limit on {front.bounded}, in {step}."
    return Lines(lines=(words, front.ended))


def _scatter(front: Frontier) -> Chart:
    """Every design as a point; the efficient ones joined by steps."""
    ordered = sorted(front.designs, key=lambda d: (d.values[front.x], d.values[front.y]))
    series = []
    for label, wanted, hue in (("efficient", True, 0), ("dominated", False, 1)):
        mine = [d for d in ordered if d.efficient is wanted]
        if mine:
            made = line(label, short([d.values[front.y] for d in mine]), hue)
            more = {"dots": True, "stepped": True} if wanted else {"points": 8, "hollow": True}
            series.append({**made, "x": short([d.values[front.x] for d in mine]), **more})
    spec = {
        "series": series, "xUnit": _UNITS.get(front.x, ""), "xLabel": _LABELS.get(front.x, front.x),
        "yUnit": _UNITS.get(front.y, ""), "height": 340,
    }  # fmt: skip
    note = f"{_LABELS.get(front.y, front.y)} over {_LABELS.get(front.x, front.x)}; every point was validated"
    return Chart(name="frontier-chart", title="Designs", spec=spec, note=note, whole=True)


def _designs(front: Frontier) -> Table:
    rows = []
    for d in front.designs:
        shown = [valued(axis, d.values[axis]) for axis in (front.x, front.y)]
        rows.append((*shown, "efficient" if d.efficient else "dominated", _bought(d)))
    return Table(columns=columns(f"#{front.x}", f"#{front.y}", "kind", "machines"), rows=rows, caption="designs")


def _bought(design: Design) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(design.machines.items()))
