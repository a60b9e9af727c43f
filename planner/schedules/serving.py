"""Epochs before the simulator: each at its peak rate, with the change into it from the epoch before.

An instance that both epochs have goes on; one whose clock alone differs goes on at the new one; one that is no longer
wanted takes nothing more and ends what it has; one that is new takes requests from its epoch on, and where it
stands on GPUs that no other leaves, later by as much as a start may come late.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from planner.capacity.strikes import Strike
from planner.formulate.epoch_program import started
from planner.resolve.case import Case
from planner.results.availability import Outage
from planner.results.evidence import Judgement
from planner.results.schedule import Epoch, EpochOption, Run, Schedule
from planner.results.timetable import Served
from planner.scenario.schedule_section import ScheduleSection
from planner.scenario.sections import FailureSection
from planner.schedules.groups import Progress, in_groups
from planner.schedules.judged import idle, judged, longer_of
from planner.schedules.looks import Looks, Memory
from planner.schedules.scenes import Scene, apart, digits, going_of, needed_only, part, pools_of
from planner.schedules.windows import MOST_TIMES, more_times, needed, together
from planner.simulator.outages import outage
from planner.simulator.pools import Failure
from planner.simulator.recovery import Stage, struck
from planner.simulator.traffic import Traffic
from workloads.load import Load
from workloads.slo import Slo
from workloads.traces import Trace, cut, joined

Runs = tuple[Sequence[Run], Sequence[Run]]
"""The pools of the epoch before, and of the epoch itself."""

EARLY_S = 300.0
"""Of a trace, this much before an epoch is served with it, so that it does not begin on an empty cluster."""

MOST_SCARCE_TIMES = 64.0
"""The same for a class that is served alone, where it is rare."""

BRIEF_FROM = 30_000
"""Requests of a seed from which on a brief look comes before a full one, which takes some tenths of a second then.

