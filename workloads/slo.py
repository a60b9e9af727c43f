"""Service-level objectives."""

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """What is bounded, in seconds."""

    TTFT = "ttft"
    """Arrival to first output token."""
    TBT = "tbt"
    """Each gap between consecutive output tokens."""
    TPOT = "tpot"
    """(E2E - TTFT) / (output tokens - 1), one value per request."""
    E2E = "e2e"
    """Arrival to last output token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """A percentile bound.

    Attributes:
        metric: what is bounded.
        percentile: in (0, 100).
        limit_s: the bound, > 0.
        request_class: the class it speaks of; None speaks of every request together.
    """

    metric: Metric
    percentile: float
    limit_s: float
    request_class: str | None = None

    @property
    def name(self) -> str:
        """The key users write, for example ``ttft_p99_s``; a class's objective is ``class:ttft_p99_s``."""
        key = f"{self.metric}_p{self.percentile:g}_s"
        return key if self.request_class is None else f"{self.request_class}:{key}"
