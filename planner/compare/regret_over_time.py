"""Regret of schedules: what a horizon comes to on the base fleet that was bought for another one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.planning import plan as planning
from planner.planning.fleet_question import read_fleet
from planner.resolve.epoch_options import fleet
from planner.results.sweep import OverTime, Point, Regret
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.schedules.joint import as_planned_together
from planner.schedules.planning import as_planned
from planner.schedules.programs import solved
from planner.schedules.question import Opened, question_of
from solvers.allocation import Reason, Termination

Owned = Mapping[str, int]
"""Machine type -> base fleet."""


def on_owned(scenario: Scenario | Fleet, own: OverTime, fleets: Sequence[Owned]) -> tuple[float | None, ...]:
    """Dollars of a question over time on each base fleet, with machines on top of it as needed.

    As planned, at the rates that its own schedule provides for; nothing is simulated.

    Args:
        scenario: what happens.
        own: its validated schedule.
        fleets: paid for all hours whatever is powered.

    Returns:
        Dollars over the horizon, None where a base fleet is of a type that is not on offer, or nothing serves on it.

    Raises:
        BadInput: the scenario names something that is not there.
    """
    asked = _opened(scenario, own)
    return tuple(_on(asked, own, each) for each in fleets)


def _opened(scenario: Scenario | Fleet, own: OverTime) -> Opened:
    """A question as its schedule answers it."""
    blank = Timetable(
        schedule=None, served=(), unserved=(), termination=Termination(reason=Reason.FEASIBLE, backend=""),
        provided_ratio={}, policy=own.ways[0].policy, variant=own.ways[0].variant, models=own.ways,
    )  # fmt: skip
    if isinstance(scenario, Fleet):
        return as_planned_together(read_fleet(scenario).models, blank)
    return as_planned(planning.read(scenario).scenario, blank)


def _on(asked: Opened, own: OverTime, owned: Owned) -> float | None:
    """Dollars on one base fleet."""
    question = question_of(asked, {name: np.array(ratios) for name, ratios in own.provided_ratio.items()})
    offered = {k.machine: k for k in fleet(asked.case, asked.section, [o.machine.name for o in asked.case.options])}
    if any(name not in offered for name in owned):
        return None
    kinds = tuple(
        replace(kind, base_usd_per_h=0.0, most_base_machines=min(kind.available, owned.get(kind.machine, 0)))
        for kind in question.fleet
    )
    ended = solved(asked, replace(question, fleet=kinds), prove=False).solution.termination
    paid = sum(offered[name].base_usd_per_h * count for name, count in owned.items()) * own.duration_h
    return None if ended.objective is None else ended.objective + paid


def regrets_over_time(points: Sequence[Point], dollars: Mapping[str, Sequence[float | None]]) -> tuple[Regret, ...]:
    """Every base fleet in every future.

    Args:
        points: those with a schedule are weighed, in order.
        dollars: name of a point -> what it comes to on the base fleet of each such point, in the same order.
    """
    planned = [point for point in points if point.outcome.over_time is not None]
    found = list[Regret]()
    for happens in planned:
        row = dollars[happens.name]
        best = min((each for each in row if each is not None), default=None)
        for bought, here in zip(planned, row, strict=True):
            known = here is not None and best is not None
            fails = () if known else ("no schedule was found on its base fleet",)
            more = here - best if here is not None and best is not None else None
            found.append(
                Regret(
                    bought=bought.name, happens=happens.name, holds=known, fails=fails, add={}, extra=more, regret=more
                )
            )  # fmt: skip
    return tuple(found)
