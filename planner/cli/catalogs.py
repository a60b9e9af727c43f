"""Verbs on the catalog: list, show, check, bake."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hw_catalog.errors import CatalogError
from planner.cli.terminal import Directory, Json, note, print_view, write
from planner.errors import BadInput, nearest
from workloads.counts import plural, whole_number
from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from hw_catalog.check import Finding
    from hw_catalog.load import Catalog
    from hw_catalog.profiles import KernelProfile


class Shelf(StrEnum):
    """What a catalog holds."""

    MACHINES = "machines"
    GPUS = "gpus"
    LINKS = "links"
    PROFILES = "profiles"


def listing(
    shelf: Annotated[Shelf, typer.Argument(metavar="PART", help="machines, gpus, links or profiles")] = Shelf.MACHINES,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """List machines, GPUs, links or kernel profiles."""
    from hw_catalog.load import load_catalog
    from hw_catalog.profile_files import MEASURED, PLANNED, profile_index
    from planner.files.plan_file import dumps
    from planner.report import lists

    if shelf is Shelf.PROFILES:
        profiles = profile_index(directory, (PLANNED, MEASURED))
        write(dumps(profiles)) if json else print_view(lists.profiles_table(profiles))
        return
    catalog = load_catalog(directory)
    if json:
        write(dumps(getattr(catalog, shelf)))
    elif shelf is Shelf.GPUS:
        print_view(lists.gpus_table(list(catalog.gpus.values())))
    elif shelf is Shelf.LINKS:
        print_view(lists.links_table(list(catalog.links.values())))
    else:
        print_view(lists.machines_table(list(catalog.machines.values())))
        print_view("\nPrices are dollars per machine-hour; `catalog show` says whose, and of when.")


def machines(directory: Directory = None, json: Json = False) -> None:
    """List the machine types a plan may use, with their prices."""
    listing(Shelf.MACHINES, directory, json)


def models(
    configs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CONFIG]...", help="Hugging Face config.json files, or directories of them: how they are sized"
        ),
    ] = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """List models and the GPUs whose kernels were measured with each; or size those of config.json files."""
    from planner.files.plan_file import dumps
    from planner.report.lists import models_table, sizes_table
    from planner.resolve.sized import sizes
    from workloads.models import config_files, known_models, own_models

    if configs:
        rows = sizes([file for path in configs for file in config_files(path)], directory)
        if not rows:
            raise BadInput(f"models: found no config.json in {', '.join(map(str, configs))}; expected one at least")
        none = all(row.refused for row in rows)
        if json:
            write(dumps(rows))
        elif not none:
            print_view(sizes_table(rows))
        if none:
            raise BadInput(*(why for row in rows for why in row.refused))
        return
    names = {*known_models(), *own_models(directory)}
    found = sizes(sorted(names), directory)
    write(dumps(found)) if json else print_view(models_table(found))


def show(
    name: Annotated[
        str, typer.Argument(help="machine, GPU, link, or SET/GPU/MODEL of a kernel profile", show_default=False)
    ],
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Show one entry, every number with its source."""
    from hw_catalog.gpus import Gpu
    from hw_catalog.links import Link
    from hw_catalog.load import load_catalog
    from hw_catalog.machines import Machine
    from hw_catalog.profile_files import load_profiles
    from planner.files.plan_file import dumps
    from planner.report.lists import entry_view, profiles_view

    if name.count("/") == 2:
        profile_set, gpu, model = name.split("/")
        profiles = load_profiles(directory, model=model, gpu=gpu, profile_set=profile_set)
        write(dumps(profiles)) if json else print_view(profiles_view(profiles))
        return
    catalog = load_catalog(directory)
    entries: dict[str, Gpu | Link | Machine] = {**catalog.links, **catalog.gpus, **catalog.machines}
    if name not in entries:
        raise BadInput(f"catalog show: there is no '{name}'; {nearest(name, entries)}")
    write(dumps(entries[name])) if json else print_view(entry_view(entries[name]))


def check(directory: Directory = None, json: Json = False) -> None:
    """Check the whole catalog, built-in and yours, yours first. Names what is wrong or deserves a second look."""
    from planner.files.plan_file import dumps
    from planner.report.lists import catalog_check_view

    catalog, profiles, found = _looked_at(directory)
    builtin, _, known = _looked_at(None) if directory else (catalog, profiles, found)
    yours = [
        name for part in ("gpus", "links", "machines") for name, entry in getattr(catalog, part).items()
        if getattr(builtin, part).get(name) != entry
    ]  # fmt: skip
    findings = sorted(found, key=lambda finding: finding in known)
    counts = {part: len(getattr(catalog, part)) for part in ("gpus", "links", "machines")} | {"profiles": len(profiles)}
    profiled = {profile.gpu for profile in profiles}
    unprofiled = sorted(m.name for m in catalog.machines.values() if m.gpu.profile_gpu not in profiled)
    if json:
        write(dumps({**counts, "yours": yours, "machines_without_profile": unprofiled, "findings": findings}))
    elif directory:
        mine = [finding for finding in findings if finding not in known]
        print_view(catalog_check_view(counts, unprofiled, mine, yours=yours, elsewhere=len(findings) - len(mine)))
    else:
        print_view(catalog_check_view(counts, unprofiled, findings))


