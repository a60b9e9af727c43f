"""Why there is no schedule, of one model: limits, also such as have to be raised together, that were planned with."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.results.timetable import Timetable
from planner.schedules.planning import timetable
from tests.planner.small import small

HOURS = ("workload.rate_scale=60", "schedule={load: [0.4, 1.3]}", "catalog.machines=[dgx-h100]")
STOCK = "catalog.available.dgx-h100"


def planned(*words: str) -> Timetable:
    """The schedule of two hours, the second of more machines than one, or why there is none."""
    return timetable(small(*HOURS, *words), progress=lambda *_: None)


def named(none: Timetable) -> dict[str, tuple[float, float]]:
    """Limit -> value with which a schedule was validated, and the largest below it with which none was."""
    told = (re.match(r"(.+): a schedule was validated with ([\d.e+]+), none with ([\d.e+]+)", w) for w in none.lacking)
    return {found[1]: (float(found[2]), float(found[3])) for found in told if found}


def set_to(values: dict[str, float]) -> list[str]:
    """Settings with these values; machines are whole."""
    return [f"{key}={value:.0f}" if value < 100 else f"{key}={value:g}" for key, value in values.items()]


@pytest.mark.parametrize(
    "limits",
    [
        {"budgets.machines": 1},
        {"budgets.machines": 1, "budgets.power_w": 10_300},
        {STOCK: 1, "budgets.power_w": 10_300},
        {STOCK: 1, "budgets.cost_usd_per_h": 25, "budgets.rack_units": 9},
    ],
)
def test_limits_that_are_named_are_enough_together_and_a_step_less_of_none_is(limits: dict[str, float]) -> None:
    """Budgets and stock alike: no single raise helps where several are named, and with all there is a schedule."""
    none = planned(*set_to(limits))
    assert none.schedule is None
    assert none.proven
    found = named(none)
    assert set(found) == set(limits)
    lines = [re.sub(r"\s+", " ", line) for line in none.lacking if "raise" in line]
    assert [line.partition(" ")[0] for line in lines] == ["raise", *["and"] * (len(limits) - 1)]
    assert all(line.endswith(f" {found[key][0]:g}") for key, line in zip(found, lines, strict=True))
    enough = {key: value for key, (value, _) in found.items()}
    assert planned(*set_to(enough)).valid
    for key, (_, less) in found.items():
        assert planned(*set_to({**enough, key: less})).schedule is None
        if len(limits) > 1:
            assert planned(*set_to({**limits, key: enough[key]})).schedule is None


@pytest.mark.slow
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    machines=st.integers(1, 6), stock=st.integers(1, 6), watts=st.sampled_from([10_300, 20_500, 40_900, 61_300]),
    peak=st.sampled_from([0.8, 1.3, 2.0]),
)  # fmt: skip
def test_whatever_is_too_little_is_named_so_that_it_is_enough(
    machines: int, stock: int, watts: int, peak: float
) -> None:
    """A schedule, or limits with which there is one."""
    limits = {"budgets.machines": machines, STOCK: stock, "budgets.power_w": watts}
    hours = f"schedule.load=[0.4, {peak}]"
    none = planned(*set_to(limits), hours)
    if none.schedule is not None:
        return
    enough = {key: value for key, (value, _) in named(none).items()}
    assert enough
    alone = len(enough) == 1 or any(line.startswith("or ") for line in none.lacking)
    for raised in [{key: value} for key, value in enough.items()] if alone else [enough]:
        assert planned(*set_to({**limits, **raised}), hours).valid
