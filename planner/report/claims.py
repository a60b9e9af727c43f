"""Claims: published numbers beside ours."""

from rich.console import Group, RenderableType
from rich.text import Text

from planner.report.tables import table
from planner.report.words import number, plural
from planner.reproduce.claims import Claim, ClaimVerdict, Reproduction

_STYLES = {
    ClaimVerdict.REPRODUCED: "green",
    ClaimVerdict.DIFFERS: "yellow",
    ClaimVerdict.ERRATUM: "dim",
    ClaimVerdict.NOT_DERIVABLE: "dim",
}


def claims_view(found: Reproduction) -> RenderableType:
    """A line on how it went, and a table for each reading, the comparison below each claim."""
    counts = {v: sum(c.verdict is v for c in found.claims) for v in ClaimVerdict}
    title = f"{plural(len(found.claims), 'claim')}: " + ", ".join(f"{n} {v}" for v, n in counts.items())
    readings = dict.fromkeys(c.reading for c in found.claims)
    return Group(Text(title, style="bold"), *(_reading(name, found) for name in readings))


def _reading(name: str, found: Reproduction) -> RenderableType:
    """The claims under one reading."""
    made = table("claim", "#paper", "#ours", "#within", "verdict")
    for c in found.claims:
        if c.reading == name:
            made.add_row(_words(c), _value(c.paper), _value(c.ours), _within(c), Text(c.verdict, _STYLES[c.verdict]))
    return Group(Text(), Text(name, style="bold"), made)


def _words(c: Claim) -> Text:
    """The claim, where it stands, and what ours compares."""
    return Text.assemble(c.name, (f"\n  {c.source}" + (f"; {c.note}" if c.note else ""), "dim"))


def _value(value: float | None) -> str:
    return "" if value is None else number(value)


def _within(c: Claim) -> str:
    return "" if c.paper is None else f"±{number(c.tolerance)}"
