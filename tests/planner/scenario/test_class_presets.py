"""Request classes by name."""

from pathlib import Path

import pytest

from planner.errors import BadInput
from planner.scenario import Scenario
from workloads.load import nine_classes

EXAMPLE = Path(__file__).parents[3] / "planner" / "examples" / "dynamollm-nine.yaml"


def test_a_preset_stands_for_its_classes_and_their_objectives() -> None:
    """The nine are those of the workload, in their order, with limits by prompt; what the file says of a class wins."""
    scenario = Scenario.load(EXAMPLE)
    assert scenario.classes() == nine_classes()
    limits = {(slo.request_class, slo.name.partition(":")[2]): slo.limit for slo in scenario.slos()}
    assert limits["SS", "ttft_p99_s"] == 0.25
    assert limits["ML", "ttft_p99_s"] == 0.4
    assert limits["LM", "tpot_p99_s"] == 0.1
    assert not any(name == "SL" for name, _ in limits)


def test_a_preset_is_the_same_as_its_classes_written_out() -> None:
    """Once read, nothing of the preset is left: the scenario equals the one that spells it out."""
    scenario = Scenario.load(EXAMPLE)
    classes = [section.model_dump(mode="json") for section in scenario.workload.classes]
    again = Scenario.load(EXAMPLE, [f"workload.classes={classes}".replace("None", "null"),
                                    f"slo_by_class={dict(scenario.slo_by_class)}"])  # fmt: skip
    assert again == scenario


def test_a_preset_that_there_is_not_is_named() -> None:
    """A word that is no preset is refused with the one that there is."""
    with pytest.raises(BadInput, match=r"workload.classes: found 'dynamollm-ten'.*dynamollm-nine"):
        Scenario.load(EXAMPLE, ["workload.classes=dynamollm-ten"])
