"""The same engine without a compiler: its functions as they stand, over objects for rows and lists for columns.

Python reads a field of an object ten times as fast as one of a record in an array.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.simulator.core.cluster import replay
from planner.simulator.core.state import FULL, KINDS, NONE, World

WIDE = ("dues", "gaps", "residues")
"""Arrays with room for the fullest batch of every lane, of which most stays empty: their rows are made when touched."""


class _Sparse(dict[int, Any]):
    """Rows by position, made when they are first asked for."""

    def __init__(self, empty: Any) -> None:
        """Nothing touched yet; ``empty`` makes a row."""
        super().__init__()
        self._empty = empty

    def __missing__(self, at: int) -> Any:
        """An empty row."""
        self[at] = row = self._empty()
        return row


def interpret(world: World) -> None:
    """Serve the trace of a world; its arrays are left as compiled code leaves them, but for the rows in flight."""
    w: Any = World(**{name: _unpacked(name, array) for name, array in world._asdict().items()})
    requests, waits = _rows_of("requests"), _rows_of("waits")
    while replay(w) == FULL:
        before = len(w.requests)
        w.requests.extend(requests() for _ in range(before))
        w.waits.extend(waits() for _ in range(len(w.waits)))
        w.events.extend(_rows_of("events")() for _ in range(before))
        for slot in range(before, 2 * before):
            w.requests[slot].next = slot + 1
        w.requests[-1].next = NONE
        w.cluster[0].free_slot = before
    for name, array in world._asdict().items():
        if name not in (*WIDE, "requests", "waits", "events", "tables") and array.flags.writeable:
            _pack(getattr(w, name), array)


def _rows_of(name: str) -> type:
    """A class of rows, with the fields of the records of an array, all of them zero."""
    kinds: Any = KINDS[name].fields or {}
    zeros = "; ".join(f"self.{field} = {0.0 if kinds[field][0].kind == 'f' else 0}" for field in kinds)
    space: dict[str, Any] = {}
    exec(f"def __init__(self): {zeros}", space)  # noqa: S102  of our own field names, and thrice as fast as setattr
    return type(name, (), {"__slots__": tuple(kinds), "__init__": space["__init__"]})


def _unpacked(name: str, array: NDArray[Any]) -> Any:
    """An array as Python's own objects."""
    if name in WIDE:
        return _Sparse(_rows_of(name) if array.dtype.names else int)
    if not array.dtype.names:
        return array.tolist()
    kind, rows = _rows_of(name), []
    for values in array.tolist():
        rows.append(row := kind())
        for field, value in zip(array.dtype.names, values, strict=True):
            setattr(row, field, value)
    return rows


def _pack(rows: Any, array: NDArray[Any]) -> None:
    """Write what became of an array back into it."""
    if array.dtype.names:
        for field in array.dtype.names:
            array[field] = np.array([getattr(row, field) for row in rows], array.dtype[field])
    else:
        array[:] = rows
