"""A model of one's own that has the shape of a known one is planned with its kernel profiles, and says so."""

import json
from pathlib import Path

import pytest

from hw_catalog.errors import CatalogError
from planner.resolve.case import open_case
from planner.resolve.serving import serving_doubts
from planner.scenario import Scenario
from tests.planner.small import small

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip


def question(path: Path, **changed: object) -> Scenario:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({**CONFIG, **changed}))
    return small(f"model.name={path}")


def test_the_profiles_of_a_twin_are_used(tmp_path: Path) -> None:
    """A finetune of Llama-3.1-8B with more tokens has its step times, its own weights, and a sentence about it."""
    case = open_case(question(tmp_path / "mine", vocab_size=128512), "colocated")
    assert {profile.model for profile in case.profiles.values()} == {"llama-3.1-8b"}
    assert case.model.name == "mine"
    words = serving_doubts(case, [option.spec for option in case.options])
    assert "kernel times of mine: those of llama-3.1-8b, whose layers have the same shape" in words


def test_another_shape_is_refused_with_what_makes_profiles(tmp_path: Path) -> None:
    """A layer more is another model; the line names the nearest and the commands that measure one."""
    with pytest.raises(CatalogError, match=r"no kernel profile of model 'mine'.*`phasewise catalog bake`"):
        open_case(question(tmp_path / "mine", num_hidden_layers=33), "colocated")
