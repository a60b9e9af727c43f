"""The pages of a sweep and of a frontier."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

from planner.report.bill import BILL_HEADINGS, bill_cells
from planner.report.html.charts import line, short
from planner.report.html.matrices import matrix, tornado
from planner.report.page import Block, Chart, Chip, Drawing, Lines, Page, Section, Table, Tile, Tone, columns
from planner.report.plans import again, best_words
from planner.report.words import budget, dollars, number, percent, plural, rate, valued
from planner.results.frontier import Design, Frontier
from planner.results.plan import CandidatePlan
from planner.results.sweep import VALIDATED, Outcome, Point, WhatIf

_UNITS = {"cost": "usd", "power": "w", "machines": "number", "throughput": "req/s", "energy": "w", "carbon": "g/h"}
_LABELS = {
    "cost": "cost per hour", "power": "rated power", "machines": "machines", "throughput": "throughput",
    "energy": "expected power", "carbon": "CO2 per hour",
}  # fmt: skip


def _brief(objective: str, value: float) -> str:
    """A value short enough for a small cell."""
    if objective == "cost":
        return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
    return number(value) if objective == "throughput" else valued(objective, value)


def whatif_page(sweep: WhatIf) -> Page:
    """What was varied, what came of it, and what it would have cost to be wrong."""
    objective = str(sweep.scenario.objective)
    held = [p for p in sweep.points if p.outcome.verdict == VALIDATED]
    values = [p.outcome.objective_value for p in held if p.outcome.objective_value is not None]
    show = partial(valued, objective)
    span = f"{objective} from {show(min(values))} to {show(max(values))}" if values else "no point has a plan"
    if not sweep.points:
        span = _headline(sweep, objective)
    sections: list[Section] = []
    if sweep.points:
        sections.append(Section(name="grid", title="What came of it", blocks=_grid(sweep, objective)))
    if sweep.tornado:
        sections.append(Section(name="tornado", title="One thing at a time", blocks=_tornado(sweep, objective)))
    if sweep.shadow_prices:
        sections.append(Section(name="shadow", title="What more budget is worth", blocks=[_shadow(sweep, objective)]))
    if sweep.regret:
        sections.append(Section(name="regret", title="What it costs to be wrong", blocks=_regret(sweep, objective)))
    return Page(
        title=f"{sweep.scenario.name}: what if",
        verdict=f"{len(held)} OF {len(sweep.points)} VALIDATED" if sweep.points else "WHAT IF",
        good=len(held) == len(sweep.points),
        headline=span,
        about=f"{sweep.scenario.model.name}, {best_words(objective)}; " + _varied(sweep),
        tiles=_tiles(sweep, objective),
        sections=(*sections, again(sweep.scenario)),
    )


def _headline(sweep: WhatIf, objective: str) -> str:
    """Where nothing was swept: the plan as given, or why there is none."""
    given = sweep.base.outcome if sweep.base else None
    if given is None or given.objective_value is None:
        return "no plan as given"
    return f"as given: {objective} {valued(objective, given.objective_value)}"


def _varied(sweep: WhatIf) -> str:
    return "; ".join(f"{k.key} = {', '.join(k.values)}" for k in sweep.knobs) or "one thing at a time"


def _tiles(sweep: WhatIf, objective: str) -> list[Tile]:
    made = []
    if sweep.points:
        note = plural(len(sweep.knobs), "key") + " varied"
        made.append(Tile(label="Points", value=number(len(sweep.points)), note=note))
    if sweep.base and sweep.base.outcome.objective_value is not None:
        made.append(Tile(label="As given", value=valued(objective, sweep.base.outcome.objective_value), note=objective))
    worst = max((r for r in sweep.regret if r.regret is not None), key=lambda r: r.regret or 0.0, default=None)
    if worst and worst.regret is not None:
        made.append(
            Tile(
                label="Largest regret",
                value=valued(objective, worst.regret),
                note=f"{worst.bought}, then {worst.happens}",
            )
        )
    if sweep.tornado:
        made.append(
            Tile(label="Moves most", value=sweep.tornado[0].name, note=f"by {percent(sweep.tornado_frac or 0)}")
        )
    return made


# --- the grid --------------------------------------------------------------------------------------------------------


def _grid(sweep: WhatIf, objective: str) -> list[Block]:
    """Lines over the first key, one for each setting of the others; a matrix where two were varied; every point."""
    blocks: list[Block] = []
    if sweep.knobs:
        for name, unit, label, read in _measures(objective):
            blocks.append(_over_first(sweep, name, unit, label, read))
    if len(sweep.knobs) == 2:
        rows, columns = sweep.knobs
        at = {(p.settings.get(rows.key), p.settings.get(columns.key)): p.outcome for p in sweep.points}
        cells = [[_value(at.get((r, c))) for c in columns.values] for r in rows.values]
        drawing = matrix(
            cells, rows.values, columns.values, show=partial(valued, objective), across=columns.key, down=rows.key,
        )  # fmt: skip
        blocks.append(Drawing(svg=drawing, caption=f"{objective}; an empty cell has no plan"))
    blocks.append(_points(sweep.points))
    refused = [f"{p.name}: {p.outcome.verdict}; {' '.join(p.outcome.explanation[:1])}" for p in sweep.points
               if p.outcome.verdict != VALIDATED]  # fmt: skip
    blocks.append(Lines(lines=tuple(refused), bullets=True))
    return blocks


_Read = Callable[[Outcome], float | None]


def _measures(objective: str) -> list[tuple[str, str, str, _Read]]:
    """What is drawn of each point: the objective first."""

    def totals(read: Callable[[CandidatePlan], float]) -> _Read:
        return lambda outcome: read(outcome.candidate) if outcome.candidate else None

    every: list[tuple[str, str, str, _Read]] = [
        ("cost", "usd", "cost per hour", totals(lambda c: c.totals.cost_usd_per_h)),
        ("machines", "number", "machines", totals(lambda c: float(c.totals.machines))),
        ("power", "w", "rated power", totals(lambda c: c.totals.power_w)),
        ("throughput", "req/s", "rate served", lambda outcome: outcome.served_req_per_s),
    ]
    tightest: _Read = lambda o: min(o.margin_frac.values(), default=None)  # noqa: E731  a row of the table above
    every.sort(key=lambda row: row[0] != objective)
    return [*every[: 3 if objective != "throughput" else 4], ("margin", "share", "tightest margin", tightest)]


def _over_first(sweep: WhatIf, name: str, unit: str, label: str, read: _Read) -> Chart:
    """One measure over the first key; named values stand side by side."""
    first, others = sweep.knobs[0], sweep.knobs[1:]
    by_settings = {tuple(p.settings.get(k.key) for k in sweep.knobs): p.outcome for p in sweep.points}
    numbers = [_number(v) for v in first.values]
    numeric = all(n is not None for n in numbers)
    places = [n for n in numbers if n is not None] if numeric else [float(i) for i in range(len(first.values))]
    order = sorted(range(len(places)), key=lambda i: places[i])
    series = []
    for index, rest in enumerate(product(*(k.values for k in others))):
        words = ", ".join(f"{_tail(k.key)} {v}" for k, v in zip(others, rest, strict=True)) or label
        found = [by_settings.get((first.values[i], *rest)) for i in order]
        values = [None if o is None or (v := read(o)) is None else short([v])[0] for o in found]
        series.append({**line(words, values, index, index), "dots": True})
    spec: dict[str, Any] = {
        "x": [places[i] for i in order], "series": series, "xUnit": "", "xLabel": first.key, "yUnit": unit,
        "zero": name != "margin", "sync": "first",
    }  # fmt: skip
    if not numeric:
        spec["xNames"] = [first.values[i] for i in order]
    return Chart(name=f"over-{name}", title=label.capitalize(), spec=spec, note=f"{label} over {first.key}")


def _tail(key: str) -> str:
    return key.rpartition(".")[2]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(outcome: Outcome | None) -> float | None:
    return outcome.objective_value if outcome else None


def _points(points: Sequence[Point]) -> Table:
    """Every point of the grid."""
    rows = []
    for p in points:
        o, totals = p.outcome, p.outcome.candidate.totals if p.outcome.candidate else None
        bind = o.binds[0] if o.binds else None
        margin = min(o.margin_frac.values(), default=None)
        served = "" if o.served_req_per_s is None else rate(o.served_req_per_s)
        rows.append((
            p.name, _verdict(o), served, number(totals.machines) if totals else "",
            dollars(totals.cost_usd_per_h) if totals else "",
            *(bill_cells(o.bill, totals.power_w) if totals else ("",) * 4), "" if margin is None else percent(margin),
            f"{bind.name}, {percent(bind.used_frac)}" if bind else "",
        ))  # fmt: skip
    headings = ("point", "verdict", "#served", "#machines", "#cost", *BILL_HEADINGS, "#least margin", "binds")
    return Table(columns=columns(*headings), rows=rows, caption="points")


def _verdict(outcome: Outcome) -> Chip:
    good = outcome.verdict == VALIDATED
    return Chip(words=outcome.verdict, tone=Tone.GOOD if good else Tone.BAD)


# --- tornado, shadow prices, regret ---------------------------------------------------------------------------------


def _tornado(sweep: WhatIf, objective: str) -> list[Block]:
    """Bars both ways, the largest effect first."""
    rows = [(s.name, s.low_change, s.high_change) for s in sweep.tornado if s.span]
    idle = [s.name for s in sweep.tornado if not s.span]
    moved = percent(sweep.tornado_frac or 0.0)
    caption = (
        f"Change of {objective} when one thing falls (upper bar) or rises (lower bar) by {moved}, all else as given."
    )
    words = (f"Without effect: {', '.join(idle)}.",) if idle else ()
    return [Drawing(svg=tornado(rows, show=partial(valued, objective)), caption=caption), Lines(lines=words)]


def _shadow(sweep: WhatIf, objective: str) -> Table:
    rows = []
    for price in sweep.shadow_prices:
        unit, per = (1e3, "kW") if price.budget.endswith("power_w") else (1.0, "unit")
        gain, loss = (
            "no plan" if v is None else f"{valued(objective, v * unit)} per {per}" if v else "nothing"
            for v in (price.gain_per_unit, price.loss_per_unit)
        )
        rows.append((price.budget, budget(price.budget, price.limit), budget(price.budget, price.step), gain, loss))
    headings = ("budget", "#limit", "#step", "#one more is worth", "#one less costs")
    return Table(columns=columns(*headings), rows=rows, caption="found by planning again; machines come whole")


def _regret(sweep: WhatIf, objective: str) -> list[Block]:
    """A matrix: the plan that was bought down, the future that happens across."""
    names = [p.name for p in sweep.points if p.outcome.verdict == VALIDATED]
    found = {(r.bought, r.happens): r.regret for r in sweep.regret}
    cells = [
        [found.get((bought, happens), 0.0 if bought == happens else None) for happens in names] for bought in names
    ]
    short_names = [_abridged(name) for name in names]
    drawing = matrix(
        cells, short_names, short_names, show=partial(_brief, objective), across="what happens", down="what was bought"
    )
    words = (
        f"Regret, in the unit of {objective}: what is then owned and added, less the best plan for what "
        "happens. Zero is no regret; an empty cell has no known plan."
    )
    return [Drawing(svg=drawing, caption=words)]


def _abridged(name: str) -> str:
    """A point's name without the words that every reader knows."""
    return name.replace("workload.", "").replace("slo.", "").replace("rate_scale", "rate")


# --- frontiers ------------------------------------------------------------------------------------------------------


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
            Section(name="frontier", title="Frontier", blocks=[_scatter(front), _designs(front)]),
            again(front.scenario),
        ),
    )


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
