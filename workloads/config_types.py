"""Hugging Face ``config.json`` files: the type that each key which is read must have, told all at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any

from workloads.errors import WorkloadError

Config = Mapping[str, Any]
"""What a Hugging Face ``config.json`` holds."""

TORCH_NAMES = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32", "auto": "bf16",
}  # fmt: skip
"""Values of ``torch_dtype`` -> number formats; engines load ``auto`` of unknown checkpoints as bf16."""

ROPES = (
    "default", "linear", "dynamic", "ntk", "yarn", "longrope", "su", "llama3", "mllama4", "mrope", "proportional",
    "deepseek_yarn", "deepseek_llama_scaling", "xdrope", "fope", "openpangu", "telechat3-yarn",
)  # fmt: skip
"""Ways of scaling positions that engines know (vLLM, ``get_rope``); another one would be refused when it is loaded."""

MOST = (2**24, 10_000)
"""Largest size, and largest number of layers: tensors are counted layer by layer."""

MOST_CONTEXT = 2**40
LENGTHS = ("max_position_embeddings", "n_positions", "seq_length")
"""Keys of context lengths, which are no sizes of a matrix."""

_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size", *LENGTHS)
"""Told together with other wrong values; which of them a model needs is for its architecture to say."""

Expected = tuple[Callable[[Any], bool], str]
"""What a value has to satisfy, and the words for it."""


def _whole(value: object) -> bool:
    """Whether it is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _texts(value: object) -> bool:
    """Whether it is a list of words."""
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _number(value: object) -> bool:
    """Whether it is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 1e-6 <= value <= 1e6 and isfinite(value)


def _modules(value: object) -> bool:
    """Whether it names modules, by patterns that can be read where they are patterns."""
    if not isinstance(value, list) or not _texts(value):
        return False
    try:
        for entry in value:
            re.compile(entry[3:] if entry.startswith("re:") else "")
    except re.error:
        return False
    return True


def block_of(value: object) -> tuple[int, int] | None:
    """Rows and columns of a block, ``[128, 128]`` or ``128x128``; None where it is neither."""
    if isinstance(value, str) and (sides := re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", value)):
        return int(sides[1]), int(sides[2])
    if isinstance(value, list) and len(value) == 2 and all(_whole(side) and side < 10**6 for side in value):
        return value[0], value[1]
    return None


_TEXT: Expected = (lambda value: isinstance(value, str), "a word")
_TEXTS: Expected = (_texts, "a list of words")
_OBJECT: Expected = (lambda value: isinstance(value, Mapping), "an object")
_FLAG: Expected = (lambda value: isinstance(value, bool), "true or false")
_WHOLE: Expected = (lambda value: _whole(value) and value <= 2**30, "a whole number >= 1")
_NUMBER: Expected = (_number, "a number above 0")
_HEAD: Expected = (lambda value: _whole(value) and value % 2 == 0 and 8 <= value <= 2**16,
                   "an even number from 8 on: positions are turned in pairs")  # fmt: skip
_ROPE: Expected = (lambda value: value in ROPES, f"one of {', '.join(ROPES)}")
_BITS: Expected = (lambda value: _whole(value) and value in (4, 8), "4 or 8")
_GROUP: Expected = (lambda value: (_whole(value) and value < 10**6) or (type(value) is int and value == -1),
                    "a whole number >= 1, or -1 for one group")  # fmt: skip
_BLOCK: Expected = (lambda value: block_of(value) is not None, "two whole numbers such as [128, 128]")
_MODULES: Expected = (_modules, "a list of module names, of which re: starts a valid pattern")
_OBJECTS: Expected = (
    lambda value: isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values()),
    "an object of objects",
)
_SCHEME: Expected = (
    lambda value: isinstance(value, Mapping) or (isinstance(value, str) and value.lower() in ("fp8", "nvfp4", "auto")),
    "an object, or fp8",
)
_DTYPE: Expected = (
    lambda value: isinstance(value, str) and value.removeprefix("torch.") in TORCH_NAMES,
    f"one of {', '.join(TORCH_NAMES)}",
)

_STATED: Mapping[str, Expected] = {
    "model_type": _TEXT, "architectures": _TEXTS, "text_config": _OBJECT, "llm_config": _OBJECT,
    "vision_config": _OBJECT, "quantization_config": _OBJECT, "rope_scaling": _OBJECT, "rope_parameters": _OBJECT,
    "moe": _OBJECT, "torch_dtype": _DTYPE, "dtype": _DTYPE, "tie_word_embeddings": _FLAG, "tied_embeddings": _FLAG,
    "use_sliding_window": _FLAG, "layer_types": _TEXTS, "_name_or_path": _TEXT,
    "num_key_value_heads": _WHOLE, "head_dim": _HEAD,
    **dict.fromkeys(("dim", "n_layers", "n_heads", "n_kv_heads", "hidden_dim", "max_seq_len"), _WHOLE),
}  # fmt: skip
_SCALED: Mapping[str, Expected] = {
    "rope_type": _ROPE, "type": _ROPE, "factor": _NUMBER, "original_max_position_embeddings": _WHOLE,
}  # fmt: skip
_SEEN: Mapping[str, Expected] = dict.fromkeys(
    ("hidden_size", "embed_dim", "num_hidden_layers", "depth", "intermediate_size"), _WHOLE
)
_MOE: Mapping[str, Expected] = {"num_experts": _WHOLE, "num_experts_per_tok": _WHOLE}
_QUANTISED: Mapping[str, Expected] = {
    "quant_method": _TEXT, "quant_algo": _TEXT, "bits": _BITS, "w_bit": _BITS, "group_size": _GROUP,
    "q_group_size": _GROUP, "weight_block_size": _BLOCK, "load_in_8bit": _FLAG, "load_in_4bit": _FLAG,
    "config_groups": _OBJECTS, "kv_cache_scheme": _SCHEME, "kv_cache_quant_algo": _TEXT,
    **dict.fromkeys(("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"), _MODULES),
}  # fmt: skip
_WEIGHTS: Mapping[str, Expected] = {
    "num_bits": _WHOLE, "type": _TEXT, "strategy": _TEXT, "symmetric": _FLAG, "group_size": _GROUP,
    "block_structure": _BLOCK,
}  # fmt: skip
_BELOW: Mapping[str, Mapping[str, Expected]] = {
    "text_config": _STATED, "llm_config": _STATED, "vision_config": _SEEN, "rope_scaling": _SCALED,
    "rope_parameters": _SCALED, "quantization_config": _QUANTISED, "weights": _WEIGHTS, "kv_cache_scheme": _WEIGHTS,
    "moe": _MOE,
}  # fmt: skip
"""Objects inside objects -> their keys."""


def check_types(config: Config, where: str) -> None:
    """Refuse values of a type that their key cannot have; null counts as left out, other keys are not looked at.

    Args:
        config: the keys of ``config.json``.
        where: the file, for messages.

    Raises:
        WorkloadError: one line for each, naming key, what was found and what was expected.
    """
    problems = tuple(_wrong(config, _STATED, f"{where}: key '"))
    if problems:
        stated = ((key, config.get(key)) for key in _SIZES)
        sizes = (size_problem(key, value, 1) for key, value in stated if value is not None)
        problems += tuple(f"{where}: key '{each}" for each in sizes if each)
        raise WorkloadError(*problems)


def _wrong(section: Config, keys: Mapping[str, Expected], path: str) -> Iterator[str]:
    """Lines on the values of one object and of those in it."""
    for key, (fits, words) in keys.items():
        value = section.get(key)
        if value is not None and not fits(value):
            yield f"{path}{key}' is {shown(value)}, expected {words}{_near(value, words)}"
        elif isinstance(value, Mapping) and key == "config_groups":
            for name, group in value.items():
                yield from _wrong(group, {"weights": _OBJECT}, f"{path}config_groups.{str(name)[:40]}.")
        elif isinstance(value, Mapping) and key in _BELOW:
            yield from _wrong(value, _BELOW[key], f"{path}{key}.")


def size_problem(key: str, value: object, least: int, named: str = "") -> str:
    """What is wrong with a size that is stated, after its key's name; empty where nothing is."""
    found = f"{named or key}' is {shown(value)}"
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        return f"{found}, expected a whole number >= {least}"
    most = MOST_CONTEXT if key in LENGTHS else MOST[key.endswith("_layers") or key == "n_layer"]
    return f"{found[:80]}, larger than any model has, expected at most {most}" if value > most else ""


def _near(value: object, words: str) -> str:
    """The word that may have been meant, where words are expected."""
    known = words.removeprefix("one of ").split(", ") if words.startswith("one of ") else []
    near = get_close_matches(str(value)[:40].lower(), known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def shown(value: object) -> str:
    """A value in a message, on one line."""
    return repr(str(value)[:40] if isinstance(value, str) else value)[:60]
