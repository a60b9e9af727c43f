"""Why several models have no schedule: the limit, what each takes of it at least, and how much of it is enough."""

import re

import pytest

from planner.resolve.several import read_models
from planner.results.timetable import Timetable
from planner.schedules.fleet import fleet_timetable
from planner.schedules.joint import joint_ways
from planner.schedules.refusal import refusal
from tests.planner.schedules.test_several_over_time import asked, silent

HOURS = ((1.0, 0.5), (2.0, 4.0))
STOCK = 'catalog.available={"dgx-a100": 0, "dgx-h100": 1}'


def planned(*words: str) -> Timetable:
    """Their schedule, or why there is none."""
    fleet = asked(*words, loads=HOURS)
    return fleet_timetable(fleet, read_models(fleet), progress=silent)


@pytest.mark.parametrize(
    ("limit", "other"),
    [
        ("budgets.machines=1", "budgets.machines={:.0f}"),
        ("budgets.power_w=8000", "budgets.power_w={:g}"),
        (STOCK, 'catalog.available={{"dgx-a100": 0, "dgx-h100": {:.0f}}}'),
    ],
)
def test_what_is_named_is_enough_and_a_step_less_is_not(limit: str, other: str) -> None:
    """Budget or stock: the refusal tells what each model takes, and a value with which there is a schedule."""
    none = planned(limit)
    assert none.schedule is None
    assert none.proven
    key = "catalog.available.dgx-h100" if limit == STOCK else limit.partition("=")[0]
    (line,) = [line for line in none.lacking if re.search(rf"raise {key} from", line)]
    (parts,) = [line for line in none.lacking if line.startswith(f"{key}: at least")]
    assert "chat" in parts
    assert "code" in parts
    (told,) = [line for line in none.lacking if line.startswith(f"{key}: a schedule was validated with")]
    enough, less = (float(word) for word in re.findall(r"with (\d[\d.e+]*)", told))
    assert line.endswith(f" {enough:g}")
    assert planned(other.format(enough)).valid
    assert planned(other.format(less)).schedule is None
    assert enough - less <= max(1.0, 0.03 * enough) or "power" in key


def test_check_knows_what_is_proven_and_no_more() -> None:
    """By the least work of the busiest epoch, without a schedule."""
    for words, lacks in (("budgets.machines=1", True), ("budgets.machines=2", False)):
        fleet = asked(words, loads=HOURS)
        ways, _ = joint_ways(fleet, read_models(fleet))
        assert bool(refusal(ways[0], proven_alone=True).lines) is lacks
