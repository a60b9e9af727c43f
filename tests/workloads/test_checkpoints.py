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
        ("kimi-k2.5", "int4", 594.0),
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


def _published(kind: str, hidden: int, inner: int, layers: int, heads: int, kv: int, vocab: int, **more: object) -> Any:
    """The keys of a published config.json that say something about sizes."""
    return {
        "model_type": kind, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab, "max_position_embeddings": 32768,
        "tie_word_embeddings": False, **more,
    }  # fmt: skip


_TIED: dict[str, Any] = {"tie_word_embeddings": True}
_V3: dict[str, Any] = {
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
}  # fmt: skip
_GEMMA_4B = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27},
}  # fmt: skip
PUBLISHED: dict[str, tuple[Any, float, int]] = {
    "Llama-3.2-1B": (_published("llama", 2048, 8192, 16, 32, 8, 128256, head_dim=64, **_TIED), 1.236e9, 32_768),
    "Mistral-7B-v0.3": (_published("mistral", 4096, 14336, 32, 32, 8, 32768), 7.248e9, 131_072),
    "Mixtral-8x22B": (
        _published("mixtral", 6144, 16384, 56, 48, 8, 32768, num_local_experts=8, num_experts_per_tok=2), 140.6e9,
        229_376,
    ),
    "Phi-4": (_published("phi3", 5120, 17920, 40, 40, 10, 100352), 14.66e9, 204_800),
    "Phi-3.5-MoE": (
        _published("phimoe", 4096, 6400, 32, 32, 8, 32064, num_local_experts=16, num_experts_per_tok=2), 41.87e9,
        131_072,
    ),
    "Qwen2.5-0.5B": (_published("qwen2", 896, 4864, 24, 14, 2, 151936, **_TIED), 0.494e9, 12_288),
    "Qwen3-0.6B": (_published("qwen3", 1024, 3072, 28, 16, 8, 151936, head_dim=128, **_TIED), 0.596e9, 114_688),
    "Qwen3-Coder-480B": (
        _published("qwen3_moe", 6144, 8192, 62, 96, 8, 151936, head_dim=128, num_experts=160, num_experts_per_tok=8,
                   moe_intermediate_size=2560), 480.2e9, 253_952,
    ),
    "DeepSeek-V3": (
        _published("deepseek_v3", 7168, 18432, 61, 128, 128, 129280, n_routed_experts=256, first_k_dense_replace=3,
                   **_V3), 671.0e9, 70_272,
    ),
    "Kimi-K2": (
        _published("kimi_k2", 7168, 18432, 61, 64, 64, 163840, n_routed_experts=384, first_k_dense_replace=1, **_V3),
        1026.4e9, 70_272,
    ),
    "MiniMax-M2": (
        _published("minimax_m2", 3072, 1536, 62, 48, 8, 200064, head_dim=128, num_local_experts=256,
                   num_experts_per_tok=8), 228.7e9, 253_952,
    ),
    "Gemma-2-9B": (_published("gemma2", 3584, 14336, 42, 16, 8, 256000, head_dim=256, **_TIED), 9.24e9, 344_064),
    "Gemma-3-4B": (_GEMMA_4B, 4.30e9, 139_264),
    "Yi-34B": (_published("llama", 7168, 20480, 60, 56, 8, 64000), 34.39e9, 245_760),
    "OLMo-2-7B": (_published("olmo2", 4096, 11008, 32, 32, 32, 100352), 7.30e9, 524_288),
    "Granite-3.1-8B": (_published("granite", 4096, 12800, 40, 32, 8, 49155, **_TIED), 8.17e9, 163_840),
    "GLM-4-9B": (_published("glm4", 4096, 13696, 40, 32, 2, 151552, head_dim=128), 9.40e9, 40_960),
}  # fmt: skip
"""Configs as their authors publish them, the parameters stated on their pages, and bytes of KV a token in 16 bits."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_give_published_sizes(name: str) -> None:
    """Parameters within 0.5 % of what is stated, and the KV bytes that layers, heads or latents imply."""
    config, params, kv_bytes = PUBLISHED[name]
    model = model_from_config(config, name)
    assert model.params == pytest.approx(params, rel=0.005)
    assert model.kv_bytes_per_token() == kv_bytes


def test_windows_are_those_of_the_family() -> None:
    """Every second layer of Gemma 2 and five of six of Gemma 3 have a window, though their configs do not say so."""
    gemma2 = {**PUBLISHED["Gemma-2-9B"][0], "sliding_window": 4096}
    assert model_from_config(gemma2, "g").windowed_layers == 21
    assert model_from_config(_GEMMA_4B, "g").windowed_layers == 29
    upper = {**PUBLISHED["Qwen3-0.6B"][0], "sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 20}
    assert model_from_config(upper, "q").windowed_layers == 8
