"""Strict reading of YAML and JSON, at the module and at the doors of the catalog."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.engines import load_engines
from hw_catalog.errors import CatalogError
from hw_catalog.load import Catalog, load_catalog
from hw_catalog.profile_files import load_profiles
from hw_catalog.strict_files import Unreadable, json_document, read_text, yaml_document, yaml_value

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
WORDS = st.text("abcdefghijklmnopqrstuvwxyz_-", min_size=1, max_size=8)
# PyYAML writes the text 1e5 without quotes, since it was no number in YAML 1.1; in YAML 1.2, and here, it is one.
EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+")
TEXTS = st.text(max_size=12).filter(lambda text: not EXPONENT.fullmatch(text))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(data=st.dictionaries(WORDS, DATA, max_size=5))
def test_what_is_written_plainly_is_read(data: dict[str, object]) -> None:
    """Every document that a writer of YAML or JSON makes of plain data reads back as those data."""
    read, places = yaml_document(yaml.safe_dump(data), "f")
    assert json.dumps(read, sort_keys=True) == json.dumps(data, sort_keys=True)
    assert all(places[(key,)].startswith("f:") for key in data)


@given(text=st.text(st.sampled_from("ab01.:-[]{}&*!?|>'\"#%,~\n\t e<"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text ends otherwise than as data or as a refusal that names the file."""
    for read in (lambda: yaml_document(text, "f")[0], lambda: json_document(text, "f", "x")):
        problems: tuple[str, ...] = ()
        data: object = None
        try:
            data = read()
        except Unreadable as refused:
            problems = tuple(refused.problems)
        assert all(problem.startswith("f") for problem in problems)
        assert data is None or isinstance(data, dict | list | str | int | float | bool)


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "1:30", "010", "0x10", "0o17", "1_000", "2026-02-30"])
def test_words_that_can_be_read_in_two_ways_stay_words(word: str) -> None:
    """YAML 1.1 would make truth values, sixties, octals and dates of them."""
    assert yaml_value(word) == word


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1e-6", 1e-6), ("1.", 1.0), (".5", 0.5), ("-3", -3), ("+4.5E+2", 450.0), ("true", True), ("~", None), ("", None)],
)
def test_plain_numbers_are_numbers(text: str, expected: object) -> None:
    """What every version of YAML reads alike is read so, ``1e-6`` too."""
    assert yaml_value(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1, c: 2}\na: 2", "f:2: b.c: the key is given twice, first at f:2"),
        ("1: x", "found the key '1'; expected a word"),
        ("yes: x\ntrue: y", "found the key 'true'"),
        ("a: &x [*x]", "holds itself"),
        ("a: " + "[" * 30_000 + "]" * 30_000, "no valid YAML"),
        ("a: !!int x", "no valid YAML"),
        ('{\n  // of mine\n  "a": 1\n}', "YAML's begin with #, not //"),
        ("a: !!python/object:os.system x", "no valid YAML"),
        ("a: " + "9" * 5000, "no valid YAML"),
        ("a: [1", "no valid YAML"),
        ("a: 1\n---\nb: 2", "no valid YAML"),
        (BOMB, "more than 1,000,000"),
    ],
)  # fmt: skip
def test_documents_that_do_not_say_one_thing_are_refused(text: str, words: str) -> None:
    """Keys given twice, keys that are no words, endless and exploding documents are refused with the line."""
    with pytest.raises(Unreadable) as caught:
        yaml_document(text, "f")
    assert any(words in problem for problem in caught.value.problems)


def test_all_keys_given_twice_are_named_at_once() -> None:
    """Every problem of a file is told together."""
    with pytest.raises(Unreadable) as caught:
        yaml_document("a: 1\na: 2\nb: 1\nb: 2", "f")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[Infinity]", "[1e999]", "[" * 100_000, "[" + "9" * 5000 + "]", "{", ""]
)
def test_json_that_does_not_say_one_thing_is_refused(text: str) -> None:
    """Keys given twice, numbers without end or value, and texts that are cut off are refused."""
    with pytest.raises(Unreadable):
        json_document(text, "f", "a plan.json")


def test_files_too_large_or_of_no_text_are_refused_unread(tmp_path: Path) -> None:
    """A size limit holds before anything is parsed."""
    file = tmp_path / "f"
    file.write_bytes(b"a: 1\n" * 300_000)
    with pytest.raises(Unreadable, match="more than 1 MiB"):
        read_text(file, "a YAML file", limit_bytes=1 << 20)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Unreadable, match="UTF-8"):
        read_text(file, "a YAML file")
    with pytest.raises(Unreadable, match="directory"):
        read_text(tmp_path, "a YAML file")


