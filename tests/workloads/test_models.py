"""Model sizes."""

import json
from pathlib import Path

import pytest

from workloads.errors import WorkloadError
from workloads.models import known_models, load_model, model_cards, model_from_config

TINY = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 512,
}


@pytest.mark.parametrize("name", known_models())
def test_counted_parameters_agree_with_published_ones(name: str) -> None:
    """Parameters counted from shapes are within 0.1 % of what the authors publish (norms and biases are left out)."""
    spec, card = load_model(name), model_cards()[name]
    assert spec.params == pytest.approx(card.published_params, rel=1e-3)
    assert spec.active_params == pytest.approx(card.published_active_params, rel=1e-3)
    assert spec.source == card.source


@pytest.mark.parametrize(
    ("name", "kv_bytes"),
    [
        ("llama-3.1-8b", 131_072),
        ("llama-3.1-70b", 327_680),
        ("llama-2-70b", 327_680),
        ("bloom-176b", 4_014_080),
        ("deepseek-v3", 70_272),
    ],
)
def test_kv_bytes_per_token_are_those_of_the_shapes(name: str, kv_bytes: int) -> None:
    """A bf16 KV cache takes the bytes per token that the engines report, one latent vector a layer under MLA."""
    assert load_model(name).kv_bytes_per_token() == kv_bytes


def test_latent_kv_is_held_whole_by_every_gpu() -> None:
    """Grouped-query KV divides over at most kv_heads GPUs, latent KV over none."""
    assert load_model("deepseek-v3").kv_shards(8) == 1
    assert [load_model("llama-3.1-70b").kv_shards(tp) for tp in (1, 4, 8, 16)] == [1, 4, 8, 8]


def test_a_config_file_and_its_directory_read_alike(tmp_path: Path) -> None:
    """A path to config.json, or to the directory that holds it, gives the sizes in it, named after the directory."""
    card = model_cards()["llama-3.1-8b"]
    directory = tmp_path / "my-llama"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({**card.config, "torch_dtype": "bfloat16"}))
    by_file, by_directory = load_model(directory / "config.json"), load_model(str(directory))
    assert by_file == by_directory
    assert by_file.name == "my-llama"
    assert by_file.params == load_model("llama-3.1-8b").params


@pytest.mark.parametrize(
    ("architecture", "model"),
    [
        ("LlamaForCausalLM", "llama-3.1-8b"),
        ("MistralForCausalLM", "mistral-nemo"),
        ("Qwen3ForCausalLM", "qwen3-14b"),
        ("MixtralForCausalLM", "mixtral-8x7b"),
        ("GptOssForCausalLM", "gpt-oss-120b"),
        ("DeepseekV3ForCausalLM", "deepseek-v3"),
        ("BloomForCausalLM", "bloom-176b"),
        ("GPT2LMHeadModel", "gpt-3-175b"),
    ],
)
def test_the_architecture_stands_in_for_a_missing_model_type(architecture: str, model: str) -> None:
    """A config without model_type is read by the name of its architecture."""
    config = {key: value for key, value in model_cards()[model].config.items() if key != "model_type"}
    spec = model_from_config({**config, "architectures": [architecture]}, model)
    assert spec.params == load_model(model).params


def test_tied_embeddings_count_once() -> None:
    """Sharing the output head with the input embedding saves vocabulary times width parameters."""
    tied = model_from_config({**TINY, "tie_word_embeddings": True}, "tiny")
    assert model_from_config(TINY, "tiny").params - tied.params == 1000 * 64


def test_left_out_heads_mean_plain_attention() -> None:
    """Without num_key_value_heads and head_dim, every query head has its own KV and heads fill the width."""
    spec = model_from_config(TINY, "tiny")
    assert (spec.kv_heads, spec.head_dim) == (4, 16)


def test_experts_of_a_qwen_mixture() -> None:
    """Of Qwen3-30B-A3B, 30.5e9 parameters are held and 3.3e9 used, as its authors publish."""
    config = {
        **TINY,
        "model_type": "qwen3_moe",
        "num_hidden_layers": 48,
        "hidden_size": 2048,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "vocab_size": 151_936,
    }
    spec = model_from_config(config, "qwen3-30b-a3b")
    assert spec.params == pytest.approx(30.5e9, rel=2e-2)
    assert spec.active_params == pytest.approx(3.3e9, rel=2e-2)


def test_every_missing_or_wrong_key_is_named() -> None:
    """All size keys that are absent or no whole number are listed in one error."""
    config = {**TINY, "hidden_size": "wide", "vocab_size": 0, "num_attention_heads": True}
    del config["num_hidden_layers"]
    with pytest.raises(WorkloadError) as caught:
        model_from_config(config, "tiny")
    named = [problem.split("'")[1] for problem in caught.value.problems]
    assert named == ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"]


@pytest.mark.parametrize("name", ["llama-3.1-70", "Llama-3.1-70B"])
def test_an_unknown_model_is_told_the_nearest(name: str) -> None:
    """A mistyped id is answered with the nearest known one."""
    with pytest.raises(WorkloadError, match=r"did you mean 'llama-3\.1-70b'"):
        load_model(name)


def test_an_unknown_architecture_is_refused() -> None:
    """Sizes of an architecture that is not known are not guessed."""
    with pytest.raises(
        WorkloadError, match=r"model_type 'mamba' is unknown, expected one of .* families; for example llama"
    ):
        model_from_config({"model_type": "mamba"}, "m")
    with pytest.raises(
        WorkloadError, match=r"m: has no model_type and no architectures; expected a Hugging Face config"
    ):
        model_from_config({}, "m")


def test_the_file_of_formats_beside_a_config_is_told_apart(tmp_path: Path) -> None:
    """A checkpoint's hf_quant_config.json states no sizes: the message points to the file that does."""
    path = tmp_path / "hf_quant_config.json"
    path.write_text('{"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}')
    with pytest.raises(WorkloadError, match=r"expected the config\.json beside it"):
        load_model(str(path))


@pytest.mark.parametrize(("text", "reason"), [("{", "not valid JSON"), ("[1]", "found a JSON list")])
def test_a_broken_config_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """A config that is no JSON object is refused with its path."""
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(WorkloadError, match=reason) as caught:
        load_model(file)
    assert str(file) in caught.value.problems[0]


def test_only_some_layers_of_a_hybrid_keep_a_cache() -> None:
    """Qwen3.5 has a KV cache in 15 of 60 layers: 2 · 15 · 2 heads · 256 · 2 bytes a token."""
    spec = load_model("qwen3.5-397b-a17b")
    assert spec.layers == 60
    assert spec.kv_bytes_per_token("bf16") == 2 * 15 * 2 * 256 * 2
