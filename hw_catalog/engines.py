"""What kernel tables leave out: the time an engine spends around its kernels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from hw_catalog.errors import CatalogError
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from hw_catalog.rows import Dtype, NotNegative, Positive, Row, SourceRow, Whole, validation_problems
from hw_catalog.strict_files import Unreadable, read_text, yaml_document

FILE = "engines.yaml"
MODES = ("serial", "eager")
"""Ways of running an engine that have entries of their own, ``set@serial``: steps are planned one after the other;
``set@eager``: kernels of steps with prompt work are launched by the host one by one, not replayed as a graph."""


PROFILE_SETS: Mapping[str, str] = {
    "vllm": "aiconfigurator-0.12",
    "trtllm": "aiconfigurator-0.12-trtllm",
    "sglang": "aiconfigurator-0.12-sglang",
}
"""Engine -> family of its current kernel profiles, in the order in which they are offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTiming:
    """How an engine's steps and answers differ from the sum of its kernels.

    step = step_s + step_per_request_s · batch + prefill_ratio · prefill kernels + decode_ratio · decode kernels
    a step without prompt work: less layers · fused_layer_s, what fused kernels save against kernels timed one by one

    Attributes:
        step_s: host time of every step (scheduling, launches) that no kernel hides.
        step_per_request_s: the same for each decoding request (sampling, detokenization).
        prefill_ratio: factor on the kernels of steps that carry prompt work (fusion, overlap).
        decode_ratio: factor on the kernels of decoding.
        eager_layer_s: least time per layer of a step that carries prompt work, which its launches take on the host.
        fused_layer_s: number format of the weights -> seconds saved per layer; formats that are not named save nothing.
        request_s: once per request, before its first token is out (HTTP, tokenization, streaming).
        lag_steps: decode steps that an arrival at a busy instance waits beyond the end of the current one, because the
            next ones are scheduled ahead and answers are read behind.
        ahead_steps: that are planned before the one in progress has ended; what arrives meanwhile misses them. 0 or 1.
        hold_steps: most decode steps that prompts wait until every attention rank has one (``timeout_iters`` of
            TensorRT-LLM's ``attention_dp_config``); 0: none waits.
        provenance: how these were found.
    """

    step_s: float = 0.0
    step_per_request_s: float = 0.0
    prefill_ratio: float = 1.0
    decode_ratio: float = 1.0
    eager_layer_s: float = 0.0
    fused_layer_s: Mapping[str, float] = field(default_factory=dict)
    request_s: float = 0.0
    lag_steps: float = 0.0
    ahead_steps: int = 0
    hold_steps: int = 0
    provenance: Provenance


NOTHING_LEFT_OUT = EngineTiming(
    provenance=Provenance(kind=Kind.ASSUMED, source="the profile holds everything an engine spends", date="2026-11-21")
)
"""For profiles measured end to end."""


class _Row(Row):
    step_s: NotNegative = 0.0
    step_per_request_s: NotNegative = 0.0
    prefill_ratio: Positive = 1.0
    decode_ratio: Positive = 1.0
    eager_layer_s: NotNegative = 0.0
    fused_layer_s: dict[Dtype, NotNegative] = Field(default_factory=dict)
    request_s: NotNegative = 0.0
    lag_steps: NotNegative = 0.0
    ahead_steps: int = Field(default=0, ge=0, le=1, strict=True)
    hold_steps: Whole = 0
    provenance: SourceRow


LAYOUTS = "engine_layouts.yaml"


def layout_kind(profile: KernelProfile) -> str:
    """What kernels a layout runs: ``tp`` or ``dp`` attention, ``wide`` over a domain; ``ep`` where experts are whole.

    Where one attention rank holds every expert, experts are cut as tensors.
    """
    spread = "tp" if profile.dp == 1 else "wide" if profile.dp >= WIDE and profile.gpu in DOMAINS else "dp"
    return spread + ("ep" if profile.ep > 1 else "")


def layout_name(profile: KernelProfile) -> str:
    """The layout itself, for example ``tp4ep4`` or ``tp1dp8ep8``."""
    return "".join(f"{word}{n}" for word, n in (("tp", profile.tp), ("dp", profile.dp), ("ep", profile.ep))
                   if n > 1 or word == "tp")  # fmt: skip


