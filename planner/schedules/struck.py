"""Failures in epochs of a schedule: how much more makes up for one, and what is said where nothing does.

An epoch is served for as long as a window lasts, and a percentile leaves so many of its requests late. What a machine
held when it failed starts anew elsewhere and is late: the more machines there are, the less each holds. So an epoch
that misses by its failure alone needs several times as much, which no step by step finds, or is not met at all.
"""

from dataclasses import replace

import numpy as np

from planner.results.evidence import Verdict
from planner.results.schedule import Run, scoped
from planner.results.timetable import Served, Timetable
from planner.schedules.levels import planned_alone
from planner.schedules.provision import Provided, raised
from planner.schedules.question import Opened, parts_of
from planner.schedules.serving import Serving
from planner.schedules.together import AnyServing
from workloads.counts import plural

MORE_RATIOS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Times the rate that an epoch is provided for that are tried against its failure."""

LONGER_TIMES = (4.0, 16.0, 64.0)
"""Times its length of the windows in which it is looked whether less would do."""

SPREAD = 4
"""Pools of more instances that are looked at in each of them."""

Key = tuple[str, int]
"""A model, and an epoch of it."""


class Failures:
    """Epochs of a question that miss by a failure alone: those for which more makes up, and those for which none does.

    Each is looked at once, when it first misses.
    """

    def __init__(self, asked: Opened, serving: AnyServing) -> None:
        """Nothing looked at yet.

        Args:
            asked: the question.
            serving: serves its epochs.
        """
        parts = parts_of(asked)
        servings = {"": serving} if isinstance(serving, Serving) else serving.parts
        self._parts = {name: (part, servings[name]) for name, part in parts.items()}
        self._ratios = dict[Key, float | None]()
        self._words = dict[Key, str]()

    @property
    def any(self) -> bool:
        """Whether an epoch missed that has one; pools of a busier epoch bear it no better."""
        return bool(self._ratios)

    def others(self, found: Timetable, held: Provided) -> tuple[Served, ...]:
        """What was served, without the epochs for whose failure nothing makes up.

        Args:
            found: a schedule that was served.
            held: rates over the peak that it provides for.
        """
        for each in found.served:
            key = (each.model, each.epochs[0])
            if not each.served_well and key not in self._ratios and self._parts[each.model][1].fails_in(key[1]):
                self._ratios[key] = self._looked(each, held)
        return tuple(each for each in found.served if self._ratios.get((each.model, each.epochs[0]), 1.0))

    def raised(self, held: Provided, served: tuple[Served, ...]) -> Provided:
        """More for what missed; at once as much as makes up for a failure."""
        more = raised(held, served)
        for each in served:
            ratio = self._ratios.pop((each.model, each.epochs[0]), None) if not each.served_well else None
            if ratio:
                self._ratios[each.model, each.epochs[0]] = 1.0
                for name in each.classes(held).values():
                    more[name][each.epochs[0]] = max(more[name][each.epochs[0]], held[name][each.epochs[0]] * ratio)
        return more

    def rest(self, found: Timetable | None) -> Timetable | None:
        """A schedule as if such epochs had not been served: they keep what they have."""
        if found is None:
            return found
        left = (each for each in found.served if self._ratios.get((each.model, each.epochs[0]), 1.0))
        return replace(found, served=tuple(left))

    def told(self, found: Timetable) -> Timetable:
        """A schedule with what was found of them, in full sentences."""
        if found.schedule is None:
            return found
        words = tuple(said for _, said in sorted(self._words.items()))
        return replace(found, schedule=replace(found.schedule, notes=(*found.schedule.notes, *words)))

    def _looked(self, seen: Served, held: Provided) -> float | None:
        """How many times as much an epoch needs that missed; 1 where no failure is the cause, None: nothing helps."""
        (part, serving), epoch, prefix = self._parts[seen.model], seen.epochs[0], scoped(seen.model, "")
        own = {name: held[f"{prefix}{name}"] for name in part.load.peak_req_per_s}
        plain = planned_alone(part, epoch, own)
        if not plain or not serving.alone(plain, epoch).valid:
            return 1.0  # it needs more without the failure, too
        tried, enough = [plain], None
        for times in MORE_RATIOS:
            more = planned_alone(part, epoch, {name: np.asarray(ratios * times) for name, ratios in own.items()})
            if not more:
                break
            tried.append(more)
            if serving.failing(more, epoch).valid:
                enough = times
                break
        less = [runs for runs in tried if _count(plain) < _count(runs) < _count(tried[-1]) or enough is None][:SPREAD]
        borne = ((runs, t) for t in LONGER_TIMES for runs in less if serving.failing(runs, epoch, t).valid)
        counts = _count(plain), _count(tried[-1])
        self._words[seen.model, epoch] = _told(seen, part, counts, next(borne, None), enough=enough is not None)
        return enough


def _count(runs: tuple[Run, ...]) -> int:
    return sum(run.instances for run in runs)


def _told(
    seen: Served, part: Opened, counts: tuple[int, int], borne: tuple[tuple[Run, ...], float] | None, *, enough: bool
) -> str:  # fmt: skip
    """What a failure costs, why, and what would help."""
    window_s, (plain, most) = part.case.scenario.workload.duration_s or 0.0, counts
    late = next((each.slo for each in seen.evidence if each.verdict is not Verdict.MET), None)
    left = f"{late.name} leaves {100 - late.percentile:.2g} % of the requests" if late else "objectives leave few"
    cause = f"of a window of {window_s:g} s {left} late, and what a machine held when it fails starts anew and is late"
    whose = f"{seen.model}: " if seen.model else ""
    helps = "; ask for a looser objective" if not enough else ""
    if borne:
        helps = f"; with workload.duration_s={borne[1] * window_s:g} {plural(_count(borne[0]), 'instance')} would do"
    if enough:
        return (
            f"{whose}validation.failures: epoch {seen.epochs[0]} has about {plural(most, 'instance')}, without its "
            f"failure {plain} would do: {cause}{helps}"
        )
    return (
        f"{whose}validation.failures: epoch {seen.epochs[0]} is not met beyond doubt by up to "
        f"{plural(most, 'instance')}, without its failure {plain} would do, so nothing is bought for it: {cause}{helps}"
    )
