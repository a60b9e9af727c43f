"""The work of a soak in pieces, each for one worker."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from multiprocessing import current_process
from typing import Any

import pytest

from hw_catalog import engines, load, profile_files
from tests.soak import laws, programs, readers, senses, soak
from tests.soak.doors import Door
from tests.soak.subjects import subjects
from tests.soak.tally import Tally
from workloads import models

KINDS = {"readers": 0.35, "senses": 0.2, "solvers": 0.05, "doors": 0.15, "engines": 0.05, "laws": 0.2}
"""What is tried -> its share of the time. First what keeps to it: where the machine is busy, the rest is cut short."""

PIECE_S = 60.0
"""Longest piece of work, so that all workers end together."""

LEAST_S = 5.0
"""Least time for the laws of a file: loading it takes as long."""

IN_TURNS = ("readers", "senses", "solvers")
"""Kinds whose pieces each try everything in turn."""

SEEDS = 1_000_000
"""Seeds from one piece of the same work to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Work for one worker.

    Attributes:
        kind: one of ``KINDS``.
        name: of the door or the file of laws; all of them where they are tried in turns.
        first: seed of the first case.
        seconds: it may take, with all that it loads.
        until_s: time of the clock when the soak ends, whatever is left.
        most: cases of each door, law or solver.
        slow: with the laws that are marked slow.
    """

    kind: str
    name: str
    first: int
    seconds: float
    until_s: float
    most: int
    slow: bool = False


def done(piece: Piece, doors: dict[str, Door], plan: bytes) -> tuple[str, dict[str, Tally]]:
    """A piece of work: its kind, and what became of the cases of each door, law or solver."""
    seconds = min(piece.seconds, piece.until_s - time.time())
    if seconds <= 0:
        return piece.kind, {}
    current_process().daemon = False  # a command that is tried may start processes of its own
    with catalog_once():
        return piece.kind, _tried(piece, seconds, doors, plan)


@contextlib.contextmanager
def catalog_once() -> Iterator[None]:
    """The built-in catalog is read once: the files that are tried lie beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "_builtin", cache(load._builtin))
        patch.setattr(models, "_known", lru_cache(maxsize=256)(models._known))
        patch.setattr(
            engines, "_parsed", _once_of(engines._parsed, lambda _, name: name in (engines.FILE, engines.LAYOUTS))
        )
        patch.setattr(profile_files, "_read", _once_of(profile_files._read, lambda _, file, __: _SHIPPED in str(file)))
        yield


_SHIPPED = str(resources.files("hw_catalog"))


def _once_of(read: Callable[..., Any], innocent: Callable[..., bool]) -> Callable[..., Any]:
    """A reader that reads each innocent file once."""
    kept: dict[str, Any] = {}

    def once(*given: Any) -> Any:
        if not innocent(*given):
            return read(*given)
        name = str(given[1])
        if name not in kept:
            kept[name] = read(*given)
        return copy(kept[name])

    return once


def _tried(piece: Piece, seconds: float, doors: dict[str, Door], plan: bytes) -> dict[str, Tally]:
    """What became of the cases of a piece."""
    if piece.kind == "doors":
        return {piece.name: soak.tried(doors[piece.name], plan, piece.first, seconds, piece.most)}
    if piece.kind == "readers":
        return readers.tried(readers.readers(doors, plan), piece.first, seconds, piece.most)
    if piece.kind == "senses":
        return senses.tried(list(subjects(plan)), piece.first, seconds, piece.most)
    if piece.kind == "solvers":
        return programs.tried(piece.first, seconds, piece.most)
    return laws.tried(piece.name, seconds=seconds, cases=piece.most, seed=piece.first, slow=piece.slow)


def pieces(
    names: list[str], *, first: int, seconds: float, most: int, kinds: set[str], until_s: float = math.inf
) -> Iterator[Piece]:
    """The work of so many seconds of one worker, shared out among kinds; none of it goes on after a time."""
    whole = sum(KINDS[kind] for kind in kinds)
    for kind in (kind for kind in KINDS if kind in kinds):
        share_s = seconds * KINDS[kind] / whole
        for name, part_s in _shared(kind, names, first, share_s):
            count = max(1, round(part_s / PIECE_S)) if kind in ("doors", *IN_TURNS) else 1
            for k in range(count):
                yield Piece(
                    kind=kind, name=name, first=first + k * SEEDS, seconds=part_s / count, until_s=until_s,
                    most=-(-most // count), slow=share_s >= 1800,
                )  # fmt: skip


def _shared(kind: str, names: list[str], first: int, share_s: float) -> Iterator[tuple[str, float]]:
    if kind == "doors":
        yield from ((name, share_s / len(names)) for name in names)
    elif kind in IN_TURNS:
        yield "all", share_s
    elif kind == "engines":
        yield from ((name, share_s / len(laws.ENGINES)) for name in laws.ENGINES)
    else:
        files = laws.order(first)[: max(1, int(share_s / LEAST_S))]
        total = sum(count for _, count in files)
        yield from ((name, share_s * count / total) for name, count in files)
