"""Models: what a configuration file says about sizes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from workloads.architectures import BLOCK_SCALED, family_of, shape_of
from workloads.checkpoints import Checkpoint, assumed, described, published
from workloads.config_types import Config, shown
from workloads.configs import language_model
from workloads.errors import WorkloadError
from workloads.formats import DTYPE_BYTES
from workloads.near_files import meant_instead
from workloads.shapes import Shape
from workloads.tensors import Footprint, Kind, footprint

INDEX_BYTES = 132
"""Of a token's key that sparse attention picks by: 128 8-bit floats and a scale. Source: DeepSeek-V3.2-Exp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Sizes of one model.

    Attributes:
        name: id, for example ``llama-3.1-70b``.
        layers: transformer layers.
        hidden: model width.
        heads: query heads.
        kv_heads: key/value heads (equal to ``heads`` without grouped-query attention).
        head_dim: width of a head.
        params: parameters in all.
        active_params: parameters one token uses (equal to ``params`` for dense models).
        max_context_tokens: longest context the model was made for, scaled positions included.
        vocab: tokens of the vocabulary; 0 where no source says.
        inner: width of the widest MLP that a token passes whole.
        expert_inner: width of a routed expert's MLP; 0 in a dense model.
        kv_latent_dim: width of the compressed KV of multi-head latent attention; 0 where there is none.
        kv_index_bytes: of a token and layer, kept to pick tokens by; 0 without sparse attention.
        experts: a token may be routed to, per layer; 1 in a dense model.
        experts_used: of them, by one token.
        routed_params: parameters of all those experts, shared ones left out; 0 in a dense model.
        block_scaled: its 8-bit checkpoint holds a scale for every small block of weights, not one per row.
        windowed_layers: layers that attend to a window only; engines may free what lies outside, which is not counted.
        window_tokens: that window; 0 without one.
        kv_layers: layers that keep a KV cache; 0 where all do. States of fixed size are not counted.
        kv_elements: numbers that one token leaves in the KV cache, all layers, where layers differ; else 0.
        checkpoints: sets of weights by number format, the one it is published in first.
        footprints: number format -> bytes of those weights.
        source: where the sizes were read.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    params: float
    active_params: float
    max_context_tokens: int
    vocab: int = 0
    inner: int = 0
    expert_inner: int = 0
    kv_latent_dim: int = 0
    kv_index_bytes: int = 0
    experts: int = 1
    experts_used: int = 1
    routed_params: float = 0.0
    block_scaled: bool = False
    windowed_layers: int = 0
    window_tokens: int = 0
    kv_layers: int = 0
    kv_elements: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()
    footprints: tuple[tuple[str, Footprint], ...] = ()
    source: str = ""

    @property
    def own(self) -> tuple[str, ...]:
        """Number formats that the model's own authors publish it in, the first one first."""
        return tuple(c.dtype for c in self.checkpoints if c.authors)

    def checkpoint(self, dtype: str) -> Checkpoint:
        """The weights whose linear layers are stored as ``dtype``: the first published ones, or assumed ones."""
        found = next((c for c in self.checkpoints if alike(c.dtype, dtype)), None)
        return found or assumed(dtype, block_scaled=self.block_scaled)

    def weight_bytes(self, dtype: str) -> float:
        """Bytes of all weights in the checkpoint of ``dtype``: each tensor in its own format, with its scales."""
        found = dict(self.footprints).get(dtype)
        return found.stored_bytes if found else self.params * DTYPE_BYTES[dtype]

    def nominal_bytes(self, dtype: str) -> float:
        """All parameters times the width of ``dtype``, as the fits of watts and clocks count what a step reads."""
        return self.params * DTYPE_BYTES[dtype]

    def gpu_weight_bytes(self, dtype: str, tp: int, pp: int = 1, dp: int = 1) -> float:
        """Bytes of weights that one GPU of ``tp · dp · pp`` holds once an engine has loaded them."""
        found = dict(self.footprints).get(dtype)
        return found.gpu_bytes(tp, pp, dp) if found else self.nominal_bytes(dtype) / (tp * pp)

    def kv_bytes_per_token(self, kv_dtype: str = "bf16", latent_multiple_bytes: int = 1) -> float:
        """Bytes of KV cache one token holds, all layers, before any sharding.

        bytes = 2 · layers · kv_heads · head_dim · dtype, or layers · latent · dtype with latent attention, of which
        engines may round each layer's up to a multiple. Layers of a window are counted like the others. An 8-bit
        cache has one scale per tensor, which takes no room.
        """
        if self.kv_latent_dim:
            latent = self.kv_latent_dim * DTYPE_BYTES[kv_dtype]
            return self.layers * (-(-latent // latent_multiple_bytes) * latent_multiple_bytes + self.kv_index_bytes)
        elements = self.kv_elements or 2 * (self.kv_layers or self.layers) * self.kv_heads * self.head_dim
        return elements * DTYPE_BYTES[kv_dtype]

    def kv_shards(self, tp: int) -> int:
        """Over how many of ``tp`` GPUs one token's KV is divided (the rest hold copies)."""
        return 1 if self.kv_latent_dim else min(tp, self.kv_heads)


def alike(one: str, other: str) -> bool:
    """Whether two number formats take the same room: engines load one kind of 16-bit floats as the other."""
    halves = ("bf16", "fp16")
    return one == other or (one in halves and other in halves)


class ModelCard(BaseModel):
    """One entry of ``data/models.json``: the size-bearing keys of a public config and the counts its authors publish.

    Attributes:
        source: where the config was published.
        published_params: parameters in all as published, the check on those computed from the shapes.
        published_active_params: parameters one token uses, input embedding included, as published.
        config: keys and values as in ``config.json``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    published_params: float
    published_active_params: float
    config: dict[str, int | str]


def model_cards() -> dict[str, ModelCard]:
    """The model cards that ship with phasewise, by id."""
    text = files("workloads").joinpath("data", "models.json").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, ModelCard]).validate_json(text)


def known_models() -> tuple[str, ...]:
    """Ids that ``load_model`` takes without a file."""
    return tuple(sorted(model_cards()))


def own_models(directory: Path | None) -> dict[str, Path]:
    """The models of a catalog of the user's: id -> its file."""
    return {file.stem: file for file in sorted((directory / "models").glob("*.json"))} if directory else {}


def load_model(name_or_path: str | Path, *, directory: Path | None = None) -> ModelSpec:
    """The sizes of a known model, or of one described by a Hugging Face ``config.json``.

    Args:
        name_or_path: an id of ``known_models()`` or of a file ``models/<id>.json`` in ``directory``, a ``config.json``,
            or a directory that holds one.
        directory: the user's catalog; its models come before known ones, as its other entries do.

    Raises:
        WorkloadError: neither a known id nor such a file, the file is not a JSON object, or keys are missing or wrong.
    """
    own = own_models(directory)
    if str(name_or_path) not in own and (found := _known(str(name_or_path))):
        return found
    path = own.get(str(name_or_path), Path(name_or_path))
    file = path if _is_file(path) else _config_in(path)
    if not _is_file(file):
        raise WorkloadError(_unknown(str(name_or_path), sorted({*own, *known_models()})))
    name = file.resolve().parent.name if file.name in _CONFIG_NAMES else file.stem
    return model_from_config(_with_own_formats(_object(file, "model sizes"), file), name, source=str(file))


def _known(name: str) -> ModelSpec | None:
    """A model that ships with phasewise, None where there is none of that id."""
    card = model_cards().get(name)
    return (
        None
        if card is None
        else _spec(shape_of(card.config, card.source), card.config, name, card.source, published(name))
    )


def _unknown(name: str, known: list[str]) -> str:
    """What is wrong with a name that is neither a model nor a file: a path by its looks, or spelt like a file there is.

    A name with a folder that is not there is one of a hub.
    """
    instead, path = meant_instead(Path(name), _is_config), Path(name)
    if path.suffix[1:].isalpha() or path.is_absolute() or name.startswith("."):
        return f"{name}: no such file; expected a Hugging Face config.json: {instead}"
    closest = get_close_matches(_bare(name), known, n=1, cutoff=_SURELY)
    if instead.startswith("did you mean") and not closest:
        return f"{name}: neither a known model nor a file; expected a Hugging Face config.json: {instead}"
    return (
        f"model '{name}': found neither a known model nor a Hugging Face config.json of that path; "
        f"{_nearest(name, known)}"
    )


def _bare(name: str) -> str:
    """A name without owner, case and ending."""
    bare = name.rpartition("/")[2].lower()
    for ending in ("-instruct", "-it", "-chat", "-hf", "-base"):
        bare = bare.removesuffix(ending)
    return bare


def _nearest(name: str, known: list[str]) -> str:
    """The known models that a name may mean, whatever its owner, case and ending; all of them where none is close."""
    near = get_close_matches(_bare(name), known, n=3)
    if near:
        return f"did you mean {' or '.join(repr(each) for each in near)}? (`phasewise models` lists all)"
    return f"expected a path or one of {', '.join(known)}"


def _object(file: Path, of: str) -> dict[str, Any]:
    """The keys of a JSON file.

    Raises:
        WorkloadError: it is not a JSON object, or gives a key twice.
    """
    found: Any
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_key_once)
    except (OSError, ValueError, RecursionError) as error:
        raise WorkloadError(f"{file}: not valid JSON: {str(error)[:_SHOWN_CHARACTERS]}") from error
    if not isinstance(found, dict):
        raise WorkloadError(f"{file}: found a JSON {type(found).__name__}, expected an object of {of}")
    return found


def _with_own_formats(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """A config with the formats that NVIDIA's ModelOpt writes beside it, as engines read them: hf_quant_config.json.

    Collections of such files put the name of the model before both. Source: vLLM, ``get_quant_config``: the file is
    read where config.json has no ``quantization_config``.
    """
    name = file.name.removesuffix("config.json") if file.name != "params.json" else ""
    beside = file.parent / f"{name}hf_quant_config.json"
    if config.get("quantization_config") is not None or name == file.name or not _is_file(beside):
        return config
    stated = _object(beside, "formats").get("quantization")
    if not isinstance(stated, dict):
        raise WorkloadError(f"{beside}: key 'quantization' is {shown(stated)}, expected an object")
    return {**config, "quantization_config": {"quant_method": "modelopt", **stated}}


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a path that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two values of one key neither is known to be meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in names if names.count(key) > 1)!r} is given twice")
    return found


