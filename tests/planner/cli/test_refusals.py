"""What cannot be planned is refused before anything is solved, all of it at once, whichever verb is asked."""

from pathlib import Path

import pytest

from hw_catalog.errors import CatalogError
from planner.cli.schedules import check_schedule
from planner.errors import BadInput
from planner.files.plan_file import write_plan
from planner.planning.plan import check, plan
from planner.resolve.questions import question_of
from planner.scenario import Scenario, document_of
from planner.schedules.planning import timetable
from tests.planner import plans
from workloads.errors import WorkloadError

REFUSALS = (BadInput, CatalogError, WorkloadError)
EXAMPLES = Path(__file__).parents[3] / "planner" / "examples"

WRONG = (
    ["catalog.machines=[dgx-h10]"],
    ["model.name=llama-3.1-7b"],
    ["model.name=/nowhere/config.json"],
    ["workload.trace=nowhere.csv"],
    ["catalog.directory=/nowhere"],
    ["catalog.pp=[7, 9]"],
    ["catalog.kvp=[2]"],
    ["budgets.power_w=10", "budgets.expected_power_w=10"],
    ["catalog.clocks_mhz={dgx-h100: [1201]}", "catalog.caps_w={dgx-a100: [9]}"],
    ["power.row_limit_w=2000", "power.high_mhz=100"],
    ["power.row_limit_w=60000", "power.low_t1_mhz=1305", "power.high_mhz=1305"],
    ["slo.tpot_p90_slowdown=3", "reference.machine=dgx"],
    ["slo.tpot_p90_slowdown=3", "reference.tp=3"],
    ["workload.arrivals.process=replay"],
    ["model.checkpoint=a b", "catalog.pp=[7]"],
    ["catalog.machines=[dgx-h10]", "model.name=llama-3.1-7b", "workload.trace=nowhere.csv"],
)

WRONG_OVER_TIME = (
    ["schedule.interruptions_per_h_ratio=1e6"],
    ["schedule.interruptions_per_h_ratio=1e6", "policy.mixed_pool=true"],
    ["schedule.load=trace"],
    ["catalog.machines=[dgx-h10]", "catalog.pp=[7]"],
)


def scenario(example: str, changes: list[str]) -> Scenario:
    """An example with some keys changed."""
    return Scenario.load(EXAMPLES / f"{example}.yaml", changes)


def silent(_words: str, _done_frac: float) -> None:
    """Progress that nobody follows."""


UNREAD = (
    ("splitwise-conv", ["slo.ttft_p99_s=x", "catalog.machines=[dgx-h10]"], ["found 'x'", "dgx-h10"]),
    ("splitwise-conv", ["objective=x", "model.name=llama-3.1-7b"], ["found 'x'", "llama-3.1-7b"]),
    ("splitwise-conv", ["objective=x", "catalog.machines=7", "catalog.directory=/nowhere"], ["found 'x'", "found 7"]),
    ("two-models", ["objective=x", "models.1.model.name=llama-3.1-7b"], ["found 'x'", "llama-3.1-7b"]),
)


@pytest.mark.parametrize(("example", "changes", "told"), UNREAD, ids=str)
def test_unknown_names_are_told_beside_what_cannot_be_read(example: str, changes: list[str], told: list[str]) -> None:
    """A value of the wrong type does not hide a machine or model that does not exist: both are told in one run."""
    with pytest.raises(BadInput) as refused:
        question_of(document_of(EXAMPLES / f"{example}.yaml", changes))
    assert all(any(word in problem for problem in refused.value.problems) for word in told)


@pytest.mark.parametrize("changes", WRONG, ids=" ".join)
def test_check_and_plan_refuse_the_same(changes: list[str]) -> None:
    """What ``check`` says of a bad question is what ``plan`` says, word for word."""
    asked = scenario("splitwise-conv", changes)
    with pytest.raises(REFUSALS) as checked:
        check(asked)
    with pytest.raises(REFUSALS) as planned:
        plan(asked, progress=silent)
    assert type(checked.value) is type(planned.value)
    assert checked.value.problems == planned.value.problems


@pytest.mark.parametrize("changes", WRONG_OVER_TIME, ids=" ".join)
def test_check_and_plan_refuse_the_same_over_time(changes: list[str]) -> None:
    """The same of plans over time, machines that are lost too often among it."""
    asked = scenario("dynamollm-week", changes)
    with pytest.raises(REFUSALS) as checked:
        check_schedule(asked)
    with pytest.raises(REFUSALS) as planned:
        timetable(asked, progress=silent)
    assert checked.value.problems == planned.value.problems


def test_everything_wrong_is_told_at_once() -> None:
    """A machine, a model and a trace that are nowhere, and budgets that hold nothing: one refusal names them all."""
    words = ["catalog.machines=[dgx-h10]", "model.name=llama-3.1-7b", "workload.trace=nowhere.csv"]
    with pytest.raises(BadInput) as caught:
        check(scenario("splitwise-conv", words))
    assert ["dgx-h10" in p or "llama-3.1-7b" in p or "nowhere.csv" in p for p in caught.value.problems] == [True] * 3
    words = ["budgets.power_w=10", "catalog.pp=[7]", "catalog.clocks_mhz={dgx-h100: [1201]}", "catalog.kvp=[2]"]
    with pytest.raises(BadInput) as caught:
        check(scenario("splitwise-conv", words))
    keys = [problem.partition(":")[0] for problem in caught.value.problems]
    assert {"budgets.power_w", "catalog.pp", "catalog.clocks_mhz.dgx-h100", "catalog.kvp"} <= set(keys)


def test_a_question_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan under several policies reads its workload once, and its digests are of what was read."""
    from planner.planning import plan as planning
    from planner.resolve import inputs as passes

    reads = []

    def counted(asked: Scenario, *more: int | None) -> object:
        reads.append(asked.name)
        return workload(asked, *more)

    workload = passes.asked
    monkeypatch.setattr(passes, "asked", counted)
    question = scenario("splitwise-conv", ["policy.name=auto"])
    read = planning.read(question)
    planning.check(read)
    found = planning.digests(read)
    assert reads == [question.name]
    assert found == planning.digests(question)


def test_a_plan_is_no_question(tmp_path: Path) -> None:
    """A plan file where a scenario is expected is named as such, in one line."""
    path = tmp_path / "plan.json"
    write_plan(path, plans.scenario(), plans.plan(), plans.DIGESTS)
    with pytest.raises(BadInput) as told:
        Scenario.load(path)
    assert told.value.problems == (
        f"{path}: is a plan; expected a scenario (show, simulate, diff and export take plans)",
    )
