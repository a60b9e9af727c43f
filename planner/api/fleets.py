"""Several models on one fleet, from Python."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from planner.api.frames import Row, Shown, evidence_rows, frame_of
from planner.errors import BadInput
from planner.files.fleet_file import fleet_text
from planner.files.writing import write_whole
from planner.planning.fleet import plan_fleet
from planner.planning.fleet_question import digests_of, read_fleet
from planner.report.fleets import fleet_page, no_fleet_page
from planner.report.page import Page
from planner.results.fleet import FleetPlan, NoFleetPlan
from planner.scenario.fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlannedFleet(Shown):
    """What ``plan`` came to for several models.

    Attributes:
        scenario: the question.
        answer: validated plans of all models, or why there are none.
        digests: of what was read for them.
    """

    scenario: Fleet
    answer: FleetPlan | NoFleetPlan
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether every model has a plan."""
        return isinstance(self.answer, FleetPlan)

    @property
    def plan(self) -> FleetPlan:
        """The plans.

        Raises:
            BadInput: there are none; the message is the reason.
        """
        if isinstance(self.answer, NoFleetPlan):
            none = self.answer.answer
            raise BadInput(f"there is no plan ({none.reason})", *none.explanation)
        return self.answer

    def page(self) -> Page:
        """Everything that ``phasewise plan --verbose`` shows."""
        if isinstance(self.answer, NoFleetPlan):
            return no_fleet_page(self.answer, self.scenario)
        return fleet_page(self.answer, self.scenario)

    def frame(self) -> "pd.DataFrame":
        """One row for each pool of each model; none where there are no plans."""
        models = self.answer.models if isinstance(self.answer, FleetPlan) else ()
        rows: list[Row] = [
            {
                "model": each.name, "role": p.spec.role, "machine": p.spec.machine, "layout": p.spec.layout.name,
                "instances": p.instances, "machines": p.machines, "rate_req_per_s": sum(p.rate_req_per_s.values()),
                "load_frac": p.load_frac,
            }
            for each in models for p in each.plan.candidate.pools
        ]  # fmt: skip
        return frame_of(rows)

    def evidence(self) -> "pd.DataFrame":
        """One row for each objective of each model."""
        rows = [
            {"model": each.name, **row}
            for each in self.plan.models
            for row in evidence_rows(each.plan.judgement.evidence)
        ]
        return frame_of(rows)

    def save(self, path: Path | str) -> None:
        """Write what ``phasewise plan --out`` writes.

        Raises:
            BadInput: there are no plans, or the file cannot be written.
        """
        write_whole(Path(path), fleet_text(self.scenario, self.plan, self.digests))


def planned(scenario: Fleet, progress: Progress) -> PlannedFleet:
    """The best plans of all models that the simulator confirms."""
    read = read_fleet(scenario)
    return PlannedFleet(scenario=scenario, answer=plan_fleet(read, progress=progress), digests=digests_of(read))
