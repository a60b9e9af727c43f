"""How a table looks: aligned, without a frame, within 80 columns."""

from collections.abc import Iterable
from typing import cast

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text


def table(*headings: str) -> Table:
    """An empty table; a heading that starts with # stands over a column of numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        numeric = heading.startswith("#") and len(heading) > 1
        words, justify = (heading[1:], "right") if numeric else (heading, "left")
        made.add_column(words, justify=cast("JustifyMethod", justify), overflow="fold")
    return made


def bullets(lines: Iterable[str]) -> Table:
    """Lines marked by a dash, what does not fit indented below."""
    made = Table.grid(padding=(0, 1, 0, 0))
    for line in lines:
        made.add_row("-", Text(line))
    return made
