"""A plan over time, from Python."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.api.frames import Row, Shown, evidence_rows, frame_of
from planner.errors import BadInput
from planner.planning import plan as planning
from planner.planning.beside_time import row_of, static_plan
from planner.results.schedule import Schedule
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.schedules.planning import timetable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_HOUR_S, _KWH_J, _KG_G = 3600.0, 3.6e6, 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled(Shown):
    """What ``plan`` came to for a scenario with a schedule.

    Attributes:
        scenario: the question.
        found: the schedule and what speaks for it.
    """

    scenario: Scenario
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

    def frame(self) -> "pd.DataFrame":
        """One row for each epoch: machines powered, what changes, money, energy and CO₂."""
        return frame_of([
            {
                "start_h": e.start_s / _HOUR_S, **{f"machines {name}": n for name, n in sorted(e.machines.items())},
                "started": sum(e.started.values()), "stopped": sum(e.stopped.values()), "cost_usd": e.cost_usd,
                "energy_kwh": e.energy_j / _KWH_J, "carbon_kg": e.carbon_g / _KG_G,
            }
            for e in self.schedule.epochs
        ])  # fmt: skip

    def pools(self) -> "pd.DataFrame":
        """One row for each pool of each epoch."""
        return frame_of([
            {
                "start_h": epoch.start_s / _HOUR_S, "role": run.spec.role, "machine": run.spec.machine,
                "layout": run.spec.layout.name, "clock_mhz": run.spec.clock_mhz, "instances": run.instances,
                "rate_req_per_s": sum(run.rate_req_per_s.values()),
            }
            for epoch in self.schedule.epochs for run in epoch.runs
        ])  # fmt: skip

    def evidence(self) -> "pd.DataFrame":
        """One row for each objective of each epoch that the simulator served."""
        rows: list[Row] = [
            {"epoch": served.epochs[0], "like_it": len(served.epochs) - 1, **row}
            for served in self.found.served for row in evidence_rows(served.evidence)
        ]  # fmt: skip
        return frame_of(rows)


def scheduled(scenario: Scenario, progress: "Callable[[str, float], None]") -> Scheduled:
    """The best schedule that the simulator confirms, with a fixed fleet beside it."""
    read = planning.read(scenario)
    return Scheduled(scenario=scenario, found=timetable(read, progress=progress, static=static_plan, study=row_of))