MACHINE = """\
sources: {{mine: {{kind: measured, source: a lab, date: {date}}}}}
machines:
  mine:
    gpu: h100-sxm
    gpus: {gpus}
    rated_w: {rated_w}
    idle_w: 2000
    rack_units: 8
    intra_link: {link}
    inter_link: infiniband-3200
    prices: {{reserved: {{usd_per_h: {price}, source: mine}}}}
    provenance: {{gpus: mine, rated_w: mine, idle_w: mine, rack_units: mine}}
"""
GOOD = {"date": "2026-03-31", "gpus": "8", "rated_w": "10200", "link": "nvlink-4", "price": "20.5"}


def machine(directory: Path, **changes: str) -> Catalog:
    (directory / "machines.yaml").write_text(MACHINE.format(**{**GOOD, **changes}))
    return load_catalog(directory)


def test_a_good_machine_of_the_users_is_read(tmp_path: Path) -> None:
    """What the refusals below start from is fine."""
    mine = machine(tmp_path).machines["mine"]
    assert (mine.gpus, mine.rated_w, mine.intra_link.name) == (8, 10200.0, "nvlink-4")
    assert [price.usd_per_h for price in mine.prices] == [20.5]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gpus", "true"), ("gpus", "010"), ("gpus", "8.0"), ("gpus", "'8'"), ("gpus", "8\n    gpus: 4"),
        ("gpus", "1:30"),
        ("price", "true"), ("price", ".nan"), ("price", ".inf"), ("price", "'20'"), ("price", "1e999"),
        ("price", "yes"),
        ("rated_w", "10kW"), ("rated_w", "-1"), ("rated_w", "1:30"), ("rated_w", "10_200"),
        ("date", "2026-02-30"), ("date", "2026"), ("date", "yesterday"), ("date", "20260331"),
    ],
)  # fmt: skip
def test_a_catalog_that_does_not_say_one_thing_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """The values that a lenient reader would take for others are refused with file and key."""
    with pytest.raises(CatalogError) as caught:
        machine(tmp_path, **{key: value})
    assert "machines.yaml" in caught.value.problems[0]
    assert {"price": "usd_per_h"}.get(key, key) in caught.value.problems[0]


@pytest.mark.parametrize("value", ["true", "'0.1'", ".nan", "-1", "0.1\n  step_s: 0.2"])
def test_engine_timings_are_read_as_strictly(tmp_path: Path, value: str) -> None:
    """The user's engines.yaml is no looser than the rest."""
    source = "{kind: measured, source: x, date: '2026-01-01'}"
    (tmp_path / "engines.yaml").write_text(f"my-set:\n  step_s: {value}\n  provenance: {source}\n")
    with pytest.raises(CatalogError, match="step_s"):
        load_engines(tmp_path)


@pytest.mark.parametrize("value", [True, "1", 10**30, -1, 2.5, float("nan"), None])
def test_kernel_profiles_are_read_as_strictly(tmp_path: Path, value: object) -> None:
    """A profile of the user's with a knot that is no whole number of usual size is refused with its key."""
    folder = tmp_path / "profiles" / "mine" / "h100-sxm"
    folder.mkdir(parents=True)
    row = {"tokens": [1, value]}
    (folder / "m.json").write_text(json.dumps({"schema_version": 1, "shared": {}, "profiles": [row]}))
    with pytest.raises(CatalogError) as caught:
        load_profiles(tmp_path, model="m", gpu="h100-sxm", profile_set="mine")
    assert any("tokens" in problem or "NaN" in problem for problem in caught.value.problems)


def test_only_files_are_read(tmp_path: Path) -> None:
    """A named pipe or a device, which may never end, is refused at once; what a shell hands over is read."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(Unreadable, match="found a pipe, which may never end; expected a YAML file"):
        read_text(pipe, "a YAML file")
    with pytest.raises(Unreadable, match="found a device, which may never end"):
        read_text(Path("/dev/zero"), "a YAML file")
    out, into = os.pipe()
    os.write(into, b"name: x")
    os.close(into)
    try:
        assert read_text(Path(f"/dev/fd/{out}"), "a YAML file") == "name: x"
    finally:
        os.close(out)
