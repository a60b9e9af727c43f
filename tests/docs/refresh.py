"""What examples print today, put in place of what they printed: ``python -m tests.docs.refresh [PAGE ...]``.

Each expected line takes the digits of the printed line that it is most like, in order; ``...`` stays. What changed is
for a reader of the diff to judge.
"""

import difflib
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.docs.examples import ROOT, examples, run, steps

ALIKE = 0.6
"""A printed line must be this like the expected one, digits aside, to stand for it."""


def refreshed(expected: Sequence[str], printed: Sequence[str]) -> list[str]:
    """The expected lines with the numbers that were printed."""
    result, at = [], 0
    for line in expected:
        if line == "...":
            result.append(line)
            continue
        scores = [(_likeness(line, other), -place) for place, other in enumerate(printed[at:])]
        best, place = max(scores, default=(0.0, 0))
        if best < ALIKE:
            result.append(line)
            continue
        at += 1 - place
        result.append(printed[at - 1])
    return result


def _likeness(one: str, other: str) -> float:
    """How alike two lines are, digits and spaces aside; not at all where they begin with other words."""
    if one.split()[:1] != other.split()[:1]:
        return 0.0
    bare = (re.sub(r"[\d.,]+", "0", re.sub(r"\s+", " ", line)) for line in (one, other))
    return difflib.SequenceMatcher(None, *bare).ratio()


def refresh(page: Path) -> bool:
    """Rewrite the examples of a page; whether anything changed."""
    text = page.read_text(encoding="utf-8")
    new = text
    with tempfile.TemporaryDirectory() as directory:
        for example in examples(text):
            if example.kind == "bash":
                run(example.text, Path(directory))
                continue
            lines: list[str] = []
            for command, expected in steps(example.text):
                printed = run(command, Path(directory)).stdout.splitlines()
                lines += [f"$ {command}", *refreshed(expected.splitlines(), printed)]
            new = new.replace(example.text, "".join(f"{line}\n" for line in lines), 1)
    if new != text:
        page.write_text(new, encoding="utf-8")
    return new != text


def main() -> None:
    """Refresh the pages named, or all."""
    pages = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "README.md", *(ROOT / "docs").rglob("*.md")))
    for page in pages:
        sys.stdout.write(f"{'changed  ' if refresh(page) else 'unchanged'} {page}\n")


if __name__ == "__main__":
    main()
