"""Precisions and engines: which of them a question leaves open, and which were measured besides."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hw_catalog.engines import PROFILE_SETS
from hw_catalog.profile_files import every_profile, load_profiles, profiled_models
from hw_catalog.profiles import KernelProfile
from planner.errors import BadInput, nearest
from planner.resolve.precision import Formats, plan_formats
from planner.results.precision import Variant
from planner.scenario.choices import Several, listed
from planner.scenario.model_section import Model as ModelSection
from workloads.formats import DTYPE_BYTES
from workloads.models import ModelSpec, alike, known_models, load_model
from workloads.twins import twin_of

ALL = "any"
"""Every format that was measured."""

AUTO = (None, "auto", ALL)
"""Every engine that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of a model.

    Attributes:
        profiles: every kernel profile of it.
        sets: families of them that a question allows, in its order.
        laid_out: ``set/gpu`` in whose layouts measured clusters served it.
        of: id of the model that was measured: itself, or a known one whose layers have the same shape.
    """

    profiles: tuple[KernelProfile, ...]
    sets: tuple[str, ...]
    laid_out: frozenset[str]
    of: str


def measured_profiles(served: ModelSection, model: ModelSpec, directory: Path | None) -> Measured:
    """What was measured of a model, and what of it a question allows.

    Raises:
        BadInput, CatalogError: a family or an engine that the model has no profiles of, each with the nearest.
    """
    measured = measured_model(model, directory)
    profiles, laid_out = every_profile(directory, model=measured)
    have = {profile.profile_set for profile in profiles}
    sets = listed(served.profile_set) or tuple(name for name in PROFILE_SETS.values() if name in have)
    for name in sets or tuple(PROFILE_SETS.values())[:1]:
        if name not in have:  # refused there, with the nearest that there is
            load_profiles(directory, model=measured, profile_set=name)
    if served.engine in AUTO:
        return Measured(profiles=profiles, sets=sets, laid_out=laid_out, of=measured)
    engines = {profile.profile_set: profile.engine for profile in profiles}
    there = {engines[name] for name in sets}
    unknown = [name for name in listed(served.engine) if name not in there]
    if unknown:
        among = f"kernel profiles of {measured} in {', '.join(sets)}"
        raise BadInput(*(f"model.engine: found '{name}'; {nearest(name, {*there, 'auto'})} ({among})"
                         for name in unknown))  # fmt: skip
    wanted = listed(served.engine)
    mine = sorted((s for s in sets if engines[s] in wanted), key=lambda s: wanted.index(engines[s]))
    return Measured(profiles=profiles, sets=tuple(mine), laid_out=laid_out, of=measured)


def measured_model(model: ModelSpec, directory: Path | None) -> str:
    """The id under which kernel times of a model are kept: its own, or that of a known one of the same shape.

    Where there is neither it is its own, which is then refused with the nearest.
    """
    have = profiled_models(directory)
    if model.name in have:
        return model.name
    twin = twin_of(model, (load_model(name) for name in known_models() if name in have))
    return twin.name if twin else model.name


def variants_of(
    served: ModelSection, model: ModelSpec, profiles: Collection[KernelProfile], sets: Collection[str],
    gpus: Collection[str],
) -> tuple[Variant, ...]:  # fmt: skip
    """The precisions and engines that a question allows, what it would take if only one were allowed first.

    Weights left open are in one format, the model's own, on every engine: engines give the same answers then.

    Args:
        served: what the question says of them.
        model: what is served.
        profiles: of it.
        sets: families of profiles that are allowed.
        gpus: names of GPUs that profiles are of.

    Returns:
        One at least. Where nothing was measured in what is asked, that alone: the layouts then say what there is.

    Raises:
        BadInput: a format that was measured on none of the machines, asked for or the model's own, though others were.
    """
    mine = [p for p in profiles if p.gpu in gpus and p.profile_set in sets]
    measured = {(p.profile_set, p.dtype, p.kv_dtype) for p in mine}
    _refuse_unmeasured("dtype", served.dtype, {p.dtype for p in mine}, model.name)
    _refuse_unmeasured("kv_dtype", served.kv_dtype, {p.kv_dtype for p in mine}, model.name)
    found = [Variant(profile_set=s, dtype=d, kv_dtype=kv) for s, d, kv in _asked(served, model, mine, sets, gpus)]
    kept = [v for v in dict.fromkeys(found) if (v.profile_set, v.dtype, v.kv_dtype) in measured]
    if not kept:
        _refuse_own(served, model, found, {p.dtype for p in mine})
    return tuple(kept) or tuple(found[:1])


def others(
    chosen: Iterable[Variant], profiles: Iterable[KernelProfile], sets: Collection[str], gpus: Collection[str]
) -> tuple[Variant, ...]:
    """Every precision and engine that was measured on the GPUs and that a question does not allow.

    Args:
        chosen: what it allows.
        profiles: of the model.
        sets: families of profiles that it allows; the current ones are looked at besides.
        gpus: names of GPUs that profiles are of.
    """
    families = {*sets, *PROFILE_SETS.values()}
    found = {(p.profile_set, p.dtype, p.kv_dtype) for p in profiles if p.gpu in gpus and p.profile_set in families}
    every = (Variant(profile_set=s, dtype=d, kv_dtype=kv) for s, d, kv in sorted(found))
    return tuple(variant for variant in every if variant not in set(chosen))


def _refuse_unmeasured(key: str, asked: Several | None, measured: Collection[str], model: str) -> None:
    """Refuse formats, one or a list of them, that no profile is in."""
    absent = [name for name in listed(asked) if name not in measured and name != ALL]
    if absent and measured:
        among = f"measured of {model} on these machines"
        where = " in the list" if isinstance(asked, tuple) else ""
        raise BadInput(*(f"model.{key}: found '{name}'{where}; {nearest(name, measured)} ({among})"
                         for name in absent))  # fmt: skip


def _refuse_own(served: ModelSection, model: ModelSpec, found: Iterable[Variant], measured: Collection[str]) -> None:
    """Refuse to leave open the weights of a model whose own format no profile is in, with the nearest that one is in.

    The nearest is the smallest that holds no fewer bits, since weights are quantised further only at a loss.
    """
    own = next((v.dtype for v in found), "")
    if served.dtype is not None or not measured or any(alike(own, dtype) for dtype in measured):
        return
    ordered = sorted(
        measured, key=lambda d: (DTYPE_BYTES[d] < DTYPE_BYTES[own], abs(DTYPE_BYTES[d] - DTYPE_BYTES[own]))
    )
    raise BadInput(
        f"model.dtype: null is {own}, the own format of {model.name}, which has no kernel profile on these machines; "
        f"expected {' or '.join(ordered)}, the nearest first, for example --set model.dtype={ordered[0]}"
    )


def _asked(
    served: ModelSection, model: ModelSpec, profiles: Collection[KernelProfile], sets: Collection[str],
    gpus: Collection[str],
) -> Iterator[tuple[str, str, str]]:  # fmt: skip
    """(family, weights, KV cache) of everything that is asked, whether or not it was measured."""
    own = _own(served, model, profiles, sets, gpus)
    for name in sets:
        mine = [p for p in profiles if p.profile_set == name]
        for dtype in _weights(served.dtype, own, {p.dtype for p in mine}):
            if served.kv_dtype == ALL:
                yield from ((name, dtype, kv) for kv in sorted({p.kv_dtype for p in mine if p.dtype == dtype}))
            elif listed(served.kv_dtype):
                yield from ((name, dtype, kv) for kv in listed(served.kv_dtype))
            else:
                formats = Formats(dtype=dtype, checkpoint=served.checkpoint)
                yield name, dtype, plan_formats(formats, model, mine, gpus)[1]


def _own(
    served: ModelSection, model: ModelSpec, profiles: Collection[KernelProfile], sets: Collection[str],
    gpus: Collection[str],
) -> str:  # fmt: skip
    """The format of the weights that a question leaves open: the model's own that the first family has."""
    first: str | None = None
    kv_dtype = served.kv_dtype if isinstance(served.kv_dtype, str) and served.kv_dtype != ALL else None
    for name in sets:
        mine = [p for p in profiles if p.profile_set == name]
        dtype, kv = plan_formats(Formats(kv_dtype=kv_dtype, checkpoint=served.checkpoint), model, mine, gpus)
        first = first or dtype
        if any((p.dtype, p.kv_dtype) == (dtype, kv) for p in mine if p.gpu in gpus):
            return dtype
    assert first is not None, "a question allows one family at least"
    return first


def _weights(asked: Several | None, own: str, measured: Collection[str]) -> tuple[str, ...]:
    """Formats of the weights to look at in one family of profiles."""
    if asked is None:
        same = sorted(dtype for dtype in measured if alike(dtype, own))
        return (own,) if own in same or not same else tuple(same)
    return tuple(sorted(measured)) if asked == ALL else listed(asked)
