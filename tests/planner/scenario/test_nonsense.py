"""Values outside the meaning of their keys: over the whole schema, each is refused by its key."""

from typing import Any

import pytest
import yaml

from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet, FleetModel
from planner.scenario.reading import Document
from tests.planner.small import TEXT, small
from tests.soak.meaning import Path, changed, keys, senseless
from tests.soak.walks import LATER

ASKED = yaml.safe_load(TEXT)


def _taken(kind: type[Scenario | Fleet], data: Any, path: Path, value: object) -> str:
    """What is wrong with how a value was met; empty where it is refused by its key."""
    try:
        kind.parse(Document(data=changed(data, path, value), places={(): "small"}))
    except BadInput as wrong:
        named = str(path[0]) in str(wrong)
        return "" if named else f"{path} {value!r}: refused without the key: {wrong}"
    return f"{path}: {value!r} is taken"


def test_no_key_takes_a_value_outside_its_meaning() -> None:
    """No share above one, no negative, endless, huge or textual quantity, no blank word is taken, by any key."""
    tried = [(path, value) for path, kind in keys(Scenario) if path not in LATER for value in senseless(path, kind)]
    assert len(tried) > 2500
    found = [wrong for path, value in tried if (wrong := _taken(Scenario, ASKED, path, value))]
    assert found == ["('availability', 'spares'): 5 is taken"]  # spares of every role


def test_no_key_of_several_models_does() -> None:
    """The same of what each of several models says."""
    own = {key: ASKED[key] for key in ("model", "workload", "slo")}
    data = {key: ASKED[key] for key in ("name", "catalog")} | {"models": [own]}
    tried = [(path, value) for path, kind in keys(FleetModel) for value in senseless(path, kind) if path not in LATER]
    found = [wrong for path, value in tried if (wrong := _taken(Fleet, data, ("models", 0, *path), value))]
    assert found == []


@pytest.mark.parametrize(("setting", "words"), [
    ("uncertainty={workload.rate_scal: [1, 2]}", "unknown key; did you mean 'rate_scale'"),
    ("uncertainty={workload.rate_scale: [-1, 2]}", "expected greater than 0"),
    ("uncertainty={validation.seeds: [1, 2]}", "found 1.5"),
    ("uncertainty={dgx-h100: []}", "missing; expected dotted key -> [low, high]"),
    ("catalog.roles={dgx-h100: []}", "found none; expected machine type -> phases"),
    ("catalog.caps_w={dgx-h100: []}", "found []"),
    ("schema_version=true", "found True; expected 1"),
    ("workload.rate_scale=1e-300", "expected a number from 1e-12 on"),
])  # fmt: skip
def test_what_could_never_be_used_is_refused_at_once(setting: str, words: str) -> None:
    """Worlds that no scenario has, machines without a phase and numbers that only overflow are refused by `check`."""
    with pytest.raises(BadInput) as refused:
        small(setting)
    assert words in str(refused.value)
    assert setting.split("=")[0].split(".")[-1] in str(refused.value)


@pytest.mark.parametrize("name", ["-0.5", "true", "[]", "null", '""'])
def test_the_name_of_several_models_is_told_with_all_else(name: str) -> None:
    """A name that is no word, or none at all, is refused beside whatever else is wrong, and is no bug."""
    own = {key: ASKED[key] for key in ("model", "workload", "slo")}
    data = {"name": yaml.safe_load(name), "catalog": ASKED["catalog"], "models": [own], "budgets": {"gpu": 1}}
    for made in (data, {key: value for key, value in data.items() if key != "name"}):
        with pytest.raises(BadInput) as refused:
            Fleet.parse(Document(data=made, places={(): "small"}))
        assert [any(key in text for text in refused.value.problems) for key in ("name: ", "budgets.gpu")] == [
            True,
            True,
        ]


def test_a_design_that_does_not_exist_is_told_with_all_else() -> None:
    """No such design, or one that contradicts a key beside it, hides no other problem, and none is invented."""
    for design in ("no-such", {"a": 1}, "splitwise:x", "baseline-a100"):
        data = changed(changed(ASKED, ("catalog", "design"), design), ("slo", "ttft_p99_s"), -1)
        with pytest.raises(BadInput) as refused:
            Scenario.parse(Document(data=data, places={(): "small"}))
        assert [any(key in text for text in refused.value.problems) for key in ("catalog.", "slo.ttft_p99_s")] == [
            True, True,
        ]  # fmt: skip
        assert len(refused.value.problems) <= 3
