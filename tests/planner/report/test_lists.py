"""Lists on a narrow terminal."""

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from hw_catalog.load import load_catalog
from planner.report import lists
from planner.resolve.sized import sizes

NARROW = 60


def _lines(view: RenderableType) -> list[str]:
    out = StringIO()
    Console(file=out, width=NARROW).print(view, crop=False)
    return out.getvalue().splitlines()


def _models(name: str) -> tuple[RenderableType, list[str]]:
    found = sizes(["bloom-176b", "qwen3.5-397b-a17b", "llama-3.1-8b"], None)
    return getattr(lists, name)(found), [each.model for each in found]


def _entries(name: str, part: str) -> tuple[RenderableType, list[str]]:
    entries = getattr(load_catalog(), part)
    return getattr(lists, name)(list(entries.values())), list(entries)


@pytest.mark.parametrize(
    "made",
    [
        lambda: _models("models_table"),
        lambda: _models("sizes_table"),
        lambda: _entries("machines_table", "machines"),
        lambda: _entries("gpus_table", "gpus"),
        lambda: _entries("links_table", "links"),
    ],
    ids=["models", "configs", "machines", "gpus", "links"],
)
def test_a_narrow_list_fits_and_folds_no_name(made) -> None:
    """Rule: on 60 columns a list leaves columns out; it is no wider, and its names stand whole."""
    view, names = made()
    lines = _lines(view)
    assert max(map(len, lines)) <= NARROW
    firsts = {line.split()[0] for line in lines if line[:1].strip()}
    assert set(names) <= firsts
