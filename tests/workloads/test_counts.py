"""Rules of counts and watts in sentences, wherever they stand."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.counts import number, percent, plural, watts

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


@given(st.floats(0, 3))
def test_a_share_is_told_as_none_or_all_only_where_it_is(share: float) -> None:
    """0.4 % is not 0 %, 99.6 % and 100.4 % are not 100 %; what is told is the share to two digits of what it lacks."""
    told = float(percent(share).removesuffix(" %")) / 100
    assert (told == 0) == (share < 1e-6)
    assert (told == 1) == (abs(share - 1) < 1e-6)
    assert abs(told - share) <= max(0.005 * (share >= 0.1), 0.05 * share + 1e-6)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.004, "0.4 %"), (0.996, "99.6 %"), (0.9996, "99.96 %"), (1.004, "100.4 %"), (0.71, "71 %"), (1.0, "100 %"),
     (0.0, "0 %"), (0.994, "99.4 %"), (0.99, "99 %"), (2.5, "250 %")],
)  # fmt: skip
def test_shares_in_words(share: float, words: str) -> None:
    """A whole number of hundredths where that says enough."""
    assert percent(share) == words
