"""How a model is sized, and what was measured of it, in a row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw_catalog.profile_files import MEASURED, PLANNED, ProfileListing, profile_index
from workloads.errors import WorkloadError
from workloads.models import ModelSpec, known_models, load_model
from workloads.twins import twin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A model in numbers; all 0 where it is refused.

    Attributes:
        model: id.
        params: parameters in all.
        active_params: of one token.
        max_context_tokens: longest context.
        own_dtypes: number formats that it is published in.
        weight_bytes: of the first of them, each tensor in its own format.
        kv_bytes_per_token: of a 16-bit KV cache, all layers.
        timed_as: id of the model whose kernel profiles it has: itself, or a known one of the same shape; empty: none.
        dtypes: formats that were measured.
        gpus: on which.
        refused: why its sizes could not be read, every reason; empty where they were.
    """

    model: str
    params: float = 0.0
    active_params: float = 0.0
    max_context_tokens: int = 0
    own_dtypes: tuple[str, ...] = ()
    weight_bytes: float = 0.0
    kv_bytes_per_token: float = 0.0
    timed_as: str = ""
    dtypes: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def sizes(names: Iterable[Path | str], directory: Path | None) -> list[Sized]:
    """Known models by id, and those of config.json files, each in a row.

    Args:
        names: ids and files.
        directory: the user's catalog.
    """
    listings = profile_index(directory, (PLANNED, MEASURED))
    have = {each.model for each in listings}
    known = [load_model(name) for name in known_models() if name in have]
    return [_sized(name, directory, listings, known) for name in names]


def _sized(
    name: Path | str, directory: Path | None, listings: Sequence[ProfileListing], known: Sequence[ModelSpec]
) -> Sized:
    """One of them."""
    try:
        model = load_model(name, directory=directory)
    except WorkloadError as error:
        file = Path(name)
        return Sized(model=file.parent.name if file.name == "config.json" else file.stem, refused=error.problems)
    twin = None if any(each.model == model.name for each in listings) else twin_of(model, known)
    own = model.own or tuple(checkpoint.dtype for checkpoint in model.checkpoints[:1])
    listed = [each for each in listings if each.model == (twin.name if twin else model.name)]
    return Sized(
        model=model.name, params=model.params, active_params=model.active_params,
        max_context_tokens=model.max_context_tokens, own_dtypes=own, weight_bytes=model.weight_bytes(own[0]),
        kv_bytes_per_token=model.kv_bytes_per_token(), timed_as=listed[0].model if listed else "",
        dtypes=tuple(sorted({dtype for each in listed for dtype in each.dtypes})),
        gpus=tuple(sorted({each.gpu for each in listed})),
    )  # fmt: skip