Where looks are cheap the full one says more: a short window with few requests is where a longer trace finds misses."""

STRUCK_TIMES = (2.0, 8.0)
"""Times its length of the windows that a machine fails in."""

BEFORE_SEED = 1_000_003
"""What is added to the seed of an epoch for the epoch before it."""


class Serving:
    """Epochs of schedules of one case; what was served once is not served again."""

    def __init__(
        self, case: Case, section: ScheduleSection, load: Load, options: Sequence[EpochOption],
        looks: Looks | None = None,
    ) -> None:  # fmt: skip
        """Nothing served yet.

        Args:
            case: the question.
            section: how it asks over time.
            load: what is asked in each epoch.
            options: what epochs may run.
            looks: what was simulated of the question before.
        """
        self._case, self._section, self._load, self._physics = case, section, load, case.physics
        self._options = {option.name: option for option in options}
        self._idle_w = {option.machine.name: option.machine.idle_w for option in case.options}
        self._names = [c.name for c in case.scenario.classes()]
        self._total = np.sum(list(load.peak_req_per_s.values()), axis=0)
        self._whole = case.asked.draw(case.asked.seeds[0], 1.0, 1.0) if section.load == "trace" else None
        self._seen = Memory(f"{case.policy.name} {case.variant}", looks)
        self._window_s: dict[tuple[float, float], float] = {}

    def all(
        self, schedule: Schedule, progress: Progress, *, spares: bool = False, brief: bool = False
    ) -> tuple[tuple[Served, ...], tuple[int, ...]]:
        """Every epoch, or the busiest where the scenario wants so many only; and those that were left out.

        Epochs are served on threads, each as if there were no other.

        Args:
            schedule: that is served.
            progress: told what is happening.
            spares: spare machines serve too; else they are all down.
            brief: enough to go on looking; what becomes an answer is served in full, which may refuse it.
        """
        return in_groups(
            self._total, self._section, partial(self.key, schedule, spares=spares),
            lambda epochs, briefly: (self.served(schedule, epochs, spares=spares, brief=briefly),), progress,
            brief=brief, near=partial(self.near, schedule, spares=spares),
        )  # fmt: skip

    def seeds(self, _model: str = "") -> int:
        """How many a full look serves at least where nothing is missed."""
        return len(self._case.asked.seeds_at(1.0))

    def key(self, schedule: Schedule, epoch: int, *, spares: bool) -> str:
        """What epochs have in common of which one need be served."""
        return f"{self._key(*self._change(schedule, epoch, spares=spares))} {schedule.epochs[epoch].machines}"

    def near(self, schedule: Schedule, epoch: int, *, spares: bool) -> bool:
        """Whether an epoch took a brief look at as many seeds as a full one, and was not looked at in full."""
        return self._seen.near(self._key(*self._change(schedule, epoch, spares=spares)), self.seeds())

    def _change(self, schedule: Schedule, epoch: int, *, spares: bool) -> tuple[Runs, tuple[int, int]]:
        """The pools before an epoch and in it, and the two epochs."""
        before = self._before(epoch)
        return (_runs(schedule, before, spares=spares), _runs(schedule, epoch, spares=spares)), (before, epoch)

    def one(
        self, schedule: Schedule, epoch: int, progress: Progress, *, spares: bool = False
    ) -> tuple[tuple[Served, ...], tuple[int, ...]]:
        """One epoch alone; see ``all``."""
        progress(f"serving epoch {epoch}", 0.0)
        others = tuple(other for other in range(self._load.epochs) if other != epoch)
        return (self.served(schedule, [epoch], spares=spares),), others

    def _before(self, epoch: int) -> int:
        """The epoch before; itself where the horizon begins with it."""
        return (epoch - 1) % self._load.epochs if epoch or self._whole is None else epoch

    def _key(self, runs: Runs, epochs: tuple[int, int]) -> str:
        """What two epochs have in common that need not both be served: pools with their shares of the load, and it."""
        if self._whole is not None or self._struck(epochs[1]):
            return f"{epochs[1]} {runs}"
        pools = [[(r.spec.name, r.instances, digits(r.rate_req_per_s)) for r in each] for each in runs]
        return str((pools, [digits(self._load.peaks_at(e)) for e in epochs]))

    def served(
        self, schedule: Schedule, epochs: Sequence[int], *, spares: bool = False, brief: bool = False
    ) -> Served:  # fmt: skip
        """What the simulator says of epochs that are alike, by the first of them."""
        epoch, now = epochs[0], schedule.epochs[epochs[0]]
        if not self._total[epoch]:
            return idle(epochs, self._standing_w(now))
        runs, both = self._change(schedule, epoch, spares=spares)
        scene = self._scene(runs, both)
        said = self._seen_of(scene.key, runs, both, brief=brief)
        return Served(
            epochs=tuple(epochs), rate_req_per_s=scene.rate_req_per_s,
            changed=len({shift.instance for shift in scene.shifts}), evidence=said.evidence, seeds=said.seeds,
            arrived=said.arrived, unfinished=said.unfinished, refused=said.refused, steady=said.steady,
            engine=said.engine, planned_w=self._planned_w(now, runs[1], epoch),
            simulated_w=self._simulated_w(now, scene, said),
            limit_w=self._case.scenario.budgets.expected_power_w, longer_missed=said.longer_missed,
        )  # fmt: skip

    def _seen_of(self, key: str, runs: Runs, epochs: tuple[int, int], *, brief: bool) -> Judgement:
        """What is known of a scene, else what a look says of it; machines fail in it where the scenario asks for it."""
        if self._struck(epochs[1]):
            return self._seen.of(key, lambda _: self._with_failures(runs, epochs))
        brief = brief and self._dear(epochs)
        return self._seen.of(key, lambda known: self._looked(runs, epochs, brief=brief, known=known), brief=brief)

    def alone(self, runs: Sequence[Run], epoch: int, *, brief: bool = False) -> Judgement:
        """What the simulator says of pools at an epoch's peak, after the same pools at the same; nothing fails."""
        mine, both = needed_only(runs), (epoch, epoch)
        brief = brief and self._dear(both)
        return self._seen.of(
            f"alone {epoch} {mine}", lambda known: self._looked((mine, mine), both, brief=brief, known=known),
            brief=brief,
        )  # fmt: skip

    def _dear(self, epochs: tuple[int, int]) -> bool:
        """Whether a full look at two epochs serves so many requests that a brief one comes before it."""
        mean = self._case.asked.demand.rate_req_per_s
        rates = [float(self._total[epoch]) for epoch in epochs if self._total[epoch] and self._whole is None]
        return sum(rate * self._lasts_s(rate / mean, 1.0) for rate in rates) >= BRIEF_FROM

    def fails_in(self, epoch: int) -> bool:
        """Whether the scenario asks for a failure in an epoch."""
        return bool(self._struck(epoch))

    def failing(self, runs: Sequence[Run], epoch: int, times: float = 1.0) -> Judgement:
        """The same with the failures of the epoch, in a window of so many times its length."""
        mine = needed_only(runs)
        return self._seen.of(
            f"failing {epoch} {times:g} {mine}", lambda _: self._with_failures((mine, mine), (epoch, epoch), times)
        )

    def struck(self, schedule: Schedule, epoch: int, strike: Strike) -> Outage:
        """Machines that fail in an epoch at its peak, the same pools before it; spare machines serve too.

        Where the window leaves it open what arrivals after the failure meet, a longer one is served.
        """
        found = self._struck_once(schedule, epoch, strike, STRUCK_TIMES[0])
        return found if not found.fails or self._whole else self._struck_once(schedule, epoch, strike, STRUCK_TIMES[1])

    def _struck_once(self, schedule: Schedule, epoch: int, strike: Strike, times: float) -> Outage:
        """The same in a window of so many times its length."""
        runs, checks = schedule.epochs[epoch].runs, self._case.scenario.validation
        scene, seeds = self._scene((runs, runs), (epoch, epoch), times), self._case.asked.seeds_at(1.0)
        stage = Stage(
            pools=scene.pools, policy=self._case.policy, trace=scene.draw(seeds[0]),
            traffic=Traffic(
                draw=scene.draw, seeds=seeds, workload=strike.words, exact=scene.exact, aligned=scene.aligned
            ),
            slos=self._case.slos, reference=self._case.reference, confidence_frac=checks.confidence_frac,
            cooldown_frac=0.0 if scene.exact or scene.aligned else checks.cooldown_frac / 2,
            begin_frac=scene.warmup_frac, shifts=scene.shifts,
        )  # fmt: skip
        return struck(stage, strike.words, strike.before, strike.failing, single=strike.single)

    def _looked(
        self, runs: Runs, epochs: tuple[int, int], *, brief: bool = False, known: Judgement | None = None
    ) -> Judgement:  # fmt: skip
        """A scene over windows that are long enough to tell of every objective.

        An objective of a class that is too rare for the window, and shares no instance with one that is not, is looked
        at on that class's instances alone, over a window of its own.

        Args:
            runs: the pools of the epoch before, and of the epoch itself.
            epochs: their numbers.
            brief: enough to go on looking.
            known: what a brief look said of it that found it valid: seeds that it served over the window of the
                scenario are not served again where it served all.
        """
        scene, slos = self._scene(runs, epochs), self._case.slos
        rare = self._rare(scene, epochs[1])
        common = tuple(slo for slo in slos if slo not in rare)
        if known is not None and not rare and self._all_seeds(known, scene):
            return longer_of(self._case, scene, epochs[1], slos, known)
        look = partial(judged, self._case, epoch=epochs[1], brief=brief)
        said = look(scene, slos=common)
        if (times := more_times(said)) > 1:  # too few requests to tell: a longer window, not more machines
            said = look(self._scene(runs, epochs, times), slos=common)
        for classes in dict.fromkeys(rare.values()):
            own = tuple(slo for slo in rare if rare[slo] == classes)
            times = max(self._times(slo, epochs[1], MOST_SCARCE_TIMES) for slo in own)
            long = replace(part(self._scene(runs, epochs, times), classes), longer=None)
            said = together(said, look(long, slos=own), slos)
        return said

    def _all_seeds(self, known: Judgement, scene: Scene) -> bool:
        """Whether a brief look served as many seeds as a full one does first, over the window of the scene."""
        return len(known.seeds) >= self.seeds() and known.horizon_s == scene.duration_s

    def _with_failures(self, runs: Runs, epochs: tuple[int, int], times: float = 1.0) -> Judgement:
        """A scene in which machines fail as the scenario asks for it."""
        scene = self._scene(runs, epochs, times)
        failing = self._failures(scene, epochs[1])
        return judged(self._case, scene, self._case.slos, epoch=epochs[1], failures=failing)

    def _struck(self, epoch: int) -> list[FailureSection]:
        """Failures that the scenario asks for in an epoch."""
        return [each for each in self._case.scenario.validation.failures if each.at_s // self._load.epoch_s == epoch]

    def _failures(self, scene: Scene, epoch: int) -> list[Failure]:
        """Machines that fail half-way through the part of a window that is the epoch's own."""
        moment_s = scene.duration_s * (1 + scene.warmup_frac) / 2
        asked = (each.model_copy(update={"at_s": moment_s}) for each in self._struck(epoch))
        return [found for each in asked if (found := outage(each, scene.pools))]

    def _rare(self, scene: Scene, epoch: int) -> dict[Slo, frozenset[int]]:
        """Objectives that a window tells too little of -> their class and those that it shares instances with.

        Only such as are all too rare; none where these are all the objectives there are.
        """
        if self._whole is not None:
            return {}
        scarce = {slo for slo in self._case.slos if slo.request_class and self._times(slo, epoch, MOST_TIMES) > 1}
        names = {self._names.index(slo.request_class) for slo in scarce if slo.request_class}
        found = {
            slo: group for slo in scarce if slo.request_class
            if (group := apart(scene, self._names.index(slo.request_class))) <= names
        }  # fmt: skip
        ordered = {slo: found[slo] for slo in self._case.slos if slo in found}
        return ordered if len(ordered) < len(self._case.slos) else {}

    def _times(self, slo: Slo, epoch: int, most: float) -> float:
        """By how much a window has to be longer for as many requests of a class as its percentile needs."""
        assert slo.request_class is not None
        asked, rate = self._case.asked, float(self._load.peak_req_per_s[slo.request_class][epoch])
        factor = float(self._total[epoch]) / asked.demand.rate_req_per_s
        seen = self._lasts_s(factor, 1.0) * rate * len(asked.seeds)
        return min(most, max(1.0, needed(slo) / max(seen, 1e-9)))

    def _lasts_s(self, factor: float, times: float) -> float:
        """How long a window at so many times the mean rate is."""
        if (factor, times) not in self._window_s:
            asked = self._case.asked
            self._window_s[factor, times] = asked.draw(asked.seeds[0], factor, times).duration_s
        return self._window_s[factor, times]

    def lost(self, schedule: Schedule) -> tuple[int, str, Judgement] | None:
        """The epoch with most machines on top, and one of them taken away half-way; back when its spare has started.

        Returns:
            Epoch, machine type, and what the simulator says; None where no machine can be interrupted.
        """
        on_top = [sum(epoch.top_machines.values()) for epoch in schedule.epochs]
        if not self._section.interruptions_per_h_ratio or not any(on_top):
            return None
        epoch = max(range(self._load.epochs), key=lambda at: (on_top[at], float(self._total[at])))
        before, types = self._before(epoch), schedule.epochs[epoch].top_machines
        scene = self._scene((schedule.epochs[before].runs, schedule.epochs[epoch].runs), (before, epoch))
        taken = [(pool.instances, -at) for at, pool in enumerate(scene.pools)
                 if pool.name not in scene.going and types.get(pool.name.split("/")[1], 0)]  # fmt: skip
        at = -max(taken)[1]
        failure = Failure(
            machine=sum(pool.machines for pool in scene.pools[:at]),
            at_s=scene.duration_s * (1 + scene.warmup_frac) / 2, repair_s=self._section.start_s or None,
        )  # fmt: skip
        return (
            epoch,
            scene.pools[at].name.split("/")[1],
            judged(self._case, scene, self._case.slos, epoch=epoch, failures=(failure,)),
        )

    def _standing_w(self, epoch: Epoch) -> float:
        """What powered machines draw at the wall without work."""
        return sum(self._idle_w[name] * count for name, count in epoch.machines.items() if count)

    def _simulated_w(self, epoch: Epoch, scene: Scene, said: Judgement) -> float | None:
        """Mean draw at the wall as metered; instances that only end what they have count by their share of an epoch.

        They drain once, while the window that is served stands for the whole epoch.
        """
        watts, share = self._standing_w(epoch), 1.0
        if self._whole is None:
            share = min(1.0, (said.horizon_s - said.warmup_s - said.cooldown_s) / self._load.epoch_s)
        for pool in said.pools:
            if pool.power is None:
                return None
            above_w = pool.power.prefill_w + pool.power.decode_w
            watts += above_w * (share if pool.pool in scene.going else 1.0)
        return watts

    def _planned_w(self, now: Epoch, runs: Sequence[Run], epoch: int) -> float:
        """Mean draw at the wall, as the program has it, at the rates that are served."""
        served = self._load.peak_req_per_s if self._whole is None else self._load.mean_req_per_s
        routed = started(runs)
        watts = self._standing_w(now)
        for run in runs:
            option = self._options[run.spec.name]
            watts += option.floor_w * run.instances
            for name, rate in run.rate_req_per_s.items():
                watts += option.request_j[name] * rate * float(served[name][epoch]) / routed[name]
        return watts

    def _scene(self, runs: Runs, epochs: tuple[int, int], times: float = 1.0) -> Scene:
        """The end of the epoch before and the beginning of this, each at its peak; of a trace, the epoch as it came.

        Args:
            runs: the pools of the one and of the other.
            epochs: their numbers.
            times: by how much the beginning is longer than the window of the scenario.
        """
        asked, (before, epoch), checks = self._case.asked, epochs, self._case.scenario.validation
        if self._whole is not None:
            at_s = epoch * self._load.epoch_s
            begin_s = max(0.0, at_s - EARLY_S)
            span_s = begin_s, min(at_s + self._load.epoch_s, self._whole.duration_s)
            part = cut(self._whole, *span_s)
            pools, shifts = pools_of(self._case, *runs, at_s=at_s - begin_s, late_s=self._section.start_late_s)
            return Scene(
                key=self._key(runs, epochs), going=going_of(pools), pools=pools, shifts=shifts,
                exact=asked.exact_at(1.0), aligned=asked.aligned_at(1.0), longer=None,
                draw=lambda seed: cut(asked.draw(seed, 1.0, 1.0), *span_s), duration_s=part.duration_s,
                warmup_frac=(at_s - begin_s) / part.duration_s, rate_req_per_s=part.rate_req_per_s,
            )  # fmt: skip
        old, new = (float(self._total[e]) / asked.demand.rate_req_per_s for e in (before, epoch))
        first_s = self._lasts_s(old, 1.0) if old else 0.0
        second_s = self._lasts_s(new, times)
        pools, shifts = pools_of(self._case, *runs, at_s=first_s, late_s=self._section.start_late_s)

        def draw(seed: int) -> Trace:
            now = asked.draw(seed, new, times)
            return joined(asked.draw(seed + BEFORE_SEED, old, 1.0), now) if old else now

        long = asked.longer(new)

        def longer(seed: int) -> Trace:
            assert long is not None
            return joined(asked.draw(seed + BEFORE_SEED, old, 1.0), long(seed)) if old else long(seed)

        return Scene(
            key=self._key(runs, epochs), going=going_of(pools), pools=pools, shifts=shifts, draw=draw, exact=False,
            aligned=False, longer=longer if long else None,
            duration_s=first_s + second_s, warmup_frac=first_s / (first_s + second_s) if old else checks.warmup_frac,
            rate_req_per_s=float(self._total[epoch]),
        )  # fmt: skip


def _runs(schedule: Schedule, epoch: int, *, spares: bool) -> tuple[Run, ...]:
    """The pools of an epoch, with or without their spare machines."""
    runs = schedule.epochs[epoch].runs
    return runs if spares else needed_only(runs)
