"""Published models: sized from the size keys of their config.json, matched to kernel profiles by shape.

`published_models.json` has for each the keys that say something about sizes (facts of public files, read where
`source` says), the parameters that its authors publish, and the numbers that a token leaves in the KV cache by hand.
"""

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import ExitCode
from planner.resolve.sized import sizes
from workloads.errors import WorkloadError
from workloads.models import ModelSpec, load_model, model_from_config
from workloads.twins import twin_of

PUBLISHED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "published_models.json").read_text())

WITHIN_FRAC = {"Qwen3-VL-8B-Instruct": 0.025}
"""By which the count may differ from the published one, which is rounded; what joins vision to text is not counted."""

TWINS = {
    "Meta-Llama-3.1-8B": "llama-3.1-8b", "Meta-Llama-3.1-70B": "llama-3.1-70b",
    "Llama-3.3-70B-Instruct": "llama-3.1-70b",
    "Meta-Llama-3.1-405B": "llama-3.1-405b", "Qwen2.5-7B-Instruct-1M": "qwen2.5-7b", "Qwen3-14B": "qwen3-14b",
    "Qwen3-32B-FP8": "qwen3-32b", "Qwen3-VL-32B-Instruct": "qwen3-32b", "Qwen3-235B-A22B": "qwen3-235b-a22b",
    "Qwen3.5-397B-A17B": "qwen3.5-397b-a17b", "Mistral-Nemo-12B": "mistral-nemo", "Mixtral-8x7B-v0.1": "mixtral-8x7b",
    "Mixtral-8x22B-v0.1": "mixtral-8x22b", "DeepSeek-V3": "deepseek-v3", "DeepSeek-R1": "deepseek-v3",
    "Kimi-K2-Instruct": "kimi-k2.5", "GLM-5": "glm-5", "MiniMax-M2.5": "minimax-m2.5", "gpt-oss-120b": "gpt-oss-120b",
}  # fmt: skip
"""Model -> the known one that it has the shape of; of all others there is none."""


def spec(name: str) -> ModelSpec:
    return model_from_config(PUBLISHED[name]["config"], name)


def test_there_are_sixty_five() -> None:
    """Of every family that can be read, and of some more than one."""
    assert len(PUBLISHED) >= 65


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_and_kv_are_those_published(name: str) -> None:
    """All parameters are counted tensor by tensor; a token's 16-bit KV is the product of heads, widths and layers."""
    row, model = PUBLISHED[name], spec(name)
    assert model.params / 1e9 == pytest.approx(row["published_params_b"], rel=WITHIN_FRAC.get(name, 0.015))
    assert model.kv_bytes_per_token("bf16") == 2 * sum(map(prod, row["kv"]))
    if row["published_active_b"]:  # cards leave out embeddings or round down
        assert row["published_active_b"] <= model.active_params / 1e9 + 0.15 <= 1.35 * row["published_active_b"] + 0.15


def test_shapes_find_their_kernel_profiles() -> None:
    """A finetune, another number format and the text part of a vision model have the twin of their base."""
    known = [load_model(name) for name in sorted(set(TWINS.values()))]
    found = {name: twin.name for name in PUBLISHED if (twin := twin_of(spec(name), known))}
    assert found == TWINS


@pytest.mark.parametrize("family", ["deepseek_v4", "kimi_linear", "minimax_m3", "nemotron-nas", "gemma3n"])
def test_a_family_that_is_not_sized_says_why(family: str) -> None:
    """It is known, and guessing its sizes would buy the wrong machines."""
    with pytest.raises(WorkloadError, match=f"model_type '{family}' is known, and not sized: "):
        model_from_config({"model_type": family}, "m")


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", {"hybrid_override_pattern": "MMX"}, "expected 52 letters of M, E"),
        ("gemma-4-26B-A4B", {"num_kv_shared_layers": 5}, "not sized; expected a Gemma 4 without them"),
        ("gemma-4-26B-A4B", {"layer_types": ["full_attention"]}, "layer_types"),
        ("MiMo-V2-Flash", {"moe_layer_freq": [1, 2]}, "key 'moe_layer_freq' is no list of 48 zeros and ones"),
        (
            "Qwen3-8B",
            {"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED"}},
            "one format for all",
        ),
    ],
)
def test_layers_that_cannot_be_told_are_refused(name: str, changed: dict[str, Any], words: str) -> None:
    """One line names the key."""
    config = PUBLISHED[name]["config"]
    inner = config.get("text_config")
    made = {**config, "text_config": {**inner, **changed}} if inner else {**config, **changed}
    with pytest.raises(WorkloadError, match=words):
        model_from_config(made, name)


def _files(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(PUBLISHED[name]["config"]))
    return tmp_path


def test_a_table_of_config_files(tmp_path: Path) -> None:
    """`phasewise models DIR` sizes every config.json below it, says whose kernels it has, and why one is refused."""
    files = _files(tmp_path, "Llama-3.3-70B-Instruct", "Seed-OSS-36B")
    (tmp_path / "v4.json").write_text('{"model_type": "deepseek_v4"}')
    done = CliRunner().invoke(build(), ["models", str(files)], env={"COLUMNS": "400"})
    assert done.exit_code == ExitCode.VALIDATED
    text = " ".join(done.stdout.split())
    assert (
        "Llama-3.3-70B-Instruct 70.6 B 70.6 B bf16 141.1 GB 320.0 KiB 131,072 llama-3.1-70b (bf16 fp4 fp8) on" in text
    )
    assert "Seed-OSS-36B 36.1 B 36.1 B bf16 72.3 GB 256.0 KiB 524,288 none" in text
    assert "v4 refused: " in text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert CliRunner().invoke(build(), ["models", str(empty)]).exit_code == ExitCode.BAD_INPUT
    none = CliRunner().invoke(build(), ["models", str(empty / "config.json"), str(empty / "other.json")])
    assert none.exit_code == ExitCode.BAD_INPUT
    assert none.stderr.count("no such file; expected a Hugging Face config.json") == 2, "both are told"


def test_known_models_are_listed_with_all_their_profiles() -> None:
    """Those of layouts in which clusters were measured count, too: such a model can be planned."""
    (kimi,) = sizes(["kimi-k2.5"], None)
    assert "gb200" in kimi.gpus
    assert kimi.timed_as == "kimi-k2.5"


def test_a_file_that_is_not_there_is_no_unknown_model() -> None:
    """A path to a config.json that does not exist is called missing; known models are named beside names alone."""
    with pytest.raises(WorkloadError, match=r"nothing\.json: no such file; expected a Hugging Face config\.json"):
        load_model("nothing.json")
    with pytest.raises(WorkloadError, match=r"did you mean 'llama-3\.1-70b'"):
        load_model("Llama-3.1-70B")
