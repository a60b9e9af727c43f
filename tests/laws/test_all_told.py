"""Whatever is wrong in one file is told in one run: no wrong key hides another."""

import random
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hw_catalog.errors import CatalogError
from planner.errors import BadInput
from planner.resolve.inputs import read_inputs
from planner.resolve.questions import question_of
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from planner.scenario.reading import Document
from tests.planner.small import TEXT
from tests.soak.meaning import Path, changed
from tests.soak.walks import walks
from workloads.errors import WorkloadError

OWN = ("model", "workload", "slo")
ONE: Mapping[str, Any] = yaml.safe_load(TEXT) | {
    "workload": {"trace": "azure-conv-2023", "rate_req_per_s": 40, "duration_s": 5}, "objective": "cost"
}  # fmt: skip
LATE: tuple[tuple[Path, object, str], ...] = (
    (("uncertainty",), {"no.such": [1, 2]}, "uncertainty.no.such"),
    (("uncertainty",), {"workload.rate_scale": [-1, 2]}, "uncertainty.workload.rate_scale"),
    (("workload", "classes"), "no-such-preset", "no-such-preset"),
    (("workload", "trace"), "no-such.csv", "no file 'no-such.csv'"),
    (("slo_by_class",), {"no-such-class": {"ttft_p99_s": 1.0}}, "not 'no-such-class'"),
    (("schedule",), {"objectives": ["power"]}, "which schedule.objectives"),
    (("catalog", "design"), "no-such-design", "no-such-design"),
    (("catalog", "directory"), "/no/such", "/no/such"),
    (("catalog", "machines"), ["no-such-machine"], "no-such-machine"),
    (("model", "name"), "no-such-model", "no-such-model"),
)
"""Wrong by what they name or what stands elsewhere: each with words that tell it."""

HIDDEN = {
    ("catalog", "directory"): [("catalog", "machines"), ("model", "name")],
    ("slo_by_class",): [("workload", "classes")],
}
"""What cannot be looked up where another is wrong."""

TYPED = next(subject for subject in walks() if subject.name == "scenario")


def told(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every problem of a question, as ``check`` tells it."""
    try:
        question = question_of(Document(data=data, places={(): "small"}))
        assert isinstance(question, Scenario)
        read_inputs(question)
    except (BadInput, CatalogError, WorkloadError) as refused:
        return tuple(refused.problems)
    return ()


def overlaps(one: Path, other: Path) -> bool:
    """Whether one of two keys holds the other, or lies where the other is looked up."""
    around = one[: len(other)] == other[: len(one)]
    looked_up = [(key, place) for key in (one, other) for place in HIDDEN.get(key, ())]
    return around or any(
        each[: len(place)] == place for key, place in looked_up for each in (one, other) if each != key
    )


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(LATE), st.integers(0, 10**9))
def test_no_value_of_a_wrong_type_hides_what_is_wrong_elsewhere(late: tuple[Path, object, str], seed: int) -> None:
    """A name that is nowhere, a contradiction or an impossible world is told beside values that no key can have."""
    path, value, words = late
    assert TYPED.draw is not None
    _, changes = TYPED.draw(random.Random(seed))
    assume(not any(overlaps(path, other) for other, _ in changes))
    data: Any = changed(ONE, path, value)
    for other, wrong in changes:
        data = changed(data, other, wrong)
    problems = told(data)
    assert any(words in problem for problem in problems), problems
    untold = [other for other, _ in changes if not any(str(other[0]) in problem for problem in problems)]
    assert not untold, problems


def test_two_names_that_are_nowhere_are_both_told() -> None:
    """Of two keys that are wrong by what they name, neither hides the other."""
    pairs = [pair for pair in combinations(LATE, 2) if not overlaps(pair[0][0], pair[1][0])]
    assert len(pairs) > 25
    for pair in pairs:
        data: Any = ONE
        for path, value, _ in pair:
            data = changed(data, path, value)
        problems = told(data)
        assert all(any(words in problem for problem in problems) for _, _, words in pair), (pair, problems)


@pytest.mark.parametrize("models", [5, [], [4]], ids=str)
def test_models_that_are_none_hide_nothing_beside_them(models: object) -> None:
    """Where no model can be read, wrong values of what all models share are told all the same, and the hours by key."""
    shared = {"name": "", "catalog": ONE["catalog"], "budgets": {"power_w": -1}, "models": models}
    with pytest.raises(BadInput) as refused:
        Fleet.parse(Document(data=shared, places={(): "small"}))
    assert all(any(key in text for text in refused.value.problems) for key in ("name", "models", "budgets.power_w"))


@pytest.mark.parametrize(("more", "words"), [
    ({"load": [1, -1]}, "models.1.load.1: found -1"), ({"failures": 7}, "models.1.failures: found 7"),
])  # fmt: skip
def test_keys_of_one_of_several_models_are_told_as_they_are_written(more: Mapping[str, object], words: str) -> None:
    """A model's hours and failures are wrong under ``models``, wherever they are read."""
    own = {key: ONE[key] for key in OWN}
    models = [own | {"name": "one"}, own | {"name": "two"} | more]
    data = {"name": "x", "catalog": ONE["catalog"], "models": models, "schedule": {"load": [1, 2]}}
    with pytest.raises(BadInput) as refused:
        Fleet.parse(Document(data=data, places={(): "small"}))
    assert [words in text for text in refused.value.problems] == [True]
