"""A search is never worse than the best answer that is known of an example."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planner.api import plan
from planner.api.fleets import PlannedFleet
from planner.api.planned import Planned
from planner.api.scheduled import Scheduled
from planner.report.schedule_words import J_PER_KWH
from planner.results.fleet import FleetPlan
from planner.scenario.objectives import Aim
from planner.schedules.less import value
from tests.planner.plans import EXAMPLES

TABLE = Path(__file__).with_name("best_known.csv")
"""Example, what its objective counts, which way is better, its best known value, and when it was found.

``REFRESH_BEST=1 pytest tests/planner/planning/test_best_known.py -m slow`` writes better ones down.
A value that a stricter rule of evidence no longer confirms gives way to the best that it does.
"""

ROUNDING_FRAC = 1e-6


def _rows() -> list[dict[str, str]]:
    """The table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _value(found: Planned | PlannedFleet | Scheduled) -> float:
    """What the objective counts of an answer."""
    if isinstance(found, Planned):
        return found.plan.objective_value
    if isinstance(found, Scheduled):
        assert found.schedule is not None
        in_table = 1 / J_PER_KWH if found.schedule.aims[0] is Aim.ENERGY else 1.0  # joules, which the table has in kWh
        return value(found.schedule)[0] * in_table
    assert isinstance(found.plan, FleetPlan)
    return found.plan.objective_value


def test_every_example_has_a_best_known_answer() -> None:
    """An example without a row would be searched worse one day, and nothing would tell."""
    assert {row["example"] for row in _rows()} == {path.stem for path in EXAMPLES.glob("*.yaml")}


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in _rows() if row["value"]], ids=lambda row: row["example"])
def test_a_search_is_never_worse_than_the_best_known_answer(row: dict[str, str]) -> None:
    """Its value is no worse; ``REFRESH_BEST=1`` writes a better one down, with its date."""
    found = _value(plan(EXAMPLES / f"{row['example']}.yaml"))
    known, sign = float(row["value"]), 1 if row["better"] == "less" else -1
    assert sign * found <= sign * known + ROUNDING_FRAC * abs(known)
    if os.environ.get("REFRESH_BEST") and sign * found < sign * known - ROUNDING_FRAC * abs(known):
        rows = [{**each, "value": f"{found:.6g}", "found": f"{datetime.now(tz=UTC):%Y-%m-%d}"}
                if each["example"] == row["example"] else each for each in _rows()]  # fmt: skip
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(row), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
