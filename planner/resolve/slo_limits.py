"""What a scenario promises in seconds, as policies need it."""

from collections.abc import Iterable
from math import inf

from workloads.slo import Metric, Slo, Unit


def tightest_gap_s(slos: Iterable[Slo]) -> float:
    """The tightest objective on token gaps in seconds; no end where there is none."""
    gaps = (s.limit for s in slos if s.metric.bounds_gaps and s.unit is Unit.SECONDS)
    return min(gaps, default=inf)


def ttft_limits_s(slos: Iterable[Slo]) -> dict[str, float]:
    """When first tokens are due: of each class its tightest objective on them in seconds, "" for all others."""
    found: dict[str, float] = {}
    for slo in slos:
        if slo.metric is Metric.TTFT and slo.unit is Unit.SECONDS:
            name = slo.request_class or ""
            found[name] = min(found.get(name, inf), slo.limit)
    return {name: min(limit, found.get("", inf)) for name, limit in found.items()}
