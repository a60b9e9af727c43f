"""Users read the field's words: texts that reach them hold none of the private ones."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT

BANNED = {
    r"somebody|someone|nobody|everybody|whoever": "name the role: operator, request, machine, no pool",
    r"begun": "started",
    r"lend|lends|lent|lending|guests?": "borrow, borrowed, return",
    r"welcome|farewell": "borrow, return",
    r"giants?": "long-context request",
    r"yard|tournaments?|appointments?": "say what it does",
    r"argued|argument between|turns? of the argument": "planning round",
    r"standing by|stand by|stands by": "idle",
    r"left behind": "unfinished",
    r"plugs?": "wall power",
    r"empty-handed": "the solver found no plan in its time limit",
    r"reckon\w*": "compute",
    r"befalls?|mended|whose standing": "plain verb",
    r"on the way|by the way|on its way|under way": "during the migration; over the link",
    r"made small|making small": "minimised",
    r"hold against|held against": "compare with",
}
"""What no user-facing text says -> what it says instead."""

PATTERNS = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): instead for words, instead in BANNED.items()}
CODE = re.compile(r"```.*?```|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL)
PAGES = sorted(
    (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "planner").rglob("*.yaml"))
)
LATER = ("planner/simulator/",)
"""Rooms that are being rewritten, and are read by this rule once they are."""

MODULES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if not path.relative_to(ROOT).as_posix().startswith(LATER)
)


def found(text: str) -> list[str]:
    """Each private word of a text, with what to write instead."""
    return [f"{match[0]}: {instead}" for pattern, instead in PATTERNS.items() for match in pattern.finditer(text)]


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module that are no docstrings, by line."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


@pytest.mark.parametrize("page", [p for p in PAGES if p.exists()], ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_words_of_the_field(page: Path) -> None:
    """No page and no example scenario holds a private word, code aside."""
    assert found(CODE.sub(" ", page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_use_the_words_of_the_field(module: Path) -> None:
    """No text in the code that may be shown holds a private word; names and docstrings are for readers of code."""
    assert [f"line {line}: {word}" for line, text in texts(module) for word in found(text)] == []
