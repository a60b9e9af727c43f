"""YAML that is read at one look has the data that strict reading has, or is left to it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hw_catalog
from hw_catalog.plain_yaml import Odd, plain_data, yaml_data
from hw_catalog.strict_files import Unreadable, yaml_document

DATA = Path(hw_catalog.__file__).parent / "data"
LINES = (
    "a: &a {x: 1, y: [1, 2]}", "b: &b {<<: *a, x: 2}", "c: {<<: *b, z: 3}", "d: {z: 3, <<: *a}", "e: *a", "f: &f [*f]",
    "g: {<<: [*a, *b]}", "h: {<<: *a, <<: *b}", "i: &i {<<: *i}", "a: 7", "<<: *a", "? [1]\n: 2", "? !!str [a]\n: 2",
    "k: 010", "k: !!int 010", "k: !!int 0x1f", "k: !!int 1_000", "k: !!int 1:30", "k: -0", "k: -0.0", "k: +1", "k: 1e5",
    "k: !!float 1_0.5", "k: !!float 1:30.5", "k: .inf", "k: -.INF", "k: .nan", "k: !!float nan", "k: !!float x",
    "k: True", "k: FALSE", "k: yes", "k: !!bool yes", "k: ~", "k:", "k: NULL", "k: !!null x", "k: !!str 5",
    "k: !mine 5", "k: !!set {a, b}", "k: !!omap [a: 1]", "k: !!binary aGk=", "k: 2026-03-31", "k: 'a'", "k: |\n a",
    "k: !!timestamp 2026-03-31", "k: 12345678901234567890", "1: x", "null: x", "k: [1, {a: b}, []]", "--- 1", "k: {",
)  # fmt: skip


def _strictly(text: str) -> str:
    """What strict reading says, types and order included."""
    try:
        return repr(yaml_document(text, "f")[0])
    except Unreadable as refused:
        return f"refused: {refused.problems}"


def _said(text: str) -> str:
    try:
        return repr(yaml_data(text, "f"))
    except Unreadable as refused:
        return f"refused: {refused.problems}"


@given(lines=st.lists(st.sampled_from(LINES), max_size=5, unique=True))
@settings(max_examples=300)
@example(lines=list(LINES[:5]))
def test_any_document_has_the_data_of_strict_reading(lines: list[str]) -> None:
    """Anchors, merges, tags, words of two meanings and errors: the same data in the same order, or the same refusal."""
    text = "\n".join(lines)
    assert _said(text) == _strictly(text)


@pytest.mark.parametrize("line", LINES)
def test_any_line_has_the_data_of_strict_reading(line: str) -> None:
    """The same of every kind of line alone."""
    assert _said(line) == _strictly(line)


@given(text=st.text(st.sampled_from("ab01.:-[]{}&*!?|>'\"#%,~\n\t e<"), max_size=60))
def test_any_text_has_the_data_of_strict_reading(text: str) -> None:
    """The same of texts of any signs."""
    assert _said(text) == _strictly(text)


@pytest.mark.parametrize("name", ["gpus", "links", "machines", "power", "engines"])
def test_files_of_the_catalog_are_plain(name: str) -> None:
    """What every question reads is read at one look."""
    text = (DATA / f"{name}.yaml").read_text(encoding="utf-8")
    assert repr(plain_data(text)) == _strictly(text)


@pytest.mark.parametrize(
    "text",
    ["a: " + "x" * 30_000, "a: &a [x]\nb: [" + "*a, " * 12 + "]", "a: &a [*a]"],
    ids=["long", "aliases", "endless"],
)
def test_what_could_be_larger_than_it_looks_is_left_to_strict_reading(text: str) -> None:
    """Long texts, many aliases, and lists that hold themselves."""
    with pytest.raises((Odd, yaml.YAMLError)):
        plain_data(text)
