"""Reading the catalog: YAML files in, GPUs, links and machines out, every number with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from hw_catalog.errors import CatalogError
from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.machines import Channel, Machine, Price
from hw_catalog.power import PowerCurve
from hw_catalog.provenance import Kind, Provenance
from hw_catalog.rows import Count, NotNegative, Positive, Row, Share, SourceRow, Whole, nearest, validation_problems
from hw_catalog.strict_files import Unreadable, read_text, yaml_document


class GpuRow(Row):
    """An entry of ``gpus``; the fields mean what those of :class:`hw_catalog.gpus.Gpu` mean."""

    hbm_bytes: Positive
    hbm_bytes_per_s: Positive
    bf16_flops: Positive
    fp8_flops: NotNegative
    tdp_w: Positive
    idle_w: NotNegative
    clock_min_mhz: Positive
    clock_max_mhz: Positive
    profile_gpu: str | None = None
    prefill_slowdown_ratio: Positive = 1.0
    decode_slowdown_ratio: Positive = 1.0
    provenance: dict[str, str]


class LinkRow(Row):
    """An entry of ``links``."""

    bandwidth_bytes_per_s: NotNegative
    latency_s: NotNegative
    sync_s: NotNegative
    source: str


class PriceRow(Row):
    """A price of a machine, per machine-hour."""

    usd_per_h: Positive
    source: str


class MachineRow(Row):
    """An entry of ``machines``."""

    gpu: str
    gpus: Count
    rated_w: Positive
    idle_w: NotNegative
    rack_units: NotNegative
    intra_link: str
    inter_link: str
    prices: dict[Channel, PriceRow]
    available: Whole | None = None
    domain_gpus: Count | None = None
    host_gib: Positive | None = None
    provenance: dict[str, str]


class PowerRow(Row):
    """An entry of ``power``; the fields mean what those of :class:`hw_catalog.power.PowerCurve` mean."""

    busy_w: NotNegative
    weights_w: NotNegative
    compute_w: NotNegative
    bandwidth_w: NotNegative
    tokens_w: NotNegative
    memory_w: NotNegative
    v_min_ratio: Share
    knee_mhz: Positive
    compute_ratio: Positive
    floor_ratio: NotNegative
    clock_step_mhz: Positive
    cap_min_w: Positive
    wall_ratio: Positive
    free_clock: tuple[tuple[NotNegative, Share], ...] | None = None
    anchors: dict[str, list[tuple[Positive, Positive]]] = Field(default_factory=dict)
    provenance: dict[str, str]


SLOWDOWNS = ("prefill_slowdown_ratio", "decode_slowdown_ratio")
"""Of a GPU, against the one whose profiles apply."""

ROWS: Mapping[str, type[Row]] = {"gpus": GpuRow, "links": LinkRow, "machines": MachineRow, "power": PowerRow}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What can be bought.

    Attributes:
        gpus: by catalog id.
        links: by catalog id.
        machines: by catalog id.
    """

    gpus: Mapping[str, Gpu]
    links: Mapping[str, Link]
    machines: Mapping[str, Machine]


