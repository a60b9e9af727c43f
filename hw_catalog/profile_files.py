"""Kernel profiles on disk: ``profiles/<profile_set>/<gpu>/<model>.json``, built in or in a directory of the user's.

``layouts/`` holds in the same form the layouts of measured clusters, attention data parallelism among them.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from hw_catalog.errors import CatalogError
from hw_catalog.profiles import LONGEST_STEP_S, MOST_WAYS, Floats, KernelProfile
from hw_catalog.provenance import Kind, Provenance
from hw_catalog.rows import nearest, validation_problems
from hw_catalog.strict_files import MAX_JSON_BYTES, Unreadable, json_document, read_text

SCHEMA_VERSION, SIGNIFICANT_DIGITS = 1, 4
"""Digits of a stored time: a rounding error of at most 0.05 %, far below the spread between two measurements."""

TIMES = ("linear_prefill", "linear_decode", "prefill_attention", "decode_attention")
KNOTS = ("tokens", "batch", "new_tokens", "past_tokens", "attention_batch", "context_tokens")
MASKS = ("prefill_extrapolated", "decode_extrapolated")
SHAPES: Mapping[str, tuple[str, ...]] = {
    "linear_prefill": ("tokens",),
    "linear_decode": ("batch",),
    "prefill_attention": ("new_tokens", "past_tokens"),
    "decode_attention": ("attention_batch", "context_tokens"),
    "prefill_extrapolated": ("new_tokens", "past_tokens"),
    "decode_extrapolated": ("attention_batch", "context_tokens"),
}


Knot = Annotated[int, Field(ge=0, le=2**53)]
"""Tokens or requests; larger whole numbers are no sizes, and do not fit into tables."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _ProvenanceRow(_Strict):
    kind: Annotated[Kind, Strict(strict=False)]
    source: str
    date: str
    note: str = ""


class ProfileRow(_Strict):
    """One profile as stored: times in microseconds, masks as strings of 0 and 1, the rest as in ``KernelProfile``."""

    gpu: str
    model: str
    dtype: str = Field(min_length=1)
    kv_dtype: str = Field(min_length=1)
    tp: int = Field(ge=1, le=MOST_WAYS)
    ep: int = Field(ge=1, le=MOST_WAYS)
    dp: int = Field(1, ge=1, le=MOST_WAYS)
    engine: str
    engine_version: str
    profile_set: str
    overhead_us: float = Field(ge=0, le=LONGEST_STEP_S * 1e6)
    mixed_us: float = Field(0.0, ge=0, le=LONGEST_STEP_S * 1e6)
    tokens: list[Knot]
    batch: list[Knot]
    new_tokens: list[Knot]
    past_tokens: list[Knot]
    attention_batch: list[Knot]
    context_tokens: list[Knot]
    linear_prefill_us: list[float]
    linear_decode_us: list[float]
    prefill_attention_us: list[list[float]]
    decode_attention_us: list[list[float]]
    prefill_extrapolated: list[str]
    decode_extrapolated: list[str]
    measured_frac: float = Field(ge=0, le=1)
    provenance: _ProvenanceRow


