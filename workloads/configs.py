"""Hugging Face ``config.json`` files: the keys that say something about sizes, under one name each."""

from collections.abc import Mapping
from typing import Any

from workloads.config_types import Config, size_problem
from workloads.errors import WorkloadError

_PARAMS_JSON = {
    "dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads", "hidden_dim": "intermediate_size", "head_dim": "head_dim",
    "vocab_size": "vocab_size", "tied_embeddings": "tie_word_embeddings",
}  # fmt: skip
"""Keys of the ``params.json`` that Mistral AI publishes -> those of ``config.json``."""

_STATED_AS = " stated as"
"""Key that no file has: the names that a ``params.json`` calls the keys of ``config.json`` by, for messages."""

_STRETCHED = ("yarn", "linear", "dynamic")
"""Kinds of ``rope_scaling`` that lengthen the context beyond ``max_position_embeddings``; of the others (llama3,
longrope, mrope) that number is the length reached. Source: vLLM, ``_get_and_verify_max_len``."""


_LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    "gemma2": {"sliding_window_pattern": 2},
    "gemma3": {
        "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "max_position_embeddings": 131072, "sliding_window_pattern": 6,
    },
}  # fmt: skip
"""Keys that published configs of a family leave out where they have their defaults.

Source: transformers, ``Gemma3TextConfig`` (Gemma 3 4B, 12B and 27B) and ``Gemma2Config`` (every second layer).
"""


def language_model(config: Config) -> Config:
    """The keys of the text model, with the defaults that its family leaves out."""
    text = _text_model(config)
    family = str(text.get("model_type") or "").removesuffix("_text")
    stated = {key: value for key, value in text.items() if value is not None}
    return {**text, **_LEFT_OUT.get(family, {}), **stated} if family in _LEFT_OUT else text


def _text_model(config: Config) -> Config:
    """The keys of the text model, where a config nests it beside a vision model; what is stated once holds for both."""
    nested = config.get("text_config", config.get("llm_config"))
    if isinstance(nested, Mapping):
        inherited = {key: config[key] for key in ("quantization_config", "tie_word_embeddings", "torch_dtype", "dtype")
                     if config.get(key) is not None}  # fmt: skip
        return {**inherited, "model_type": config.get("model_type"), **nested}
    if "dim" in config and "n_layers" in config:
        return _from_params_json(config)
    return config


def _from_params_json(config: Config) -> Config:
    """The same sizes under the names of ``config.json``."""
    made: dict[str, Any] = {new: config[old] for old, new in _PARAMS_JSON.items() if old in config}
    mixture = config.get("moe")
    if isinstance(mixture, Mapping):
        made |= {
            "num_local_experts": mixture.get("num_experts"), "num_experts_per_tok": mixture.get("num_experts_per_tok")
        }  # fmt: skip
    longest = config.get("max_position_embeddings", config.get("max_seq_len"))
    family = "mixtral" if mixture else "mistral"
    names = {new: old for old, new in _PARAMS_JSON.items()} | {
        "num_local_experts": "moe.num_experts", "num_experts_per_tok": "moe.num_experts_per_tok",
        "max_position_embeddings": "max_seq_len",
    }  # fmt: skip
    made |= {"model_type": family, "max_position_embeddings": longest, "torch_dtype": "bfloat16", _STATED_AS: names}
    return made


def longest_context(config: Config, where: str) -> int:
    """Tokens that the model was made for, scaled positions included.

    YaRN reaches ``factor`` times the length before scaling; linear and dynamic scaling ``factor`` times the stated one.
    """
    (stated,) = whole_numbers(config, where, "max_position_embeddings")
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(scaling, Mapping) or str(config.get("model_type", "")).startswith("gemma3"):
        return stated
    kind, factor = scaling.get("rope_type", scaling.get("type")), scaling.get("factor")
    if kind not in _STRETCHED or factor is None:
        return stated
    before: int | None = scaling.get("original_max_position_embeddings")
    reached = int(((before if kind == "yarn" else None) or stated) * factor)
    return max(1, stated, reached) if kind == "yarn" and before else max(1, reached)


def whole_numbers(config: Config, where: str, *keys: str, least: int = 1) -> list[int]:
    """The values of ``keys``, in order.

    Raises:
        WorkloadError: every key that is missing or no whole number of at least ``least`` is named.
    """
    problems = []
    names = config.get(_STATED_AS, {})
    for key in keys:
        value = config.get(key)
        if value is None:
            problems.append(f"{where}: key '{names.get(key, key)}' is missing, expected a whole number >= {least}")
        elif problem := size_problem(key, value, least, names.get(key, key)):
            problems.append(f"{where}: key '{problem}")
    if problems:
        raise WorkloadError(*problems)
    return [config[key] for key in keys]


def optional(config: Config, where: str, key: str, default: int, least: int = 0) -> int:
    """The value of ``key``, or ``default`` where the config leaves it out or null."""
    return default if config.get(key) is None else whole_numbers(config, where, key, least=least)[0]
