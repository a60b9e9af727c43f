"""What a page is made of; the template knows these and nothing of plans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup

Cell = str | Markup
"""Text, which is escaped when it is written; only drawings made here are Markup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure that should be seen first.

    Attributes:
        label: what it is.
        value: the figure with its unit.
        note: what it rests on, in small print.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under headings; a heading that starts with # stands over numbers.

    Attributes:
        headings: of the columns.
        rows: as many cells each.
        caption: what the rows are, for who cannot see how they are set.
        folded: a heading under which the table is folded away; empty shows it.
    """

    kind: ClassVar[str] = "table"
    headings: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Sentences, one a line; marked by bullets where they are a list."""

    kind: ClassVar[str] = "lines"
    lines: tuple[str, ...]
    bullets: bool = False
    folded: str = ""
    """A heading under which the lines are folded away; empty shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An SVG picture with a title under it."""

    kind: ClassVar[str] = "drawing"
    svg: Markup
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that the page draws from data.

    Attributes:
        name: unique on the page.
        title: above it.
        spec: what ``page.js`` reads: ``x``, ``series``, and how axes are labelled.
        note: how to read it.
        whole: as wide as the page, not one of two beside each other.
    """

    kind: ClassVar[str] = "chart"
    name: str
    title: str
    spec: Mapping[str, Any]
    note: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Text to be copied as it is."""

    kind: ClassVar[str] = "code"
    name: str
    text: str


Block = Table | Lines | Drawing | Chart | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page that the navigation leads to."""

    name: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole report.

    Attributes:
        title: of the window.
        verdict: one or two words.
        good: True for a verdict to be glad of, False for the other kind.
        headline: the verdict in a sentence.
        about: what was asked, below it.
        tiles: the figures that matter most.
        beware: doubts, full sentences, shown before anything else.
        sections: the rest.
    """

    title: str
    verdict: str
    good: bool
    headline: str
    about: str
    tiles: Sequence[Tile] = ()
    beware: Sequence[str] = ()
    sections: Sequence[Section] = field(default=())
