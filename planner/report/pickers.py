"""Sliders over the points of a sweep."""

from collections import Counter
from collections.abc import Iterator

from planner.report import over_time_sweeps
from planner.report.headlines import machine_words
from planner.report.page import Picker, Tile
from planner.report.words import dollars, objective_words, rate
from planner.results.sweep import VALIDATED, Outcome, Point, WhatIf
from workloads.counts import number, percent, plural, watts


def picker(sweep: WhatIf) -> Picker:
    """A slider for each key that was varied, or one along worlds; numbers rise, words stand as they were given."""
    if not sweep.is_grid:
        names = tuple(point.name for point in sweep.points)
        points = {str(at): tuple(_tiles(point.outcome)) for at, point in enumerate(sweep.points)}
        return Picker(name="points", knobs=(("world", names),), points=points)
    knobs = tuple((knob.key, tuple(_in_order(knob.values))) for knob in sweep.knobs)
    return Picker(
        name="points",
        knobs=knobs,
        points={_place(point, knobs): tuple(_tiles(point.outcome)) for point in sweep.points},
    )


def machine_types(found: Outcome) -> str:
    """Machines by type, the most at once of a schedule: ``2 dgx-a100, 1 hgx-h200``; empty where there is no plan."""
    if found.over_time is not None:
        return over_time_sweeps.machine_words(found.over_time.most_machines)
    count = Counter[str]()
    for each in found.bought.values():
        for pool in each.pools:
            count[pool.spec.machine] += pool.machines
    return ", ".join(f"{n} {name}" for name, n in sorted(count.items()))


def _in_order(values: tuple[str, ...]) -> list[str]:
    try:
        return sorted(values, key=float)
    except ValueError:
        return list(values)


def _place(point: Point, knobs: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """Where the sliders stand for a point."""
    return ",".join(str(values.index(point.settings[key])) for key, values in knobs)


def _tiles(found: Outcome) -> Iterator[Tile]:
    """What a point comes to."""
    if found.over_time is not None:
        yield Tile(label="Verdict", value=found.verdict)
        yield from over_time_sweeps.tiles(found)
        return
    totals, bill = found.totals, found.bill
    if found.verdict != VALIDATED or totals is None:
        yield Tile(label="Verdict", value=found.verdict, note=" ".join(found.explanation[:1]))
        return
    pools = [pool for each in found.bought.values() for pool in each.pools]
    policies = ", ".join(dict.fromkeys(each.policy for each in found.bought.values()))
    yield Tile(label="Verdict", value=found.verdict, note=f"policy {policies}")
    yield Tile(label="Machines", value=number(totals.machines), note=machine_words(pools))
    yield Tile(label="Cost", value=dollars(totals.cost_usd_per_h), note=plural(totals.gpus, "GPU"))
    drawn = "" if bill is None or bill.p99_w is None else f"{watts(bill.p99_w)} P99"
    yield Tile(label="Rated power", value=watts(totals.power_w), note=drawn)
    if found.served_req_per_s is not None:
        yield Tile(label="Served", value=rate(found.served_req_per_s))
    if found.margin_frac:
        name, left = min(found.margin_frac.items(), key=lambda each: each[1])
        yield Tile(label="Tightest objective", value=objective_words(name), note=f"{percent(left)} of its limit left")
