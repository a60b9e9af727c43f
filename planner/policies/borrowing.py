"""Borrowing: when an instance of one phase works for the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.perf.layout import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Every instance keeps to its own phase."""

    def borrows(self, role: Role, pressure_tokens: int) -> bool:  # noqa: ARG002  the protocol's shape
        """Never."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPool:
    """A phase whose shortest queue exceeds a threshold borrows from the other.

    Source: Splitwise, ISCA'24, §IV-A; thresholds as its public simulator sets them.

    Attributes:
        threshold_tokens: role -> prompt tokens that may wait at its least loaded instance.
    """

    threshold_tokens: Mapping[Role, int] = field(default_factory=lambda: {Role.PREFILL: 8192, Role.DECODE: 2048})

    def borrows(self, role: Role, pressure_tokens: int) -> bool:
        """Beyond the threshold; a role without one keeps to itself."""
        return role in self.threshold_tokens and pressure_tokens > self.threshold_tokens[role]
