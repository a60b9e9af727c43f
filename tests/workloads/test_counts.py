"""Rules of counts and watts in sentences, wherever they stand."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.counts import number, plural, watts

ROOT = Path(__file__).parents[2]
NOUNS = "machine|seed|cell|request|row|epoch|pool|instance|round|model|run|domain|rack|brake|replica|week"
COUNT = re.compile(rf"^ (?:more |measured )?({NOUNS})s\b")
NEVER_ONE = re.compile(
    r"cells|gpus|TRIES|places|^max|join|brakes|weeks|name|needed$|count$|late|homeless|trace|bad|nodes|epochs$|^instances$"
)
"""Counts that are never one where they are told (cells), or are none."""


@given(value=st.floats(1.0, 1e12), digits=st.sampled_from((3, 4)))
def test_no_number_is_written_with_an_exponent(value: float, digits: int) -> None:
    """Numbers and watts of any size are digits and commas, within half a unit of their last one."""
    assert "e" not in number(value, digits) + watts(value, digits)
    assert float(number(value, digits).replace(",", "")) == pytest.approx(value, rel=0.6 * 10 ** (1 - digits))


def test_one_of_a_thing_is_singular() -> None:
    """One machine, two machines, no machines."""
    assert [plural(count, "more machine") for count in (0, 1, 2, 1200)] == [
        "0 more machines", "1 more machine", "2 more machines", "1,200 more machines"
    ]  # fmt: skip
    assert (watts(1034.6e3), watts(999.0), number(1034.6, 3)) == ("1,035 kW", "999 W", "1,035")


def test_every_count_in_an_answer_knows_its_plural() -> None:
    """No sentence of the package writes a count before a noun in the plural by hand: one of it would read "1 seeds"."""
    found = []
    for path in sorted((ROOT / "planner").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for count, words in pairwise(parts):
                if not isinstance(count, ast.FormattedValue) or not isinstance(words, ast.Constant):
                    continue
                if COUNT.match(str(words.value)) and not NEVER_ONE.search(ast.unparse(count.value)):
                    found.append(f"{path.relative_to(ROOT)}:{count.lineno}: {ast.unparse(count)}{words.value[:30]}")
    assert not found
