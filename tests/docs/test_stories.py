"""The commands of docs/stories.md are commands, and do what the stories say."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer.main

from planner.cli import build
from tests.docs.examples import ROOT, run
from tests.docs.test_tutorial import TRACE

TABLE = (ROOT / "docs" / "stories.md").read_text(encoding="utf-8").partition("## Ten messages")[0]
CELLS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in TABLE.splitlines() if "`phasewise" in line]
CONFIG = ROOT.parent / "shared" / "cases" / "configs" / "qwen3-30b-a3b" / "config.json"
BAKES = importlib.util.find_spec("aiconfigurator_core") or importlib.util.find_spec("aiconfigurator")


def stories() -> dict[str, list[str]]:
    """Who it is -> what is typed."""
    found: dict[str, list[str]] = {}
    for who, typed, _ in CELLS:
        name = who.partition(":")[0] or [*found][-1]
        (command,) = re.findall(r"`(phasewise [^`]*)`", typed)[:1]
        found.setdefault(name, []).append(command)
    return found


COMMANDS = [command for typed in stories().values() for command in typed]


def test_there_are_five() -> None:
    """Five users, each with a page that they forward."""
    assert len(stories()) == 5
    assert all(any(".html" in command for command in typed) for typed in stories().values())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[:60])
def test_every_command_is_one(command: str) -> None:
    """Every verb and option exists and takes what is given."""
    at, words = typer.main.get_command(build()), shlex.split(command)[1:]
    while hasattr(at, "commands"):
        at, words = at.commands[words[0]], words[1:]
    at.make_context(at.name, words)


@pytest.mark.slow
@pytest.mark.parametrize("who", list(stories()))
def test_a_story_ends_with_its_page(tmp_path: Path, who: str) -> None:
    """From nothing to the page, every command in order, each with exit code 0."""
    typed = "\n".join(stories()[who])
    if " T " in typed and not TRACE.exists():
        pytest.skip(f"{TRACE} is not there: this story is NOT told")
    if "catalog bake" in typed and not (BAKES and CONFIG.exists()):
        pytest.skip(f"no extra `bake`, or no {CONFIG}: this story is NOT told")
    if CONFIG.exists():
        (tmp_path / "my-moe").mkdir()
        (tmp_path / "my-moe" / "config.json").write_bytes(CONFIG.read_bytes())
    for name in ("splitwise-conv", "dynamollm-week"):
        run(f"phasewise new {name}", tmp_path)
    for command in typed.replace("--from T ", f"--from {TRACE} ").splitlines():
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stderr
    for page in re.findall(r"[\w-]+\.html", typed):
        assert (tmp_path / page).read_text(encoding="utf-8").startswith("<!doctype html>")
