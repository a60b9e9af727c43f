"""What a verb shows, as one structure: a terminal and a web page are two ways to draw it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from markupsafe import Markup


class Tone(StrEnum):
    """Whether words are good news."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A verdict: words in the colour of their tone."""

    words: str
    tone: Tone

    @property
    def mark(self) -> str:
        """The tone for those who see no colours."""
        return {Tone.GOOD: "✓", Tone.BAD: "✗", Tone.OPEN: "?"}[self.tone]


Cell = str | Chip | Markup
"""Text, a verdict, or a drawing; only drawings made here are Markup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How the cells below a heading stand.

    Attributes:
        name: the heading.
        numeric: numbers, set right-aligned.
        wraps: sentences, which may take several lines; names and numbers are never folded.
        drawn: drawings, which a terminal leaves out.
        optional: left out on a terminal that is too narrow for all columns, the last first.
    """

    name: str
    numeric: bool = False
    wraps: bool = False
    drawn: bool = False
    optional: bool = False


def columns(*headings: str) -> tuple[Column, ...]:
    """Columns by their headings: ``#`` before the name stands for numbers, ``~`` for sentences, ``!`` for drawings.

    ``?`` before these stands for what a narrow terminal leaves out.
    """
    return tuple(_column(heading) for heading in headings)


def _column(heading: str) -> Column:
    optional = heading.startswith("?")
    name = heading.removeprefix("?")
    mark, name = (name[0], name[1:]) if name[:1] in ("#", "~", "!") and len(name) > 1 else ("", name)
    return Column(name=name, numeric=mark == "#", wraps=mark == "~", drawn=mark == "!", optional=optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure that should be seen first.

    Attributes:
        label: what it is.
        value: the figure with its unit.
        note: its basis, in small print.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under headings.

    Attributes:
        columns: how the cells stand.
        rows: as many cells each.
        caption: what the rows are.
        folded: a heading under which the table is folded away; empty shows it. A terminal shows
            the heading alone where the section is not asked for by name.
        ruled: a line below the headings on a terminal.
        apart: an empty line before it on a first screen.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: str = ""
    ruled: bool = True
    apart: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Sentences, one a line; marked by bullets where they are a list.

    Attributes:
        lines: the sentences.
        bullets: whether they are a list.
        folded: a heading under which they are folded away; empty shows them. A terminal shows
            the heading alone where the section is not asked for by name.
    """

    kind: ClassVar[str] = "lines"
    lines: tuple[str, ...]
    bullets: bool = False
    folded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Names, and what is to be said of each.

    Attributes:
        rows: the names and the words.
        apart: an empty line before them on a first screen.
    """

    kind: ClassVar[str] = "pairs"
    rows: tuple[tuple[str, str], ...]
    apart: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An SVG picture with a title under it.

    Attributes:
        svg: the picture.
        caption: below it.
        instead: what a terminal shows in its place, and a phone where the picture is too wide; None shows nothing.
    """

    kind: ClassVar[str] = "drawing"
    svg: Markup
    caption: str = ""
    instead: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart that the page draws from data; not in a terminal.

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
    """Text to be copied as it is; in a terminal only where its section is asked for by name."""

    kind: ClassVar[str] = "code"
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picker:
    """Sliders over points that were planned; the page shows the chosen one and computes nothing. Not in a terminal.

    Attributes:
        name: unique on the page.
        knobs: what a slider sets, and the values it stops at.
        points: places of the values, joined by commas -> the figures of that point; what is absent was not planned.
    """

    kind: ClassVar[str] = "picker"
    name: str
    knobs: tuple[tuple[str, tuple[str, ...]], ...]
    points: Mapping[str, Sequence[Tile]]


Block = Table | Lines | Pairs | Drawing | Chart | Code | Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page that the navigation leads to.

    Attributes:
        name: by which it is asked for.
        title: above it.
        blocks: what is in it.
        lead: how to read its charts; not in a terminal.
        group: sections of one group follow each other, and share one link of the navigation.
    """

    name: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that a verb has to show.

    Attributes:
        title: of the window.
        verdict: one or two words.
        good: True for good news.
        headline: the verdict in a sentence.
        about: what was asked, below it.
        tiles: the figures that matter most, on a web page.
        figures: the tiles as lines, for a terminal.
        facts: what else a first look must tell, a line each.
        warnings: doubts, full sentences, shown before the sections.
        sections: the rest.
        screen: what a terminal of so many columns shows below the verdict where no section is asked for; None shows all
            sections.
    """

    title: str
    verdict: str
    good: bool
    headline: str
    about: str = ""
    tiles: Sequence[Tile] = ()
    figures: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()
    screen: Callable[[int], Sequence[Block]] | None = None


def section(name: str, title: str, *blocks: Block | None, lead: str = "") -> Iterator[Section]:
    """One section of the blocks that there are; none where there are none."""
    found = [block for block in blocks if block is not None]
    if found:
        yield Section(name=name, title=title, blocks=found, lead=lead)
