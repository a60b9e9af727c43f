"""Machine types that are named in a question and that no plan can hold are told, with the reason."""

import pytest

from planner.planning.plan import check, plan
from planner.resolve.inputs import inputs_of
from planner.resolve.several import read_models
from planner.results.evidence import ValidatedPlan
from planner.scenario.fleet import Fleet
from planner.scenario.reading import Document
from planner.schedules.joint import joint_ways
from planner.schedules.planning import timetable
from tests.planner.small import small
from tests.planner.two_models import data

AZURE = "azure-nd96isr-h100-v5"


def told(*settings: str) -> list[str]:
    """What ``check`` says of machines that are not in the choice."""
    return [words for words in check(small(*settings)).warnings if words.startswith("not in the choice")]


def test_a_type_without_a_price_is_told_by_check_and_plan() -> None:
    """A cloud's type has no reserved price: the plan, which does without it, says so, and how it gets one."""
    named = f'catalog.machines=["{AZURE}", "dgx-h100"]'
    (words,) = told(named)
    ways = "expected catalog.channel on-demand, or yours in catalog.price_usd_per_h"
    assert words == f"not in the choice: {AZURE} has no reserved price; {ways}"
    assert told(named, f"catalog.price_usd_per_h.{AZURE}=90") == []
    assert told(named, "catalog.channel=on-demand") == []
    found = plan(inputs_of(small(named)), progress=lambda *_: None)
    assert isinstance(found, ValidatedPlan)
    assert words in found.warnings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (('catalog.machines=["a6000-1x", "dgx-h100"]',), "not in the choice: a6000-1x: "),
        (('catalog.machines=["dgx-a100", "dgx-h100"]', "slo.ttft_p90_s=0.01"), "not in the choice: dgx-a100: "),
    ],
)
def test_whatever_keeps_a_type_out_is_told(settings: tuple[str, ...], words: str) -> None:
    """No kernel profile, or no load at which its objectives are met: the reason is that of ``check``'s table."""
    found = told(*settings)
    assert any(each.startswith(words) for each in found), found


def test_what_is_offered_somewhere_is_not_told() -> None:
    """A type that one precision, engine or policy offers is in the choice; one that roles keep apart was asked so."""
    both = 'catalog.machines=["dgx-a100", "dgx-h100"]'
    assert told(both, 'model.dtype=["bf16", "fp8"]', "policy.name=auto") == []
    assert told(both, "policy.name=splitwise", 'catalog.roles={"dgx-a100": ["decode"], "dgx-h100": ["prefill"]}') == []


def test_a_plan_over_time_tells_the_same() -> None:
    """In the words of a plan of one load, whatever the way of serving that the schedule is made in."""
    asked = (f'catalog.machines=["{AZURE}", "dgx-h100"]', "policy.name=[colocated, splitwise]")
    (words,) = told(*asked)
    found = timetable(small(*asked, "schedule.load=[1.0, 0.5]"), progress=lambda *_: None)
    assert found.schedule is not None
    assert [note for note in found.schedule.notes if note.startswith("not in the choice")] == [words]


def test_what_no_model_may_hold_is_told_once() -> None:
    """Of several models over time; what one of them alone may not hold is told with its name."""
    named = {**data(), "schedule": {"load": [1.0, 0.5]}}
    named["catalog"] = {**named["catalog"], "machines": [AZURE, *named["catalog"]["machines"]]}
    fleet = Fleet.parse(Document(data=named, places={(): "two"}))
    ways, _ = joint_ways(fleet, read_models(fleet))
    for way in ways:
        told = [note for note in way.notes if "not in the choice" in note]
        assert len(told) == 1
        assert told[0].startswith(f"not in the choice: {AZURE} has no ")
