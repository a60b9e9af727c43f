"""A plan over time, from Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.api.frames import Row, Shown, evidence_rows, frame_of
from planner.compare.epochs import kept_epochs
from planner.compare.journal import Journal
from planner.errors import BadInput
from planner.files.writing import write_whole
from planner.planning import plan as planning
from planner.planning.beside_time import row_of, static_plans
from planner.planning.fleet_question import digests_of, read_fleet
from planner.report.page import Page
from planner.report.schedules import timetable_page
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.schedules.files import timetable_text
from planner.schedules.fleet import fleet_timetable, serve_fleet_again
from planner.schedules.planning import serve_again, timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

_HOUR_S, _KWH_J, _KG_G = 3600.0, 3.6e6, 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Scheduled(Shown):
    """What ``plan`` came to for a scenario with a schedule.

    Attributes:
        scenario: the question.
        found: the schedule and what speaks for it.
    """

    scenario: Scenario | Fleet
    found: Timetable

    @property
    def valid(self) -> bool:
        """Whether every epoch that was served kept every objective."""
        return self.found.valid

    @property
    def schedule(self) -> Schedule:
        """The plan over time.

        Raises:
            BadInput: there is none; the message says what budgets lack.
        """
        if self.found.schedule is None:
            raise BadInput("there is no schedule", *self.found.lacking)
        return self.found.schedule

    def page(self) -> Page:
        """Everything that ``phasewise plan --verbose`` shows."""
        return timetable_page(self.found, self.scenario)

    def save(self, path: Path | str) -> None:
        """Write what ``phasewise plan --out`` writes.

        Raises:
            BadInput: there is no validated schedule, or the file cannot be written.
        """
        if not self.valid:
            raise BadInput("there is no validated schedule", *self.found.lacking)
        digests = (
            planning.digests(self.scenario) if isinstance(self.scenario, Scenario)
            else digests_of(read_fleet(self.scenario))
        )  # fmt: skip
        write_whole(Path(path), timetable_text(self.scenario, self.found, digests))

    def frame(self) -> "pd.DataFrame":
        """One row for each epoch: machines powered, what changes, money, energy and CO₂; none without a schedule."""
        return frame_of([
            {
                "start_h": e.start_s / _HOUR_S, **{f"machines {name}": n for name, n in sorted(e.machines.items())},
                "started": sum(e.started.values()), "stopped": sum(e.stopped.values()), "cost_usd": e.cost_usd,
                "energy_kwh": e.energy_j / _KWH_J, "carbon_kg": e.carbon_g / _KG_G,
            }
            for e in (self.found.schedule.epochs if self.found.schedule else ())
        ])  # fmt: skip

    def pools(self) -> "pd.DataFrame":
        """One row for each pool of each epoch."""
        return frame_of([
            {
                "start_h": epoch.start_s / _HOUR_S, **_model(run.model), "role": run.spec.role,
                "machine": run.spec.machine,
                "layout": run.spec.layout.name, "clock_mhz": run.spec.clock_mhz, "instances": run.instances,
                "rate_req_per_s": sum(run.rate_req_per_s.values()),
            }
            for epoch in self.schedule.epochs for run in epoch.runs
        ])  # fmt: skip

    def evidence(self) -> "pd.DataFrame":
        """One row for each objective of each epoch that the simulator served."""
        rows: list[Row] = [
            {**_model(served.model), "epoch": served.epochs[0], "like_it": len(served.epochs) - 1, **row}
            for served in self.found.served for row in evidence_rows(served.evidence)
        ]  # fmt: skip
        return frame_of(rows)


def _model(name: str) -> Row:
    """The model that a row is of, where there are several."""
    return {"model": name} if name else {}


def scheduled(
    scenario: Scenario | Fleet, progress: "Callable[[str, float], None]", journal: Path | None = None
) -> Scheduled:
    """The best schedule that the simulator confirms, a fixed fleet beside it; what is simulated is kept."""
    with Journal(journal) as kept:
        looks = kept_epochs(kept, scenario) if journal else None
        if isinstance(scenario, Fleet):
            models = read_fleet(scenario).models
            found = fleet_timetable(scenario, models, progress=progress, static=static_plans, looks=looks)
        else:
            read = planning.read(scenario)
            found = timetable(read, progress=progress, static=static_plans, study=row_of, looks=looks)
    return Scheduled(scenario=scenario, found=found)


def served_again(planned: Scheduled, changes: "Sequence[str]", progress: "Callable[[str, float], None]") -> Scheduled:
    """Every epoch of a schedule served once more, asked with changes."""
    assert planned.schedule  # or the reason why there is none
    if isinstance(planned.scenario, Fleet):
        several = planned.scenario.changed(changes)
        models = read_fleet(several).models
        return Scheduled(scenario=several, found=serve_fleet_again(models, planned.found, progress=progress))
    asked = planned.scenario.changed(changes)
    return Scheduled(scenario=asked, found=serve_again(asked, planned.found, progress=progress, study=row_of))
