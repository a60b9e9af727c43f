"""What the page of reliability may be written from."""

import pytest

from tests.soak.reliability import KINDS, faults, senses, untried

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


def test_what_failed_has_a_row_of_its_own() -> None:
    """Kinds without a failure are one sentence with their sum; one that failed or lost something is told with both."""
    found = {"one": {"cases": 1_200, "failures": 0}, "other": {"cases": 34, "failures": 5}}
    assert "1,234 cases, 5 failures: one, other.\n\n| file | cases | failures |" in senses(found)
    assert senses(found).endswith("| other | 34 | 5 |\n")
    assert "|" not in senses({"one": found["one"]})
    struck = {"kill": {"injected": 2, "lost": 1}, "tmpfs": {"injected": 0, "lost": 0, "skipped": "no mount"}}
    page = faults({"faults": struck, "injected": 2, "lost": 1})
    assert "2 injected, 1 lost: kill.\n" in page
    assert "| kill | 2 | 1 |" in page
    assert page.endswith("Not tried here: tmpfs (no mount).\n")
