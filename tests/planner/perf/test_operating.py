"""Operating points of an instance at a steady rate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.perf.operating import _Table, operating
from tests.planner.toy import toy_physics


def test_operating_points_follow_the_rate() -> None:
    """Draw and batch never fall as the rate rises; beyond saturation the draw is that there, without requests idle."""
    rng = np.random.default_rng(1)
    table = operating(toy_physics(), rng.integers(50, 400, 50), rng.integers(5, 60, 50), max_batch_size=64)
    for column in (table.rate_req_per_s, table.power_w, table.batch):
        assert (np.diff(column) >= -1e-9).all()
    assert table.watts_at(0.0) == table.idle_w <= table.power_w[0]
    assert table.watts_at(2 * table.saturated_req_per_s) == table.power_w[-1]


@given(
    values=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8), x=st.floats(-1.0, 90.0),
    steps=st.lists(st.integers(1, 12), min_size=8, max_size=8),
)  # fmt: skip
def test_tables_read_what_numpy_reads(values: list[float], x: float, steps: list[int]) -> None:
    """Between knots, on them and beyond them, to the last bit."""
    knots = np.cumsum(steps[: len(values)])
    table = _Table(knots, np.array(values))
    for at in (x, *knots.tolist()):
        assert table.at(at) == float(np.interp(at, knots, values))
