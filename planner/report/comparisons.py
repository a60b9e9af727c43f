"""Comparisons as text: what-ifs and frontiers."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from planner.report.bill import BILL_HEADINGS, bill_cells
from planner.report.tables import bullets, table
from planner.report.words import budget, change, dollars, number, percent, plural, rate, valued
from planner.results.frontier import Frontier
from planner.results.sweep import VALIDATED, Point, Regret, ShadowPrice, Swing, WhatIf
from planner.scenario.objectives import Objective

_MATRIX = 7
"""Most points whose regrets fit side by side."""

_BAR = 12
"""Width of the longest bar of a tornado, in characters."""


def whatif_view(found: WhatIf) -> RenderableType:
    """A sweep: every point, then what it costs to be wrong, then what matters most."""
    objective = found.scenario.objective
    planned = [point for point in found.points if point.outcome.verdict == VALIDATED]
    parts: list[RenderableType] = []
    if found.points:
        head = f"{plural(len(found.points), 'point')}, {len(planned)} with a validated plan"
        parts += [Text(head, style="bold"), *_refusals(found.points), *_section("Plans", points_table(found))]
        parts += _section("Power", power_by_point(found)) if planned else ()
    if found.regret:
        parts += _section("Regret", *_regret_lines(found), *_matrix(found.regret, planned, objective))
    if found.base is not None:
        parts += _section("As given", Text(_in_short(found.base, objective)))
    if found.tornado:
        title = f"Each moved by {percent(found.tornado_frac or 0.0)}, the largest effect first"
        parts += _section(title, tornado_table(found.tornado, objective))
    if found.shadow_prices:
        parts += _section("Worth of a budget", *_shadows(found.shadow_prices, objective))
    elif found.base is not None and not found.tornado:
        parts += _section("Worth of a budget", Text("No budget is limited, so none has a price."))
    return Group(*parts)


def points_table(found: WhatIf) -> Table:
    """One line a point: what was set, what it takes, and what is nearest to its limit."""
    made = table(*_short_keys(found), "#cost", "#machines", "#margin", "nearest to its limit")
    growing = found.scenario.objective is Objective.THROUGHPUT
    if growing:
        made.add_column("req/s", justify="right")
    for point in found.points:
        settings = [point.settings[knob.key] for knob in found.knobs]
        candidate = point.outcome.candidate
        if candidate is None:
            made.add_row(*settings, *[""] * 3, Text(point.outcome.verdict, style="red"))
            continue
        totals = candidate.totals
        margin = min(point.outcome.margin_frac.values())
        nearest = max(point.outcome.binds, key=lambda each: each.used_frac)
        served = [rate(point.outcome.served_req_per_s or 0.0)] if growing else []
        words, cost = f"{nearest.name} {percent(nearest.used_frac)}", dollars(totals.cost_usd_per_h)
        made.add_row(*settings, cost, number(totals.machines), percent(margin), words, *served)
    return made


def power_by_point(found: WhatIf) -> Table:
    """One line a plan: what its machines are rated at, draw on average and at their busiest, and spend on a token."""
    made = table(*_short_keys(found), *BILL_HEADINGS)
    for point in found.points:
        if point.outcome.candidate is not None:
            settings = [point.settings[knob.key] for knob in found.knobs]
            made.add_row(*settings, *bill_cells(point.outcome.bill, point.outcome.candidate.totals.power_w))
    return made


def _short_keys(found: WhatIf) -> Iterator[str]:
    """The last words of the keys that are varied."""
    return (knob.key.rpartition(".")[2] for knob in found.knobs)


def _refusals(points: Sequence[Point]) -> Iterator[RenderableType]:
    """Why the points without a plan have none."""
    without = [point for point in points if point.outcome.verdict != VALIDATED]
    if without:
        lines = [f"{p.name}: {p.outcome.verdict}; {' '.join(p.outcome.explanation[:2])}" for p in without]
        yield Padding(bullets(lines), (0, 0, 0, 2), expand=False)


def _regret_lines(found: WhatIf) -> Iterator[RenderableType]:
    """For every plan: in how many futures it holds, and what it costs to have bought it."""
    objective = found.scenario.objective
    made = table("bought for", "#holds in", "#worst regret", "#mean regret", "worst when")
    rows = []
    for name in dict.fromkeys(each.bought for each in found.regret):
        mine = [each for each in found.regret if each.bought == name]
        known = [(each.regret, each.happens) for each in mine if each.regret is not None]
        if not known:
            continue
        worst, when = max(known)
        mean = sum(value for value, _ in known) / len(known)
        rows.append((worst, mean, name, sum(each.holds for each in mine), len(mine), when))
    for worst, mean, name, holds, futures, when in sorted(rows):
        cells = (valued(objective, worst), valued(objective, mean), when if worst else "")
        made.add_row(name, f"{holds} of {futures}", *cells)
    yield made
    yield Text("Regret: what is owned after adding what was missing, less the best plan for what happened.")


def _matrix(regret: Sequence[Regret], planned: Sequence[Point], objective: Objective) -> Iterator[RenderableType]:
    """Bought against happens, where that fits a page; + marks a plan that had to be added to."""
    if len(planned) > _MATRIX:
        return
    letters = {point.name: chr(ord("A") + index) for index, point in enumerate(planned)}
    made = table("bought \\ happens", *(f"#{letter}" for letter in letters.values()))
    cells = {(each.bought, each.happens): each for each in regret}
    for bought, letter in letters.items():
        row = [cells[bought, happens] for happens in letters]
        made.add_row(f"{letter}: {bought}", *(_cell(each, objective) for each in row))
    yield Text()
    yield made


def _cell(each: Regret, objective: Objective) -> str:
    """One regret, short."""
    if each.regret is None:
        return "?"
    value = each.regret / 1e3 if objective is Objective.POWER else each.regret
    return f"{value:,.4g}" + ("" if each.holds else " +")


def tornado_table(swings: Sequence[Swing], objective: Objective) -> Table:
    """One line a thing that was moved, with a bar as long as its effect."""
    made = table("what", "#with less", "#with more", "effect")
    finite = [abs(c) for s in swings for c in (s.low_change, s.high_change) if c is not None]
    longest = max([*finite, 1e-12])
    for each in swings:
        sides = [
            _side(side, value, objective)
            for side, value in ((each.low, each.low_change), (each.high, each.high_change))
        ]
        bar = "no plan" if each.span == float("inf") else "█" * round(_BAR * each.span / longest)
        made.add_row(each.name, *sides, bar)
    return made


def _side(point: Point, value: float | None, objective: Objective) -> str:
    return point.outcome.verdict if value is None else change(objective, value)


def _shadows(prices: Sequence[ShadowPrice], objective: Objective) -> Iterator[RenderableType]:
    made = table("budget", "#limit", "#step", "#worth of a unit more", "#cost of a unit less")
    for each in prices:
        unit, per = (1e3, " per kW") if each.budget.endswith("power_w") else (1.0, "")
        gain, loss = (
            "no plan" if value is None else f"{valued(objective, value * unit) if value else '0'}{per if value else ''}"
            for value in (each.gain_per_unit, each.loss_per_unit)
        )
        made.add_row(each.budget, budget(each.budget, each.limit), budget(each.budget, each.step), gain, loss)
    yield made
    yield Text(
        "Found by planning again with the budget one step larger and smaller. Machines come whole: this is the mean "
        "over the step, and a smaller step may be worth nothing."
    )


def _in_short(point: Point, objective: Objective) -> str:
    """The plan of a point in a line."""
    candidate, value = point.outcome.candidate, point.outcome.objective_value
    if candidate is None or value is None:
        return f"{point.outcome.verdict}: {' '.join(point.outcome.explanation[:2])}"
    return f"{plural(candidate.totals.machines, 'machine')}; {objective} {valued(objective, value)}"


def frontier_view(found: Frontier) -> RenderableType:
    """Every design by the first axis; those that another beats are marked."""
    good = sum(design.efficient for design in found.designs)
    head = f"{plural(good, 'design')} that no other beats, of {len(found.designs)} validated"
    goal = found.y if found.bounded == found.x else found.x
    step = "any change" if found.step is None else f"changes of {found.step:g} {found.units[found.bounded]}"
    how = f"{found.best[goal].capitalize()} {goal} under a falling limit on {found.bounded}, in {step}."
    made = table(*(f"#{name}" for name in (found.x, found.y)), "", "machines")
    for design in found.designs:
        values = (valued(name, design.values[name]) for name in (found.x, found.y))
        machines = ", ".join(f"{count} {name}" for name, count in design.machines.items())
        made.add_row(*values, "" if design.efficient else "dominated", machines)
    return Group(Text(head, style="bold"), *_section("Designs", made, Text(how), Text(found.ended)))


def _section(title: str, *parts: RenderableType) -> tuple[RenderableType, ...]:
    return (Text(), Text(title, style="bold"), *(Padding(part, (0, 0, 0, 2), expand=False) for part in parts))
