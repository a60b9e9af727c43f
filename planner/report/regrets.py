"""What it costs to have bought one plan when another future happens."""

from collections.abc import Sequence
from functools import partial

from planner.report.html.matrices import matrix
from planner.report.page import Block, Drawing, Lines, Table, columns
from planner.report.words import valued
from planner.results.sweep import VALIDATED, Regret, WhatIf
from planner.scenario.objectives import Objective
from workloads.counts import number

_MATRIX = 7
"""Most points whose regrets fit side by side on a terminal."""
_DRAWN = 12
"""Most points whose regrets can be read on a page."""
_MEANING = "Regret: what is owned after adding what was missing (+), less the best plan for what happened."
_OVER_TIME = (
    "Regret: what the hours come to on the base fleet that was bought, machines on top as needed, less that on the "
    "best base fleet; as planned, not simulated."
)
_UNITS = {"cost": "$/h", "power": "kW"}
"""What regrets are counted in where that is not their objective."""


def least(sweep: WhatIf) -> tuple[str, float] | None:
    """The point whose plan is regretted least at worst, and that regret; None where none is known in every future."""
    worst = dict[str, float]()
    for each in sweep.regret:
        worst[each.bought] = max(worst.get(each.bought, 0.0), float("inf") if each.regret is None else each.regret)
    known = {name: value for name, value in worst.items() if value < float("inf")}
    return min(known.items(), key=lambda each: each[1], default=None)


def _brief(objective: str, value: float) -> str:
    """A value short enough for a small cell."""
    if objective == "cost":
        return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
    return number(value) if objective == "throughput" else valued(objective, value)


def regrets(sweep: WhatIf, objective: str) -> list[Block]:
    """What it costs to have bought a plan, at worst and in the mean; and a matrix, bought down, happening across."""
    names = [p.name for p in sweep.points if p.outcome.verdict == VALIDATED]
    found = {(r.bought, r.happens): r.regret for r in sweep.regret}
    cells = [
        [found.get((bought, happens), 0.0 if bought == happens else None) for happens in names] for bought in names
    ]
    short_names = [_abridged(name) for name in names]
    words = (
        f"Regret in {_UNITS.get(objective, objective)}: what is then owned and added, less the best plan for what "
        "happens. Zero is no regret; an empty cell has no known plan."
    )
    over_time = sweep.scenario.schedule is not None
    told: list[Block] = [_each(sweep, objective), Lines(lines=(_OVER_TIME if over_time else _MEANING,))]
    if len(names) > _DRAWN:
        return [*told, Lines(lines=(f"All {len(names)} by {len(names)} regrets are in the result as JSON.",))]
    drawing = matrix(
        cells, short_names, short_names, show=partial(_brief, objective), across="what happens", down="what was bought"
    )
    instead = _matrix(sweep, names, objective) if len(names) <= _MATRIX else None
    return [*told, Drawing(svg=drawing, caption=words, instead=instead)]


def _each(sweep: WhatIf, objective: str) -> Table:
    """For every plan: in how many futures it holds, and what it costs to have bought it."""
    rows = []
    for name in dict.fromkeys(each.bought for each in sweep.regret):
        mine = [each for each in sweep.regret if each.bought == name]
        known = [(each.regret, each.happens) for each in mine if each.regret is not None]
        if known:
            worst, when = max(known)
            mean = sum(value for value, _ in known) / len(known)
            rows.append((worst, mean, name, f"{sum(each.holds for each in mine)} of {len(mine)}", when))
    cells = [
        (name, holds, valued(objective, worst), valued(objective, mean), when if worst else "")
        for worst, mean, name, holds, when in sorted(rows)
    ]
    headings = columns("bought for", "#holds in", "#worst regret", "#mean regret", "~worst when")
    return Table(columns=headings, rows=cells, caption="regret of each plan")


def _matrix(sweep: WhatIf, names: Sequence[str], objective: str) -> Table:
    """Bought against happens; + marks a plan that had to be added to."""
    letters = {name: chr(ord("A") + index) for index, name in enumerate(names)}
    cells = {(each.bought, each.happens): each for each in sweep.regret}
    rows = [
        (f"{letter}: {bought}", *(_cell(cells.get((bought, happens)), objective) for happens in names))
        for bought, letter in letters.items()
    ]
    headings = columns("bought \\ happens", *(f"#{letter}" for letter in letters.values()))
    return Table(columns=headings, rows=rows, caption=f"regret in {_UNITS.get(objective, objective)}")


def _cell(each: Regret | None, objective: str) -> str:
    """One regret, short."""
    if each is None or each.regret is None:
        return "?"
    value = each.regret / 1e3 if objective == Objective.POWER else each.regret
    return number(value) + ("" if each.holds else " +")


def _abridged(name: str) -> str:
    """A point's name without the words that every reader knows."""
    return name.replace("workload.", "").replace("slo.", "").replace("rate_scale", "rate")
