"""Rules of what ships: the data say which they are, and whether they are those of the release."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.files import shipped as module
from planner.files.plan_file import sealed
from planner.files.shipped import shipped
from tests.planner.small import small, write_small


def test_the_version_says_which_data_ship() -> None:
    """``--version`` prints the version and a digest of the data of each package."""
    first, *rest = CliRunner().invoke(build(), ["--version"]).stdout.splitlines()
    assert re.fullmatch(r"phasewise \d+\.\d+\.\d+", first)
    assert [line.split()[0] for line in rest] == ["hw_catalog", "workloads"]
    assert all(re.search(r" sha256:[0-9a-f]{64} \(", line) for line in rest)


def test_changed_data_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data whose files are those that the wheel lists are as released; a file changed, added or missing is named."""
    files = module._all()
    listed = {f"{p}/data/{name}": module._record(content) for p, of in files.items() for name, content in of.items()}
    monkeypatch.setattr(module, "_recorded", lambda: listed)
    assert all(line.endswith("(as released)") for line in shipped())
    listed["hw_catalog/data/gpus.yaml"] = "another"
    listed["hw_catalog/data/gone.yaml"] = "one more"
    one, other = shipped()
    assert one.endswith("(NOT as released: 2 files, first hw_catalog/data/gone.yaml)")
    assert other.endswith("(as released)")


def test_a_solver_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario that names a solver of an extra says which extra, before anything is solved."""
    monkeypatch.setattr("planner.resolve.inputs.installed", lambda: False)
    words = ["check", str(write_small(tmp_path)), "--set", "solver.backend=mathopt"]
    done = CliRunner().invoke(build(), words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "pip install 'phasewise[mathopt]'" in done.stderr
    assert small().solver.backend == "highs"


def test_plans_of_other_versions_load_or_say_what_to_do(tmp_path: Path) -> None:
    """A plan of another version is shown where this one understands it; else the refusal says to plan again."""
    made = tmp_path / "plan.json"
    CliRunner().invoke(build(), ["plan", str(write_small(tmp_path)), "--out", str(made), "--quiet"])
    data = json.loads(made.read_text()) | {"phasewise_version": "0.1.0"}
    del data["content_sha256"]
    made.write_text(sealed(data))
    assert CliRunner().invoke(build(), ["show", str(made)]).exit_code == 0
    del data["plan"]["candidate"]["pools"]
    made.write_text(sealed(data))
    done = CliRunner().invoke(build(), ["show", str(made)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "phasewise '0.1.0' wrote this; expected" in done.stderr
    assert "plan again with this version" in done.stderr