class ProfileFile(_Strict):
    """A file: the fields all its profiles share, and for each profile the others."""

    schema_version: Literal[1]
    shared: dict[str, Any]
    profiles: list[dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileListing:
    """What one profile file offers.

    Attributes:
        profile_set: family name.
        gpu: catalog id.
        model: model id.
        dtypes: of the weights, sorted.
        tps: tensor-parallel widths, sorted.
        eps: expert-parallel widths, sorted; (1,) for a dense model.
        dps: ranks of attention data parallelism, sorted; (1,) without.
    """

    profile_set: str
    gpu: str
    model: str
    dtypes: tuple[str, ...]
    tps: tuple[int, ...]
    eps: tuple[int, ...]
    dps: tuple[int, ...] = (1,)


PLANNED, MEASURED = "profiles", "layouts"
"""Directories of profiles: of tensor parallelism, and of layouts that measured clusters were run in."""


def every_profile(catalog_dir: Path | None, *, model: str) -> tuple[tuple[KernelProfile, ...], frozenset[str]]:
    """Every profile of a model, and the ``set/gpu`` of those that measured clusters were run in.

    Where both directories have a layout, the one of ``PLANNED`` counts.

    Raises:
        CatalogError: as ``load_profiles``.
    """
    laid_out = any(key[2] == model for key in _files(catalog_dir, MEASURED))
    measured = load_profiles(catalog_dir, model=model, of=MEASURED) if laid_out else ()
    alone = laid_out and not any(key[2] == model for key in _files(catalog_dir, PLANNED))
    planned = () if alone else load_profiles(catalog_dir, model=model)
    mine = {(p.profile_set, p.gpu, *_order(p)) for p in planned}
    more = tuple(p for p in measured if (p.profile_set, p.gpu, *_order(p)) not in mine)
    return (*planned, *more), frozenset(f"{p.profile_set}/{p.gpu}" for p in measured)


def load_profiles(
    catalog_dir: Path | None, *, model: str, gpu: str | None = None, profile_set: str | None = None,
    of: str = PLANNED,
) -> tuple[KernelProfile, ...]:  # fmt: skip
    """Every profile of a model, or those of one GPU or one profile set; only the files needed are read.

    A file of the user's directory replaces the built-in file of the same profile set, GPU and model.

    Args:
        catalog_dir: the user's catalog directory, profiles below ``profiles/``; None looks at the built-in ones alone.
        model: model id.
        gpu: the GPU that was measured (``profile_gpu`` of a capped variant); None is every GPU.
        profile_set: family name; None is every family.
        of: ``PLANNED`` or ``MEASURED``.

    Returns:
        The profiles, ordered by profile set, GPU, dtype, tensor-parallel and expert-parallel width.

    Raises:
        CatalogError: there is none, or a file is damaged; the message names the file or the nearest known names.
    """
    known = _files(catalog_dir, of)
    chosen = {
        key: file
        for key, file in known.items()
        if key[2] == model and gpu in (None, key[1]) and profile_set in (None, key[0])
    }
    if not chosen:
        raise CatalogError(_nothing_found(known, model=model, gpu=gpu, profile_set=profile_set))
    problems: list[str] = []
    profiles = [profile for key, file in sorted(chosen.items()) for profile in _read(key, file, problems)]
    if problems:
        raise CatalogError(*problems)
    return tuple(profiles)


def profiled_models(catalog_dir: Path | None) -> frozenset[str]:
    """Ids of the models that have profiles of any kind, in the user's directory or built in."""
    return frozenset(key[2] for of in (PLANNED, MEASURED) for key in _files(catalog_dir, of))


def profile_index(catalog_dir: Path | None = None, of: Sequence[str] = (PLANNED,)) -> tuple[ProfileListing, ...]:
    """What there is, by profile set, GPU and model; what several directories have of one is one listing.

    Args:
        catalog_dir: the user's catalog directory; None lists the built-in profiles alone.
        of: of these directories, ``PLANNED`` or ``MEASURED``.

    Raises:
        CatalogError: a file is damaged.
    """
    problems: list[str] = []
    listings = []
    files = [_files(catalog_dir, each) for each in of]
    for key in sorted({key for found in files for key in found}):
        rows = [row for found in files if key in found for row in _rows(found[key], problems)]
        listings.append(
            ProfileListing(
                profile_set=key[0],
                gpu=key[1],
                model=key[2],
                dtypes=tuple(sorted({row.dtype for row in rows})),
                tps=tuple(sorted({row.tp for row in rows})),
                eps=tuple(sorted({row.ep for row in rows})),
                dps=tuple(sorted({row.dp for row in rows})),
            )
        )
    if problems:
        raise CatalogError(*problems)
    return tuple(listings)


def write_profiles(path: Path, profiles: Sequence[KernelProfile]) -> None:
    """Write the profiles of one profile set, GPU and model; the file appears whole or not at all.

    The same profiles give the same bytes, in whatever order they come. Times keep four significant digits.

    Args:
        path: ``.../<profile_set>/<gpu>/<model>.json``; directories are made.
        profiles: at least one; no two with the same dtype, tensor-parallel and expert-parallel width.

    Raises:
        CatalogError: the profiles do not belong in one file, or one of them is inconsistent.
    """
    if len({(p.profile_set, p.gpu, p.model) for p in profiles}) != 1:
        raise CatalogError(f"{path}: profiles of one set, GPU and model are expected in a file")
    if problems := [problem for profile in profiles for problem in _profile_problems(str(path), profile)]:
        raise CatalogError(*problems)
    rows = [_row(profile) for profile in sorted(profiles, key=_order)]
    shared = {key: value for key, value in rows[0].items() if all(row.get(key) == value for row in rows)}
    lines = ",\n".join(_json({key: value for key, value in row.items() if key not in shared}) for row in rows)
    text = f'{{"schema_version":{SCHEMA_VERSION},\n"shared":{_json(shared)},\n"profiles":[\n{lines}\n]}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=".partial", delete=False
    ) as partial:
        partial.write(text)
    Path(partial.name).chmod(0o644)  # temporary files are private by default
    Path(partial.name).replace(path)


