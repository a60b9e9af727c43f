"""Schedules that turn one knob alone, set against the one that may turn all: it is never dearer than any of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from planner.results.schedule import FixedFleet, OneKnob, Schedule, Spent
from planner.results.timetable import Timetable
from planner.schedules.fixed import unchanged
from planner.schedules.groups import Progress
from planner.schedules.knobs import alone, moved
from planner.schedules.less import WORTH_FRAC, Trial, seen, value
from planner.schedules.programs import solved
from planner.schedules.provision import Provided, raised
from planner.schedules.question import Opened, question_of
from planner.schedules.together import AnyServing
from solvers.allocation import Limit, Reason
from workloads.counts import plural

MOST_RIVALS = 3
"""Schedules of one knob that take the place of the plan, one after the other."""

MOST_MENDS = 4
"""Rounds in which epochs of one that miss are provided for more."""

EQUAL_FRAC = 1e-9
"""Schedules are equally dear within this."""

UNDERCUT = "the bound holds of planned rates; the simulator finds more to be served"
"""Why nothing is proven of a schedule that comes to less than the bound of its program."""

Rows = tuple[tuple[str, Schedule], ...]
"""Knob and the schedule that turns it alone, the best first."""

Mended = Callable[[Timetable, Provided], tuple[Timetable, Provided] | None]
"""A schedule with those epochs planned anew that missed, for rates to provide for; None where there is none."""


def one_knob(asked: Opened, found: Timetable) -> Rows:
    """What each knob that a schedule moves comes to alone, the best first, of those that serve every epoch."""
    assert found.schedule is not None, "only a schedule is compared"
    question = question_of(asked, {name: np.array(ratios) for name, ratios in found.provided_ratio.items()})
    each = ((name, alone(asked, question, found.schedule, name)) for name in moved(found.schedule))
    return tuple(sorted(((name, made) for name, made in each if made), key=lambda pair: value(pair[1])))


def told(found: Timetable, rows: Rows) -> Timetable:
    """A schedule with its rows; one that is cheaper misses objectives in simulation, and a note says so instead."""
    cheaper = [name for name, made in rows if _less(made, found)]
    kept = [(name, made) for name, made in rows if name not in cheaper]
    knobs = tuple(OneKnob(knob=name, spent=_spent(made)) for name, made in kept)
    notes = tuple(f"{name} alone is planned for less, and misses objectives when it is simulated" for name in cheaper)
    assert found.schedule is not None, "only a schedule is compared"
    schedule = replace(found.schedule, notes=(*found.schedule.notes, *notes))
    return replace(found, schedule=schedule, knobs=knobs)


def against_rivals(
    asked: Opened, standing: Trial, serving: AnyServing, mended: Mended, progress: Progress
) -> tuple[Trial, Rows]:  # fmt: skip
    """The best of a schedule, of one planned anew as a whole, and of those that turn one knob of it; with these.

    Each that is cheaper is served like any other. Epochs that were planned anew one after the other have what was best
    beside the others: as a whole all may be better. One within the gap asked for of the bound of a whole is as good as
    any, so none is planned then.

    Args:
        asked: the question.
        standing: a validated schedule.
        serving: serves epochs.
        mended: plans epochs that missed anew.
        progress: told what is happening.
    """
    if standing.found.termination.bound is None:
        question = question_of(asked, standing.provided_ratio)
        first = solved(asked, replace(question, aims=question.aims[:1])).solution.termination
        standing = _bounded(standing, first.bound, asked)
        if standing.found.termination.reason is not Reason.OPTIMAL:
            whole = solved(asked, question).schedule()
            if whole and value(whole)[0] < (1 - WORTH_FRAC) * value(standing.found.schedule)[0]:
                standing = _served(standing, whole, serving, mended, progress) or standing
    rows = one_knob(asked, standing.found)
    for _ in range(MOST_RIVALS):
        if not rows or not _less(rows[0][1], standing.found):
            break
        better = _served(standing, rows[0][1], serving, mended, progress)
        if better is None:
            break
        standing, rows = better, one_knob(asked, better.found)
    return standing, rows


def against_fixed(
    asked: Opened, found: Timetable, fleets: Sequence[FixedFleet], serving: AnyServing, progress: Progress
) -> Timetable:  # fmt: skip
    """The first fixed fleet that may be a schedule, is served well and comes to less, in its place; else the schedule.

    The best of the fleets stands beside either, with the reason where it is no answer of the question.

    Args:
        asked: the question; one that asks for availability or a row is not answered by a fleet planned without.
        found: a validated schedule.
        fleets: fixed fleets beside it, the best first.
        serving: serves epochs.
        progress: told what is happening.
    """
    shown = None
    for fixed in fleets:
        taken = _in_its_place(asked, found, fixed, serving, progress)
        outside = taken if isinstance(taken, str) else ""
        shown = shown or replace(fixed, outside=outside)
        if isinstance(taken, Timetable):
            return replace(taken, fixed=shown)
    return replace(found, fixed=shown)


def _in_its_place(
    asked: Opened, found: Timetable, fixed: FixedFleet, serving: AnyServing, progress: Progress
) -> Timetable | str:  # fmt: skip
    """A fixed fleet in the place of a schedule; or why it takes none, nothing where its own figures say it."""
    made = unchanged(asked, found, fixed)
    if isinstance(made, str):
        return made
    if not fixed.valid or not _less(made, found):
        return ""
    served, unserved = serving.all(made, progress)
    still = replace(_instead(found, made), served=served, unserved=unserved)
    if still.valid:
        return replace(still, provided_ratio={name: (1.0,) * len(made.epochs) for name in found.provided_ratio})
    missed = {epoch for each in served if not each.valid for epoch in each.epochs}
    return f"served as a plan over time it misses an objective or a budget in {plural(len(missed), 'epoch')}"


def instead(standing: Trial, rival: Schedule, serving: AnyServing, progress: Progress) -> Trial | None:
    """A rival that is cheaper by more than is worth a simulation, and is served well as it is; else None."""
    if value(rival)[0] >= (1 - WORTH_FRAC) * value(standing.found.schedule)[0]:
        return None
    better = _served(standing, rival, serving, lambda *_: None, progress)
    if better is None or better.found.schedule is None:
        return None
    schedule, ended = replace(better.found.schedule, termination=rival.termination), rival.termination
    return replace(better, found=replace(better.found, schedule=schedule, termination=ended))


def _served(
    standing: Trial, rival: Schedule, serving: AnyServing, mended: Mended, progress: Progress
) -> Trial | None:  # fmt: skip
    """A rival that is served, with more where it misses; None where it is no cheaper then, or some epoch still does."""
    provided, found = standing.provided_ratio, _instead(standing.found, rival)
    for _ in range(MOST_MENDS):
        if not _less(found.schedule, standing.found):
            return None
        assert found.schedule is not None, "only a schedule is cheaper"
        for brief in (True, False):
            found = seen(found, serving, progress, brief=brief)
            if not found.valid:
                break
        else:
            return Trial(found=found, provided_ratio=provided)
        provided = raised(provided, found.served)
        if (more := mended(found, provided)) is None:
            return None
        found, provided = more
    return None


def _bounded(standing: Trial, bound: float | None, asked: Opened) -> Trial:
    """A schedule with a bound of what it provides for, proven of another one that provides for the same."""
    ended = standing.found.termination
    if bound is None or ended.objective is None or standing.found.schedule is None:
        return standing
    ended = replace(ended, bound=min(bound, ended.objective), detail="bound by blocks solved apart")
    if ended.gap_frac is not None and ended.gap_frac <= asked.section.gap_frac:
        ended = replace(ended, reason=Reason.OPTIMAL, limit=Limit.NONE)
    schedule = replace(standing.found.schedule, termination=ended)
    return replace(standing, found=replace(standing.found, termination=ended, schedule=schedule))


def _instead(found: Timetable, rival: Schedule) -> Timetable:
    """Another schedule in the place of one, as its solve would have ended."""
    ended = found.termination
    if ended.objective is not None:
        worth = value(rival)[0] / value(found.schedule)[0] if value(found.schedule)[0] else 1.0
        ended = replace(ended, objective=ended.objective * worth, reason=Reason.FEASIBLE, limit=Limit.OTHER)
        undercut = ended.bound is not None and ended.bound > (1 + EQUAL_FRAC) * (ended.objective or 0.0)
        ended = replace(ended, bound=None, detail=UNDERCUT) if undercut else ended
    assert found.schedule is not None, "only a schedule has rivals"
    return replace(found, schedule=replace(rival, termination=ended, notes=found.schedule.notes), termination=ended)


def _less(made: Schedule | None, found: Timetable) -> bool:
    """Whether a schedule is cheaper than another in the first aim."""
    standing = value(found.schedule)[0]
    return made is not None and value(made)[0] < standing - EQUAL_FRAC * abs(standing)


def _spent(schedule: Schedule) -> Spent:
    return Spent(cost_usd=schedule.cost_usd, energy_j=schedule.energy_j, carbon_g=schedule.carbon_g)
