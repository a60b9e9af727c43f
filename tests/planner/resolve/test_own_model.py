"""Models of the user's own: named by an id of their catalog, from wherever the planner is started."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hw_catalog.profile_files import load_profiles, write_profiles
from planner.planning.plan import check, digests
from planner.scenario import Scenario
from workloads.errors import WorkloadError
from workloads.models import load_model, model_cards

SCENARIO = """\
schema_version: 1
name: own
model: {name: NAME, dtype: bf16}
workload: {trace: azure-conv-2023, rate_req_per_s: 1, duration_s: 20}
slo: {ttft_p90_s: 2}
catalog: {machines: [dgx-h100], directory: cat, tp: [1]}
policy: {name: colocated}
validation: {seeds: 1}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A scenario beside a catalog with a model of its own, as ``catalog bake`` leaves it."""
    card = model_cards()["llama-3.1-8b"]
    (tmp_path / "cat" / "models").mkdir(parents=True)
    (tmp_path / "cat" / "models" / "my-8b.json").write_text(json.dumps(card.config))
    found = load_profiles(None, model="llama-3.1-8b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")
    mine = [replace(p, model="my-8b") for p in found if p.tp == 1]
    write_profiles(tmp_path / "cat" / "profiles" / "aiconfigurator-0.12" / "h100-sxm" / "my-8b.json", mine)
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("NAME", "my-8b"))
    return tmp_path


def test_a_baked_model_is_known_by_its_id_from_any_directory(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id finds sizes and profiles in the catalog's directory, which the scenario names beside itself."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    scenario = Scenario.load(home / "s.yaml")
    assert check(scenario).options == ("mixed/dgx-h100/tp1",)
    assert digests(scenario)["catalog"]


def test_a_configuration_beside_the_scenario_is_found_from_any_directory(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path under model.name is looked for beside the scenario, as that of a trace is."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    (home / "s.yaml").write_text(SCENARIO.replace("NAME", "cat/models/my-8b.json"))
    assert check(Scenario.load(home / "s.yaml")).options == ("mixed/dgx-h100/tp1",)


def test_an_unknown_model_is_told_the_nearest_of_ones_own(home: Path) -> None:
    """Ids of the user's catalog are suggested too."""
    with pytest.raises(WorkloadError, match="did you mean 'my-8b'"):
        load_model("my-8c", directory=home / "cat")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "[", "[1]", "[" * 100_000, ""])
def test_a_configuration_that_does_not_say_one_thing_is_refused(tmp_path: Path, text: str) -> None:
    """Keys given twice, texts cut off and endless nesting are refused with the file."""
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(WorkloadError) as caught:
        load_model(file)
    assert str(file) in caught.value.problems[0]
    assert len(caught.value.problems[0]) < 500


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "", "/"])
def test_names_that_no_file_can_have_name_no_model(name: str) -> None:
    """Whatever stands there, it is a refusal."""
    with pytest.raises(WorkloadError):
        load_model(name)
