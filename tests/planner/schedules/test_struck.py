"""A failure in an epoch of a schedule: what makes up for it is bought, and where nothing does the answer says so."""

import pytest

from planner.resolve.inputs import inputs_of
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.schedules.planning import timetable
from planner.schedules.question import ways
from planner.schedules.serving import Serving
from tests.planner.small import small

LOADS = "schedule={load: [0.5, 0.6, 1.0, 0.8], epoch_s: 3600, clocks_mhz: [1980], objectives: [cost]}"
STRUCK = "validation.failures=[{pool: mixed, at_s: 3700}]"
QUICK = ("catalog.machines=[dgx-h100]", "catalog.tp=[4]", "slo={ttft_p99_s: 0.5, tbt_p99_s: 0.2}")


def _planned(*words: str) -> tuple[Scenario, Timetable]:
    asked = small(LOADS, *QUICK, *words)
    return asked, timetable(asked, progress=lambda *_: None)


def _machines(found: Timetable) -> list[int]:
    assert found.schedule is not None
    return [sum(epoch.machines.values()) for epoch in found.schedule.epochs]


@pytest.fixture(scope="module")
def plain() -> Timetable:
    """The day without a failure."""
    return _planned()[1]


def test_a_failure_is_made_up_for_in_its_epoch_alone(plain: Timetable) -> None:
    """The struck epoch has more machines than without its failure, the others what they had; the cost is explained."""
    _, found = _planned(STRUCK)
    assert plain.valid
    assert found.valid
    without, with_it = _machines(plain), _machines(found)
    assert with_it[1] > without[1]
    assert [with_it[at] for at in (0, 2, 3)] == [without[at] for at in (0, 2, 3)]
    assert found.schedule is not None
    (note,) = [note for note in found.schedule.notes if note.startswith("validation.failures: epoch 1")]
    assert "without its failure 1 would do" in note
    assert "ttft_p99_s leaves 1 % of the requests late" in note


def test_nothing_is_bought_for_what_no_machines_make_up_for(plain: Timetable) -> None:
    """Where so few machines are to be had that the failure is missed with all of them, other epochs get no more.

    The answer is not validated, names the epoch, the objective and what would help, and costs what it does without.
    """
    _, found = _planned(STRUCK, "budgets.machines=1")
    assert not found.valid
    assert _machines(found) == _machines(plain)
    assert {epoch for each in found.served if not each.valid for epoch in each.epochs} == {1}
    assert found.schedule is not None
    (note,) = [note for note in found.schedule.notes if note.startswith("validation.failures: epoch 1")]
    assert "nothing is bought for it" in note
    assert "ask for a looser objective" in note


def test_pools_alone_are_looked_at_without_failures() -> None:
    """What an epoch needs is learned of its load: one that is struck needs no more than one of the same rate."""
    asked = small(LOADS.replace("0.6", "0.5"), *QUICK, STRUCK)
    (question,) = ways(inputs_of(asked))
    serving = Serving(question.case, question.section, question.load, question.options)
    found = timetable(asked, progress=lambda *_: None).schedule
    assert found is not None
    struck, like = (serving.alone(found.epochs[0].runs, epoch) for epoch in (1, 0))
    assert [each.measured for each in struck.evidence] == [each.measured for each in like.evidence]
