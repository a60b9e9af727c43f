"""Epochs tried with less than what was enough for them, once a schedule stands."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario.objectives import Aim
from planner.schedules.groups import Progress
from planner.schedules.provision import Provided, between
from planner.schedules.together import AnyServing

TRIALS = 2
"""Schedules with less that are tried where the scenario does not say how many."""

MOST_REQUESTS = 2_500_000
"""Requests of a round of simulations up to which any are: they take a few seconds."""

WORTH_FRAC = 0.002
"""A schedule that is less of the first aim by a smaller share is not served."""

SMALL_RATIO = 1.01
"""Less by a smaller ratio is no less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A schedule and what it provides for."""

    found: Timetable
    provided_ratio: Provided


def with_less(
    standing: Trial, little: Provided, propose: Callable[[Provided, frozenset[int]], Timetable | None], *,
    serving: AnyServing, evaluations: int | None, progress: Progress, raised: frozenset[int],
) -> tuple[Timetable, Provided]:  # fmt: skip
    """The schedule with less in the epochs that are served as well with it, in full, and what it provides for.

    All epochs are tried half-way between what was too little, or full instances, and what was enough; those that miss
    keep what they had. Most answers of a round cost no simulation: what was served once is not served again. Where all
    epochs together are too many requests, those alone are tried that were provided with more, the others as they are.

    Args:
        standing: validated, be it by a brief look; it is served in full where nothing takes its place.
        little: what was too little, or was never tried.
        propose: the schedule for a provision that is less in these epochs alone, none named where it is in all; None,
            or None in it, where there is none.
        serving: serves it.
        evaluations: how many such schedules may be served; None is as many as a few seconds allow.
        progress: told what is happening.
        raised: epochs that missed before.
    """
    given, requests, epochs = standing, _requests(standing.found, serving), frozenset[int]()
    left = TRIALS if evaluations is None else evaluations
    if evaluations is None and requests > MOST_REQUESTS:
        epochs, left = raised, TRIALS if raised else 0
        there = {name: np.isin(np.arange(len(ratios)), sorted(raised)) for name, ratios in little.items()}
        little = {n: np.where(there[n], ratios, standing.provided_ratio[n]) for n, ratios in little.items()}
    wanted: Provided = between(little, standing.provided_ratio)
    for at in range(left):
        if all((standing.provided_ratio[name] <= wanted[name] * SMALL_RATIO).all() for name in wanted):
            break
        progress("with less", at / left)
        trial = propose(wanted, epochs)
        if trial is None or trial.schedule is None or not _worthwhile(trial.schedule, standing.found.schedule):
            break
        schedule, trial = trial.schedule, seen(trial, serving, progress)
        if trial.valid:
            standing = Trial(found=trial, provided_ratio=wanted)
            wanted = between(little, wanted)
            continue
        failing = {epoch for each in trial.served if not each.valid for epoch in each.epochs}
        bad = np.isin(np.arange(len(schedule.epochs)), sorted(failing))
        little = {name: np.where(bad, wanted[name], little[name]) for name in wanted}
        wanted = {name: np.where(bad, standing.provided_ratio[name], wanted[name]) for name in wanted}
    found = seen(standing.found, serving, progress) if standing is given else standing.found
    return found, standing.provided_ratio


def seen(found: Timetable, serving: AnyServing, progress: Progress, *, brief: bool = False) -> Timetable:
    """A schedule that was served: in full, or as far as tells whether to go on with it."""
    assert found.schedule is not None, "only a schedule is served"
    served, unserved = serving.all(found.schedule, progress, brief=brief)
    return replace(found, served=served, unserved=unserved)


def _requests(found: Timetable, serving: AnyServing) -> float:
    """That a full look at a schedule serves: a brief one may have served the first seed alone."""
    return sum(each.arrived * max(1.0, serving.seeds(each.model) / max(1, len(each.seeds))) for each in found.served)


def _worthwhile(schedule: Schedule, standing: Schedule | None) -> bool:
    """Whether a schedule is so much less of the first aim that it is served."""
    return value(schedule)[0] <= (1 - WORTH_FRAC) * value(standing)[0]


def value(schedule: Schedule | None) -> tuple[float, ...]:
    """What a schedule comes to in the aims, in their order."""
    if schedule is None:
        return ()
    worth = {Aim.COST: schedule.cost_usd, Aim.ENERGY: schedule.energy_j, Aim.CARBON: schedule.carbon_g,
             Aim.POWER: schedule.rated_w, Aim.MACHINES: schedule.powered_machines}  # fmt: skip
    return tuple(worth[aim] for aim in schedule.aims)


def rank(found: Timetable) -> tuple[object, ...]:
    """The smaller, the better: validated before not, a schedule before none, then by the aims."""
    return (not found.valid, found.schedule is None, value(found.schedule))
