"""Rules of what machines need together."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.capacity.totals import NO_WORK, totals
from planner.results.plan import Totals
from tests.planner.options import showcase

OPTIONS = showcase()
BOUGHT = st.lists(st.tuples(st.sampled_from(OPTIONS), st.integers(0, 50), st.just(NO_WORK)), max_size=6)


@given(BOUGHT, BOUGHT)
def test_needs_add_up(one: list, other: list) -> None:  # type: ignore[type-arg]
    """What two sets of machines need together is the sum in every quantity, watts and carbon included; less one of them
    it is the other.
    """
    both = totals([*one, *other])
    added, left = totals(one) + totals(other), both - totals(other)
    for field in fields(Totals):
        assert getattr(both, field.name) == pytest.approx(getattr(added, field.name))
        assert getattr(left, field.name) == pytest.approx(getattr(totals(one), field.name), abs=1e-3)


def test_work_draws_watts_and_carbon() -> None:
    """Machines that serve draw more than idle ones, and emit for it; what is bought stays the same."""
    option = OPTIONS[0]
    name = next(iter(option.envelopes))
    idle, busy = totals([(option, 2, NO_WORK)]), totals([(option, 2, {name: 1.0})])
    assert busy.cost_usd_per_h == idle.cost_usd_per_h == 2 * option.price_usd_per_h
    assert busy.expected_power_w - idle.expected_power_w == pytest.approx(option.work_j(name))
    assert idle.expected_power_w == pytest.approx(2 * option.floor_w)
    grams = 3600 * option.carbon_g_per_j * (busy.expected_power_w - idle.expected_power_w)
    assert busy.carbon_g_per_h - idle.carbon_g_per_h == pytest.approx(grams)