_SHOWN_CHARACTERS = 120
_SURELY = 0.8
"""Likeness from which a name is a known model's, whatever files there are."""
_CONFIG_NAMES = ("config.json", "params.json")


def config_files(path: Path) -> tuple[Path, ...]:
    """The configurations that a path names: a file, that of a directory, or those of the directories in it, by name."""
    if not path.is_dir():
        return (path,)
    if _is_file(_config_in(path)):
        return (_config_in(path),)
    below = (file if file.suffix == ".json" else _config_in(file) for file in sorted(path.iterdir()))
    return tuple(file for file in below if _is_file(file))


def _is_config(path: Path) -> bool:
    """Whether a path may hold a configuration, by its name or by what lies in it."""
    return (path.suffix == ".json" and _is_file(path)) or _is_file(_config_in(path))


def _config_in(directory: Path) -> Path:
    """The configuration in a directory: ``config.json``, or the ``params.json`` that Mistral AI publishes."""
    found = (directory / name for name in _CONFIG_NAMES)
    return next((file for file in found if _is_file(file)), directory / _CONFIG_NAMES[0])


def model_from_config(config: Config, name: str, *, source: str = "") -> ModelSpec:
    """The sizes a Hugging Face config states, with parameters counted from the shapes.

    Norms and biases are left out of the count: together they stay under 0.1 % of it.

    Args:
        config: the keys of ``config.json``; those that say nothing about sizes are ignored.
        name: id to give the model.
        source: where the config was read.

    Raises:
        WorkloadError: the architecture or the quantisation is unknown, or size keys are missing or not whole numbers
            (all are listed).
    """
    where = source or name
    shape = shape_of(config, where)
    stated = config.get("_name_or_path")
    found = described(config, where=where, repository=str(stated) if stated else "")
    return _spec(shape, config, name, where, (found,))


