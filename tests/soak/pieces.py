"""The work of a soak in pieces, each for one worker."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.soak import laws, programs, senses, soak
from tests.soak.doors import Door
from tests.soak.subjects import subjects
from tests.soak.tally import Tally

KINDS = {"doors": 0.35, "senses": 0.15, "laws": 0.3, "engines": 0.1, "solvers": 0.1}
"""What is tried -> its share of the time."""

PIECE_S = 60.0
"""Longest piece of work, so that all workers end together."""

LEAST_S = 4.0
"""Least time for the laws of a file: loading it takes as long."""

SEEDS = 1_000_000
"""Seeds from one piece of the same work to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Work for one worker.

    Attributes:
        kind: one of ``KINDS``.
        name: of the door or the file of laws.
        first: seed of the first case.
        seconds: it may take.
        most: cases of each door, law or solver.
        slow: with the laws that are marked slow.
    """

    kind: str
    name: str
    first: int
    seconds: float
    most: int
    slow: bool = False


def done(piece: Piece, doors: dict[str, Door], plan: bytes) -> tuple[str, dict[str, Tally]]:
    """A piece of work: its kind, and what became of the cases of each door, law or solver."""
    if piece.kind == "doors":
        found = {piece.name: soak.tried(doors[piece.name], plan, piece.first, piece.seconds, piece.most)}
    elif piece.kind == "senses":
        subject = next(each for each in subjects() if each.name == piece.name)
        found = {piece.name: senses.tried(subject, piece.first, piece.seconds, piece.most)}
    elif piece.kind == "solvers":
        found = programs.tried(piece.first, piece.seconds, piece.most)
    else:
        law_s = piece.seconds / max(1, laws.files()[piece.name])
        found = laws.tried(piece.name, law_s=law_s, cases=piece.most, seed=piece.first, slow=piece.slow)
    return piece.kind, found


def pieces(names: list[str], *, first: int, seconds: float, most: int, kinds: set[str]) -> Iterator[Piece]:
    """The work of so many seconds of one worker, shared out among kinds."""
    whole = sum(KINDS[kind] for kind in kinds)
    for kind in sorted(kinds):
        share_s = seconds * KINDS[kind] / whole
        for name, part_s in _shared(kind, names, first, share_s):
            count = max(1, round(part_s / PIECE_S)) if kind in ("doors", "senses", "solvers") else 1
            for k in range(count):
                yield Piece(
                    kind=kind, name=name, first=first + k * SEEDS, seconds=part_s / count, most=-(-most // count),
                    slow=share_s >= 1800,
                )  # fmt: skip


def _shared(kind: str, names: list[str], first: int, share_s: float) -> Iterator[tuple[str, float]]:
    if kind == "doors":
        yield from ((name, share_s / len(names)) for name in names)
    elif kind == "senses":
        every = [each.name for each in subjects()]
        yield from ((name, share_s / len(every)) for name in every)
    elif kind == "solvers":
        yield "all", share_s
    elif kind == "engines":
        yield from ((name, share_s / len(laws.ENGINES)) for name in laws.ENGINES)
    else:
        files = laws.order(first)[: max(1, int(share_s / LEAST_S))]
        total = sum(count for _, count in files)
        yield from ((name, share_s * count / total) for name, count in files)