def _read(part: Callable[[], Any]) -> Any:  # noqa: ANN401  every part of a catalog has its own type
    """A part of the catalog, its problems as those of any input."""
    try:
        return part()
    except (CatalogError, WorkloadError) as error:
        raise BadInput(*error.problems) from None


def _looked_at(directory: Path | None) -> "tuple[Catalog, list[KernelProfile], tuple[Finding, ...]]":
    """A catalog, all its kernel profiles, and what deserves a second look; every problem of any part is told."""
    from hw_catalog.check import check_catalog, check_profiles
    from hw_catalog.engines import load_engines
    from hw_catalog.load import load_catalog
    from hw_catalog.profile_files import load_profiles, profile_index
    from planner.errors import read_each
    from workloads.models import load_model, own_models

    models = sorted({listed.model for listed in profile_index(directory)})
    parts: list[Callable[[], Any]] = [
        partial(load_catalog, directory),
        partial(load_engines, directory),
        *(partial(load_model, name, directory=directory) for name in own_models(directory)),
        *(partial(load_profiles, directory, model=model) for model in models),
    ]
    found = read_each(_read, parts)
    catalog, profiles = found[0], [profile for each in found[len(found) - len(models) :] for profile in each]
    return catalog, profiles, (*check_catalog(catalog, today=datetime.now(tz=UTC).date()), *check_profiles(profiles))


def _config_of(model: str) -> Path | None:
    """The config.json that was named, or that lies in the directory named; None for an id."""
    path = Path(model)
    if path.is_dir():
        path /= "config.json"
    return path if path.is_file() or model.endswith(".json") or path.parent.name else None


def _unsized(config: Path) -> tuple[str, ...]:
    """Why no model can be made of a config.json: profiles of it would never be used."""
    from workloads.models import load_model

    try:
        load_model(config)
    except WorkloadError as error:
        return error.problems
    return ()


def _miswritten(model: str, config: Path | None, tp: str, label: str) -> Iterator[str]:
    """What is wrong with the words of a bake, whatever was measured."""
    if config is not None and not config.is_file():
        yield f"--model {model}: there is no such file as {config}; expected a model id or a config.json"
    elif config is not None:
        yield from _unsized(config)
    if not all(whole_number(part) for part in tp.split(",")):
        yield f"--tp {tp}: expected whole numbers above 0, separated by commas, for example 1,2,4,8"
    if not re.fullmatch(r"[\w.@+-]+", label):
        yield f"--name {label}: expected a word of letters, digits, '.', '-' and '_', for example my-model"


def bake(
    model: Annotated[str, typer.Option("--model", help="model id, or a Hugging Face config.json", show_default=False)],
    gpu: Annotated[str, typer.Option("--gpu", help="catalog id", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="catalog directory to add to", show_default=False)],
    tp: Annotated[str, typer.Option("--tp", help="tensor-parallel ways, separated by commas")] = "1,2,4,8",
    dtype: Annotated[str | None, typer.Option("--dtype", help="of the weights, separated by commas")] = None,
    name: Annotated[str | None, typer.Option("--name", help="id for a config.json; else its directory")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="what the source of the measurements remarks")] = False,
) -> None:
    """Make kernel profiles from published measurements. Needs `pip install phasewise[bake]`."""
    from hw_catalog.bake import bake as measure
    from hw_catalog.bake import unbakeable
    from hw_catalog.profile_files import write_profiles
    from planner.files.writing import write_whole

    config = _config_of(model)
    label = model if config is None else name or config.resolve().parent.name
    widths = [width for part in tp.split(",") if (width := whole_number(part))]
    dtypes = dtype.split(",") if dtype else None
    wrong = (*_miswritten(model, config, tp, label), *unbakeable(label, gpu, dtypes or (), own=config is not None))
    if wrong:
        raise BadInput(*wrong)
    date = datetime.now(tz=UTC).date().isoformat()
    baked = measure(label, gpu=gpu, date=date, config=config, tps=widths, dtypes=dtypes)
    path = out / "profiles" / baked.profiles[0].profile_set / gpu / f"{label}.json"
    write_profiles(path, baked.profiles)
    if config is not None:
        own = out / "models" / f"{label}.json"
        own.parent.mkdir(exist_ok=True)
        write_whole(own, config.read_text(encoding="utf-8"))
    for failure in baked.failures:
        note(f"left out: {failure}")
    use = f"model.name: {label} and catalog.directory: {out}"
    for remark in baked.remarks if verbose else ():
        note(f"aiconfigurator-core: {remark}")
    wrote = f"wrote {plural(len(baked.profiles), 'profile')} to {path}"
    note(f"{wrote}; use {'it' if len(baked.profiles) == 1 else 'them'} with {use}")
