"""How several inputs are read at once."""

import pytest

from planner.errors import BadInput, read_each


def read(text: str) -> int:
    """A number, or two problems."""
    if not text.isdigit():
        raise BadInput(f"{text}: no number", f"{text}: not even one")
    return int(text)


def test_the_problems_of_all_inputs_are_told_at_once() -> None:
    """Inputs are read in their order; where some are wrong, every problem of each is in one error."""
    assert read_each(read, ["1", "2"]) == [1, 2]
    with pytest.raises(BadInput) as refused:
        read_each(read, ["a", "1", "b"])
    assert refused.value.problems == ("a: no number", "a: not even one", "b: no number", "b: not even one")
