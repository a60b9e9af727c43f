"""Differences between two plans as text."""

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from planner.report.bill import bill_lines
from planner.report.tables import bullets, table
from planner.report.words import amount, dollars, number, percent, plural, watts
from planner.results.difference import Change, Diff, Move
from planner.results.evidence import Evidence
from planner.results.plan import Pool

_STYLE = {"+": "green", "-": "red", "~": "yellow", "=": "dim"}


def diff_view(found: Diff) -> RenderableType:
    """What changes, what it costs, and the way: like a plan of a plan."""
    parts: list[RenderableType] = [
        Text(_verdict(found), style="bold"),
        *_section("Pools", *map(_change, found.changes)),
    ]
    parts += _section("Totals", *_totals(found))
    parts += _section("Margins", _margins(found))
    if found.moves or found.explanation:
        parts += _section("The way", *_way(found))
    if found.notes:
        parts += _section("What was asked differently", bullets(found.notes))
    return Group(*parts)


def _verdict(found: Diff) -> str:
    """How much changes, and whether there is a safe order."""
    counts = Counter(change.sign for change in found.changes)
    if not counts["+"] + counts["-"] + counts["~"]:
        return "NO CHANGES: the same machines in the same pools"
    words = ", ".join(f"{counts[s]} to {verb}" for s, verb in (("+", "add"), ("~", "change"), ("-", "remove")))
    end = f"a safe order of {plural(len(found.moves), 'move')}" if found.safe else "NO SAFE ORDER found"
    return f"POOLS: {words}; {end}"


def _change(change: Change) -> Text:
    """One pool, before and after."""
    was, will = change.before, change.after
    if was is None or will is None:
        words = _size(was or will)
    elif change.sign == "=":
        words = f"{_size(was)}, as before"
    else:
        words = f"{was.machines} -> {_size(will)}"
    return Text(f"{change.sign} {change.pool}  {words}", style=_STYLE[change.sign])


def _size(pool: Pool | None) -> str:
    return "" if pool is None else f"{plural(pool.machines, 'machine')}, load {percent(pool.load_frac)}"


def _totals(found: Diff) -> Iterator[RenderableType]:
    old, new = found.before, found.after
    yield Text(f"cost      {dollars(old.cost_usd_per_h)} -> {dollars(new.cost_usd_per_h)}")
    yield Text(f"power     {watts(old.power_w)} -> {watts(new.power_w)} rated")
    yield Text(f"machines  {number(old.machines)} -> {number(new.machines)}")
    yield from map(Text, bill_lines(found.bill_before, found.bill_after))


def _margins(found: Diff) -> RenderableType:
    """Every objective with what is left of its limit in each plan."""
    made = table("objective", "#limit", "#margin", "#limit after", "#margin after")
    for each in found.margins:
        made.add_row(each.slo, *_margin(each.before), *_margin(each.after))
    return made


def _margin(found: Evidence | None) -> tuple[str, str]:
    return ("", "") if found is None else (amount(found.limit, found.unit), percent(1 - found.high / found.limit))


def _way(found: Diff) -> Iterator[RenderableType]:
    """Every move, then why it ends where it does."""
    limit = "no power limit" if found.power_limit_w is None else f"at most {watts(found.power_limit_w)} rated"
    yield Text(f"Checked at {found.load}; {limit}.")
    if found.moves:
        made = table("#", "move", "#machines", "#power", "checked by", "")
        for index, move in enumerate(found.moves, 1):
            words, state = _move(move), "safe" if move.safe else "; ".join(move.fails)
            totals = (number(move.totals.machines), watts(move.totals.power_w))
            made.add_row(str(index), Text(words, style=_STYLE[move.sign]), *totals, move.checked_by, state)
        yield made
    if found.explanation:
        yield bullets(found.explanation)


def _move(move: Move) -> str:
    source = f" from {move.source}" if move.source else ""
    return f"{move.sign} {move.machines} {move.pool}{source}"


def _section(title: str, *parts: RenderableType) -> tuple[RenderableType, ...]:
    return (Text(), Text(title, style="bold"), *(Padding(part, (0, 0, 0, 2), expand=False) for part in parts))
