"""What is written is shown by the programs that open it, never run by them."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from planner.errors import BadInput
from planner.files.texts import as_csv, inert
from planner.report.markdown import OF_PLANS, as_markdown
from planner.report.plans import plan_page
from tests.planner import plans
from tests.planner.small import small

MADE = ("\n", "\r", "\x1b[2J", "\u202e", "\x00", "\t")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | st.integers() | st.floats(allow_nan=False)))
def test_no_cell_is_a_formula(cells: list[object]) -> None:
    """A cell of a table starts with none of = + - @ unless it is a number; all others stay as they are."""
    for before, after in zip(cells, inert(cells), strict=True):
        assert after in (before, f"'{before}")
        if isinstance(after, str) and after.startswith(("=", "+", "-", "@")):
            float(after)


def test_a_machine_of_ones_own_runs_nothing() -> None:
    """A machine called like a formula, a table's end or a script is one cell of CSV and of Markdown, as text."""
    name = "=HYPERLINK(1)|<script>"
    plan = plans.plan()
    pools = tuple(replace(pool, spec=replace(pool.spec, machine=name)) for pool in plan.candidate.pools)
    answer = replace(plan, candidate=replace(plan.candidate, pools=pools))
    rows = list(csv.DictReader(io.StringIO(as_csv(answer, {name: 1.0}))))
    assert {row["machine"] for row in rows} == {f"'{name}"}
    question = small("name=<img src=x>")
    text = as_markdown(plan_page(answer, question), question.name, OF_PLANS)
    assert "<" not in text.replace("\\<", "").replace("<=", "")
    assert r"=HYPERLINK(1)\|\<script\>" in text


@pytest.mark.parametrize("sign", MADE)
def test_names_are_one_line(tmp_path: Path, sign: str) -> None:
    """A line end, an escape sequence or a turn of direction in a name is refused, in scenarios and catalogs."""
    with pytest.raises(BadInput, match="expected one line without control characters"):
        small(f"name={yaml.safe_dump(f'a{sign}b', width=1000).strip()}")
    (tmp_path / "links.yaml").write_text(yaml.safe_dump({"links": {f"a{sign}b": {}}}, width=1000))
    with pytest.raises(CatalogError, match="expected a name of one line"):
        load_catalog(tmp_path)
