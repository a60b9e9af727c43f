"""What the page of reliability may be written from."""

import pytest

from tests.soak.reliability import KINDS, untried

WHOLE = {kind: {"one": {"cases": 3}, "other": {"cases": 1}} for kind in (*KINDS, "laws")}


def test_a_soak_of_everything_is_a_page() -> None:
    """Where every door, reader, engine and solver had a case, the page may be written; of laws a few are enough."""
    assert untried(WHOLE) == []
    assert untried(WHOLE | {"laws": {"one": {"cases": 1}, "other": {"cases": 0}}}) == []


@pytest.mark.parametrize("kind", [*KINDS, "laws"])
def test_what_was_not_tried_is_no_zero_failures(kind: str) -> None:
    """A soak that ran out of time before a kind of case says nothing about it, and is told so by name."""
    none = WHOLE | {kind: {"one": {"cases": 0}, "other": {"cases": 0}}}
    assert any(kind in words for words in untried(none))
