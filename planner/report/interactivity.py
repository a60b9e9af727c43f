"""Throughput against interactivity: tokens/s/GPU over tokens/s/user, as public benchmarks of engines show it."""

from collections.abc import Sequence
from typing import Any

from planner.report.html.charts import line, short
from planner.report.page import Chart
from planner.results.choice import Choice, Standing
from planner.results.frontier import Frontier

Spot = tuple[str, float, float]
"""What it is, tokens/s/user, tokens/s/GPU."""

_GROUPS = ("this plan", "validated", "efficient", "not simulated", "dominated")
_HOLLOW = ("not simulated", "dominated")
_NOTE = "output tokens; further up is cheaper, further right is faster for one user"


def of_choices(rows: Sequence[Choice]) -> Chart | None:
    """The plan among other precisions, engines and policies."""
    words = {Standing.CHOSEN: "this plan", Standing.VALIDATED: "validated"}
    groups: dict[str, list[Spot]] = {}
    for row in rows:
        if row.user_tokens_per_s is not None:
            formats = dict.fromkeys((row.variant.dtype, row.variant.kv_dtype))
            what = f"{'/'.join(formats)} {row.engine} {row.policy}"
            group = groups.setdefault(words.get(row.standing, "not simulated"), [])
            group.append((what, row.user_tokens_per_s, row.gpu_tokens_per_s))
    return _chart(groups, "of the plan and of what it was compared with")


def of_frontier(front: Frontier) -> Chart | None:
    """The designs of a frontier that were planned themselves."""
    groups: dict[str, list[Spot]] = {}
    for design in front.designs:
        seen = design.outcome
        if seen and seen.user_tokens_per_s is not None and seen.gpu_tokens_per_s is not None:
            what = ", ".join(f"{count} {name}" for name, count in sorted(design.machines.items()))
            group = groups.setdefault("efficient" if design.efficient else "dominated", [])
            group.append((what, seen.user_tokens_per_s, seen.gpu_tokens_per_s))
    return _chart(groups, "of the designs")


def _chart(groups: dict[str, list[Spot]], whose: str) -> Chart | None:
    """Points of each group; nothing of fewer than two points."""
    if sum(map(len, groups.values())) < 2:
        return None
    series: list[dict[str, Any]] = []
    for hue, name in enumerate(_GROUPS):
        spots = sorted({spot[1:] for spot in groups.get(name, ())})
        if spots:
            made = line(name, short([gpu for _, gpu in spots]), hue)
            series.append({**made, "x": short([user for user, _ in spots]), "points": 10, "hollow": name in _HOLLOW})
    spec = {
        "x": [], "series": series, "points": _named(groups), "xUnit": "tokens/s", "xLabel": "tokens/s/user",
        "yUnit": "tokens/s", "yLabel": "tokens/s/GPU", "zero": True, "height": 300,
    }  # fmt: skip
    return Chart(
        name="interactivity", title="Throughput and interactivity", spec=spec, note=f"{_NOTE}; {whose}", whole=True
    )


def _named(groups: dict[str, list[Spot]]) -> list[dict[str, Any]]:
    """The points that have their names beside them: the plan, then those that no other beats both ways, best first."""
    ordered = [spot for name in _GROUPS for spot in groups.get(name, ())]
    mine = groups.get(_GROUPS[0], [])
    unbeaten = [
        spot for spot in ordered
        if spot not in mine and not any(u >= spot[1] and g >= spot[2] and (u, g) != spot[1:] for _, u, g in ordered)
    ]  # fmt: skip
    named: dict[tuple[float, float], str] = {}
    for what, user, gpu in (*mine, *unbeaten):
        named.setdefault((user, gpu), what)
    return [{"x": user, "y": gpu, "label": what} for (user, gpu), what in named.items()]
