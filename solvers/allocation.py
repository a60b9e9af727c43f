"""Allocations: what a backend answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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
    TIME = "time"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """How a solve ended.

    Attributes:
        reason: why.
        limit: what stopped it early, if anything did.
        objective: of the allocation; None without one.
        bound: proven bound on the objective; None where the backend gives none.
        backend: name and version, for example ``highs 1.15.1``.
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
