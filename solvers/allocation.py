"""Allocations: what a backend answers, and the check that no answer escapes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from solvers.problem import Column, Problem, Row

TOLERANCE = 1e-6
"""How far a row or bound may be missed, relative to the largest number in it (at least 1)."""


class Reason(StrEnum):
    """Why a solve ended."""

    OPTIMAL = "optimal"
    """An allocation within the gap tolerance of the bound."""
    FEASIBLE = "feasible"
    """An allocation, stopped by a limit before optimality was proven."""
    INFEASIBLE = "infeasible"
    """Proven: no allocation exists."""
    UNBOUNDED = "unbounded"
    """The objective improves for ever."""
    NO_SOLUTION_FOUND = "no solution found"
    """Stopped by a limit with nothing in hand; says nothing about feasibility."""
    ERROR = "error"
    """The backend broke; ``Termination.detail`` says how."""


class Limit(StrEnum):
    """What stopped a solve early."""

    NONE = "none"
    WORK = "work"
    """So many steps: the same under any load."""
    TIME = "time"
    """The clock: under another load the answer may be another."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """How a solve ended.

    Attributes:
        reason: why.
        limit: what stopped it early, if anything did.
        objective: of the allocation; None without one.
        bound: proven bound on the objective; None where the backend gives none.
        backend: its name, for example ``highs``. Not its version: a plan is the same with each of them.
        detail: the backend's own words.
    """

    reason: Reason
    limit: Limit = Limit.NONE
    objective: float | None = None
    bound: float | None = None
    backend: str = ""
    detail: str = ""

    @property
    def gap_frac(self) -> float | None:
        """|objective - bound| / max(1e-9, |objective|); None where either is missing."""
        if self.objective is None or self.bound is None:
            return None
        return abs(self.objective - self.bound) / max(1e-9, abs(self.objective))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Column name -> value; integer columns hold whole numbers exactly."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A termination, with an allocation exactly when the reason is OPTIMAL or FEASIBLE."""

    termination: Termination
    allocation: Allocation | None


def answered(
    problem: Problem,
    values: Mapping[str, float],
    *,
    reason: Reason,
    limit: Limit = Limit.NONE,
    bound: float | None = None,
    backend: str,
    detail: str = "",
) -> Solution:
    """A backend's allocation made whole and checked; the objective is computed here, not believed.

    Integer columns are rounded and continuous ones clipped to their bounds; the point so made must meet every row.

    Args:
        problem: what was asked.
        values: the backend's value of every column.
        reason: the backend's claim, OPTIMAL or FEASIBLE.
        limit: what stopped it early, if anything did.
        bound: proven bound on the objective; not finite is none. One that the objective meets within ``TOLERANCE`` is
            told as the objective: solvers compute no finer, and each ends on other last digits.
        backend: its name.
        detail: the backend's own words.

    Returns:
        The solution, or one with reason ERROR naming what the point violates.
    """
    whole = {column.name: _whole(column, values[column.name]) for column in problem.columns}
    if violated := next(violations(problem, whole, raw=values), None):
        return empty_handed(Reason.ERROR, backend=backend, detail=f"{detail}: {violated}")
    known = bound if bound is not None and math.isfinite(bound) else None
    objective = problem.objective(whole)
    if known is not None and abs(known - objective) <= TOLERANCE * abs(objective):
        known = objective
    termination = Termination(
        reason=reason, limit=limit, objective=objective, bound=known, backend=backend, detail=detail
    )
    return Solution(termination=termination, allocation=Allocation(values=whole))


def _whole(column: Column, value: float) -> float:
    if column.integer and math.isfinite(value):
        return float(round(value))
    return min(max(value, column.lower), column.upper)


def empty_handed(reason: Reason, *, limit: Limit = Limit.NONE, backend: str, detail: str) -> Solution:
    """A solution without an allocation."""
    return Solution(
        termination=Termination(reason=reason, limit=limit, backend=backend, detail=detail), allocation=None
    )


def violations(problem: Problem, values: Mapping[str, float], *, raw: Mapping[str, float]) -> Iterator[str]:
    """Every bound and row that ``values`` misses, and every column moved too far from ``raw`` to get there."""
    for column in problem.columns:
        value, slip = values[column.name], TOLERANCE * max(1.0, abs(raw[column.name]))
        if not math.isfinite(raw[column.name]):
            yield f"column {column.name!r} is {raw[column.name]}; expected a finite number"
        elif abs(value - raw[column.name]) > slip:
            yield f"column {column.name!r} is {raw[column.name]!r}, which is neither whole nor within its bounds"
        elif not column.lower - slip <= value <= column.upper + slip:
            yield f"column {column.name!r} is {value!r}, beyond {column.lower} .. {column.upper}"
    for row in problem.rows:
        if not _meets(row, values):
            yield f"row {row.name!r} is {row.activity(values)!r}, beyond {row.lower} .. {row.upper}"


def _meets(row: Row, values: Mapping[str, float]) -> bool:
    scale = max(1.0, *(abs(coefficient * values[name]) for name, coefficient in row.terms))
    return row.lower - TOLERANCE * scale <= row.activity(values) <= row.upper + TOLERANCE * scale