WIDE, DOMAINS = 16, ("gb200", "gb300")
"""Attention ranks from which on all-to-all crosses machines, and GPUs sold in link domains of that size."""


def load_own_engines(directory: Path | None) -> dict[str, EngineTiming]:
    """The entries of ``engines.yaml`` in a directory of the user's; none where it has no such file.

    Raises:
        CatalogError: the file is broken; names file, entry and key.
    """
    path = None if directory is None else directory / FILE
    if path is None or not path.is_file():
        return {}
    try:
        return _parsed(read_text(path, "a YAML file"), str(path))
    except Unreadable as error:
        raise CatalogError(*error.problems) from None


def load_layout_timings() -> dict[str, EngineTiming]:
    """What was found on measured layouts; laid over ``load_engines``.

    Keys are ``set/gpu/dtype/kind``, and ``set/gpu/model/dtype/layout`` of instances that do both phases.
    """
    return _parsed(resources.files("hw_catalog").joinpath("data", LAYOUTS).read_text(encoding="utf-8"), LAYOUTS)


def load_engines(directory: Path | None = None) -> dict[str, EngineTiming]:
    """What the tables of every profile set leave out, built in and in ``engines.yaml`` of a directory of the user's.

    A key is a profile set, or one of its GPUs (``set/gpu``), or a model on it (``set/gpu/model``); ``set@serial`` and
    ``set@eager``, likewise ``set/gpu@serial``, are for releases and settings that run otherwise (``MODES``).

    Raises:
        CatalogError: the user's file is broken; names file, entry and key.
    """
    text = resources.files("hw_catalog").joinpath("data", FILE).read_text(encoding="utf-8")
    return _parsed(text, FILE) | load_own_engines(directory)


def timing_of(
    engines: Mapping[str, EngineTiming],
    profile: KernelProfile,
    *,
    mode: str = "",
    layouts: bool = False,
    together: bool = False,
) -> EngineTiming:
    """What a profile leaves out: the entry that says most about it, or nothing.

    Args:
        engines: entries by key.
        profile: kernels.
        mode: one of ``MODES``, where the engine runs so; its usual entry serves where there is none for that.
        layouts: whether an entry for its layout is looked for first.
        together: whether its instances compute prompts and decode; entries of a model's layouts are of those.
    """
    keys = (profile.profile_set, profile.gpu, profile.model)
    kind = (profile.dtype, layout_kind(profile))
    known = ["/".join((*keys, profile.dtype, layout_name(profile)))] if layouts and together else []
    known += ["/".join((*keys[:2], *kind))] if layouts else []
    for n in (3, 2, 1):
        of = "/".join(keys[:n])
        known += [f"{of}@{mode}", of] if mode else [of]
    return next((engines[k] for k in known if k in engines), NOTHING_LEFT_OUT)


def engines_text(engines: Mapping[str, EngineTiming]) -> str:
    """The content of an ``engines.yaml``."""
    return yaml.safe_dump({name: plain(timing) for name, timing in sorted(engines.items())}, sort_keys=False, width=110)


def plain(timing: EngineTiming) -> dict[str, Any]:
    """A timing as a row of ``engines.yaml``."""
    row = {f.name: getattr(timing, f.name) for f in fields(timing) if f.name != "provenance"}
    said = timing.provenance
    return {**row, "provenance": {"kind": str(said.kind), "source": said.source, "date": said.date, "note": said.note}}


def _parsed(text: str, name: str) -> dict[str, EngineTiming]:
    """The entries of a file."""
    try:
        data, _ = yaml_document(text, name)
        rows = TypeAdapter(dict[str, _Row]).validate_python({} if data is None else data)
    except Unreadable as error:
        raise CatalogError(*error.problems) from None
    except ValidationError as error:
        raise CatalogError(*validation_problems(name, error)) from None
    return {
        entry: EngineTiming(
            **row.model_dump(exclude={"provenance"}),
            provenance=Provenance(**row.provenance.model_dump() | {"date": row.provenance.date.isoformat()}),
        )
        for entry, row in rows.items()
    }
