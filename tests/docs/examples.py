"""Examples in Markdown: found, run, compared.

A fenced block that follows a line ``<!-- run -->`` (or ``<!-- run: slow -->``) is an example. A ``bash`` block must end
well. In a ``console`` block, lines that start with ``$ `` are commands and the lines below them what they print; a line
``...`` stands for any lines. The blocks of one page run in order, in one empty directory; its ``python`` blocks are one
program, which runs where the first of them stands.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"^<!-- run(?P<slow>: slow)? -->\n+```(?P<kind>bash|console|python)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One block.

    Attributes:
        line: where its text starts, from 1.
        slow: left to the slow tests, and so is every block after it.
        kind: ``bash``, ``console`` or ``python``.
        text: what stands between the fences.
    """

    line: int
    slow: bool
    kind: str
    text: str


def examples(page: str) -> list[Example]:
    """The marked blocks of a page."""
    found = [
        Example(
            line=page.count("\n", 0, block.start("text")) + 1,
            slow=bool(block["slow"]),
            kind=block["kind"],
            text=block["text"],
        )
        for block in _BLOCK.finditer(page)
    ]
    programs = [example for example in found if example.kind == "python"]
    whole = [replace(each, text="\n".join(p.text for p in programs)) for each in programs[:1]]
    return [*whole, *(example for example in found if example.kind != "python")]


def complaints(example: Example, directory: Path) -> list[str]:
    """Run one block; what is not as the page says."""
    if example.kind != "console":
        quoted = example.text if example.kind == "bash" else f"{sys.executable} - <<'PROGRAM'\n{example.text}PROGRAM\n"
        done = run(quoted, directory)
        return [] if done.returncode == 0 else [f"line {example.line}: exit code {done.returncode}: {done.stderr}"]
    found = []
    for command, expected in steps(example.text):
        printed = run(command, directory)
        if not _matches(expected, printed.stdout):
            found.append(
                f"line {example.line}: $ {command}\nprinted:\n{printed.stdout}{printed.stderr}\nnot:\n{expected}"
            )
    return found


def steps(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it is expected to print."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def _matches(expected: str, printed: str) -> bool:
    lines = (".*" if line == "...\n" else re.escape(line) for line in expected.splitlines(keepends=True))
    return re.fullmatch("".join(lines), printed, re.S) is not None


def run(script: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run bash lines in which ``phasewise`` is this checkout."""
    # `phasewise` is this checkout, installed or not.
    door = f'phasewise() {{ "{sys.executable}" -m planner "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", door + script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
