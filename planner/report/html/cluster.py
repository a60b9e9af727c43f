"""The plan as a picture of the cluster: pools, their machines and GPUs, and the links between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from markupsafe import Markup

from planner.perf.layout import Role
from planner.report.html.drawings import drawn, put, svg, tip
from planner.report.words import planned_load, rate
from planner.results.picture import Bought, Picture
from planner.results.plan import CandidatePlan, Pool
from workloads.counts import number, plural, watts

_ROLE_COLOUR = {Role.PREFILL: "c0", Role.DECODE: "c1", Role.MIXED: "c2"}
_MOST_MACHINES = 24
"""Machines of a pool that are drawn one by one; of the others only the number is told."""

_CELL, _GAP, _PAD = 11.0, 3.0, 6.0
_LEFT, _COLUMN, _BETWEEN, _HEAD = 150.0, 350.0, 236.0, 64.0
_FAN = 34.0
"""How far before a column arrows part, so that none crosses the words beside them."""
_TIMES = "\N{MULTIPLICATION SIGN}"
_KIB = 1024.0
_GIB = 2.0**30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A pool with the place where it is drawn."""

    pool: Pool
    bought: Bought | None
    x_px: float
    y_px: float
    width_px: float
    height_px: float


def colour(role: Role) -> str:
    """The colour class of a role, the same in every picture and chart."""
    return _ROLE_COLOUR[role]


def cluster(candidate: CandidatePlan, picture: Picture | None) -> Markup:
    """Requests come from the left, go to the pools of the first phase, and from there over the link to the second."""
    bought = {b.pool: b for b in picture.bought} if picture else {}
    firsts = [p for p in candidate.pools if p.spec.role is not Role.DECODE]
    thens = [p for p in candidate.pools if p.spec.role is Role.DECODE]
    width = _COLUMN if thens else 2 * _COLUMN + _BETWEEN
    columns = [_placed(firsts, bought, _LEFT, width)]
    if thens:
        columns.append(_placed(thens, bought, _LEFT + _COLUMN + _BETWEEN, _COLUMN))
    tallest = max(_bottom(column) for column in columns)
    columns = [_centred(column, tallest) for column in columns]
    words = "; ".join(_about(p, bought.get(p.spec.name)) for p in candidate.pools)
    drawing = svg(_LEFT + 2 * _COLUMN + _BETWEEN + 4, tallest + 6, f"The cluster: {words}", css="cluster")
    _arrival(drawing, candidate, columns[0])
    for box in (box for column in columns for box in column):
        _pool(drawing, box)
    if thens:
        _links(drawing, columns[0], columns[1], picture)
    return drawn(drawing)