Key = tuple[str, str, str]


def _files(catalog_dir: Path | None, of: str = PLANNED) -> dict[Key, Traversable]:
    """Profile files by (profile set, GPU, model), the user's last so that they win."""
    files: dict[Key, Traversable] = {}
    roots: list[Traversable] = [resources.files("hw_catalog").joinpath("data", of)]
    if catalog_dir is not None:
        roots.append(catalog_dir / of)
    for root in roots:
        for set_dir in _children(root):
            for gpu_dir in _children(set_dir):
                for file in _children(gpu_dir):
                    if file.name.endswith(".json"):
                        files[set_dir.name, gpu_dir.name, file.name.removesuffix(".json")] = file
    return files


def _children(directory: Traversable) -> Iterator[Traversable]:
    """Entries of a directory; none where it does not exist."""
    return iter(directory.iterdir()) if directory.is_dir() else iter(())


def _nothing_found(known: Mapping[Key, Traversable], **asked: str | None) -> str:
    """Why no profile matches, from the first asked name that no file has."""
    left = list(known)
    for position, name in ((2, "model"), (1, "gpu"), (0, "profile_set")):
        value = asked[name]
        fitting = [key for key in left if value in (None, key[position])]
        if not fitting:
            fixed = ", ".join(f"{other} {asked[other]}" for other in ("model", "gpu") if asked[other] and other != name)
            among = f" for {fixed}" if fixed else ""
            words = (
                f"no kernel profile of {name} {value!r}{among}; {nearest(str(value), {key[position] for key in left})}"
            )
            makes = "; `phasewise catalog bake` and `phasewise profile` make profiles (docs/add-a-model.md)"
            return words + makes * (name == "model")
        left = fitting
    raise AssertionError("a profile matches")


def _rows(file: Traversable, problems: list[str]) -> list[ProfileRow]:
    """Rows of a file, each checked by itself."""
    try:
        what = "a kernel profile"
        text = read_text(file, what, limit_bytes=MAX_JSON_BYTES) if isinstance(file, Path) else file.read_text("utf-8")
        document = ProfileFile.model_validate(json_document(text, str(file), what))
    except (Unreadable, OSError, UnicodeDecodeError) as error:
        problems.extend(getattr(error, "problems", (f"{file}: cannot be read as UTF-8 text: {error}",)))
        return []
    except ValidationError as error:
        problems.extend(validation_problems(str(file), error, ProfileFile))
        return []
    rows = []
    for position, entry in enumerate(document.profiles):
        try:
            rows.append(ProfileRow.model_validate({**document.shared, **entry}))
        except ValidationError as error:
            problems.extend(validation_problems(f"{file}: profiles[{position}]", error, ProfileRow))
    return rows


def _read(key: Key, file: Traversable, problems: list[str]) -> list[KernelProfile]:
    """Profiles of a file, checked as a whole."""
    profiles = []
    for position, row in enumerate(_rows(file, problems)):
        label = f"{file}: profiles[{position}] ({row.dtype}, tp {row.tp}, ep {row.ep})"
        if (row.profile_set, row.gpu, row.model) != key:
            found = "/".join((row.profile_set, row.gpu, row.model))
            problems.append(f"{label}: speaks of {found}, its path of {'/'.join(key)}")
        ragged = _ragged(label, row)
        problems.extend(ragged)
        if not ragged:
            profile = _profile(row)
            problems.extend(_profile_problems(label, profile))
            profiles.append(profile)
    if len({_order(profile) for profile in profiles}) != len(profiles):
        problems.append(f"{file}: two profiles have the same dtype, tp and ep")
    return profiles


