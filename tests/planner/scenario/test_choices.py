"""Keys that leave something open, and keys that say nothing where another is missing."""

import warnings

import pytest

from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.digest import digest_of
from tests.planner.small import small

LISTS = (
    "model.dtype=[bf16, fp8]", "model.kv_dtype=[bf16, fp8]", "policy.name=[colocated, sarathi]",
    "power.row_limit_w=20000", "power.policy=[no-cap, polca]", "catalog.ep=[1]",
)  # fmt: skip


@pytest.mark.parametrize("mode", ["json", "python"])
def test_lists_of_choices_are_written_without_a_warning(mode: str) -> None:
    """What is written to a file is what was read, and reads back as the same question."""
    asked = small(*LISTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = asked.model_dump(mode=mode)
    assert list(data["model"]["dtype"]) == ["bf16", "fp8"]
    assert list(data["power"]["policy"]) == ["no-cap", "polca"]
    again = Scenario.model_validate(data)
    assert again == asked
    assert digest_of(again) == digest_of(asked)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("power.policy=no-cap", "expected row_limit_w beside policy"),
        ("power.rows=2", "expected row_limit_w beside rows"),
        ("power.limits.low_p50_frac=0.1", "expected row_limit_w beside limits"),
    ],
)
def test_keys_without_effect_are_refused(word: str, said: str) -> None:
    """What would be ignored is bad input that names the key."""
    with pytest.raises(BadInput) as found:
        small(word)
    assert said in "\n".join(found.value.problems)


def test_a_wrong_item_of_a_list_is_the_only_finding() -> None:
    """A list that may also be a word is not called a wrong word when one of its items is wrong."""
    with pytest.raises(BadInput) as found:
        small("schedule.load=[1, -2]")
    assert len(found.value.problems) == 1
    assert "schedule.load.1: found -2; expected greater than or equal to 0" in found.value.problems[0]
