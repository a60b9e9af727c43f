"""Baking the committed profile set again: ``python -m hw_catalog.bake_set OUT_DIR ISO_DATE [GPU or MODEL ...]``."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hw_catalog.bake import bake, require_source
from hw_catalog.bake_recipe import read_recipe
from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import write_profiles
from hw_catalog.rows import nearest


def bake_set(
    out: Path, *, date: str, gpus: Sequence[str] = (), models: Sequence[str] = (), report: Callable[[str], object]
) -> tuple[str, ...]:
    """Bake every model of the recipe on every GPU of it and write the files.

    Args:
        out: the ``profiles`` directory to write below.
        date: ISO date to stamp.
        gpus: only these; empty is all.
        models: only these; empty is all.
        report: told one line per model and GPU.

    Returns:
        The combinations that the source could not give, each a sentence.

    Raises:
        CatalogError: the source is not installed.
    """
    require_source()
    recipe = read_recipe()
    failures: list[str] = []
    for gpu in gpus or recipe.systems:
        tps = [tp for tp in (1, 2, 4, 8) if tp <= recipe.machine_gpus.get(gpu, 8)]
        for model in models or recipe.models:
            try:
                baked = bake(model, gpu=gpu, date=date, tps=tps)
            except CatalogError as error:
                failures.extend(error.problems)
                report(f"{gpu} {model}: nothing")
                continue
            failures.extend(baked.failures)
            first = baked.profiles[0]
            write_profiles(out / first.profile_set / gpu / f"{model}.json", baked.profiles)
            report(f"{gpu} {model}: {len(baked.profiles)} profiles")
    return tuple(failures)


def chosen(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The GPUs and the models among names of the recipe; of a kind that is not named, all are baked.

    Raises:
        CatalogError: the recipe has no such name.
    """
    recipe = read_recipe()
    known = {*recipe.systems, *recipe.models}
    if unknown := [name for name in names if name not in known]:
        raise CatalogError(*(f"{name}: no GPU and no model of bake.yaml; {nearest(name, known)}" for name in unknown))
    return tuple(n for n in names if n in recipe.systems), tuple(n for n in names if n in recipe.models)


if __name__ == "__main__":
    _, out_dir, iso_date, *only = sys.argv
    try:
        wanted_gpus, wanted_models = chosen(only)
        lines = bake_set(
            Path(out_dir), date=iso_date, gpus=wanted_gpus, models=wanted_models,
            report=lambda line: sys.stdout.write(line + "\n"),
        )  # fmt: skip
    except CatalogError as refused:
        sys.exit("\n".join(refused.problems))
    sys.stdout.write("\n".join(lines) + "\n")
