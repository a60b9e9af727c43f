"""A page as one file: the template, with style, program and data inside."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from planner import __version__
from planner.report.html.typeset import typeset
from planner.report.page import Cell, Chart, Chip, Column, Drawing, Page, Picker, Section, Table

_SCRIPTS = ("uPlot.iife.min.js", "page.js")
_INSIDE = ("page.css", "uPlot.min.css", *_SCRIPTS)
_PAPER = 12
"""Folded lines that are shown on paper."""
_NARROW = 40
"""Letters that fit side by side on a phone of 400 pixels."""
_BROAD = 86
"""Letters that fit side by side on a tablet of 900 pixels."""
_VAST = 110
"""Letters that fit side by side on it however small they are set."""
_THIRD = 13
"""Letters that fit in a third of it."""
_PHONE_PX = 520
"""The widest picture whose words can be read on a phone."""
_DRAWN = 16
"""Letters that a drawing of a table takes the place of."""


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
    environment.filters["set"] = typeset
    charts = {b.name: b.spec for s in page.sections for b in s.blocks if isinstance(b, Chart)}
    pickers = {b.name: _stops(b) for s in page.sections for b in s.blocks if isinstance(b, Picker)}
    inside = {name.replace(".", "_"): Markup(files[name]) for name in _INSIDE}  # noqa: S704  our own files
    return environment.get_template("page.html.j2").render(
        page=page, version=__version__, charts=_embedded(charts), pickers=_embedded(pickers), inside=inside,
        css=_css, shown=_shown, fit=_fit, long=_long, wide=_wide, contents=_contents(page.sections),
        scripts=Markup(" ".join(_digest(files[name]) for name in _SCRIPTS)),  # noqa: S704  digests of our own files
    )  # fmt: skip


def _contents(sections: Sequence[Section]) -> list[tuple[str, list[Section]]]:
    """What the navigation leads to: sections, and groups of them."""
    found: list[tuple[str, list[Section]]] = []
    for section in sections:
        if section.group and found and found[-1][1][0].group == section.group:
            found[-1][1].append(section)
        else:
            found.append((section.group or section.title, [section]))
    return found


def _long(lines: Sequence[object]) -> Markup:
    """Marks what stays folded on paper too, where its heading says how many lines there are."""
    return Markup(" data-long") if len(lines) > _PAPER else Markup()


def _stops(picker: Picker) -> dict[str, object]:
    """What ``page.js`` reads of sliders."""
    points = {at: [[t.label, t.value, t.note] for t in tiles] for at, tiles in picker.points.items()}
    return {"knobs": picker.knobs, "points": points}


def _digest(script: str) -> str:
    """What the page's policy knows a script by: no other one runs."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _fit(block: Table) -> Markup:
    """How a table keeps to the screen: set smaller and folded where it is broad, as cards on a phone where it is wide.

    What is too wide for a tablet is cards there too.

    Cards have the cells of a row below each other, one name and value a line.
    """
    shown = [at for at, column in enumerate(block.columns) if not column.drawn]
    widths = (max([len(block.columns[at].name), *(_length(row[at]) for row in block.rows)]) for at in shown)
    letters = sum(widths) + 2 * len(shown) + _DRAWN * sum(column.drawn for column in block.columns)
    kinds = [name for name, most in (("cards", _NARROW), ("broad", _BROAD), ("vast", _VAST)) if letters > most]
    return Markup(' class="{}"').format(" ".join(kinds)) if kinds else Markup()


def _wide(block: Drawing) -> Markup:
    """Marks a picture whose words a phone would make too small to read: it shows the table in its place, if any."""
    width = re.search(r' width="([\d.]+)"', block.svg)
    return Markup(' class="wide"') if width and float(width[1]) > _PHONE_PX else Markup()


def _length(cell: Cell) -> int:
    return len(cell.words) if isinstance(cell, Chip) else len(str(cell))


def _css(column: Column, cell: Cell = "") -> Markup:
    """How a cell is set: numbers, sentences, and names by their length, which no phone folds."""
    kinds = [name for name, is_so in (("n", column.numeric), ("w", column.wraps)) if is_so][:1]
    long = 0 if column.drawn or column.wraps else _length(cell)
    kinds += ["ll"] if long >= 2 * _THIRD - 4 else ["l"] if long > _THIRD or column.drawn else []
    return Markup(' class="{}"').format(" ".join(kinds)) if kinds else Markup()


def _shown(cell: Cell) -> str:
    """A cell; a verdict with its mark, for those who see no colours."""
    if isinstance(cell, Chip):
        return Markup('<span class="verdict {}">{} {}</span>').format(cell.tone, cell.mark, cell.words)
    return typeset(cell)


def _embedded(data: object) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704  the signs that could end the script are escaped