def _ragged(label: str, row: ProfileRow) -> list[str]:
    """Tables whose rows differ in length, and masks of other letters than 0 and 1."""
    problems = []
    for name in ("prefill_attention_us", "decode_attention_us", *MASKS):
        lengths = {len(line) for line in getattr(row, name)}
        if len(lengths) > 1:
            problems.append(f"{label}.{name}: found rows of {sorted(lengths)} columns, expected one length")
    strange = [name for name in MASKS if set("".join(getattr(row, name))) - {"0", "1"}]
    return problems + [f"{label}.{name}: expected rows of the letters 0 and 1" for name in strange]


def _profile(row: ProfileRow) -> KernelProfile:
    """The profile a row describes."""
    plain = {
        name: getattr(row, name) for name in ProfileRow.model_fields if not name.endswith(("_us", "_extrapolated"))
    }
    plain |= {name: np.array(plain[name], dtype=np.int64) for name in KNOTS}
    plain |= {f"{name}_s": np.array(getattr(row, f"{name}_us"), dtype=np.float64) * 1e-6 for name in TIMES}
    plain |= {name: np.array([list(line) for line in getattr(row, name)], "U1") == "1" for name in MASKS}
    plain |= {"overhead_s": row.overhead_us * 1e-6, "mixed_s": row.mixed_us * 1e-6}
    plain |= {"provenance": Provenance(**row.provenance.model_dump())}
    return KernelProfile(**plain)


def _row(profile: KernelProfile) -> dict[str, Any]:
    """The row that describes a profile."""
    row = {field.name: getattr(profile, field.name) for field in fields(profile)}
    row.pop("beyond_tokens")
    row.pop("draft_tokens")
    if profile.dp == 1:
        row.pop("dp")
    row |= {name: row[name].tolist() for name in KNOTS}
    row |= {f"{name}_us": _table(row.pop(f"{name}_s")) for name in TIMES}
    row |= {name: ["".join("01"[int(cell)] for cell in line) for line in row[name]] for name in MASKS}
    row["overhead_us"] = _microseconds(row.pop("overhead_s"))
    if mixed_s := row.pop("mixed_s"):
        row["mixed_us"] = _microseconds(mixed_s)
    row["measured_frac"] = round(profile.measured_frac, 3)
    row["provenance"] = {field.name: getattr(profile.provenance, field.name) for field in fields(profile.provenance)}
    return row


def _microseconds(seconds: float) -> float:
    """Seconds as rounded microseconds, an integer where it is whole (JSON then has no point)."""
    rounded = float(f"{seconds * 1e6:.{SIGNIFICANT_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _table(seconds: Floats) -> list[float] | list[list[float]]:
    """A surface of one or two axes in microseconds."""
    lines = [[_microseconds(value) for value in line] for line in np.atleast_2d(seconds).tolist()]
    return lines[0] if seconds.ndim == 1 else lines


def _profile_problems(label: str, profile: KernelProfile) -> list[str]:
    """What is inconsistent in one profile."""
    problems = []
    for name in KNOTS:
        knots = getattr(profile, name)
        if len(knots) == 0 or (knots[1:] <= knots[:-1]).any() or knots[0] < (0 if name == "past_tokens" else 1):
            problems.append(f"{label}.{name}: knots must increase strictly from at least 1 (past_tokens from 0)")
    for name, axes in SHAPES.items():
        table = getattr(profile, f"{name}_s" if name in TIMES else name)
        expected = tuple(len(getattr(profile, axis)) for axis in axes)
        if table.shape != expected:
            problems.append(f"{label}.{name}: found shape {table.shape}, expected {expected} from {', '.join(axes)}")
        if name in TIMES and table.size and not (table.min() >= 0 and table.max() <= LONGEST_STEP_S):
            problems.append(f"{label}.{name}: times must be finite and not negative, {LONGEST_STEP_S:g} s at most")
        elif name in TIMES and len(axes) == 1 and not table.all():
            problems.append(f"{label}.{name}: found a step of no time; expected times above 0")
    return problems


def _order(profile: KernelProfile) -> tuple[str, str, int, int, int]:
    """Order of the profiles in a file."""
    return (profile.kv_dtype, profile.dtype, profile.tp, profile.ep, profile.dp)


def _json(value: Mapping[str, Any]) -> str:
    """Canonical compact JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
