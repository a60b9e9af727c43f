"""What checkpoints say of their formats, and the bytes that follow."""

import json
from pathlib import Path
from typing import Any

import pytest

from workloads.checkpoints import described
from workloads.errors import WorkloadError
from workloads.formats import NVFP4, fp8_blocks, grouped_int
from workloads.models import known_models, load_model, model_from_config

LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip
LINEAR = 8_029_995_008 - 2 * 128256 * 4096
ENDS = 2 * 128256 * 4096


def _bytes(quantised: dict[str, Any] | None) -> float:
    config = dict(LLAMA_8B) if quantised is None else {**LLAMA_8B, "quantization_config": quantised}
    spec = model_from_config(config, "mine")
    return spec.weight_bytes(spec.own[0])


@pytest.mark.parametrize(
    ("model", "dtype", "gigabytes"),
    [
        ("gpt-oss-120b", "fp4", 65.25),
        ("llama-3.1-70b", "fp4", 42.7),
        ("deepseek-v3", "fp4", 406.5),
        ("llama-3.1-405b", "fp8", 496.1),
        ("llama-3.1-8b", "bf16", 16.07),
    ],
)
def test_weights_are_as_large_as_they_were_loaded(model: str, dtype: str, gigabytes: float) -> None:
    """Quantised weights with scales, and what stays in 16 bits, take what was published or loaded, within 3 %."""
    assert load_model(model).weight_bytes(dtype) == pytest.approx(gigabytes * 1e9, rel=0.03)


@pytest.mark.parametrize(
    ("quantised", "per_weight"),
    [
        (None, 2.0),
        ({"quant_method": "fp8", "activation_scheme": "dynamic"}, 1.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1 + 4 / 128**2),
        ({"quant_method": "fbgemm_fp8"}, 1.0),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, 0.5 + 2.5 / 32),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 1.0),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5 + 1 / 16),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 1.0),
        ({"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}, 1 + 4 / 128**2),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {
            "num_bits": 8, "type": "float", "strategy": "block", "block_structure": "128x128"}}}}, 1 + 4 / 128**2),
        ({"quant_method": "compressed-tensors", "config_groups": {
            "a": {"weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}},
            "b": {"weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}}}}, 1.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 0.5 + 1.03 / 64),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}}, 0.5 + 1 / 16),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": True}}}},
         0.5 + 2 / 128),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "group_0": {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}}}, 1.0),
    ],
)  # fmt: skip
def test_each_method_stores_what_it_says(quantised: dict[str, Any] | None, per_weight: float) -> None:
    """Linear layers take the bytes of their method with its scales; embedding and output head stay in 16 bits."""
    assert _bytes(quantised) == pytest.approx(per_weight * LINEAR + 2 * ENDS, rel=2e-3)


@pytest.mark.parametrize(
    "ignored",
    [
        ["model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"],
        ["model.layers.0.mlp"],
        ["re:.*layers\\.0\\.mlp.*"],
        ["*layers.0.mlp*"],
    ],
)
@pytest.mark.parametrize("key", ["ignore", "modules_to_not_convert", "ignored_layers"])
def test_what_a_checkpoint_leaves_out_stays_wide(ignored: list[str], key: str) -> None:
    """Modules on the list of exceptions, by name, prefix, pattern or wildcard, are held in 16 bits."""
    more = _bytes({"quant_method": "fp8", key: ignored}) - _bytes({"quant_method": "fp8"})
    assert more == pytest.approx(3 * 4096 * 14336, rel=1e-3)


def test_only_the_experts_of_an_mxfp4_checkpoint_are_small() -> None:
    """Attention, routers and both ends of gpt-oss-120b are in 16 bits: 2.2e9 parameters."""
    model = load_model("gpt-oss-120b")
    rest = model.params - model.routed_params
    experts = model.weight_bytes("fp4") - 2 * rest
    assert experts == pytest.approx(model.routed_params * 4.25 / 8, rel=1e-3)


def test_engines_round_the_width_of_mxfp4_experts_up() -> None:
    """As loaded by vLLM on an H100, gpt-oss-120b takes 64.38 GiB; its 2,880 channels are held as 3,072."""
    assert load_model("gpt-oss-120b").gpu_weight_bytes("fp4", 1) == pytest.approx(64.38 * 2**30, rel=0.01)


def test_latent_projections_are_held_by_every_gpu() -> None:
    """DeepSeek-V3 in fp8 takes 79.41 GiB on each of eight GPUs, more than an eighth of its checkpoint.

    Source: HabanaAI/vllm-fork issue 809.
    """
    model = load_model("deepseek-v3")
    assert model.gpu_weight_bytes("fp8", 8) == pytest.approx(79.41 * 2**30, rel=0.01)
    assert model.gpu_weight_bytes("fp8", 8) > 1.01 * model.weight_bytes("fp8") / 8


def test_key_and_value_projections_are_divided_by_heads() -> None:
    """On more GPUs than there are KV heads the projections of keys and values are copied."""
    few = {**LLAMA_8B, "num_key_value_heads": 2}
    model = model_from_config(few, "mine")
    kv = 2 * 32 * 2 * 128 * 4096 * 2
    assert model.gpu_weight_bytes("bf16", 8) == pytest.approx((model.weight_bytes("bf16") - kv) / 8 + kv / 2)


@pytest.mark.parametrize("name", known_models())
def test_every_packaged_model_says_what_it_is_published_in(name: str) -> None:
    """The catalog states the authors' own checkpoint of every model first, with a source, and no format twice."""
    model = load_model(name)
    assert model.checkpoints[0].authors
    assert all(c.source for c in model.checkpoints)
    formats = [c.dtype for c in model.checkpoints]
    assert len(set(formats)) == len(formats)


