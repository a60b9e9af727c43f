"""Many plans side by side, from Python: a grid of questions, and a frontier."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.api.frames import Row, Shown, frame_of
from planner.report.frontiers import frontier_page
from planner.report.page import Page
from planner.report.sweeps import whatif_page
from planner.results.frontier import Frontier
from planner.results.sweep import Point, WhatIf

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Swept(Shown):
    """What ``whatif`` found."""

    found: WhatIf

    def page(self) -> Page:
        """Everything that ``phasewise whatif`` shows."""
        return whatif_page(self.found)

    def frame(self) -> "pd.DataFrame":
        """One row for each point of the grid."""
        return frame_of([{**_settings(point), **_outcome(point)} for point in self.found.points])

    def regret(self) -> "pd.DataFrame":
        """What was bought, down, against what happens, across, in the unit of the objective."""
        names = list(dict.fromkeys(each.bought for each in self.found.regret))
        cells = {(each.bought, each.happens): each.regret for each in self.found.regret}
        made = frame_of([{name: cells[bought, name] for name in names} for bought in names])
        made.index = made.index.map(lambda position: names[position])
        return made

    def tornado(self) -> "pd.DataFrame":
        """One row for each thing that was moved, the largest effect first."""
        return frame_of([
            {"what": s.name, "low_change": s.low_change, "high_change": s.high_change} for s in self.found.tornado
        ])  # fmt: skip

    def shadow_prices(self) -> "pd.DataFrame":
        """One row for each finite budget."""
        columns = ("budget", "limit", "step", "gain_per_unit", "loss_per_unit")
        return frame_of([{name: getattr(each, name) for name in columns} for each in self.found.shadow_prices])


def _settings(point: Point) -> Row:
    """What was set, numbers as numbers."""
    return {key: _value(text) for key, text in point.settings.items()}


def _value(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


_OVER_TIME = ("duration_h", "cost_usd", "energy_kwh", "carbon_kg", "most_machines_at_once", "mean_machines")
"""What a schedule comes to, in columns."""


def _outcome(point: Point) -> Row:
    """What came of it; empty cells where there is no plan."""
    found = point.outcome
    totals = found.totals
    return {
        "verdict": found.verdict,
        "objective_value": found.objective_value,
        **{name: getattr(totals, name, None) for name in ("cost_usd_per_h", "power_w", "machines", "gpus")},
        **{
            name: getattr(found.bill, name, None)
            for name in ("expected_w", "mean_w", "p99_w", "token_j", "electricity_usd_per_h", "carbon_g_per_h")
        },
        **({name: getattr(found.over_time, name) for name in _OVER_TIME} if found.over_time else {}),
        "served_req_per_s": found.served_req_per_s,
        **{f"margin_frac {slo}": margin for slo, margin in found.margin_frac.items()},
        "binds": max(found.binds, key=lambda each: each.used_frac).name if found.binds else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Walked(Shown):
    """What ``frontier`` found."""

    found: Frontier

    def page(self) -> Page:
        """Everything that ``phasewise frontier`` shows."""
        return frontier_page(self.found)

    def frame(self) -> "pd.DataFrame":
        """One row for each design, by the first axis."""
        return frame_of([
            {**each.values, "efficient": each.efficient, **each.machines} for each in self.found.designs
        ])  # fmt: skip
