"""What published tables call models, GPUs and number formats, as catalog ids; what is unknown stays so."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_NOISE = re.compile(r"-(instruct|chat|hf|dynamic|nvfp4|fp8|bf16|\d{4}|v0\.1|static|pertensor)(?=-|$)")
_SAME_SHAPE = {
    "deepseek-r1": "deepseek-v3",
    "meta-llama-3.1-70b": "llama-3.1-70b",
    "meta-llama-3.1-8b": "llama-3.1-8b",
    "llama-3.3-70b": "llama-3.1-70b",
    "llama-v3.1-70b": "llama-3.1-70b",
    "llama-v3.1-8b": "llama-3.1-8b",
}
"""Models that differ from one with profiles in their weights alone."""

_GPUS = (
    ("gb300", "gb300"), ("gb200", "gb200"), ("b300", "b300-sxm"), ("b200", "b200-sxm"), ("h200", "h200-sxm"),
    ("h100", "h100-sxm"), ("a100-80gb", "a100-sxm"),
    ("a100-sxm", "a100-sxm"), ("l40s", "l40s"),
)  # fmt: skip
_DTYPES = {"fp16": "bf16", "bf16": "bf16", "fp8": "fp8", "fp4": "fp4", "int4": "int4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Names of a catalog.

    Attributes:
        models: ids with sizes.
        gpus: ids, those of a directory of the user's among them.
    """

    models: Collection[str]
    gpus: Collection[str] = ()


def model_id(name: str, known: Known) -> str | None:
    """The catalog's id of a model by the name a table gives it, or None; the path of a ``config.json`` stays as it is.

    The organisation and words that say nothing of the architecture (Instruct, FP8, a date) are dropped.
    """
    if name.endswith(".json") and Path(name).is_file():
        return name
    plain = name.rpartition("/")[2].strip().lower().replace(" ", "-").replace("_", "-")
    while (shorter := _NOISE.sub("", plain)) != plain:
        plain = shorter
    plain = _SAME_SHAPE.get(plain, plain)
    return plain if plain in known.models else None


def gpu_id(name: str, known: Known) -> str | None:
    """The catalog's id of a GPU by the name a table gives it, or None; a PCIe card is not its SXM sister."""
    if name in known.gpus:
        return name
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if "pcie" in plain or "nvl" in plain:
        return None
    return next((gpu for word, gpu in _GPUS if plain.startswith(word)), None)


def dtype_id(name: str) -> str | None:
    """The number format of the weights, or None."""
    return _DTYPES.get(name.strip().lower())
