"""The worked notebook does what it says, cell by cell; no Jupyter is needed to run its code."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.examples import ROOT

NOTEBOOK = ROOT / "docs" / "plan.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def shown(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line where that is an expression, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)  # type: ignore[attr-defined]


def test_the_cells_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell runs after those before it, and what it ends with has a table for people to see."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    values = [shown(cell["source"], names) for cell in cells() if cell["cell_type"] == "code"]
    tables = [value._repr_html_() for value in values if hasattr(value, "_repr_html_")]
    assert len(tables) >= 5
    assert all("<table" in table for table in tables)
    assert "VALIDATED: 1 machine" in tables[0]
    assert (tmp_path / "plan.json").is_file()
    assert "**VALIDATED**: 1 machine, " in (tmp_path / "plan.md").read_text(encoding="utf-8")


def test_no_outputs_are_kept() -> None:
    """Outputs would age unseen, and say on which machine it ran."""
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells())
