"""Claims: published numbers beside ours, in a terminal and as a page."""

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.html.charts import line, short
from planner.report.html.matrices import matrix
from planner.report.page import Chart, Chip, Drawing, Page, Section, Table, Tile, Tone, columns
from planner.report.rich import listed
from planner.reproduce.claims import Claim, ClaimVerdict, Figure, Reproduction
from workloads.counts import number, plural


def claims_view(found: Reproduction) -> RenderableType:
    """A line on how it went, and a table for each reading, the comparison below each claim."""
    counts = {v: sum(c.verdict is v for c in found.claims) for v in ClaimVerdict}
    title = f"{plural(len(found.claims), 'claim')}: " + ", ".join(f"{n} {v}" for v, n in counts.items())
    readings = dict.fromkeys(c.reading for c in found.claims)
    return Group(Text(title, style="bold"), *(_reading(name, found) for name in readings))


def _reading(name: str, found: Reproduction) -> RenderableType:
    """The claims under one reading."""
    rows = [
        (_words(c), _value(c.paper), _value(c.ours), _within(c), Chip(words=c.verdict, tone=_TONES[c.verdict]))
        for c in found.claims
        if c.reading == name
    ]
    made = listed(("~claim", "#paper", "#ours", "#within", "verdict"), rows)
    return Group(Text(), Text(name, style="bold"), made)


def _words(c: Claim) -> str:
    """The claim, where it stands, and what ours compares."""
    return f"{c.name}\n  {c.source}" + (f"; {c.note}" if c.note else "")


def _value(value: float | None) -> str:
    return "" if value is None else number(value)


def _within(c: Claim) -> str:
    return "" if c.paper is None else f"±{number(c.tolerance)}"


_TONES = {
    ClaimVerdict.REPRODUCED: Tone.GOOD,
    ClaimVerdict.SOME_DRAWS: Tone.OPEN,
    ClaimVerdict.DIFFERS: Tone.BAD,
    ClaimVerdict.ERRATUM: Tone.OPEN,
    ClaimVerdict.NOT_DERIVABLE: Tone.OPEN,
}


def claims_page(title: str, found: Reproduction) -> Page:
    """The claims of every reading, and below them the published figures as our simulator draws them."""
    counts = {v: sum(c.verdict is v for c in found.claims) for v in ClaimVerdict}
    readings = dict.fromkeys(c.reading for c in found.claims)
    return Page(
        title=f"{title}, reproduced",
        verdict="REPRODUCTION",
        good=True,
        headline=f"{title}: {plural(len(found.claims), 'claim')}, {counts[ClaimVerdict.REPRODUCED]} reproduced",
        tiles=[Tile(label=str(v), value=number(n)) for v, n in counts.items()],
        sections=[
            *(
                Section(name=f"claims-{name}", title=f"Claims, {name}", blocks=[_rows(name, found)])
                for name in readings
            ),
            *(
                Section(name=f"figures-{name}", title=f"Figures, {name}", blocks=[_figure(f) for f in mine])
                for name in readings
                if (mine := [f for f in found.figures if f.reading == name])
            ),
        ],
    )


def _rows(name: str, found: Reproduction) -> Table:
    """The claims under one reading."""
    rows = [
        (
            c.name, _value(c.paper), _value(c.ours), _within(c), Chip(words=c.verdict, tone=_TONES[c.verdict]),
            c.source + (f"; {c.note}" if c.note else ""),
        )
        for c in found.claims
        if c.reading == name
    ]  # fmt: skip
    return Table(columns=columns("~claim", "#paper", "#ours", "#within", "verdict", "~comparison"), rows=rows)


def _figure(f: Figure) -> Chart | Drawing:
    """A figure: curves, or a table of numbers that is shaded by size."""
    words = f"{f.source}: {f.title}" + (f"; {f.note}" if f.note else "")
    if f.rows:
        names = [name for name, _ in f.rows]
        drawn = matrix(
            [values for _, values in f.rows], names, f.columns, show=number, across=f.x_label, down=f.y_label
        )
        return Drawing(svg=drawn, caption=words)
    series = []
    for k, curve in enumerate(f.curves):
        made = {**line(curve.label, short(curve.y), k, k // 7), "x": short(curve.x)}
        series.append({**made, "dots": True} if curve.joined else {**made, "points": 10, "hollow": True})
    spec = {"series": series, "xUnit": "number", "xLabel": f.x_label, "yUnit": "number", "height": 320}
    return Chart(name=f.name, title=words, spec=spec, note=f.y_label)
