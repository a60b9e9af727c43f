"""Epochs of several models before the simulator: each model's pools serve its own requests, on machines of all."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.capacity.strikes import Strike
from planner.results.availability import Outage
from planner.results.evidence import Judgement
from planner.results.schedule import Run, Schedule, scoped
from planner.results.timetable import Served
from planner.schedules.groups import Progress, in_groups
from planner.schedules.levels import learned
from planner.schedules.looks import Looks
from planner.schedules.provision import Provided
from planner.schedules.question import Opened
from planner.schedules.serving import Serving


class Together:
    """Epochs of schedules of several models; what was served once is not served again."""

    def __init__(self, asked: Opened, looks: Looks | None = None) -> None:
        """Nothing served yet.

        Args:
            asked: the question about all.
            looks: what was simulated of the question before.
        """
        self.parts = {
            name: Serving(part.case, part.section, part.load, part.options, _Own(name, looks) if looks else None)
            for name, part in asked.parts.items()
        }
        self._section, self._epochs = asked.section, asked.load.epochs
        self._total = np.sum(list(asked.load.peak_req_per_s.values()), axis=0)
        self._idle_w = {option.machine.name: option.machine.idle_w for option in asked.case.options}
        self._limit_w = asked.case.scenario.budgets.expected_power_w

    def all(
        self, schedule: Schedule, progress: Progress, *, spares: bool = False, brief: bool = False
    ) -> tuple[tuple[Served, ...], tuple[int, ...]]:
        """Every epoch, or the busiest where the scenario wants so many only, a row for each model; and those left out.

        Args:
            schedule: that is served.
            progress: told what is happening.
            spares: spare machines serve too; else they are all down.
            brief: enough to go on looking.
        """
        own = self._own(schedule)

        def key(epoch: int) -> str:
            each = (part.key(own[name], epoch, spares=spares) for name, part in self.parts.items())
            return f"{' | '.join(each)} {schedule.epochs[epoch].machines}"

        def near(epoch: int) -> bool:
            return any(part.near(own[name], epoch, spares=spares) for name, part in self.parts.items())

        return in_groups(
            self._total, self._section, key,
            lambda epochs, briefly: self._rows(schedule, epochs, spares=spares, brief=briefly), progress,
            brief=brief, near=near,
        )  # fmt: skip

    def seeds(self, model: str) -> int:
        """How many a full look at a model serves at least where nothing is missed."""
        return self.parts[model].seeds()

    def one(self, schedule: Schedule, epoch: int, progress: Progress) -> tuple[tuple[Served, ...], tuple[int, ...]]:
        """One epoch alone; see ``all``."""
        progress(f"serving epoch {epoch}", 0.0)
        return self._rows(schedule, [epoch]), tuple(other for other in range(self._epochs) if other != epoch)

    def _own(self, schedule: Schedule) -> dict[str, Schedule]:
        return {name: of_model(schedule, name) for name in self.parts}

    def struck(self, schedule: Schedule, model: str, epoch: int, strike: Strike) -> Outage:
        """Machines of one model that fail in an epoch; see the same of ``Serving``."""
        return self.parts[model].struck(of_model(schedule, model), epoch, strike)

    def _rows(
        self, schedule: Schedule, epochs: Sequence[int], *, spares: bool = False, brief: bool = False
    ) -> tuple[Served, ...]:  # fmt: skip
        """What the simulator says of each model's requests in epochs that are alike, with its share of idle watts."""
        own, now = self._own(schedule), schedule.epochs[epochs[0]]
        standing_w = sum(self._idle_w[name] * count for name, count in now.machines.items() if count)
        gpus = {name: sum(r.instances * r.spec.layout.gpus for r in now.runs if r.model == name) for name in self.parts}
        every = sum(gpus.values())
        rows = []
        for name, part in self.parts.items():
            said = part.served(own[name], epochs, spares=spares, brief=brief)
            idle_w = standing_w * (gpus[name] / every if every else 1 / len(self.parts))
            metered = None if said.simulated_w is None else said.simulated_w + idle_w
            rows.append(replace(said, model=name, planned_w=said.planned_w + idle_w, simulated_w=metered, limit_w=None))
        return tuple(rows) if self._limit_w is None else within_watts(rows, self._limit_w)


def within_watts(rows: Sequence[Served], budget_w: float) -> tuple[Served, ...]:
    """Rows with a budget of expected watts, which the models of an epoch share, shared out as their watts are."""
    total_w: dict[tuple[int, ...], float] = {}
    for each in rows:
        total_w[each.epochs] = total_w.get(each.epochs, 0.0) + (each.simulated_w or 0.0)
    return tuple(
        replace(each, limit_w=budget_w * ((each.simulated_w or 0.0) / total_w[each.epochs]))
        if total_w[each.epochs] else each
        for each in rows
    )  # fmt: skip


AnyServing = Serving | Together


def serving_of(asked: Opened, looks: Looks | None) -> AnyServing:
    """What serves epochs of a question, about one model or several."""
    if asked.parts:
        return Together(asked, looks)
    return Serving(asked.case, asked.section, asked.load, asked.options, looks)


def first_provided(asked: Opened, serving: AnyServing, progress: Progress) -> Provided:
    """What epochs need, learned from a few of them alone, model by model; see ``learned``."""
    if isinstance(serving, Serving):
        return learned(asked, serving, progress)
    found: Provided = {
        scoped(name, kind): ratios
        for name, part in asked.parts.items()
        for kind, ratios in learned(part, serving.parts[name], progress).items()
    }
    return found


def of_model(schedule: Schedule, name: str) -> Schedule:
    """The pools of one model in a schedule of several, as a schedule of its own, whose machines are not counted."""

    def own(run: Run) -> Run:
        prefix = scoped(name, "")
        rates = {kind.removeprefix(prefix): rate for kind, rate in run.rate_req_per_s.items()}
        return replace(run, rate_req_per_s=rates, model="")

    epochs = (
        replace(epoch, machines={}, runs=tuple(own(run) for run in epoch.runs if run.model == name))
        for epoch in schedule.epochs
    )
    return replace(schedule, epochs=tuple(epochs))


class _Own:
    """What was simulated of one of several models."""

    def __init__(self, model: str, looks: Looks) -> None:
        self._model, self._looks = model, looks

    def known(self, what: str) -> Judgement | None:
        return self._looks.known(scoped(self._model, what))

    def note(self, what: str, said: Judgement) -> None:
        self._looks.note(scoped(self._model, what), said)
