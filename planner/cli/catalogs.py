"""Verbs on the catalog: list, show, check, bake."""

from enum import StrEnum
from typing import Annotated

import typer

from planner.cli.terminal import Directory, Json, print_json, print_view
from planner.errors import BadInput, nearest


class Shelf(StrEnum):
    """What a catalog holds."""

    MACHINES = "machines"
    GPUS = "gpus"
    LINKS = "links"
    PROFILES = "profiles"


def listing(
    shelf: Annotated[Shelf, typer.Argument(help="which part of the catalog")] = Shelf.MACHINES,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """List machines, GPUs, links or kernel profiles."""
    from hw_catalog.load import load_catalog
    from hw_catalog.profile_files import profile_index
    from planner.export import dumps
    from planner.report import lists

    if shelf is Shelf.PROFILES:
        profiles = profile_index(directory)
        print_json(dumps(profiles)) if json else print_view(lists.profiles_table(profiles))
        return
    catalog = load_catalog(directory)
    if json:
        print_json(dumps(getattr(catalog, shelf)))
    elif shelf is Shelf.GPUS:
        print_view(lists.gpus_table(list(catalog.gpus.values())))
    elif shelf is Shelf.LINKS:
        print_view(lists.links_table(list(catalog.links.values())))
    else:
        print_view(lists.machines_table(list(catalog.machines.values())))


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
    from planner.export import dumps
    from planner.report.lists import entry_view, profiles_view

    if name.count("/") == 2:
        profile_set, gpu, model = name.split("/")
        profiles = load_profiles(directory, model=model, gpu=gpu, profile_set=profile_set)
        print_json(dumps(profiles)) if json else print_view(profiles_view(profiles))
        return
    catalog = load_catalog(directory)
    entries: dict[str, Gpu | Link | Machine] = {**catalog.links, **catalog.gpus, **catalog.machines}
    if name not in entries:
        raise BadInput(f"catalog show: there is no '{name}'; {nearest(name, entries)}")
    print_json(dumps(entries[name])) if json else print_view(entry_view(entries[name]))


def check(directory: Directory = None, json: Json = False) -> None:
    """Read the whole catalog, built-in and yours, and name everything wrong with it."""
    from hw_catalog.load import load_catalog
    from hw_catalog.profile_files import load_profiles, profile_index
    from planner.export import dumps

    catalog = load_catalog(directory)
    index = profile_index(directory)
    profiles = sum(len(load_profiles(directory, model=model)) for model in sorted({p.model for p in index}))
    counts = {
        "gpus": len(catalog.gpus),
        "links": len(catalog.links),
        "machines": len(catalog.machines),
        "profiles": profiles,
    }
    profiled = {listing.gpu for listing in index}
    unprofiled = sorted(m.name for m in catalog.machines.values() if m.gpu.profile_gpu not in profiled)
    if json:
        print_json(dumps({**counts, "machines_without_profile": unprofiled}))
        return
    print_view("OK: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + "; every number has a source")
    if unprofiled:
        print_view("No kernel profile, so never part of a plan: " + ", ".join(unprofiled))
