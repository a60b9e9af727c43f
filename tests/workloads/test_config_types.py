"""Configuration files of models with values of any type: sized, or refused by one line for each wrong value."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.config_types import check_types
from workloads.errors import WorkloadError
from workloads.models import load_model, model_from_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 4,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 14336,
    "vocab_size": 128256, "max_position_embeddings": 8192, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192},
    "sliding_window": 1024, "sliding_window_pattern": 2, "use_sliding_window": True,
}  # fmt: skip
MIXTURE = {
    "model_type": "glm4_moe", "hidden_size": 4096, "num_hidden_layers": 4, "num_attention_heads": 96,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 10944, "moe_intermediate_size": 1408,
    "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 1,
    "vocab_size": 151552, "max_position_embeddings": 131072,
}  # fmt: skip
LATENT = {
    **MIXTURE, "model_type": "deepseek_v32", "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "index_n_heads": 64, "index_head_dim": 128,
}  # fmt: skip
PARAMS = {
    "dim": 4096, "n_layers": 4, "n_heads": 32, "n_kv_heads": 8, "hidden_dim": 14336, "vocab_size": 32000,
    "max_seq_len": 32768, "moe": {"num_experts": 8, "num_experts_per_tok": 2},
}  # fmt: skip
QUANTISED: tuple[dict[str, Any], ...] = (
    {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]},
    {"quant_method": "awq", "bits": 4, "group_size": 128},
    {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    {"quant_method": "compressed-tensors", "ignore": ["re:.*gate"],
     "kv_cache_scheme": {"num_bits": 8, "type": "float"},
     "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True}}}},
)  # fmt: skip
BASES: tuple[dict[str, Any], ...] = (
    LLAMA, MIXTURE, LATENT, PARAMS, {"model_type": "gemma3", "text_config": LLAMA, "vision_config": {"depth": 2}},
    *({**LLAMA, "quantization_config": each} for each in QUANTISED),
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, -1, 0, 10**9, 10**40, True, "x", "", [], {}, 2.5, [1], ["a"], {"a": 1}, "12", nan, inf, [None], [[1]],
    ["re:("], -(10**40), 1e300,
)  # fmt: skip


def places(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a config, nested ones by their path."""
    for key, value in data.items():
        yield (*path, key)
        if isinstance(value, Mapping):
            yield from places(value, (*path, key))


def changed(config: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A config with another value at a place."""
    made: Any = deepcopy(config)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(made)


def check(base: Mapping[str, Any], path: tuple[str, ...], value: object) -> None:
    """Sized with numbers that a model can have, or refused line by line."""
    try:
        model = model_from_config(changed(base, path, value), "m", source="config.json")
    except WorkloadError as refused:
        for problem in refused.problems:
            assert problem.startswith("config.json: ")
            assert "expected" in problem
            assert "\n" not in problem
            assert len(problem) < 400
        return
    assert 0 < model.active_params <= model.params < 1e15
    assert model.kv_bytes_per_token() > 0
    assert model.max_context_tokens > 0
    assert all(0 < found.stored_bytes < 1e16 for _, found in model.footprints)


ALL = [(base, path) for base in BASES for path in places(base)]


@given(place=st.sampled_from(ALL), value=st.sampled_from(VALUES))
def test_any_value_is_sized_or_refused_in_one_line(
    place: tuple[Mapping[str, Any], tuple[str, ...]], value: object
) -> None:
    """Whatever one value of a config is changed to, a model comes out or a line with file, found and expected."""
    check(*place, value)


@pytest.mark.slow
def test_every_value_everywhere_is_sized_or_refused_in_one_line() -> None:
    """The same for every value at every place."""
    for base, path in ALL:
        for value in VALUES:
            check(base, path, value)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("architectures",), 5, "key 'architectures' is 5, expected a list of words"),
        (("torch_dtype",), "bfloat15", "key 'torch_dtype' is 'bfloat15', expected one of .*did you mean 'bfloat16'"),
        (("rope_scaling", "factor"), "4", "key 'rope_scaling.factor' is '4', expected a number above 0"),
        (("rope_scaling", "factor"), 0, "key 'rope_scaling.factor' is 0, expected a number above 0"),
        (("rope_scaling", "rope_type"), "yarrn", "expected one of default, .*did you mean 'yarn'"),
        (("head_dim",), 3, "key 'head_dim' is 3, expected an even number from 8 on"),
        (("num_key_value_heads",), 7, "key 'num_key_value_heads' is 7, expected a divisor of the 32 heads"),
        (("hidden_size",), 10**9, "key 'hidden_size' is 1000000000, larger than any model has, expected at most"),
    ],
)
def test_wrong_values_are_named_with_what_was_expected(path: tuple[str, ...], value: object, words: str) -> None:
    """A line names the key, nested ones by their path, what was found and what was expected."""
    with pytest.raises(WorkloadError, match=words):
        model_from_config(changed(LLAMA, path, value), "m")


def test_all_wrong_types_are_told_at_once() -> None:
    """Three wrong values are three lines of one refusal."""
    wrong = {**LLAMA, "architectures": 5, "torch_dtype": 3, "rope_scaling": {"factor": "x"}}
    with pytest.raises(WorkloadError) as caught:
        check_types(wrong, "c")
    assert len(caught.value.problems) == 3


def test_a_params_file_is_told_by_its_own_keys() -> None:
    """Sizes of a ``params.json`` are asked for by the names that it uses."""
    with pytest.raises(WorkloadError, match="key 'dim' is 'x'"):
        model_from_config({**PARAMS, "dim": "x"}, "m")
    without = {key: value for key, value in PARAMS.items() if key != "hidden_dim"}
    with pytest.raises(WorkloadError, match="key 'hidden_dim' is missing"):
        model_from_config(without, "m")


def test_formats_that_modelopt_writes_beside_a_config_are_read(tmp_path: Path) -> None:
    """A checkpoint with hf_quant_config.json beside a plain config.json is sized in that file's formats, as engines do.

    Source: vLLM, ``get_quant_config``; NVIDIA's Llama-3.1 FP4 checkpoints are published so.
    """
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    plain = load_model(tmp_path)
    stated = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": stated}))
    quantised = load_model(tmp_path)
    assert (plain.own, quantised.own) == (("bf16",), ("fp4",))
    assert quantised.checkpoints[0].kv_dtype == "fp8"
    (tmp_path / "some--model_config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "other_config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "some--model_hf_quant_config.json").write_text(json.dumps({"quantization": stated}))
    assert load_model(tmp_path / "some--model_config.json").own == ("fp4",)
    assert load_model(tmp_path / "other_config.json").own == ("bf16",)
    (tmp_path / "hf_quant_config.json").write_text("{}")
    with pytest.raises(WorkloadError, match=r"hf_quant_config\.json: key 'quantization' is None, expected an object"):
        load_model(tmp_path)
