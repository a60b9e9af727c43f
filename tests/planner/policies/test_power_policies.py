"""Control laws: what a row manager orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.policies.power import NoCap, OneThreshold, Polca, PowerPolicy, PowerReading, PowerState

POLCA = Polca(
    t1_frac=0.80, t2_frac=0.89, release_frac=0.05, low_t1_mhz=1275.0, low_t2_mhz=1110.0, high_mhz=1305.0
)  # fmt: skip
LOW = OneThreshold(threshold_frac=0.89, release_frac=0.05, low_mhz=1110.0, high_mhz=None)
ALL = OneThreshold(threshold_frac=0.89, release_frac=0.05, low_mhz=1110.0, high_mhz=1110.0)
NONE = NoCap(release_frac=0.05)
LAWS = (POLCA, LOW, ALL, NONE)

readings = st.builds(PowerReading, power_frac=st.floats(0.3, 1.3), settled=st.booleans())


def states(law: PowerPolicy) -> st.SearchStrategy[PowerState]:
    """Every state a law can be in: the brake brings the last level with it."""
    last = len(law.clocks) - 1
    free = st.builds(PowerState, level=st.integers(0, last))
    return free | st.just(PowerState(level=last, braking=True))


def after(law: PowerPolicy, *fracs: float, settled: bool = True) -> PowerState:
    """The state after some readings, from nothing ordered."""
    state = PowerState()
    for frac in fracs:
        state = law.caps(PowerReading(power_frac=frac, settled=settled), state)
    return state


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(data=st.data(), reading=readings)
def test_nothing_changes_inside_the_quiet_band(law: PowerPolicy, data: st.DataObject, reading: PowerReading) -> None:
    """Within the band that a law calls quiet for its state it orders nothing new, settled or not."""
    state = data.draw(states(law))
    low, high = law.quiet(state)
    if low <= reading.power_frac <= high:
        assert law.caps(reading, state) == state


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(data=st.data(), reading=readings)
def test_the_brake_is_pulled_beyond_the_limit_and_only_there(
    law: PowerPolicy, data: st.DataObject, reading: PowerReading
) -> None:
    """Beyond the limit every law brakes at once; a brake that was not pulled is pulled nowhere else."""
    state = data.draw(states(law))
    braking = law.caps(reading, state).braking
    assert braking or reading.power_frac <= 1.0
    assert not braking or state.braking or reading.power_frac > 1.0


@given(data=st.data(), reading=readings)
def test_high_priority_gives_way_last(data: st.DataObject, reading: PowerReading) -> None:
    """High priority is ordered down only beyond T2, only once low priority's order is in effect, or with the brake."""
    state = data.draw(states(POLCA))
    new = POLCA.caps(reading, state)
    capped = POLCA.clocks[new.level].high_mhz is not None
    if capped and POLCA.clocks[state.level].high_mhz is None and not new.braking:
        assert reading.power_frac > POLCA.t2_frac
        assert reading.settled
        assert state.level == 2


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_low_priority_is_never_better_off(law: PowerPolicy) -> None:
    """At every level high priority runs at least as fast as low priority."""
    fastest = float("inf")
    assert all((c.high_mhz or fastest) >= (c.low_mhz or fastest) for c in law.clocks)


@pytest.mark.parametrize(
    ("fracs", "level"),
    [
        ((0.79,), 0), ((0.81,), 1), ((0.81, 0.76), 1), ((0.81, 0.74), 0), ((0.90,), 2), ((0.90, 0.90), 3),
        ((0.90, 0.85), 2), ((0.90, 0.83), 1), ((0.90, 0.90, 0.83), 1), ((0.90, 0.90, 0.70), 0),
    ],
)  # fmt: skip
def test_polca_steps_as_published(fracs: tuple[float, ...], level: int) -> None:
    """T1 80 %, T2 89 %, margin 5 points: which level a sequence of settled readings leads to."""
    assert after(POLCA, *fracs).level == level


def test_the_brake_is_let_go_once_the_caps_hold() -> None:
    """A pulled brake stays until every order is in effect and power is back below the release threshold."""
    pulled = PowerState(level=3, braking=True)
    assert after(POLCA, 1.01) == pulled
    assert POLCA.caps(PowerReading(power_frac=0.5, settled=False), pulled) == pulled
    assert POLCA.caps(PowerReading(power_frac=0.88, settled=True), pulled) == pulled
    assert POLCA.caps(PowerReading(power_frac=0.5, settled=True), pulled) == PowerState(level=3)