def _placed(pools: Sequence[Pool], bought: dict[str, Bought], x: float, width: float) -> list[_Box]:
    """Pools of one role below each other."""
    boxes, y = [], 4.0
    for pool in pools:
        what = bought.get(pool.spec.name)
        per_row = int((width - 2 * _PAD) // (_machine_width(what) + 8))
        rows = -(-min(pool.machines, _MOST_MACHINES) // per_row)
        height = _HEAD + rows * (_machine_height(what) + 8) + (20 if pool.machines > _MOST_MACHINES else 4)
        boxes.append(_Box(pool=pool, bought=what, x_px=x, y_px=y, width_px=width, height_px=height))
        y += height + 14
    return boxes


def _centred(column: list[_Box], tallest: float) -> list[_Box]:
    """The column moved to the middle of the drawing."""
    down = (tallest - _bottom(column)) / 2
    return [replace(b, y_px=b.y_px + down) for b in column]


def _bottom(column: Sequence[_Box]) -> float:
    return max((b.y_px + b.height_px for b in column), default=0.0)


def _gpus(bought: Bought | None) -> int:
    return bought.machine_gpus if bought else 8


def _machine_width(bought: Bought | None) -> float:
    across = min(_gpus(bought), 4) if _gpus(bought) <= 8 else 9
    return 2 * _PAD + across * (_CELL + _GAP) - _GAP


def _machine_height(bought: Bought | None) -> float:
    across = min(_gpus(bought), 4) if _gpus(bought) <= 8 else 9
    return 2 * _PAD + -(-_gpus(bought) // across) * (_CELL + _GAP) - _GAP


def _about(pool: Pool, bought: Bought | None) -> str:
    gpus = f" of {bought.machine_gpus} {bought.gpu}" if bought else ""
    return (
        f"{pool.spec.role}: {pool.machines} of {pool.spec.machine}{gpus}, "
        f"{plural(pool.instances, 'instance')} of {pool.spec.layout.name}"
    )


def _knobs(pool: Pool) -> str:
    """The knobs that are set, in words."""
    spec = pool.spec
    set_knobs = [f"{spec.chunk_tokens:,} tokens a step"] if spec.chunk_tokens else []
    set_knobs += [f"{spec.clock_mhz} MHz"] if spec.clock_mhz else []
    set_knobs += [f"{spec.cap_w} W cap"] if spec.cap_w else []
    return "".join(f" · {knob}" for knob in set_knobs)


def _pool(drawing: Element, box: _Box) -> None:
    """One pool: what it is in three lines, then its machines."""
    pool, what = box.pool, box.bought
    tone = colour(pool.spec.role)
    put(
        drawing, "rect", x=box.x_px, y=box.y_px, width=box.width_px, height=box.height_px, rx=8, css=f"pool line-{tone}"
    )
    put(drawing, "text", f"{pool.spec.role}", x=box.x_px + 10, y=box.y_px + 19, css=f"title ink-{tone}")
    kind = f"{number(pool.machines)} {_TIMES} {pool.spec.machine}" + (
        f" ({what.machine_gpus} {what.gpu})" if what else ""
    )
    put(drawing, "text", kind, x=box.x_px + box.width_px - 10, y=box.y_px + 19, text_anchor="end", css="strong")
    layout = f"{plural(pool.instances, 'instance')} of {pool.spec.layout.name}{_knobs(pool)}"
    put(drawing, "text", layout, x=box.x_px + 10, y=box.y_px + 37)
    served, loads = rate(sum(pool.rate_req_per_s.values())), (pool.load_frac, pool.kv_load_frac)
    work = "{} · load {} · KV {}".format(served, *map(planned_load, loads))
    put(drawing, "text", work, x=box.x_px + 10, y=box.y_px + 53, css="quiet")
    if what:
        right = box.x_px + box.width_px - 10
        put(drawing, "text", f"{watts(what.rated_w)} each", x=right, y=box.y_px + 53, text_anchor="end",
            css="quiet")  # fmt: skip
    _machines(drawing, box, tone)


def _machines(drawing: Element, box: _Box, tone: str) -> None:
    """Every machine as a box of GPUs; the GPUs of one instance share a shade."""
    pool, width, height = box.pool, _machine_width(box.bought), _machine_height(box.bought)
    per_row = int((box.width_px - 2 * _PAD) // (width + 8))
    shown = min(pool.machines, _MOST_MACHINES)
    for index in range(shown):
        x = box.x_px + 10 + index % per_row * (width + 8)
        y = box.y_px + _HEAD + index // per_row * (height + 8)
        shape = put(drawing, "g", css="machine")
        tip(shape, f"{pool.spec.machine} {index + 1} of {pool.machines}")
        put(shape, "rect", x=x, y=y, width=width, height=height, rx=3, css="case")
        _cells(shape, box, index, x, y, tone)
    if pool.machines > shown:
        words = f"and {number(pool.machines - shown)} more like these"
        put(drawing, "text", words, x=box.x_px + 10, y=box.y_px + box.height_px - 8, css="quiet")


def _cells(shape: Element, box: _Box, machine: int, x: float, y: float, tone: str) -> None:
    """The GPUs of one machine; those that no instance uses are empty."""
    pool, gpus = box.pool, _gpus(box.bought)
    across = min(gpus, 4) if gpus <= 8 else 9
    per_machine = max(1, gpus // pool.spec.layout.gpus)
    for gpu in range(gpus):
        within = gpu // pool.spec.layout.gpus
        instance = machine * per_machine + within
        used = within < per_machine and instance < pool.instances
        css = f"{tone} {'shade' if instance % 2 else ''}".strip() if used else "empty"
        left, top = x + _PAD + gpu % across * (_CELL + _GAP), y + _PAD + gpu // across * (_CELL + _GAP)
        put(shape, "rect", x=left, y=top, width=_CELL, height=_CELL, rx=2, css=css)


def _arrival(drawing: Element, candidate: CandidatePlan, firsts: Sequence[_Box]) -> None:
    """Where requests come from."""
    middle = sum(b.y_px + b.height_px / 2 for b in firsts) / len(firsts)
    served = sum(sum(b.pool.rate_req_per_s.values()) for b in firsts)
    put(drawing, "text", "requests", x=4, y=middle - 11, css="strong")
    put(drawing, "text", rate(served), x=4, y=middle + 5)
    for box in firsts:
        _arrow(drawing, _LEFT - _FAN, middle, box.x_px - 2, box.y_px + box.height_px / 2)
    put(drawing, "text", candidate.policy, x=4, y=middle + 23, css="quiet")


def _links(drawing: Element, firsts: Sequence[_Box], thens: Sequence[_Box], picture: Picture | None) -> None:
    """The KV caches that move from one phase to the next: gathered in one line, which parts again."""
    x0, x1 = firsts[0].x_px + firsts[0].width_px, thens[0].x_px
    centres = [b.y_px + b.height_px / 2 for b in (*firsts, *thens)]
    y, middle = sum(centres) / len(centres), (x0 + x1) / 2
    for source in centres[: len(firsts)]:
        _bent(drawing, x0 + 2, source, x0 + _FAN, y)
    put(drawing, "path", d=f"M{x0 + _FAN:g} {y:g} H{x1 - _FAN:g}", css="flow")
    for target in centres[len(firsts) :]:
        _arrow(drawing, x1 - _FAN, y, x1 - 2, target)
    if picture is None:
        return
    tokens_per_s = sum(picture.prompt_tokens_per_s) / max(1, len(picture.prompt_tokens_per_s))
    slowest = min((b.link_bytes_per_s, b.link) for b in picture.bought)
    above = ("KV caches", f"{picture.kv_bytes_per_token / _KIB:,.0f} KiB per token")
    below = (f"{tokens_per_s * picture.kv_bytes_per_token / _GIB:.2f} GiB/s", f"over {slowest[1]}",
             f"({slowest[0] / _GIB:,.0f} GiB/s a machine)")  # fmt: skip
    for line, words in enumerate(above):
        put(drawing, "text", words, x=middle, y=y - 26 + 15 * line, text_anchor="middle", css="small")
    for line, words in enumerate(below):
        put(drawing, "text", words, x=middle, y=y + 20 + 15 * line, text_anchor="middle", css="small")


def _arrow(drawing: Element, x0: float, y0: float, x1: float, y1: float) -> None:
    """A line that bends once and ends in a point."""
    _bent(drawing, x0, y0, x1 - 7, y1)
    put(drawing, "path", d=f"M{x1:g} {y1:g} l-9 -5 v10 z", css="tip")


def _bent(drawing: Element, x0: float, y0: float, x1: float, y1: float) -> None:
    """A line that bends once."""
    bend = (x0 + x1) / 2
    put(drawing, "path", d=f"M{x0:g} {y0:g} C{bend:g} {y0:g} {bend:g} {y1:g} {x1:g} {y1:g}", css="flow")
