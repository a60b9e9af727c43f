"""Nothing happens behind the caller's back: no state, no file read at import, no look into the future."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from planner.policies.base import RequestView
from tests.architecture.sources import PACKAGES, ROOT, module_names, modules, python_files

IMPORT_WATCHED = """
import importlib, sys
names = {names!r}
for name in names:
    importlib.import_module(name)
for name in [n for n in sys.modules if n.partition(".")[0] in {packages!r}]:
    del sys.modules[name]
opened = []
def watch(event, arguments):
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so")):
        opened.append(str(arguments[0]))
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(" ".join(opened))
import hw_catalog.load
hw_catalog.load.load_catalog()
print(" ".join(opened))
"""


def test_no_file_is_read_at_import() -> None:
    """Importing every module opens no file but code: catalogs are read when asked for, which the same watch sees."""
    program = IMPORT_WATCHED.format(names=module_names(), packages=PACKAGES)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    imported, asked_for = done.stdout.splitlines()
    assert imported == ""  # the libraries they use were there already
    assert "gpus.yaml" in asked_for


def keeps_state(node: ast.AST) -> bool:
    """Whether a statement makes a module remember: ``global``, or a cache on a function, but not one in an object."""
    if isinstance(node, ast.FunctionDef):
        found = {ast.unparse(decorator) for decorator in node.decorator_list}
        return any("cache" in decorator for decorator in found - {"cached_property"})
    return isinstance(node, ast.Global)


def test_no_module_keeps_state() -> None:
    """Modules hold constants only: no ``global``, no cache on a function, no container under a variable's name."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if keeps_state(node)
    ]
    found += [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, list | dict | set) and not name.isupper() and not name.startswith("__")
    ]
    assert not found


def test_no_policy_can_read_the_future() -> None:
    """A policy sees of a request what a real scheduler would: never how many tokens it is going to generate."""
    shown = {name for name in vars(RequestView) if not name.startswith("_")}
    assert shown == {
        "prompt_tokens", "prefill_tokens", "cached_tokens", "held_tokens", "arrival_s", "due_s", "preemptions"
    }  # fmt: skip


@pytest.mark.parametrize("path", python_files("planner/policies"), ids=lambda path: path.stem)
def test_policies_look_at_views_only(path: Path) -> None:
    """No policy reaches past the view it is handed for a request's output."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"output_tokens", "generated", "first_token_s", "last_token_s"}
