"""Service-level objectives."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Metric(StrEnum):
    """What is bounded."""

    TTFT = "ttft"
    """Arrival to first output token."""
    TBT = "tbt"
    """Each gap between consecutive output tokens; as a slowdown, their mean over a request."""
    TPOT = "tpot"
    """(E2E - TTFT) / (output tokens - 1), one value per request."""
    E2E = "e2e"
    """Arrival to last output token."""
    STALL = "stall"
    """The longest gap of a request, one value per request: among thousands of gaps a percentile hides a single one."""

    @property
    def bounds_gaps(self) -> bool:
        """Whether an objective in seconds on it limits single steps."""
        return self in (Metric.TBT, Metric.STALL)


class Unit(StrEnum):
    """What a bound counts; the value is how its key ends."""

    SECONDS = "s"
    SLOWDOWN = "slowdown"
    """Times as long as the same request takes alone on a reference instance."""

    @property
    def symbol(self) -> str:
        """What stands behind a number: ``s`` or ``×``."""
        return "s" if self is Unit.SECONDS else "×"  # noqa: RUF001  the sign of multiplication is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """A percentile bound.

    Attributes:
        metric: what is bounded.
        percentile: in (0, 100).
        limit: the bound, > 0, in ``unit``.
        unit: seconds, or slowdown against a request alone.
        request_class: the class it speaks of; None speaks of every request together.
    """

    metric: Metric
    percentile: float
    limit: float
    unit: Unit = Unit.SECONDS
    request_class: str | None = None

    @property
    def name(self) -> str:
        """The key users write, for example ``ttft_p99_s``; a class's objective is ``class:ttft_p99_s``."""
        key = f"{self.metric}_p{self.percentile:g}_{self.unit}"
        return key if self.request_class is None else f"{self.request_class}:{key}"

    @classmethod
    def named(cls, name: str, limit: float) -> Self:
        """The objective of a name.

        Args:
            name: as ``name`` gives it; other spellings of a number are read too.
            limit: the bound, in the unit that the name ends with.

        Raises:
            ValueError: no such metric, or no number where the percentile stands.
        """
        request_class, _, key = name.rpartition(":")
        metric, _, rest = key.partition("_p")
        percentile, _, suffix = rest.partition("_")
        return cls(
            metric=Metric(metric), percentile=float(percentile), limit=limit,
            unit=Unit.SLOWDOWN if suffix == Unit.SLOWDOWN else Unit.SECONDS, request_class=request_class or None,
        )  # fmt: skip
