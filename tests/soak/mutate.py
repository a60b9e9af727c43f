"""Wrong documents made from right ones: by structure, by word, by byte."""

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, -0.5, 0.5, 2.5, 1e308, -1e308, 1e-308, 10**30, 2**63, "", " ", "5", "-1", "nan", "inf",
    "auto", "any", "none", "\u0000", "\u202e", "=1+1", "<script>alert(1)</script>", "\n", "x" * 5000, "../../etc",
    [], {}, [[]], [None], [1, "a"], {"": 1}, {"a": {"b": []}}, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
"""Values that a file may hold, whatever the key."""

_LINES: tuple[bytes, ...] = (
    b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\n", b"\r\n", b"\t", b"-",
    b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system", b"NaN", b"Infinity", b"1e999", b"010", b"1:30", b"yes",
    b"1_000", b"0x1F", b"\xe2\x80\xae", b"9" * 400, b"2026-02-30",
)  # fmt: skip

Place = tuple[str | int, ...]


def paths(value: object, path: Place = ()) -> Iterator[Place]:
    """Where every value of a document lies, itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def structural(document: object, draw: random.Random, places: Sequence[Place] = ()) -> Any:
    """A copy with one to three things changed: a value, a key, a place, a kind; what is not changed is shared.

    Args:
        document: the right one.
        draw: chance.
        places: where its values lie, if known.
    """
    places, changed = places or tuple(paths(document)), document
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        path = draw.choice(places)
        if not path:
            if draw.random() < 0.02:
                changed = draw.choice(ODD)
            continue
        try:
            changed, holder = _opened(changed, path[:-1])
            holder[path[-1]]
        except (LookupError, TypeError):  # changed before
            continue
        if isinstance(holder, str):  # likewise: a letter of it is no place
            continue
        draw.choice(_CHANGES)(holder, path[-1], draw)
    return changed


def _opened(document: Any, path: Place) -> tuple[Any, Any]:
    """A copy, and what holds the value at a path in it, which may be changed."""
    whole = holder = copy.copy(document)
    for key in path:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    return whole, holder


def _odd(holder: Any, key: Any, draw: random.Random) -> None:
    holder[key] = copy.deepcopy(draw.choice(ODD))


def _gone(holder: Any, key: Any, draw: random.Random) -> None:  # noqa: ARG001  all changes look alike
    del holder[key]


def _renamed(holder: Any, key: Any, draw: random.Random) -> None:
    if isinstance(holder, dict):
        name = draw.choice((f"{key}s", str(key)[:-1], str(key).upper(), "", "schema_version", "name"))
        holder[name] = holder.pop(key)
    else:
        holder.insert(key, copy.deepcopy(holder[key]))


def _scaled(holder: Any, key: Any, draw: random.Random) -> None:
    if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * draw.choice((-1, 0, 0.001, 0.5, 1.5, 1000, 1e9, 1e18))
    else:
        _odd(holder, key, draw)


def _wrapped(holder: Any, key: Any, draw: random.Random) -> None:
    holder[key] = draw.choice(([holder[key]], {"value": holder[key]}, str(holder[key])))


def _swapped(holder: Any, key: Any, draw: random.Random) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    other = draw.choice(keys)
    holder[key], holder[other] = holder[other], holder[key]


_CHANGES: tuple[Callable[[Any, Any, random.Random], None], ...] = (
    _odd,
    _odd,
    _gone,
    _renamed,
    _scaled,
    _wrapped,
    _swapped,
)


def textual(data: bytes, draw: random.Random) -> bytes:
    """A copy with one to four bytes, words or lines changed, cut off, or said twice."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(6)
        if kind == 0:
            data = data[:place] + draw.choice(_LINES) + data[place:]
        elif kind == 1:
            data = data[:place]
        elif kind == 2:
            data = data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]
        elif kind == 3:
            lines = data.split(b"\n")
            lines.insert(draw.randrange(len(lines)), draw.choice(lines))
            data = b"\n".join(lines)
        elif kind == 4:
            end = min(len(data), place + draw.choice((1, 4, 40)))
            data = data[:place] + data[end:]
        else:
            data = _word(data, place, draw)
    return data


def _word(data: bytes, place: int, draw: random.Random) -> bytes:
    """A run of digits or letters at a place, replaced."""
    start = end = place
    while start > 0 and data[start - 1 : start].isalnum():
        start -= 1
    while end < len(data) and data[end : end + 1].isalnum():
        end += 1
    return data[:start] + str(draw.choice(ODD)).encode() + data[end:]


def as_json(document: object) -> bytes:
    """Text of a document, infinities and all, as careless programs write it."""
    return json.dumps(document, indent=1).encode("utf-8", "surrogatepass")