def _spec(shape: Shape, config: Config, name: str, source: str, checkpoints: Iterable[Checkpoint]) -> ModelSpec:
    """A model of a shape in its checkpoints."""
    params = sum(t.params for t in shape.tensors)
    active = params - shape.routed_params * (1 - shape.experts_used / shape.experts)
    text = language_model(config)
    spec = ModelSpec(
        name=name, layers=shape.layers, hidden=shape.hidden, heads=shape.heads, kv_heads=shape.kv_heads,
        head_dim=shape.head_dim, params=float(params), active_params=float(round(active)),
        max_context_tokens=shape.context_tokens, vocab=shape.vocab, inner=_widest(shape, Kind.LINEAR),
        expert_inner=_widest(shape, Kind.EXPERT), kv_latent_dim=shape.latent_dim,
        kv_index_bytes=INDEX_BYTES if shape.index_dim else 0, experts=shape.experts, experts_used=shape.experts_used,
        routed_params=float(shape.routed_params), block_scaled=family_of(text) in BLOCK_SCALED,
        windowed_layers=shape.windowed_layers, window_tokens=shape.window_tokens, kv_layers=shape.kv_layers,
        kv_elements=shape.kv_elements,
        checkpoints=tuple(checkpoints),
        source=source,
    )  # fmt: skip
    sizes = tuple(
        (dtype, footprint(shape.tensors, spec.checkpoint(dtype).format_of, shape.kv_heads))
        for dtype in dict.fromkeys((*spec.own, "bf16", "fp8", "fp4"))
    )
    return replace(spec, footprints=sizes)


def _widest(shape: Shape, kind: Kind) -> int:
    """The widest MLP of that kind."""
    ends = (".down_proj", ".c_proj")
    return max((t.columns for t in shape.tensors if t.kind is kind and t.name.endswith(ends)), default=0)
