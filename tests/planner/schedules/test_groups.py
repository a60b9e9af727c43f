"""Rules of looks at epochs: what was near its limits is looked at first, and what is wrong is not looked at longer."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.results.timetable import Served
from planner.scenario.schedule_section import ScheduleSection
from planner.schedules.groups import in_groups


def row(epochs: Sequence[int], *, valid: bool) -> Served:
    """What was seen of epochs that are alike."""
    return cast("Served", SimpleNamespace(epochs=tuple(epochs), valid=valid))


@given(
    epochs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=9), brief=st.booleans(),
    validated=st.none() | st.integers(1, 9),
)  # fmt: skip
def test_epochs_near_their_limits_tell_whether_others_are_looked_at_in_full(
    epochs: list[tuple[bool, bool]], brief: bool, validated: int | None
) -> None:  # fmt: skip
    """Each is looked at once, in the order of time; in full all, or the near ones alone where one of them misses."""
    looked = dict[int, bool]()

    def look(alike: Sequence[int], briefly: bool) -> tuple[Served, ...]:
        assert alike[0] not in looked
        looked[alike[0]] = briefly
        return (row(alike, valid=epochs[alike[0]][1]),)

    section = cast("ScheduleSection", SimpleNamespace(validated_epochs=validated))
    served, unserved = in_groups(
        np.arange(len(epochs), 0.0, -1.0), section, str, look, lambda *_: None,
        brief=brief, near=lambda epoch: epochs[epoch][0],
    )  # fmt: skip
    count = min(validated or len(epochs), len(epochs))
    assert [each.epochs for each in served] == [(at,) for at in range(count)]
    assert unserved == tuple(range(count, len(epochs)))
    missed = any(near and not valid for near, valid in epochs[:count])
    expected: dict[int, Any] = {at: brief or (missed and not epochs[at][0]) for at in range(count)}
    assert looked == expected