def test_a_config_tells_its_own_format() -> None:
    """The format of a config is that of ``quantization_config``, else its ``torch_dtype``, else bf16."""
    assert model_from_config(LLAMA_8B, "m").own == ("bf16",)
    assert model_from_config({**LLAMA_8B, "torch_dtype": "float32"}, "m").own == ("fp32",)
    quantised = {**LLAMA_8B, "quantization_config": {"quant_method": "fp8"}}
    assert model_from_config(quantised, "m").own == ("fp8",)


@pytest.mark.parametrize(
    ("quantised", "kv_dtype"),
    [
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, "fp8"),
        ({"quant_method": "fp8"}, None),
    ],
)
def test_scales_of_the_kv_cache_are_seen(quantised: dict[str, Any], kv_dtype: str | None) -> None:
    """A checkpoint that brings scales for an 8-bit KV cache says so; the others leave it to the engine."""
    assert described({**LLAMA_8B, "quantization_config": quantised}, where="c").kv_dtype == kv_dtype


@pytest.mark.parametrize(
    "quantised",
    [{"quant_method": "quip"}, {}, {"quant_method": "compressed-tensors"}, "fp8",
     {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 2, "type": "int"}}}},
     {"quant_method": "compressed-tensors", "config_groups": {
         "attention": {"weights": {"num_bits": 8, "type": "float"}},
         "experts": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}}],
)  # fmt: skip
def test_an_unknown_quantisation_is_refused(quantised: Any) -> None:
    """A format that is not known is named with what was expected, never sized by a guess."""
    config = {**LLAMA_8B, "quantization_config": quantised}
    if quantised == {}:
        assert described(config, where="c.json").dtype == "bf16"
        return
    with pytest.raises(WorkloadError, match=r"c\.json: .*quantization_config.* expected"):
        described(config, where="c.json")


def test_scales_follow_their_blocks() -> None:
    """A partly filled block has a whole scale."""
    assert fp8_blocks(128, 128).stored_bytes(129, 128) == 129 * 128 + 2 * 4
    assert NVFP4.stored_bytes(1, 17) == 8.5 + 2
    assert grouped_int(4, 128, zeros=True).stored_bytes(2, 256) == 256 + 4 * 2.5


GEMMA = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 5376, "num_hidden_layers": 62, "num_attention_heads": 32,
        "num_key_value_heads": 16, "head_dim": 128, "intermediate_size": 21504, "sliding_window": 1024,
        "sliding_window_pattern": 6, "vocab_size": 262208, "max_position_embeddings": 131072,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304},
}  # fmt: skip


def test_nested_text_models_are_read() -> None:
    """Gemma 3 27B holds 27.4e9 parameters, head tied, vision model counted; five layers of six have a window."""
    model = model_from_config(GEMMA, "gemma")
    assert model.params == pytest.approx(27.43e9, rel=0.01)
    assert (model.max_context_tokens, model.windowed_layers, model.window_tokens) == (131072, 52, 1024)


def test_glm_and_sparse_attention_are_read() -> None:
    """GLM-4.5-Air holds 106.9e9 parameters without its MTP layer; DeepSeek-V3.2 adds an indexer to V3 and its keys."""
    glm = {
        "model_type": "glm4_moe", "hidden_size": 4096, "num_hidden_layers": 46, "num_attention_heads": 96,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 10944, "moe_intermediate_size": 1408,
        "n_routed_experts": 128, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 1,
        "vocab_size": 151552, "max_position_embeddings": 131072,
    }  # fmt: skip
    assert model_from_config(glm, "glm").params == pytest.approx(106.85e9, rel=0.01)
    assert model_from_config({**glm, "num_nextn_predict_layers": 1}, "glm").params == pytest.approx(106.85e9, rel=0.01)


@pytest.mark.parametrize(
    ("scaling", "reach"),
    [
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"rope_type": "yarn", "factor": 4.0}, 131072),
        ({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8192}, 32768),
        ({"rope_type": "dynamic", "factor": 2.0}, 65536),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 32768),
        (None, 32768),
    ],
)
def test_scaled_positions_lengthen_the_context(scaling: dict[str, Any] | None, reach: int) -> None:
    """YaRN, linear and dynamic scaling lengthen the context as engines read them; the other kinds state the length."""
    config = {**LLAMA_8B, "max_position_embeddings": 32768, "rope_scaling": scaling}
    assert model_from_config(config, "m").max_context_tokens == reach


def test_a_mistral_params_file_reads_like_its_config(tmp_path: Path) -> None:
    """The ``params.json`` of Mistral AI gives the sizes of the config.json beside which it is published."""
    params = {
        "dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 32768, "n_heads": 32, "n_kv_heads": 8,
        "vocab_size": 131072, "max_position_embeddings": 131072,
    }  # fmt: skip
    config = {
        "model_type": "mistral", "hidden_size": 5120, "num_hidden_layers": 40, "head_dim": 128,
        "intermediate_size": 32768, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 131072,
        "max_position_embeddings": 131072,
    }  # fmt: skip
    directory = tmp_path / "small"
    directory.mkdir()
    (directory / "params.json").write_text(json.dumps(params))
    mine, theirs = load_model(directory), model_from_config(config, "small")
    assert (mine.name, mine.params, mine.max_context_tokens) == ("small", theirs.params, theirs.max_context_tokens)
