"""Claims: a published number, ours, and what the difference says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class ClaimVerdict(StrEnum):
    """What our number says of a published one."""

    REPRODUCED = "reproduced"
    """Ours lies within the tolerance."""
    SOME_DRAWS = "some-draws"
    """Ours does in some draws of requests, in fewer than half of them; the published number comes from one draw."""
    DIFFERS = "differs"
    """It does not, in no draw where there are several."""
    ERRATUM = "erratum"
    """It does not, and another statement of the same publication shows that this one is a slip."""
    NOT_DERIVABLE = "not-derivable"
    """The publication does not say enough, or ours cannot be had from what it does say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One published number, under one reading of the published data.

    Attributes:
        name: what is claimed, with its unit.
        paper: the published value; None where the publication has none.
        ours: what our simulator says; None where it cannot be derived.
        tolerance: largest |ours - paper| that still reproduces it, from the precision of the publication.
        verdict: what follows.
        source: where the claim stands.
        reading: how the published data were read.
        note: the comparison behind our number, and what else a reader should know.
    """

    name: str
    paper: float | None
    ours: float | None
    tolerance: float
    verdict: ClaimVerdict
    source: str
    reading: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a figure.

    Attributes:
        label: what it is of.
        x: ascending.
        y: as many.
        joined: whether its points are joined.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    joined: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A published figure, drawn from what our simulator says: curves, or a table of numbers by design.

    Attributes:
        name: unique among the figures of a reproduction.
        title: what it shows.
        source: the published figure.
        reading: how the published data were read.
        x_label: below the axis, with its unit; of a table, what its columns are.
        y_label: beside it, with its unit.
        curves: of a figure with axes.
        columns: of a table.
        rows: of a table: name and values.
        note: what else a reader should know.
    """

    name: str
    title: str
    source: str
    reading: str
    x_label: str
    y_label: str
    curves: Sequence[Curve] = ()
    columns: Sequence[str] = ()
    rows: Sequence[tuple[str, Sequence[float]]] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """All claims of one publication, in its order, and its figures where they were asked for."""

    claims: Sequence[Claim]
    figures: Sequence[Figure] = ()


def claim(
    name: str, paper: float | None, ours: float | None, tolerance: float, *, source: str, reading: str, note: str = ""
) -> Claim:
    """A claim with its verdict: reproduced where |ours - paper| <= tolerance."""
    if ours is None or paper is None:
        verdict = ClaimVerdict.NOT_DERIVABLE
    else:
        # a billionth of slack keeps a value on the edge of the tolerance from depending on the last bit
        close = abs(ours - paper) <= tolerance + 1e-9 * max(1.0, abs(paper))
        verdict = ClaimVerdict.REPRODUCED if close else ClaimVerdict.DIFFERS
    return Claim(
        name=name, paper=paper, ours=ours, tolerance=tolerance, verdict=verdict, source=source, reading=reading,
        note=note,
    )  # fmt: skip


def erratum(found: Claim) -> Claim:
    """A claim that contradicts its own publication, unless it is reproduced all the same."""
    if found.verdict is not ClaimVerdict.DIFFERS:
        return found
    return replace(found, verdict=ClaimVerdict.ERRATUM)


def judged_by_draws(found: Claim, ours: Sequence[float]) -> Claim:
    """A claim by how many draws of requests reproduce it: half of them, some or none.

    Args:
        found: the claim; its number is the median.
        ours: our number in every draw, at least one.
    """
    each = [claim("", found.paper, value, found.tolerance, source="", reading="").verdict for value in ours]
    near = sum(verdict is ClaimVerdict.REPRODUCED for verdict in each)
    verdict = ClaimVerdict.REPRODUCED if 2 * near >= len(ours) else ClaimVerdict.SOME_DRAWS
    words = f"{near} of {len(ours)} draws reproduce it, {min(ours):.3g} to {max(ours):.3g}"
    return replace(
        found, verdict=verdict if near else ClaimVerdict.DIFFERS, note=f"{words}; {found.note}" if found.note else words
    )


def bound(
    name: str, paper: float, ours: float | None, *, at_most: bool, source: str, reading: str, note: str = ""
) -> Claim:
    """A claim that something stays at most (or at least) at a published number: reproduced where ours does."""
    if ours is None:
        verdict = ClaimVerdict.NOT_DERIVABLE
    else:
        verdict = ClaimVerdict.REPRODUCED if (ours <= paper if at_most else ours >= paper) else ClaimVerdict.DIFFERS
    words = "published as an upper bound" if at_most else "published as a lower bound"
    return Claim(
        name=name, paper=paper, ours=ours, tolerance=0.0, verdict=verdict, source=source, reading=reading,
        note=f"{words}; {note}" if note else words,
    )  # fmt: skip