def load_catalog(directory: Path | None = None) -> Catalog:
    """The built-in catalog, extended by a directory of the user's.

    The directory may hold ``gpus.yaml``, ``links.yaml``, ``machines.yaml`` and ``power.yaml`` in the layout of the
    built-in ones. An
    entry with a new name is added. An entry with a built-in name overrides the fields it gives and keeps the others;
    ``prices`` are merged channel by channel. Every number given must name its source, in the file's own ``sources`` or
    among the built-in ones.

    Args:
        directory: the user's files; None is the built-in catalog alone.

    Returns:
        The catalog.

    Raises:
        CatalogError: every problem found, each with file, entry and key.
    """
    if directory is not None and not directory.is_dir():
        raise CatalogError(f"catalog directory {directory}: does not exist or is no directory")
    problems: list[str] = []
    refused: set[str] = set()
    parts = {part: _part(part, directory, problems, refused) for part in ROWS}
    curves = {name: _curve(row, sources) for name, (row, sources) in parts["power"].items()}
    gpus = {name: _gpu(name, row, sources, curves) for name, (row, sources) in parts["gpus"].items()}
    problems += [
        f"power.yaml: {name}: no such GPU; {nearest(name, gpus)}"
        for name in sorted(curves.keys() - gpus.keys() - refused)
    ]
    links = {name: _link(name, row, sources) for name, (row, sources) in parts["links"].items()}
    for gpu in gpus.values():
        problems.extend(_gpu_problems(gpu, gpus))
    machines = {}
    for name, (row, sources) in parts["machines"].items():
        missing = _missing(name, row, gpus, links)
        problems.extend(text for found, text in missing if found not in refused)
        if not missing:
            machines[name] = _machine(name, row, sources, gpus, links)
    if problems:
        raise CatalogError(*problems)
    return Catalog(gpus=gpus, links=links, machines=machines)


_UNREAD = Provenance(kind=Kind.ASSUMED, source="", date="")
"""In place of a source that is told to be wrong: what names it is not told to name nothing."""

Parsed = dict[str, tuple[Any, dict[str, Provenance]]]


