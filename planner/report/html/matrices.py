"""Pictures of many plans: a matrix of values, and bars that move both ways."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from planner.report.html.drawings import drawn, put, svg, tip

_SHADES = 5
_LETTER_PX = 7.2
_Show = Callable[[float], str]


def matrix(
    cells: Sequence[Sequence[float | None]], down_names: Sequence[str], across_names: Sequence[str], *, show: _Show,
    across: str, down: str,
) -> Markup:  # fmt: skip
    """Values in a grid, the larger the darker, each written out.

    Args:
        cells: rows of values; None is empty.
        down_names: of the rows.
        across_names: of the columns.
        show: a value as people read it.
        across: what the columns are.
        down: what the rows are.
    """
    words = [[("" if v is None else show(v)) for v in row] for row in cells]
    left = 20 + _LETTER_PX * max(map(len, (*down_names, down)), default=4)
    widest = max((len(w) for row in words for w in row), default=4)
    slanted = max(map(len, across_names), default=1) > 12
    width = max(64.0, 14 + _LETTER_PX * max(widest, 1 if slanted else max(map(len, across_names), default=1)))
    top = 30 + (_LETTER_PX * 0.72 * max(map(len, across_names), default=1) if slanted else 22)
    over = (_LETTER_PX * 0.72 * max(map(len, across_names), default=1)) if slanted else 6
    picture = svg(left + width * len(across_names) + over, top + 26.0 * len(down_names) + 6, f"{down} by {across}")
    put(picture, "text", across, x=left, y=14, css="quiet")
    put(picture, "text", down, x=left - 10, y=top - 8, text_anchor="end", css="quiet")
    for column, name in enumerate(across_names):
        x = left + width * (column + 0.5)
        turn = (
            {"transform": f"rotate(-45 {x:g} {top - 8:g})", "text_anchor": "start"}
            if slanted
            else {"text_anchor": "middle"}
        )
        put(picture, "text", name, x=x, y=top - 8, **turn)
    most = max((v for row in cells for v in row if v is not None), default=0.0) or 1.0
    for index, row in enumerate(cells):
        y = top + 26.0 * index
        put(picture, "text", down_names[index], x=left - 10, y=y + 17, text_anchor="end")
        for column, value in enumerate(row):
            x = left + width * column
            shade = 0 if value is None else min(_SHADES, 1 + int(_SHADES * max(0.0, value) / most * 0.999))
            cell = put(picture, "rect", x=x, y=y, width=width - 2, height=24, css=f"heat h{shade if value else 0}")
            tip(
                cell,
                f"{down} {down_names[index]}, {across} {across_names[column]}: {words[index][column] or 'no plan'}",
            )
            dark = "heavy" if shade >= 4 else ""
            put(picture, "text", words[index][column], x=x + width / 2, y=y + 16, text_anchor="middle", css=dark)
    return drawn(picture)


def tornado(rows: Sequence[tuple[str, float | None, float | None]], *, show: _Show) -> Markup:
    """Bars both ways from the value as given.

    Args:
        rows: (name, change with the smaller setting, change with the larger); None has no plan.
        show: a change as people read it.
    """
    left, half, step = 30 + _LETTER_PX * max((len(name) for name, _, _ in rows), default=4), 210.0, 34.0
    pad = 96.0
    middle = left + pad + half
    picture = svg(middle + half + pad + 6, step * len(rows) + 8, "change of the objective, the largest first")
    most = max((abs(v) for _, low, high in rows for v in (low, high) if v is not None), default=0.0) or 1.0
    for index, (name, low, high) in enumerate(rows):
        y = 4 + step * index
        put(picture, "text", name, x=left - 10, y=y + 19, text_anchor="end")
        for place, (value, kind) in enumerate(((low, "c5"), (high, "c1"))):
            top, side = y + 2 + 14 * place, "less" if place == 0 else "more"
            if value is None:
                put(picture, "text", f"{side}: no plan", x=middle + 6, y=top + 11, css="small")
                continue
            length = half * abs(value) / most
            x = middle - length if value < 0 else middle
            shape = put(picture, "rect", x=x, y=top, width=max(1.0, length), height=12, css=kind)
            tip(shape, f"{name}, {side}: {_signed(value, show)}")
            end = x - 5 if value < 0 else x + max(1.0, length) + 5
            anchor = "end" if value < 0 else "start"
            put(picture, "text", _signed(value, show), x=end, y=top + 10, text_anchor=anchor, css="small")
    put(picture, "line", x1=middle, x2=middle, y1=0, y2=step * len(rows) + 6, css="limit")
    return drawn(picture)


def _signed(value: float, show: _Show) -> str:
    return f"{'-' if value < 0 else '+'}{show(abs(value))}" if value else "none"
