"""What a scenario promises in seconds, as policies need it, and promises that speak of no token."""

from collections.abc import Iterable
from math import inf

from workloads.demand import Demand
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


def gap_problems(slos: Iterable[Slo], demand: Demand) -> tuple[str, ...]:
    """Objectives on the gaps between tokens of requests that all have one: nothing could ever be measured of them."""
    found: list[str] = []
    for slo in slos:
        if slo.metric not in (Metric.TPOT, Metric.TBT, Metric.STALL):
            continue
        parts = [part for part in demand.classes if slo.request_class in (None, part.request_class.name)]
        if parts and all(part.output_tokens.max() <= 1 for part in parts):
            where = f"slo_by_class.{slo.request_class}" if slo.request_class else "slo"
            words = "a limit on the gaps between tokens, and every answer has one token; expected none, or ttft or e2e"
            found.append(f"{where}.{slo.name.rpartition(':')[2]}: {words}")
    return tuple(found)
