"""The repository as the architecture tests see it."""

import ast
import importlib
import pkgutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("planner", "hw_catalog", "workloads", "solvers")


def module_names() -> list[str]:
    """Every module of the packages except ``__main__``, which acts when it is imported."""
    names = list(PACKAGES)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += [m.name for m in pkgutil.walk_packages(path, f"{package}.") if not m.name.endswith("__main__")]
    return names


def modules() -> list[ModuleType]:
    """Every module of the packages, imported."""
    return [importlib.import_module(name) for name in module_names()]


def python_files(*directories: str) -> list[Path]:
    """Every Python file in ``directories`` of the repository."""
    return sorted(path for name in directories for path in (ROOT / name).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, methods and inner functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def committed() -> list[str]:
    """Every file under version control; skips the test where there is none, as in an unpacked archive."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: what is committed cannot be listed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]
