"""A page as one file: the template, with style, program and data inside."""

import json
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from planner import __version__
from planner.report.page import Cell, Chart, Chip, Column, Page

_INSIDE = ("page.css", "uPlot.min.css", "page.js", "uPlot.iife.min.js")


def render(page: Page) -> str:
    """The report: everything it needs is inside, and its own policy forbids it to fetch anything.

    Texts are escaped by the template; data are JSON in which no ``<`` occurs, so that nothing a scenario says can end
    the script that holds them.
    """
    assets = resources.files("planner.report.html").joinpath("assets")
    files = {name: assets.joinpath(name).read_text(encoding="utf-8") for name in ("page.html.j2", *_INSIDE)}
    environment = Environment(
        loader=DictLoader(files), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    charts = {b.name: b.spec for s in page.sections for b in s.blocks if isinstance(b, Chart)}
    inside = {name.replace(".", "_"): Markup(files[name]) for name in _INSIDE}  # noqa: S704  our own files
    return environment.get_template("page.html.j2").render(
        page=page, version=__version__, charts=_embedded(charts), inside=inside, css=_css, shown=_shown
    )


def _css(column: Column) -> Markup:
    """How the cells of a column are set."""
    kinds = [name for name, is_so in (("n", column.numeric), ("w", column.wraps)) if is_so]
    return Markup(' class="{}"').format(kinds[0]) if kinds else Markup()


def _shown(cell: Cell) -> str:
    """A cell; a verdict with its mark, for those who see no colours."""
    if isinstance(cell, Chip):
        return Markup('<span class="verdict {}">{} {}</span>').format(cell.tone, cell.mark, cell.words)
    return cell


def _embedded(data: object) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  the signs that could end the script are escaped
