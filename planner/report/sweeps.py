"""What is shown of a sweep."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import isinf
from typing import Any

from planner.report import over_time_sweeps
from planner.report.bill import BILL_HEADINGS, bill_cells
from planner.report.fleets_bought import fleets_bought, fleets_part, named, refused
from planner.report.headlines import best_words, model_words
from planner.report.html.charts import line, short
from planner.report.html.matrices import matrix, tornado
from planner.report.page import (
    Block,
    Cell,
    Chart,
    Chip,
    Drawing,
    Lines,
    Page,
    Section,
    Table,
    Tile,
    Tone,
    columns,
    section,
)
from planner.report.pickers import machine_types, picker
from planner.report.plans import again
from planner.report.regrets import least, regrets
from planner.report.screen import Part, Screen, rows_part
from planner.report.words import OVER_TIME, budget, change, dollars, goal_words, rate, valued
from planner.results.plan import Totals
from planner.results.sweep import VALIDATED, Outcome, Point, ShadowPrice, Swing, WhatIf, short_names
from planner.scenario.objectives import Objective
from workloads.counts import number, percent, plural

_FEW = 5
"""Rows of a table that a first screen has."""
_BAR = 12
"""Width of the longest bar of a tornado on a terminal, in characters."""


def whatif_page(sweep: WhatIf) -> Page:
    """What was varied, what came of it, and what it would have cost to be wrong."""
    objective = goal_words(sweep.scenario)
    held = [p for p in sweep.points if p.outcome.verdict == VALIDATED]
    span = _span(sweep, held, objective) if sweep.points else _headline(sweep, objective)
    verdict = f"{len(held)} OF {plural(len(sweep.points), 'POINT').upper()} VALIDATED" if sweep.points else "WHAT IF"
    about = f"{model_words(sweep.scenario)}, {best_words(objective)}; " + _varied(sweep)
    sections = tuple(_sections(sweep, objective, held))
    return Page(
        title=f"{sweep.scenario.name}: what if",
        verdict=verdict,
        good=len(held) == len(sweep.points),
        headline=span,
        about=about,
        tiles=_tiles(sweep, objective),
        sections=sections,
        screen=Screen(
            head=(f"{verdict}: {span}", about), parts=tuple(_parts(sweep, objective)),
            told=(*refused(sweep), *_first_told(sweep, objective)), more=named([each.name for each in sections]),
        ).blocks,
    )  # fmt: skip


def _sections(sweep: WhatIf, objective: str, held: Sequence[Point]) -> Iterator[Section]:
    """What was varied, part by part."""
    yield from section("choose", "Choose a point", picker(sweep) if sweep.points and sweep.knobs else None)
    yield from section("fleets", "What to buy", fleets_bought(sweep, objective))
    yield from section("plans", "Plans", *(_grid(sweep, objective) if sweep.points else ()))
    yield from section("power", "Power", _power(sweep) if held and sweep.scenario.schedule is None else None)
    yield from section("regret", "Regret", *(regrets(sweep, objective) if sweep.regret else ()))
    yield from section("given", "As given", _as_given(sweep, objective))
    yield from section("tornado", _moved(sweep), *(_tornado(sweep, objective) if sweep.tornado else ()))
    yield from section("shadow", "Worth of a budget", *_shadow(sweep, objective))
    yield again(sweep.scenario)


def _parts(sweep: WhatIf, objective: str) -> Iterator[Part]:
    """Tables of a first screen: fleets, else the point; what moves the objective most; what budgets are worth."""
    fleets = fleets_bought(sweep, objective)
    if fleets or sweep.points:
        yield fleets_part(fleets) if fleets else rows_part(_points(sweep))
    if sweep.tornado:
        yield replace(rows_part(_swings(sweep, objective)), most=_FEW)
    if sweep.shadow_prices:
        yield replace(rows_part(_worths(sweep, objective)), most=_FEW)


def _first_told(sweep: WhatIf, objective: str) -> Iterator[tuple[str, str]]:
    """The plan as given, where points were planned besides; the end of a tornado or a price has it in the headline."""
    if sweep.points and sweep.base:
        yield "As given", _headline(sweep, objective)
    if not sweep.shadow_prices and sweep.base is not None and not sweep.tornado and not sweep.points:
        yield "Budgets", "none is limited, so none has a price"


def _span(sweep: WhatIf, held: Sequence[Point], objective: str) -> str:
    """The least and the most of the objective: what is bought then, and for which setting; of worlds, what to buy."""
    best = None if sweep.is_grid else least(sweep)
    if best:
        name, worst = best
        bought = next(machine_types(point.outcome) for point in held if point.name == name)
        return (
            f"least regret: {bought} ({name}), at worst {valued(objective, worst)} more than the best plan of a world"
        )
    known = [(p.outcome.objective_value, p) for p in held if p.outcome.objective_value is not None]
    if not known:
        return "no point has a plan"
    ends = [pick(known, key=lambda each: each[0]) for pick in (min, max)]
    low, high = (f"{valued(objective, value)} ({machine_types(p.outcome)}; {p.name})" for value, p in ends)
    return f"{objective} {low}" if ends[0][0] == ends[1][0] else f"{objective} from {low} to {high}"


def _headline(sweep: WhatIf, objective: str) -> str:
    """Where nothing was swept: what moves the objective most, and the plan as given, or why there is none."""
    given = sweep.base.outcome if sweep.base else None
    if given is None or given.objective_value is None:
        return "no plan as given"
    plan = f"as given: {objective} {valued(objective, given.objective_value)}, {machine_types(given)}"
    told = [_most(each, objective) for each in sweep.tornado[:1] if each.span]
    told += [_worth(each, objective) for each in sweep.shadow_prices[:1] if not told]
    return "; ".join((*told, plan))


def _worth(price: ShadowPrice, objective: str) -> str:
    """What a unit more of a budget is worth."""
    more, _ = _per_unit(price, objective)
    unit = "kW" if price.budget.endswith("power_w") else "unit"
    return f"one {unit} more of {price.budget} than {budget(price.budget, price.limit)} is worth {more}"


def _most(swing: Swing, objective: str) -> str:
    """What one thing does to the objective both ways."""
    less, more = (
        "no plan" if each is None else change(objective, each) for each in (swing.low_change, swing.high_change)
    )
    return f"{swing.name} moves {objective} most ({less} with less, {more} with more)"


def _varied(sweep: WhatIf) -> str:
    return "; ".join(f"{k.key} = {', '.join(k.values)}" for k in sweep.knobs) or "one thing at a time"


def _tiles(sweep: WhatIf, objective: str) -> list[Tile]:
    made = []
    if sweep.points:
        note = plural(len(sweep.knobs), "key") + " varied"
        made.append(Tile(label="Points", value=number(len(sweep.points)), note=note))
    if sweep.base and sweep.base.outcome.objective_value is not None:
        made.append(Tile(label="As given", value=valued(objective, sweep.base.outcome.objective_value), note=objective))
    best = least(sweep)
    if best:
        made.append(
            Tile(
                label="Least regret",
                value=valued(objective, best[1]),
                note=f"at worst, what is added counted; bought for {best[0]}",
            )
        )
    worst = max((r for r in sweep.regret if r.regret is not None), key=lambda r: r.regret or 0.0, default=None)
    if worst and worst.regret is not None:
        made.append(
            Tile(
                label="Largest regret",
                value=valued(objective, worst.regret),
                note=f"bought for {worst.bought}; {worst.happens} happens",
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
    if sweep.knobs and not sweep.is_grid:
        blocks += [_by_name(sweep, *each) for each in _measures(objective)]
    elif sweep.knobs:
        for name, unit, label, read in _measures(objective):
            blocks.append(_over_first(sweep, name, unit, label, read))
    if len(sweep.knobs) == 2 and sweep.is_grid:
        rows, columns = sweep.knobs
        at = {(p.settings.get(rows.key), p.settings.get(columns.key)): p.outcome for p in sweep.points}
        cells = [[_value(at.get((r, c))) for c in columns.values] for r in rows.values]
        drawing = matrix(
            cells, rows.values, columns.values, show=partial(valued, objective), across=columns.key, down=rows.key,
        )  # fmt: skip
        blocks.append(Drawing(svg=drawing, caption=f"{objective}; an empty cell has no plan"))
    blocks.append(_points(sweep))
    refused = [f"{p.name}: {p.outcome.verdict}; {'; '.join(p.outcome.explanation[:2])}" for p in sweep.points
               if p.outcome.verdict != VALIDATED]  # fmt: skip
    return [*blocks, *([Lines(lines=tuple(refused), bullets=True)] if refused else [])]


_Read = Callable[[Outcome], float | None]


def _measures(objective: str) -> list[tuple[str, str, str, _Read]]:
    """What is drawn of each point: the objective first."""
    if objective.startswith(OVER_TIME):
        return over_time_sweeps.measures(objective)

    def totals(read: Callable[[Totals], float]) -> _Read:
        return lambda outcome: read(outcome.totals) if outcome.totals else None

    every: list[tuple[str, str, str, _Read]] = [
        ("cost", "usd/h", "cost per hour", totals(lambda t: t.cost_usd_per_h)),
        ("machines", "number", "machines", totals(lambda t: float(t.machines))),
        ("power", "w", "rated power", totals(lambda t: t.power_w)),
        ("throughput", "req/s", "rate served", lambda outcome: outcome.served_req_per_s),
    ]
    tightest: _Read = lambda o: min(o.margin_frac.values(), default=None)  # noqa: E731  a row of the table above
    every.sort(key=lambda row: row[0] != objective)
    return [*every[: 3 if objective != "throughput" else 4], ("margin", "share", "tightest margin", tightest)]


def _over_first(sweep: WhatIf, name: str, unit: str, label: str, read: _Read) -> Chart:
    """One measure over the first key; named values stand side by side."""
    first, others, short_ = sweep.knobs[0], sweep.knobs[1:], short_names([k.key for k in sweep.knobs])
    by_settings = {tuple(p.settings.get(k.key) for k in sweep.knobs): p.outcome for p in sweep.points}
    numbers = [_number(v) for v in first.values]
    numeric = all(n is not None for n in numbers)
    places = [n for n in numbers if n is not None] if numeric else [float(i) for i in range(len(first.values))]
    order = sorted(range(len(places)), key=lambda i: places[i])
    series = []
    for index, rest in enumerate(product(*(k.values for k in others))):
        words = ", ".join(f"{short_[k.key]} {v}" for k, v in zip(others, rest, strict=True)) or label
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


def _by_name(sweep: WhatIf, name: str, unit: str, label: str, read: _Read) -> Chart:
    """One measure of each world."""
    values = [None if (v := read(p.outcome)) is None else short([v])[0] for p in sweep.points]
    spec = {
        "x": [float(at) for at in range(len(values))], "series": [{**line(label, values, 0), "dots": True}],
        "xUnit": "", "xLabel": "world", "yUnit": unit, "zero": name != "margin", "sync": "first",
        "xNames": [p.name.removeprefix("world ") for p in sweep.points],
    }  # fmt: skip
    return Chart(name=f"over-{name}", title=label.capitalize(), spec=spec, note=f"{label} of the plan for each world")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(outcome: Outcome | None) -> float | None:
    return outcome.objective_value if outcome else None


def _keys(sweep: WhatIf) -> list[str]:
    """The keys that are varied, short; worlds have names besides."""
    return [*([] if sweep.is_grid else ["world"]), *short_names([knob.key for knob in sweep.knobs]).values()]


def _settings(sweep: WhatIf, point: Point) -> list[str]:
    """What a point was asked with, by ``_keys``."""
    name = [] if sweep.is_grid else [point.name.removeprefix("world ")]
    return [*name, *(point.settings.get(knob.key, "") for knob in sweep.knobs)]


def _points(sweep: WhatIf) -> Table:
    """One line a point: what was set, what it takes, and what is nearest to its limit."""
    if sweep.scenario.schedule is not None:
        each = [(_settings(sweep, point), _verdict(point.outcome), point.outcome) for point in sweep.points]
        return over_time_sweeps.points(each, _keys(sweep))
    rows: list[tuple[Cell, ...]] = []
    growing = sweep.scenario.objective is Objective.THROUGHPUT
    for point in sweep.points:
        found, settings = point.outcome, _settings(sweep, point)
        totals = found.totals
        bounds = (each for each in found.binds if each.kind != "resource")  # loads stand at limits of the planner's own
        nearest = max(bounds, key=lambda each: each.used_frac, default=None)
        margin = min(found.margin_frac.values(), default=None)
        served = ["" if found.served_req_per_s is None else rate(found.served_req_per_s)] if growing else []
        rows.append((
            *settings, _verdict(found), *served, dollars(totals.cost_usd_per_h) if totals else "",
            number(totals.machines) if totals else "", "" if margin is None else percent(margin),
            f"{nearest.name} {percent(nearest.used_frac)}" if nearest else "", machine_types(found),
        ))  # fmt: skip
    headings = (
        *_keys(sweep), "verdict", *(["#served"] if growing else []), "#cost", "#machines", "#margin",
        "~nearest to its limit", "?~to buy",
    )  # fmt: skip
    return Table(columns=columns(*headings), rows=rows, caption="points")


def _power(sweep: WhatIf) -> Table:
    """One line a plan: what its machines are rated at, draw on average and at their busiest, and spend on a token."""
    rows = [
        (
            *_settings(sweep, point),
            *bill_cells(point.outcome.bill, totals.power_w),
        )
        for point in sweep.points
        if (totals := point.outcome.totals) is not None
    ]
    return Table(columns=columns(*_keys(sweep), *BILL_HEADINGS), rows=rows, caption="watts of each plan")


def _verdict(outcome: Outcome) -> Chip:
    good = outcome.verdict == VALIDATED
    return Chip(words=outcome.verdict, tone=Tone.GOOD if good else Tone.BAD)


# --- tornado, shadow prices -----------------------------------------------------------------------------------------


def _as_given(sweep: WhatIf, objective: str) -> Lines | None:
    """The plan of the question as it was asked."""
    return Lines(lines=(f"{_headline(sweep, objective)}.".capitalize(),)) if sweep.base else None


def _moved(sweep: WhatIf) -> str:
    return f"Each moved by {percent(sweep.tornado_frac or 0.0)}, the largest effect first"


def _tornado(sweep: WhatIf, objective: str) -> list[Block]:
    """Bars both ways, the largest effect first."""
    rows = [(s.name, s.low_change, s.high_change) for s in sweep.tornado if s.span]
    idle = [s.name for s in sweep.tornado if not s.span]
    moved = percent(sweep.tornado_frac or 0.0)
    caption = (
        f"Change of {objective} when one thing falls (upper bar) or rises (lower bar) by {moved}, all else as given."
    )
    drawing = tornado(rows, show=partial(valued, objective))
    made: list[Block] = [Drawing(svg=drawing, caption=caption, instead=_swings(sweep, objective))]
    return [*made, *([Lines(lines=(f"Without effect: {', '.join(idle)}.",))] if idle else [])]


def _swings(sweep: WhatIf, objective: str) -> Table:
    """One line a thing that was moved, with a bar as long as its effect."""
    finite = [abs(c) for s in sweep.tornado for c in (s.low_change, s.high_change) if c is not None]
    longest = max([*finite, 1e-12])
    rows = []
    for each in sweep.tornado:
        sides = (
            side.outcome.verdict if value is None else change(objective, value)
            for side, value in ((each.low, each.low_change), (each.high, each.high_change))
        )
        effect = "no plan" if isinf(each.span) else "█" * round(_BAR * each.span / longest)
        rows.append((each.name, *sides, effect))
    return Table(columns=columns("what", "#with less", "#with more", "effect"), rows=rows)


def _per_unit(price: ShadowPrice, objective: str) -> tuple[str, str]:
    """What a unit more is worth, and a unit less costs; watts by the kW."""
    unit, per = (1e3, " per kW") if price.budget.endswith("power_w") else (1.0, "")
    more, less = (
        "no plan" if v is None else f"{valued(objective, v * unit)}{per}" if v else "nothing"
        for v in (price.gain_per_unit, price.loss_per_unit)
    )
    return more, less


def _shadow(sweep: WhatIf, objective: str) -> list[Block]:
    """What a unit of each budget is worth."""
    if not sweep.shadow_prices:
        lonely = sweep.base is not None and not sweep.tornado
        return [Lines(lines=("No budget is limited, so none has a price.",))] if lonely else []
    words = (
        "Found by planning again with the budget one step larger and smaller. Machines come whole: this is the mean "
        "over the step, and a smaller step may be worth nothing."
    )
    return [_worths(sweep, objective), Lines(lines=(words,))]


def _worths(sweep: WhatIf, objective: str) -> Table:
    """One line a budget."""
    rows = []
    for price in sweep.shadow_prices:
        worth = _per_unit(price, objective)
        rows.append((price.budget, budget(price.budget, price.limit), budget(price.budget, price.step), *worth))
    headings = columns("budget", "#limit", "#step", "#worth of a unit more", "#cost of a unit less")
    return Table(columns=headings, rows=rows, caption="prices of budgets")
