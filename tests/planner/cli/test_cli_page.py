"""The page of commands is what the commands say of themselves."""

from collections import Counter
from pathlib import Path
from typing import Any

import typer.main

from planner.cli import build
from tests.planner.cli.test_cli import commands
from tests.planner.goldens import same_as_golden

ROOT = Path(__file__).parents[3]

SHARED_FROM = 2
"""An option with the same meaning in so many commands is described once."""


def described(parameter: Any) -> str:
    """One option or argument as Markdown, from what it knows of itself and not from how typer prints it."""
    name = parameter.metavar or parameter.name.upper()
    flag = ", ".join(parameter.opts) if parameter.param_type_name == "option" else name
    value = f" {name}" if parameter.param_type_name == "option" and not parameter.is_flag else ""
    asked = " (required)" if parameter.required else ""
    return f"- `{flag}{value}`: {parameter.help}{asked}"


def section(words: str, command: Any, shared: set[str], everywhere: set[str]) -> str:
    """One command as Markdown; options that several commands share are only named, those of every command left out."""
    lines = [described(p) for p in sorted(command.params, key=lambda p: p.param_type_name)]
    lines = [line for line in lines if line not in everywhere]
    own = [line for line in lines if line not in shared]
    also = ", ".join(f"`{line.split('`')[1].split(' ')[0].rstrip(',')}`" for line in lines if line in shared)
    about = " ".join(command.help.split())
    listed = [*own, f"- shared: {also}"] if also else own
    return f"\n## phasewise {words}\n\n{about}\n" + ("\n" + "\n".join(listed) + "\n" if listed else "")


def test_command_page_is_current() -> None:
    """``docs/cli.md`` is what the commands say of themselves."""
    about = " ".join(typer.main.get_command(build()).help.split())  # type: ignore[union-attr]
    counts = Counter(described(p) for command in commands().values() for p in command.params)
    everywhere = {line for line, count in counts.items() if count == len(commands())}
    shared = {line for line, count in counts.items() if count >= SHARED_FROM and line.startswith("- `-")} - everywhere
    page = f"# Command line\n\n{about}\n\n`python -m planner` is `phasewise`. A test keeps this page current.\n"
    page += "\nOptions of every command:\n\n" + "\n".join(sorted(everywhere)) + "\n"
    page += "\nShared options:\n\n" + "\n".join(sorted(shared)) + "\n"
    page += "".join(section(words, command, shared, everywhere) for words, command in sorted(commands().items()))
    same_as_golden(page, ROOT / "docs" / "cli.md")
