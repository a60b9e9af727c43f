"""The search for plans that stand in their rows: fewer expected watts, until the row study says that they do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from planner.planning.limits import over_row
from planner.results.row import RowStudy

P = TypeVar("P")

MOST_ROUNDS = 6
"""Plans that are tried in rows, at most."""

CLOSE_FRAC = 0.03
"""Expected watts so near to those of a plan that the rows do not hold are not tried."""

LESS_FRAC = 0.995
"""Share of its own watts that a plan which the rows do not hold is made again with, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood(Generic[P]):
    """A plan, and what its rows hold.

    Attributes:
        plan: of one model, or the plans of several.
        row: the study of the row that all its machines stand in.
        expected_w: of all of it, at the wall.
    """

    plan: P
    row: RowStudy
    expected_w: float

    @property
    def held_w(self) -> float:
        """Expected watts that the rows hold of machines in this plan's proportion."""
        each_w = self.expected_w / max(1, self.row.plan_machines)
        return self.row.rows * self.row.machines * each_w


def standing(
    tried: list[Stood[P]], less: Callable[[float], Stood[P] | None], better: Callable[[Stood[P], Stood[P]], Stood[P]]
) -> Stood[P] | None:
    """The first plan, if it stands in its rows; else the best one found that does, or None.

    The most expected watts are looked for between a plan that the rows hold and one that they do not.

    Args:
        tried: the first plan; what is tried is added.
        less: the best plan within expected watts, with its study; None where there is none.
        better: of two plans that the rows hold.
    """
    if tried[0].row.fits:
        return tried[0]
    held: Stood[P] | None = None
    none_w, over_w = 0.0, tried[0].expected_w  # no plan was found within the first, none that fits beyond the second
    next_w = min(tried[0].held_w, LESS_FRAC * over_w)
    for _ in range(MOST_ROUNDS):
        if not 0 < next_w < over_w:
            break
        last = less(next_w)
        if last is None:
            none_w = next_w
        else:
            tried.append(last)
            if last.row.fits:
                held, none_w = last if held is None else better(held, last), max(next_w, last.expected_w)
            else:
                over_w = min(over_w, last.expected_w, next_w)
        if over_w - none_w <= CLOSE_FRAC * over_w:
            break
        guess_w = tried[-1].held_w if held is None else 0.0
        next_w = guess_w if none_w < guess_w < LESS_FRAC * over_w else (none_w + over_w) / 2
    return held


def more_rows(rows: Iterable[RowStudy]) -> tuple[tuple[str, ...], dict[str, tuple[float, float]]]:
    """Why plans do not stand in their rows, and how many rows the one with fewest takes.

    Args:
        rows: the study of each plan that was tried, the first first.

    Returns:
        Sentences, and what to raise: its name -> (the limit, what is needed).
    """
    every = list(rows)
    needs = [row for row in every if row.needed_rows]
    found = min(needs, key=lambda row: row.needed_rows, default=every[0])
    if not needs:
        return (over_row(found),), {}
    more = f"raise power.rows from {found.rows} to at least {found.needed_rows}"
    return (over_row(found), more), {"rows": (float(found.rows), float(found.needed_rows))}
