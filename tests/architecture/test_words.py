"""Users read the field's words: texts that reach them hold none of the private ones."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT

BANNED = {
    r"somebody|someone|nobody|everybody|everyone|whoever|no-one": "name the role: operator, request, machine, no pool",
    r"begun": "started",
    r"lends?|lent|lending|lenders?|guests?": "borrow, borrowed, return",
    r"welcome\w*|farewells?": "borrow, return",
    r"giants?": "long-context request",
    r"yards?|tournaments?|appointments?": "say what it does",
    r"argued|argument between|turns? of the argument": "planning round",
    r"standing by|stands? by|stood by": "idle",
    r"left[ -]behind|leaves? behind|leaving behind": "unfinished",
    r"plugs?|plugged": "wall power",
    r"empty[ -]handed": "the solver found no plan in its time limit",
    r"reckon\w*": "compute",
    r"befalls?|mended|whose standing": "plain verb",
    r"(?:on|by|along) the way|on (?:its|their) way|under ?way": "during the migration; over the link",
    r"made small|making small": "minimised",
    r"(?:holds?|holding|held) (?:\w+ ){0,9}against": "compare with",
    r"how it was argued|what it rests on|why not less": "planning rounds; sources and accuracy; rejected smaller plans",
    r"pass each other|who knows|no one": "say which order; say who",
}
"""What no user-facing text says -> what it says instead."""

PATTERNS = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): instead for words, instead in BANNED.items()}
CODE = re.compile(r"```.*?```|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL)
NAME = re.compile(r"^\s*\w+: ", re.MULTILINE)
"""An argument or attribute in a docstring: what stands before the colon is code."""

PAGES = sorted(
    (
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        ROOT / "Makefile",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "hw_catalog" / "data").glob("*.yaml"),
        *(ROOT / "workloads" / "data").glob("*.json"),
        *(ROOT / "planner" / "examples").glob("*.yaml"),
        *(ROOT / "planner" / "report" / "html" / "assets").glob("page.*"),
    )
)
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ENGINE = [path for path in MODULES if "planner/simulator" in path.as_posix()]


def found(text: str) -> list[str]:
    """Each private word of a text, with what to write instead; where lines end does not matter."""
    text = re.sub(r"\s+", " ", text)
    return [f"{match[0]}: {instead}" for pattern, instead in PATTERNS.items() for match in pattern.finditer(text)]


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module that are no docstrings, by line."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


COUNTED = re.compile(r" (?:more )?(?:tokens?|requests?|rows?)\b(?! in\b|/)")
WORDED = {"number", "plural", "amount", "rate", "short"}
"""Functions that return numbers in words, thousands separated."""


def unseparated(module: Path) -> Iterator[str]:
    """Counts of tokens, requests and rows in f-strings that have no separator of thousands."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for value, after in pairwise(parts):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                called = value.value.func if isinstance(value.value, ast.Call) else value.value
                words = isinstance(called, ast.Name) and called.id in {*WORDED, "share", "words"}
                separated = "," in ast.unparse(value.format_spec) if value.format_spec else words
                if COUNTED.match(str(after.value)) and not separated:
                    yield f"{module.relative_to(ROOT)}:{value.lineno}: {ast.unparse(value)}{after.value}"


def unspaced(module: Path) -> Iterator[str]:
    """Shares in f-strings that Python's ``%`` writes, without a space before the sign."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        spec = ast.unparse(node.format_spec) if isinstance(node, ast.FormattedValue) and node.format_spec else ""
        if spec.rstrip("'\"").endswith("%"):
            yield f"{module.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    """The docstrings of a module by line, those of its constants included."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def names(module: Path) -> Iterator[tuple[int, str]]:
    """What a module names, by line: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for field in ("name", "id", "attr", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield getattr(node, "lineno", 0), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_words_of_the_field(page: Path) -> None:
    """No page, example scenario, template of a report or source in the data holds a private word, code aside."""
    assert found(CODE.sub(" ", page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_use_the_words_of_the_field(module: Path) -> None:
    """No text in the code that may be shown holds a private word; names are for readers of code."""
    assert [f"line {line}: {word}" for line, text in texts(module) for word in found(text)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_use_the_words_of_the_field(module: Path) -> None:
    """No docstring, below a name or at the top, holds a private word; names of arguments and attributes are code."""
    assert [f"line {line}: {word}" for line, text in docstrings(module) for word in found(NAME.sub(" ", text))] == []


def test_counts_in_messages_separate_thousands() -> None:
    """Tokens, requests and rows are written as ``37,200`` in every sentence, so that they are read alike everywhere."""
    assert [line for module in MODULES for line in unseparated(module)] == []


def test_shares_in_messages_stand_apart_from_their_sign() -> None:
    """A share is written as ``90 %`` in every message, table and file, never as ``90%``."""
    assert [line for module in MODULES for line in unspaced(module)] == []


@pytest.mark.parametrize("module", ENGINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_the_engine_are_words_of_the_field(module: Path) -> None:
    """No part of a name in the simulator, be it of a function, a variable or a field, is a private word."""
    assert [f"line {line}: {name}" for line, name in names(module) if found(name.replace("_", " "))] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Nobody serves it.", True),
        ("two Giants", True),
        ("a request borrowed", False),
        ("`guests` is a name", False),
        ("on\n    the way", True),
        ("hold the claims of a paper against ours", True),
    ],
)
def test_private_words_are_found(text: str, *, wrong: bool) -> None:
    """A private word is found however it is written, and a name in code is none."""
    assert bool(found(CODE.sub(" ", text))) is wrong
