"""How a table looks: aligned, without a frame, within 80 columns."""

from typing import cast

from rich import box
from rich.console import JustifyMethod
from rich.table import Table


def table(*headings: str) -> Table:
    """An empty table; a heading that starts with # stands over a column of numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        numeric = heading.startswith("#") and len(heading) > 1
        words, justify = (heading[1:], "right") if numeric else (heading, "left")
        made.add_column(words, justify=cast("JustifyMethod", justify), overflow="fold")
    return made