def _part(part: str, directory: Path | None, problems: list[str], refused: set[str]) -> Parsed:
    """Checked rows of one kind with the sources they may name, built-in entries first; names of bad ones in refused."""
    builtin = _builtin(part)
    problems.extend(builtin.problems)
    refused.update(builtin.refused)
    user = directory / f"{part}.yaml" if directory is not None else None
    if user is None or not user.exists():
        return {name: (row, builtin.sources) for name, row in builtin.rows.items()}
    added, more = _read(user, part, str(user), problems)
    sources = {**builtin.sources, **more}
    for name, entry in added.items():
        problems.extend([] if name.isprintable() else [f"{user}: {name!r}: expected a name of one line"])
        problems.extend(_unsourced(f"{user}: {name}", part, entry, overriding=name in builtin.raw))
    merged = {name: _merged(builtin.raw.get(name, {}), entry) for name, entry in added.items()}
    rows, wrong = _checked(merged, part, str(user), sources, problems)
    refused.difference_update(rows)
    refused.update(wrong)
    kept = {name: row for name, row in {**builtin.rows, **rows}.items() if name not in wrong}
    return {name: (row, sources) for name, row in kept.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builtin:
    """A built-in file: its entries as written, its sources, its rows, and what is wrong."""

    raw: Mapping[str, dict[str, Any]]
    sources: dict[str, Provenance]
    rows: Mapping[str, Row]
    refused: frozenset[str]
    problems: tuple[str, ...]


def _builtin(part: str) -> _Builtin:
    """The built-in entries of one kind."""
    problems: list[str] = []
    label = f"built-in {part}.yaml"
    raw, sources = _read(resources.files("hw_catalog").joinpath("data", f"{part}.yaml"), part, label, problems)
    rows, refused = _checked(raw, part, label, sources, problems)
    return _Builtin(raw=raw, sources=sources, rows=rows, refused=frozenset(refused), problems=tuple(problems))


def _checked(
    raw: Mapping[str, dict[str, Any]], part: str, label: str, sources: Mapping[str, Provenance], problems: list[str]
) -> tuple[dict[str, Row], set[str]]:
    """Entries as rows, and the names of those that are none."""
    rows: dict[str, Row] = {}
    refused: set[str] = set()
    for name, entry in raw.items():
        try:
            row = ROWS[part].model_validate(entry)
        except ValidationError as error:
            problems.extend(validation_problems(f"{label}: {name}", error, ROWS[part]))
            refused.add(name)
            continue
        bad = _source_problems(f"{label}: {name}", row, sources)
        problems.extend(bad)
        if bad:
            refused.add(name)
        else:
            rows[name] = row
    return rows, refused


def _read(
    file: Traversable, part: str, label: str, problems: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, Provenance]]:
    """Entries and sources of one YAML file, unchecked but for their outer shape."""
    try:
        text = read_text(file, "a YAML file") if isinstance(file, Path) else file.read_text("utf-8")
        document, _ = yaml_document(text, label)
    except Unreadable as error:
        problems.extend(error.problems)
        return {}, {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{label}: cannot be read as UTF-8 text: {error}")
        return {}, {}
    if not isinstance(document, dict):
        problems.append(
            f"{label}: expected a mapping with the keys sources and {part}, each a mapping of names to entries"
        )
        return {}, {}
    unknown = sorted(str(key) for key in set(document) - {"sources", part})
    problems.extend(f"{label}: unknown key {key!r}; {nearest(key, ('sources', part))}" for key in unknown)
    written = {key: document.get(key, {}) for key in ("sources", part)}
    for key, found in written.items():
        if not isinstance(found, dict):
            problems.append(f"{label}: {key}: found {found!r}; expected a mapping of names to entries")
            written[key] = {}
    sources = {}
    for name, entry in written["sources"].items():
        sources[str(name)] = _UNREAD
        try:
            row = SourceRow.model_validate(entry)
            sources[str(name)] = Provenance(kind=row.kind, source=row.source, date=row.date.isoformat(), note=row.note)
        except ValidationError as error:
            problems.extend(validation_problems(f"{label}: sources.{name}", error, SourceRow))
    entries = {}
    for name, entry in written[part].items():
        if isinstance(entry, dict):
            entries[str(name)] = entry
        else:
            problems.append(f"{label}: {name}: found {entry!r}, expected a mapping of fields")
    return entries, sources


def _merged(base: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the fields of ``entry`` laid over it; ``prices`` and ``provenance`` key by key."""
    merged = {**base, **entry}
    for key in ("prices", "provenance", "anchors"):
        if isinstance(base.get(key), dict) and isinstance(entry.get(key), dict):
            merged[key] = {**base[key], **entry[key]}
    return merged


def _unsourced(label: str, part: str, entry: Mapping[str, Any], *, overriding: bool) -> list[str]:
    """An overriding number must not inherit the source of the number it replaces."""
    if not overriding:
        return []
    if part == "links":
        return [] if "source" in entry or not entry else [f"{label}: gives numbers without a `source` of its own"]
    provenance = given if isinstance(given := entry.get("provenance"), Mapping) else {}
    lacking = (key for key in entry if key in _numeric(ROWS[part]) and entry[key] is not None and key not in provenance)
    return [f"{label}.{key}: given without a source; add it to this entry's `provenance`" for key in lacking]


def _numeric(row: type[Row]) -> tuple[str, ...]:
    """Fields of a row that are numbers."""
    words = {"gpu", "intra_link", "inter_link", "prices", "provenance", "profile_gpu", "source", "anchors"}
    return tuple(name for name in row.model_fields if name not in words)


def _source_problems(label: str, row: Row, sources: Mapping[str, Provenance]) -> list[str]:
    """Numbers without a source and sources that do not exist."""
    problems = []
    named: dict[str, str] = {}
    if isinstance(row, LinkRow):
        named["source"] = row.source
    if isinstance(row, GpuRow | MachineRow | PowerRow):
        named.update({f"provenance.{key}": source for key, source in row.provenance.items()})
        numeric = [key for key in _numeric(type(row)) if getattr(row, key) is not None and not _own(row, key)]
        problems += [f"{label}.{key}: has no entry in `provenance`" for key in numeric if key not in row.provenance]
        for key in row.provenance:
            if key not in _numeric(type(row)):
                problems.append(f"{label}.provenance.{key}: no such number; {nearest(key, _numeric(type(row)))}")
    if isinstance(row, MachineRow):
        named.update({f"prices.{channel}.source": price.source for channel, price in row.prices.items()})
    for key, source in named.items():
        if source not in sources:
            problems.append(f"{label}.{key}: unknown source {source!r}; {nearest(source, sources)}")
    return problems


def _own(row: Row, key: str) -> bool:
    """Whether a number is the 1 by which a GPU with profiles of its own is as fast as they say."""
    return isinstance(row, GpuRow) and key in SLOWDOWNS and row.profile_gpu is None and key not in row.model_fields_set


def _gpu_problems(gpu: Gpu, gpus: Mapping[str, Gpu]) -> list[str]:
    """What one row alone cannot show to be wrong."""
    problems = []
    if gpu.profile_gpu not in gpus:
        known = nearest(gpu.profile_gpu, gpus)
        problems.append(f"gpus.yaml: {gpu.name}.profile_gpu: found {gpu.profile_gpu!r}, no such GPU; {known}")
    if gpu.clock_min_mhz > gpu.clock_max_mhz:
        found = f"found {gpu.clock_min_mhz:g}, above clock_max_mhz {gpu.clock_max_mhz:g}"
        problems.append(f"gpus.yaml: {gpu.name}.clock_min_mhz: {found}")
    return problems


def _missing(name: str, row: MachineRow, gpus: Mapping[str, Gpu], links: Mapping[str, Link]) -> list[tuple[str, str]]:
    """References of a machine to things the catalog does not hold, and a sentence for each."""
    wanted = (("gpu", row.gpu, gpus), ("intra_link", row.intra_link, links), ("inter_link", row.inter_link, links))
    problems = [
        (found, f"machines.yaml: {name}.{key}: {found!r} is not in the catalog; {nearest(found, known)}")
        for key, found, known in wanted
        if found not in known
    ]
    if row.gpus > 1 and row.intra_link in links and not links[row.intra_link].exists:
        text = f"machines.yaml: {name}.intra_link: {row.intra_link!r} has no bandwidth, for {row.gpus} GPUs"
        problems.append((row.intra_link, text))
    return problems


def _curve(row: PowerRow, sources: Mapping[str, Provenance]) -> PowerCurve:
    """The power curve a checked row describes."""
    fields = row.model_dump(exclude={"provenance", "anchors"})
    provenance = {key: sources[source] for key, source in row.provenance.items()}
    anchors = {key: tuple(sorted(points)) for key, points in row.anchors.items()}
    return PowerCurve(**fields, provenance=provenance, anchors=anchors)


def _gpu(name: str, row: GpuRow, sources: Mapping[str, Provenance], curves: Mapping[str, PowerCurve]) -> Gpu:
    """The GPU a checked row describes."""
    profile_gpu = row.profile_gpu or name
    curve = curves.get(name) or curves.get(profile_gpu)
    fields = row.model_dump(exclude={"provenance", "profile_gpu"})
    own = {key: sources["itself"] for key in SLOWDOWNS if _own(row, key)}
    provenance = own | {key: sources[source] for key, source in row.provenance.items()}
    return Gpu(name=name, **fields, profile_gpu=profile_gpu, provenance=provenance, power=curve)


def _link(name: str, row: LinkRow, sources: Mapping[str, Provenance]) -> Link:
    """The link a checked row describes."""
    return Link(name=name, **row.model_dump(exclude={"source"}), provenance=sources[row.source])


def _machine(
    name: str, row: MachineRow, sources: Mapping[str, Provenance], gpus: Mapping[str, Gpu], links: Mapping[str, Link]
) -> Machine:
    """The machine a checked row describes."""
    return Machine(
        name=name, gpu=gpus[row.gpu], gpus=row.gpus, rated_w=row.rated_w, idle_w=row.idle_w, rack_units=row.rack_units,
        intra_link=links[row.intra_link],
        inter_link=links[row.inter_link],
        prices=tuple(
            Price(channel=channel, usd_per_h=price.usd_per_h, provenance=sources[price.source])
            for channel, price in row.prices.items()
        ),
        available=row.available, domain_gpus=row.domain_gpus, host_gib=row.host_gib,
        provenance={key: sources[source] for key, source in row.provenance.items()},
    )  # fmt: skip
