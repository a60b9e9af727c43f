"""A page drawn in Markdown: the same words and figures as on a terminal and in HTML."""

import re
from collections.abc import Collection, Iterator, Sequence

from markupsafe import Markup

from planner.report.page import Cell, Chip, Page, Section, Table

OF_PLANS = ("buy", "evidence", "choices")
"""Sections whose tables a plan has in Markdown."""
OVER_TIME = ("saving",)
"""The same of a plan over time."""


def as_markdown(page: Page, name: str, tables: Collection[str]) -> str:
    """A summary for a page that people read: verdict, tables, figures, doubts.

    Args:
        page: what there is to show.
        name: of the question, as the title.
        tables: names of sections whose tables are shown.
    """
    parts = [f"# {_plain(name)}", f"**{_plain(page.verdict)}**: {_plain(page.headline)}."]
    parts += [f"{_plain(page.about)}."] if page.about else []
    parts += ["\n".join(_listed(page))]
    parts += [line for part in page.sections if part.name in tables for line in _section(part)]
    parts += ["## Warnings", "\n".join(f"- {_plain(line)}" for line in page.warnings)] if page.warnings else []
    return "\n\n".join(filter(None, parts)) + "\n"


def _listed(page: Page) -> Iterator[str]:
    """Figures and facts; more words of the same name stand below it."""
    for name, words in (*page.figures, *page.facts):
        yield f"- **{_plain(name)}**: {_plain(words)}" if name else f"  - {_plain(words)}"


def _section(part: Section) -> Iterator[str]:
    """A heading, and tables that are not folded away."""
    tables = [block for block in part.blocks if isinstance(block, Table) and not block.folded]
    yield from (f"## {_plain(part.title)}", *("\n".join(_table(block)) for block in tables)) if tables else ()


def _table(block: Table) -> Iterator[str]:
    """A Markdown table without drawings; a bar inside a cell would end it."""
    shown = [at for at, column in enumerate(block.columns) if not column.drawn]
    yield _row([block.columns[at].name for at in shown])
    yield "|" + "".join("---:|" if block.columns[at].numeric else "---|" for at in shown)
    yield from (_row([row[at] for at in shown]) for row in block.rows)


def _row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Chip):
        return _plain(cell.words)
    return "" if isinstance(cell, Markup) else _plain(cell)


def _plain(words: str) -> str:
    """Words that Markdown shows as they are: no HTML, no link, no end of a cell, no formula between dollars."""
    return re.sub(r"([\\`*\[\]<>|$])", r"\\\1", words)
