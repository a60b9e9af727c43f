"""Figures of a file against the same figures worked out again."""

from hypothesis import given
from hypothesis import strategies as st

from planner.files.restated import apart


@given(st.text("ab ", max_size=200), st.text("ab ", max_size=200))
def test_what_differs_is_seen_to_differ(said: str, now: str) -> None:
    """Rule: the line on two different texts shows where they differ, however long what they share is."""
    told = list(apart({"why": said}, {"why": now}, "plan"))
    if said == now:
        assert not told
        return
    before, _, after = told[0].removeprefix("plan.why ").removesuffix(")").partition(" (now ")
    assert before != after
    assert len(told[0]) < 160
