"""More freedom over time: what a narrow question reaches, the wider one reaches within its stated gap."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.results.timetable import Timetable
from planner.scenario import Scenario
from planner.schedules.planning import timetable
from tests.planner.small import small

FREEDOMS = {
    "model.dtype": ("bf16", "[bf16, fp8]", "any"),
    "policy.name": ("colocated", "[colocated, sarathi]", "auto"),
    "policy.chunk_tokens": ("[512]", "[512, 2048]", "[512, 1024, 2048]"),
    "catalog.tp": ("[8]", "[4, 8]", "[2, 4, 8]"),
    "schedule.clocks_mhz": ("[1980]", "[1590, 1980]", "[1200, 1590, 1980]"),
}
"""Key -> one value, more, and all: each of these offers what those before it do."""

Widths = dict[str, int]


def _asked(widths: Widths, hours: tuple[float, ...], objective: str) -> Scenario:
    words = (f"{key}={FREEDOMS[key][width]}" for key, width in widths.items() if key != "schedule.clocks_mhz")
    clocks = FREEDOMS["schedule.clocks_mhz"][widths["schedule.clocks_mhz"]]
    return small(
        "catalog.machines=[dgx-h100]", *words,
        f"schedule={{load: {list(hours)}, clocks_mhz: {clocks}, objectives: [{objective}]}}",
    )  # fmt: skip


def _answer(widths: Widths, hours: tuple[float, ...], objective: str) -> Timetable:
    return timetable(_asked(widths, hours, objective), progress=lambda *_: None)


def _value(found: Timetable, objective: str) -> float:
    assert found.schedule is not None
    return found.schedule.cost_usd if objective == "cost" else found.schedule.energy_j


@pytest.mark.slow
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    narrow=st.fixed_dictionaries({key: st.integers(0, 1) for key in FREEDOMS}), key=st.sampled_from(sorted(FREEDOMS)),
    hours=st.lists(st.sampled_from([0.5, 3.0, 8.0, 20.0]), min_size=2, max_size=4).map(tuple),
    objective=st.sampled_from(["cost", "energy"]),
)  # fmt: skip
def test_more_freedom_over_time_never_costs_more_than_the_stated_gap(
    narrow: Widths, key: str, hours: tuple[float, ...], objective: str
) -> None:
    """A key that offers more gives a schedule that is no worse by more than its gap, where one is stated."""
    try:
        alone = _answer(narrow, hours, objective)
    except BadInput:  # what is asked was not measured together
        return
    free = _answer({**narrow, key: 2}, hours, objective)
    if not alone.valid:
        return
    assert free.valid, "a schedule of the narrow question is one of the wide question"
    gap = free.termination.gap_frac
    if gap is not None:
        lost = _value(free, objective) / _value(alone, objective) - 1
        assert lost <= gap + 0.002, (lost, gap)
