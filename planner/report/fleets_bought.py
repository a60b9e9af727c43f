"""What a sweep comes to for who buys: each fleet that some point asks for, for what money, and at which points."""

from collections.abc import Iterator, Sequence

from planner.report.page import Table, columns
from planner.report.pickers import machine_types
from planner.report.screen import Part
from planner.report.words import valued
from planner.results.sweep import VALIDATED, Point, WhatIf
from workloads.counts import number, plural

_MOST = 5
"""Fleets that a first screen names."""
_NONE = "no plan"
_NAMES = 3
"""Worlds that a row names, and sections that a last line does."""


def fleets_bought(sweep: WhatIf, objective: str) -> Table | None:
    """A row for each fleet, that of most points first; what has no plan comes last. None of fewer than two points."""
    if len(sweep.points) < 2:
        return None
    rows = [
        (fleet, number(len(points)), *_span(points, objective), _where(sweep, points))
        for fleet, points in _grouped(sweep)
    ]
    where = "~at, keys as above" if sweep.is_grid else "~at"
    if any(to for _, _, _, to, _ in rows):
        headings = columns("to buy", "?#points", "#from", "?#to", where)
        caption = f"fleets, with {objective} from the least to the most of its points"
        return Table(columns=headings, rows=rows, caption=caption)
    headings = columns("to buy", "?#points", f"#{objective}", where)
    alone = [(fleet, points, value, at) for fleet, points, value, _, at in rows]
    return Table(columns=headings, rows=alone, caption=f"fleets, with {objective}")


def fleets_part(table: Table) -> Part:
    """The table of a first screen: a few fleets, and how many more there are."""

    def rest(places: Sequence[int]) -> str:
        points = {str(table.rows[at][0]): int(str(table.rows[at][1]).replace(",", "")) for at in places}
        none = points.pop(_NONE, 0)
        fleets = f"{plural(len(points), 'more fleet')} at {plural(sum(points.values()), 'point')}" if points else ""
        return "and " + "; ".join(filter(None, (fleets, f"{plural(none, 'point')} without a plan" if none else "")))

    return Part(table=table, places=range(len(table.rows)), rest=rest, most=_MOST)


def named(names: Sequence[str]) -> str:
    """Where to read on: the first sections that are text."""
    told = [name for name in names if name != "choose"]
    return f"More: --report FILE, --sections all (or {', '.join(told[:_NAMES])}, ...)"


def refused(sweep: WhatIf) -> Iterator[tuple[str, str]]:
    """The first point without a plan and why, and how many more there are."""
    none = [point for point in sweep.points if point.outcome.verdict != VALIDATED]
    if none:
        why = "; ".join(none[0].outcome.explanation[:1])
        more = f"; {plural(len(none) - 1, 'more point')} without a plan" if none[1:] else ""
        yield "No plan", f"{none[0].name}: {none[0].outcome.verdict}: {why}{more}"


def _grouped(sweep: WhatIf) -> list[tuple[str, list[Point]]]:
    """Fleets and the points that buy them, most points first."""
    found: dict[str, list[Point]] = {}
    for point in sweep.points:
        held = point.outcome.verdict == VALIDATED
        found.setdefault(machine_types(point.outcome) if held else _NONE, []).append(point)
    return sorted(found.items(), key=lambda each: (each[0] == _NONE, -len(each[1])))


def _span(points: Sequence[Point], objective: str) -> tuple[str, str]:
    """The least and the most of the objective."""
    known = [value for point in points if (value := point.outcome.objective_value) is not None]
    if not known:
        return "", ""
    low, high = (valued(objective, pick(known)) for pick in (min, max))
    return low, "" if low == high else high


def _where(sweep: WhatIf, points: Sequence[Point]) -> str:
    """The values of each key at which a fleet is bought, in the order of the keys; or the worlds."""
    if not sweep.is_grid:
        names = [point.name for point in points]
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        return ", ".join(names[:_NAMES]) + more
    parts = []
    for knob in sweep.knobs:
        seen = {point.settings.get(knob.key) for point in points}
        values = [value for value in knob.values if value in seen]
        parts.append("any" if len(values) == len(knob.values) > 1 else ", ".join(values))
    return "; ".join(parts)
