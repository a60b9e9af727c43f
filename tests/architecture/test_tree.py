"""What is in the repository, and what of it reaches a user."""

import re
import tomllib
from hashlib import sha256
from typing import Any

import pytest

import planner
from tests.architecture.sources import PACKAGES, ROOT, committed

TOP = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile",
    "NOTICE", "README.md", "SECURITY.md", "benchmarks", "docs", "hw_catalog", "planner", "pyproject.toml",
    "solvers", "tests", "workloads",
}  # fmt: skip


def project() -> dict[str, Any]:
    """The content of ``pyproject.toml``."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_the_top_level_holds_nothing_else() -> None:
    """A visitor meets exactly the packages, the tests, the documents and the tools that are announced."""
    assert {name.split("/")[0] for name in committed()} == TOP


def test_no_source_data_is_committed() -> None:
    """Files that something was fitted from stay where they were published: only the fits are here."""
    shared = ROOT.parent / "shared" / "data"
    if not shared.is_dir():
        pytest.skip("the source data that fits were made from is not beside this checkout, so nothing to compare with")
    sources = {sha256(path.read_bytes()).hexdigest(): path.name for path in shared.rglob("*") if path.is_file()}
    copies = {
        name: sources[digest]
        for name in committed()
        if (ROOT / name).is_file() and (digest := sha256((ROOT / name).read_bytes()).hexdigest()) in sources
    }
    assert not copies


def test_every_data_file_is_packaged() -> None:
    """An installed phasewise has every file that is not Python: a pattern of ``package-data`` matches each of them."""
    patterns = project()["tool"]["setuptools"]["package-data"]
    left_out: list[str] = []
    for package in PACKAGES:
        root = ROOT / package
        packaged = {path for pattern in patterns[package] for path in root.glob(pattern)}
        packaged |= {ROOT / "planner/api/phasewise" / pattern for pattern in patterns["phasewise"]}
        data = {path for path in root.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
        left_out += [str(path.relative_to(ROOT)) for path in sorted(data - packaged)]
    assert not left_out


def test_every_package_data_pattern_finds_something() -> None:
    """No pattern of ``package-data`` is left from a file that has gone."""
    patterns = project()["tool"]["setuptools"]["package-data"]
    where = project()["tool"]["setuptools"]["package-dir"]
    idle = [
        f"{p}: {pattern}"
        for p in patterns
        for pattern in patterns[p]
        if not any((ROOT / where.get(p, p)).glob(pattern))
    ]
    assert not idle


def test_every_directory_of_modules_is_a_package() -> None:
    """Setuptools packs each directory of modules that is listed, `phasewise` under its own name."""
    directories = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert not [str(d.relative_to(ROOT)) for d in directories if not (d / "__init__.py").exists()]
    setuptools = project()["tool"]["setuptools"]
    elsewhere = {value: key for key, value in setuptools["package-dir"].items()}
    names = [str(d.relative_to(ROOT)) for d in directories]
    assert sorted(setuptools["packages"]) == sorted(elsewhere.get(name, name.replace("/", ".")) for name in names)


def test_one_version_everywhere() -> None:
    """``pyproject.toml``, ``planner.__version__`` and the top entry of the changelog name the same version."""
    entries = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert project()["project"]["version"] == planner.__version__ == entries[0]


def test_tests_mirror_the_rooms() -> None:
    """Tests of a room are in the directory of its name; only a room that is one file has its tests beside them."""
    rooms, tests = ROOT / "planner", ROOT / "tests" / "planner"
    nowhere = [
        str(path.relative_to(ROOT))
        for path in sorted(tests.rglob("test_*.py"))
        if path.parent != tests and not (rooms / path.parent.relative_to(tests)).is_dir()
    ]
    loose = [path.name for path in tests.glob("test_*.py") if not (rooms / path.name.removeprefix("test_")).is_file()]
    assert nowhere + loose == []
