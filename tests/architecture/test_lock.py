"""What a fresh machine installs is written down, version by version, with hashes."""

import re
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import ROOT
from tests.architecture.test_tree import project

LOCKS = ("lock.txt", "lock-plan.txt")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


class Pin(NamedTuple):
    """A line of a lock, and how many hashes follow it."""

    requirement: Requirement
    hashes: int


def pins(name: str) -> list[Pin]:
    """What a lock holds; anything in it that is neither a pin nor a hash fails."""
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = []
    for entry in re.split(r"\n(?=\S)", "\n".join(lines)):
        first, *rest = entry.split(" \\\n")
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}\n?", line) for line in rest), entry
        found.append(Pin(Requirement(first), len(rest)))
    return found


def locked(name: str, python: str) -> dict[str, str]:
    """Package -> version that a lock installs on Linux with this Python."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
             "platform_python_implementation": "CPython"}  # fmt: skip
    here = [
        pin.requirement for pin in pins(name) if not pin.requirement.marker or pin.requirement.marker.evaluate(where)
    ]
    assert len({r.name for r in here}) == len(here), "a package is given twice"
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in here}


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_one_version_with_hashes(name: str) -> None:
    """A lock holds exact versions, each with hashes of its files; no index, no path, nothing of one machine."""
    found = pins(name)
    assert found
    assert all(pin.hashes >= 1 and re.fullmatch(r"==[\w.+!]+", str(pin.requirement.specifier)) for pin in found)
    assert not [pin for pin in found if pin.requirement.url or "+" in str(pin.requirement.specifier)]


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_is_within_the_ranges_of_the_project(python: str) -> None:
    """Whatever ``pyproject.toml`` asks for is locked, in a version that it allows; to plan, nothing of dev is."""
    table = project()["project"]
    build = project()["dependency-groups"]["build"]
    plan, whole = locked("lock-plan.txt", python), locked("lock.txt", python)
    for asked, lock in (([*table["dependencies"], *build], plan), (table["optional-dependencies"]["dev"], whole)):
        for requirement in map(Requirement, asked):
            version = lock.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not locked; run make lock"
            assert requirement.specifier.contains(version), f"{requirement} does not allow {version}; run make lock"
    assert build == project()["build-system"]["requires"]
    assert plan.items() <= whole.items()
    assert "pytest" not in plan
