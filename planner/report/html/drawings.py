"""Pictures that are drawn once, as SVG: bars, intervals, shares.

Colours are classes, so that a theme may change them.
"""

from collections.abc import Sequence
from math import isinf
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from workloads.counts import percent

COLOURS = 7
"""Colours of the palette, ``c0`` to ``c6``."""


def svg(width: float, height: float, label: str, *, css: str = "") -> Element:
    """An empty picture that says what it shows."""
    box = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-label": label,
        "class": f"drawing {css}".strip(),
    }
    return Element("svg", {**box, "width": f"{width:g}", "height": f"{height:g}"})


def put(parent: Element, tag: str, text: str = "", **attributes: float | str) -> Element:
    """Add a shape or a text; ``_`` in a name stands for ``-``, and ``css`` for ``class``."""
    names = {"css": "class"}
    plain = {
        names.get(k, k.replace("_", "-")): f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in attributes.items()
    }
    made = SubElement(parent, tag, plain)
    made.text = text or None
    return made


def tip(parent: Element, text: str) -> None:
    """What is shown when the pointer rests on a shape."""
    put(parent, "title", text)


def drawn(picture: Element) -> Markup:
    """The picture as text; everything in it is escaped."""
    return Markup(tostring(picture, encoding="unicode"))  # noqa: S704  ElementTree escapes texts and attributes


def bar(share: float, label: str, *, colour: str = "c0", most: float = 1.0, limited: bool = True) -> Markup:
    """One horizontal bar, for a cell of a table.

    Args:
        share: length, 1 reaches the mark.
        label: what it says to who cannot see it.
        colour: class of the palette.
        most: share that the right edge stands for.
        limited: a mark at 1 is the limit.
    """
    width, height = 160.0, 14.0
    picture = svg(width, height, label, css="cell")
    edge = max(most, 1.0) * 1.05
    put(picture, "rect", x=0, y=3, width=width, height=8, css="track")
    put(picture, "rect", x=0, y=3, width=min(width, width * max(0.0, share) / edge), height=8, css=colour)
    if limited:
        put(picture, "line", x1=width / edge, x2=width / edge, y1=0, y2=height, css="limit")
    return drawn(picture)


def margin(low: float, measured: float, high: float, label: str, *, tone: str) -> Markup:
    """A measured value with its interval, as shares of a limit, on an axis from 0 to 1.5; what is beyond has an arrow.

    Args:
        low: lower end.
        measured: the value.
        high: upper end; inf is an arrow.
        label: what it says to who cannot see it.
        tone: class of the verdict.
    """
    width, height, most = 220.0, 18.0, 1.5

    def x(share: float) -> float:
        return 4 + (width - 14) * min(share, most) / most

    picture = svg(width, height, label, css="cell")
    put(picture, "line", x1=4, x2=width - 10, y1=9, y2=9, css="axis")
    put(picture, "rect", x=x(low), y=5, width=max(1.5, x(high) - x(low)), height=8, css=f"interval {tone}")
    if isinf(high) or high > most:
        put(picture, "path", d=f"M{width - 10:g} 3 l8 6 l-8 6 z", css=tone)
    if not isinf(measured) and measured <= most:
        put(picture, "circle", cx=x(measured), cy=9, r=4, css=f"dot {tone}")
    put(picture, "line", x1=x(1.0), x2=x(1.0), y1=0, y2=height, css="limit")
    return drawn(picture)


def stacked(rows: Sequence[tuple[str, Sequence[tuple[str, float, str]]]], label: str) -> Markup:
    """Rows of shares that each add up to one.

    Args:
        rows: (name, parts), a part being (name, share, colour class).
        label: what it says to who cannot see it.
    """
    left, width, step = 120.0, 560.0, 30.0
    picture = svg(left + width + 10, step * len(rows) + 4, label)
    for index, (name, parts) in enumerate(rows):
        y = step * index + 4
        put(picture, "text", name, x=left - 8, y=y + 15, text_anchor="end")
        x = left
        for part, share, colour in parts:
            length = width * share
            shape = put(picture, "rect", x=x, y=y, width=max(0.0, length - 1), height=22, css=colour)
            tip(shape, f"{name}: {part} {percent(share)}")
            if length > 7.8 * len(words := f"{part} {percent(share)}") + 10:
                put(picture, "text", words, x=x + 6, y=y + 15, css=f"on {colour}")
            elif length > 34:
                put(picture, "text", percent(share), x=x + 4, y=y + 15, css=f"on {colour}")
            x += length
    return drawn(picture)
