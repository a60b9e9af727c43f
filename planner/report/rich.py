"""A page drawn on a terminal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from markupsafe import Markup
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from planner.report.folding import starts
from planner.report.page import (
    Block,
    Cell,
    Chip,
    Code,
    Column,
    Drawing,
    Lines,
    Page,
    Pairs,
    Section,
    Table,
    Tone,
    columns,
)

ALL = "all"
_STYLES = {Tone.GOOD: "green", Tone.BAD: "red", Tone.OPEN: "yellow"}
_INDENT = (0, 0, 0, 2)
_BETWEEN = 2
"""Columns between those of a table."""
_SENTENCE = 16
"""The narrowest column of sentences."""


def drawn(page: Page, sections: Sequence[str] = ()) -> RenderableType:
    """The verdict, then what was asked for.

    Args:
        page: what there is to show.
        sections: names of sections, or ``all``; where none is named, the first screen, and where the page has none, all
            sections.
    """
    head = Text(page.verdict, style="bold green" if page.good else "bold red")
    head.append(f": {page.headline}" if page.headline else "", style="bold")
    parts: list[RenderableType] = [_Folded(head), *([_Folded(Text(page.about))] if page.about else [])]
    if page.screen and not sections:
        return Group(*parts, _First(page.screen))
    chosen = [part for part in page.sections if not sections or ALL in sections or part.name in sections]
    if not sections or ALL in sections:
        told = (*page.figures, *page.facts)
        parts += [Text(), *_block(Pairs(rows=told), named=False)] if told else []
        parts += _titled("Warnings", Lines(lines=tuple(page.warnings), bullets=True)) if page.warnings else []
    for part in chosen:
        parts += _section(part, named=part.name in sections)
    return Group(*parts)


def _section(part: Section, *, named: bool) -> list[RenderableType]:
    """One section; nothing of one that holds only pictures."""
    return _titled(part.title, *part.blocks, named=named)


def _titled(title: str, *blocks: Block, named: bool = False) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for block in blocks:
        made = list(_block(block, named=named))
        parts += [Text()] if parts and made and isinstance(block, Table | Drawing) else []
        parts += made
    return [Text(), Text(title, style="bold"), *parts] if parts else []


def _spaced(block: Block) -> Iterator[RenderableType]:
    """A block of a first screen, an empty line before all but sentences."""
    if not isinstance(block, Lines) and not (isinstance(block, Pairs | Table) and not block.apart):
        yield Text()
    yield from _block(block, named=False)


def _block(block: Block, *, named: bool) -> Iterator[RenderableType]:
    """A block as lines and tables; nothing of a picture; what is folded only in a section asked for by name."""
    if isinstance(block, Drawing):
        yield from _block(block.instead, named=named) if block.instead else ()
    elif isinstance(block, Table | Lines) and block.folded and not named:
        yield Padding(Text(f"{block.folded}."), _INDENT, expand=False)
    elif isinstance(block, Table):
        yield _Whole(block, _INDENT)
    elif isinstance(block, Lines):
        lines = [bullets(block.lines)] if block.bullets else [_Folded(Text(line)) for line in block.lines]
        yield from (Padding(line, _INDENT, expand=False) for line in lines)
    elif isinstance(block, Pairs):
        yield Padding(_pairs(block), _INDENT, expand=False)
    elif isinstance(block, Code) and named:
        yield Text(block.text)


class _Folded:
    """A sentence, folded where ``folding`` does."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its lines."""
        for line in self._text.divide(starts(self._text.plain, options.max_width)[1:]):
            line.rstrip()
            yield line

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the text where there is room."""
        return Measurement.get(console, options, self._text)


class _First:
    """A first screen, cut to the width of the terminal."""

    def __init__(self, blocks: Callable[[int], Sequence[Block]]) -> None:
        self._blocks = blocks

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its blocks, an empty line before all but sentences."""
        for block in self._blocks(options.max_width):
            yield from _spaced(block)


class _Whole:
    """A table, without optional columns where there is no room; wider than the terminal where the others need it."""

    def __init__(self, block: Table, indent: tuple[int, int, int, int]) -> None:
        self._block, self._indent = block, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Drawn in as much room as it needs at least."""
        block, shown = self._block, [at for at, column in enumerate(self._block.columns) if not column.drawn]
        least = {at: _least(block.columns[at], [row[at] for row in block.rows]) for at in shown}
        spare = [at for at in shown if block.columns[at].optional]
        taken = partial(_taken, self._indent[3])
        while spare and taken(least[at] for at in shown) > options.max_width:
            shown.remove(spare.pop())
        grid = _grid([block.columns[at] for at in shown], [[row[at] for at in shown] for row in block.rows],
                     ruled=block.ruled)  # fmt: skip
        room = options.update(max_width=max(options.max_width, taken(least[at] for at in shown)))
        yield from console.render(Padding(grid, self._indent, expand=False), room)


def listed(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> RenderableType:
    """The table of a list, at the margin: headings as ``columns`` reads them, and as many cells a row."""
    return _Whole(Table(columns=columns(*headings), rows=list(rows)), (0, 0, 0, 0))


def _taken(indent: int, widths: Iterable[int]) -> int:
    """Columns of a terminal that a table takes at least."""
    return indent + sum(width + _BETWEEN for width in widths)


def _least(column: Column, cells: Sequence[Cell]) -> int:
    """The narrowest that a column may be: sentences may be folded, names and numbers never."""
    return _SENTENCE if column.wraps else max(Text(words).cell_len for words in (column.name, *map(_plain, cells)))


def _plain(cell: Cell) -> str:
    return _words(cell).plain


def _grid(headed: Sequence[Column], rows: Sequence[Sequence[Cell]], *, ruled: bool = True) -> Grid:
    """Aligned, without a frame. Sentences are folded where the terminal is narrow; names and numbers never are."""
    made = Grid(box=box.SIMPLE_HEAD if ruled else None, show_edge=False, pad_edge=False,
                padding=(0, 1, 0, 0) if ruled else (0, 2, 0, 0))  # fmt: skip
    shown = [place for place, column in enumerate(headed) if not column.drawn]
    for place in shown:
        column = headed[place]
        made.add_column(
            Text(column.name), justify="right" if column.numeric else "left", no_wrap=not column.wraps,
            min_width=_least(column, [row[place] for row in rows]), overflow="fold",
        )  # fmt: skip
    for row in rows:
        made.add_row(*(_words(row[place]) for place in shown))
    return made


def _words(cell: Cell) -> Text:
    """The words of a cell; brackets in them are no markup."""
    if isinstance(cell, Chip):
        return Text(cell.words, style=_STYLES[cell.tone])
    return Text("" if isinstance(cell, Markup) else cell)


def bullets(lines: Sequence[str]) -> Grid:
    """Lines marked by a dash, what does not fit indented below."""
    made = Grid.grid(padding=(0, 1, 0, 0))
    for line in lines:
        made.add_row("-", _Folded(Text(line)))
    return made


def _pairs(block: Pairs) -> Grid:
    """Names and what is said of them, side by side."""
    made = Grid.grid(padding=(0, 2, 0, 0))
    for name, words in block.rows:
        made.add_row(Text(name, style="bold", no_wrap=True), _Folded(Text(words)))
    return made
