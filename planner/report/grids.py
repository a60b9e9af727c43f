"""Splitwise's provisioning grid: the best cluster of every problem, and the frontier of every design."""

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from planner.report.html.charts import line, short
from planner.report.page import Chart, Page, Section, Table, Tile, columns
from planner.report.rich import drawn
from planner.reproduce.designs import SIMULATOR, Cluster
from planner.reproduce.grid import BUDGETS, RATE_REQ_PER_S, Best, Row, best
from planner.scenario.designs import DESIGNS
from workloads.counts import number

_MOST_NAMED = 4
"""Clusters of equal worth that are named; of the others only the number is told."""


_HUES = dict(zip((d.name for d in DESIGNS), (0, 1, 2, 3, 4, 6), strict=True))
"""One colour a design in every chart; the sixth of the palette looks like the first."""


def _line(name: str, values: Sequence[float]) -> dict[str, Any]:
    """A design's line; that of capped machines is dashed, for it often lies on that of the others."""
    return line(name, short(values), _HUES[name], int("cap" in name))


def grid_view(found: Sequence[Best]) -> RenderableType:
    """The best clusters, for a terminal."""
    return drawn(_page(found, ()), ["all"])


def grid_page(rows: Sequence[Row]) -> Page:
    """The best clusters, and charts of what holds."""
    return _page(best(rows), rows)


def _page(found: Sequence[Best], rows: Sequence[Row]) -> Page:
    readings = dict.fromkeys((b.reading, b.workload) for b in found)
    asked = {(b.reading, b.workload, b.design, b.problem if b.problem in BUDGETS else "rate"): b.points for b in found}
    points = sum(asked.values())
    sections = []
    for name, workload in readings:
        mine = [b for b in found if (b.reading, b.workload) == (name, workload)]
        these = [r for r in rows if (r.reading, r.workload) == (name, workload)]
        draws = (_frontier, _edge, _splits) if these else ()
        charts = [draw(these, f"{name}-{workload}") for draw in draws]
        sections.append(
            Section(
                name=f"{name}-{workload}",
                title=f"{workload}, {name}",
                blocks=[*(c for c in charts if c.spec["series"]), _best(mine)],
            )
        )
    return Page(
        title="Splitwise, the provisioning grid",
        verdict="GRID",
        good=True,
        headline=_answer(found),
        about=f"BLOOM-176B; {RATE_REQ_PER_S} req/s, and the price and power of 40 DGX-H100; two minutes",
        tiles=[
            Tile(label="Clusters", value=number(points), note="judged, of every design and split"),
            Tile(label="Answers", value=number(len(found)), note="best clusters, one for each design and problem"),
        ],
        sections=sections,
    )


def _answer(found: Sequence[Best]) -> str:
    """The best design of every problem of the first workload and reading."""
    if not found:
        return "No cluster holds"
    first, top = (found[0].reading, found[0].workload), dict[str, Best]()
    for b in (b for b in found if (b.reading, b.workload) == first):
        most, sofar = b.problem in BUDGETS, top.get(b.problem)
        if sofar is None or (b.value > sofar.value if most else b.value < sofar.value):
            top[b.problem] = b
    told = "; ".join(f"{problem} {b.design}, {number(b.value)} with {b.clusters[0]}" for problem, b in top.items())
    return f"Best designs for {first[1]}, {first[0]}: {told}"


def _best(found: Sequence[Best]) -> Table:
    """A row for each design and problem."""
    rows = []
    for b in found:
        more = len(b.clusters) - _MOST_NAMED
        names = ", ".join(b.clusters[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        rows.append((b.problem, b.design, number(b.value), names, number(b.held), number(b.points), number(b.hurt)))
    heads = columns("problem", "design", "#best", "~clusters", "#hold", "#of", "#miss with more machines")
    return Table(columns=heads, rows=rows, caption="USD/h, W or machines for 70 req/s; req/s under a budget")


def efficient(held: Sequence[Cluster]) -> list[tuple[float, float]]:
    """(USD/h, kW) of the clusters that no other beats in both, by price."""
    found: list[tuple[float, float]] = []
    for cost, power in sorted((c.usd_per_h(SIMULATOR), c.power_w(SIMULATOR) / 1e3) for c in held):
        if not found or power < found[-1][1] - 1e-9:
            found.append((cost, power))
    return found


def _frontier(rows: Sequence[Row], name: str) -> Chart:
    """Of every design the clusters that hold the fixed rate and that no other of it beats in price and power."""
    series = []
    for made in DESIGNS:
        held = [c for r in rows if r.design == made.name and r.problem is None for c, rate in r.clusters() if rate]
        points = efficient(held)
        if points:
            drawn_as = _line(made.name, [y for _, y in points])
            series.append({**drawn_as, "x": short([x for x, _ in points]), "dots": True, "stepped": len(points) > 1})
    spec = {"series": series, "xUnit": "usd/h", "xLabel": "price, USD/h", "yUnit": "kW", "height": 340}
    note = "power in kW over price in USD/h of the clusters of each design that hold 70 req/s and are beaten in neither"
    return Chart(name=f"frontier-{name}", title="Frontier for 70 req/s", spec=spec, note=note, whole=True)


def _edge(rows: Sequence[Row], name: str) -> Chart:
    """Fewest prompt machines that hold the fixed rate, by number of token machines."""
    series = []
    for made in (d for d in DESIGNS if d.token_machine):
        fewest = dict[int, int]()
        for r in (r for r in rows if r.design == made.name and r.problem is None):
            for c, rate in r.clusters():
                if rate:
                    fewest[c.token_machines] = min(c.prompt_machines, fewest.get(c.token_machines, c.prompt_machines))
        if fewest:
            points = sorted(fewest.items())
            drawn_as = _line(made.name, [float(p) for _, p in points])
            series.append({**drawn_as, "x": short([float(t) for t, _ in points])})
    spec = {"series": series, "xUnit": "number", "xLabel": "token machines", "yUnit": "number", "height": 340}
    note = "fewest prompt machines with which a design holds 70 req/s, by its token machines"
    return Chart(name=f"edge-{name}", title="Design space for 70 req/s", spec=spec, note=note, whole=True)


def _splits(rows: Sequence[Row], name: str) -> Chart:
    """Highest rate of every split of the price of 40 DGX-H100."""
    series: list[dict[str, Any]] = []
    for made in (d for d in DESIGNS if d.token_machine):
        mine = (r for r in rows if r.design == made.name and r.problem == BUDGETS[0])
        points = sorted((c.prompt_machines / c.machines, rate) for r in mine for c, rate in r.clusters())
        if points:
            drawn_as = _line(made.name, [float(y) for _, y in points])
            series.append({**drawn_as, "x": short([x for x, _ in points])})
    spec = {"series": series, "xUnit": "share", "xLabel": "share of prompt machines", "yUnit": "req/s", "height": 340}
    note = "highest rate of the published sweep, in steps of 10 req/s, of every split of the price of 40 DGX-H100"
    return Chart(name=f"splits-{name}", title="Splits at equal cost", spec=spec, note=note, whole=True)
