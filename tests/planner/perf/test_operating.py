"""Operating points of an instance at a steady rate."""

import numpy as np

from planner.perf.operating import operating
from tests.planner.toy import toy_physics


def test_operating_points_follow_the_rate() -> None:
    """Draw, waiting, token time and batch never fall as the rate rises; a tighter limit never raises capacity."""
    rng = np.random.default_rng(1)
    table = operating(toy_physics(), rng.integers(50, 400, 50), rng.integers(5, 60, 50), max_batch_size=64)
    for column in (table.rate_req_per_s, table.power_w, table.ttft_p99_s, table.tpot_s, table.batch):
        assert (np.diff(column) >= -1e-9).all()
    loose, tight = (table.capacity_req_per_s(ttft_p99_s=t, tpot_s=0.2) for t in (5.0, 0.2))
    assert table.saturated_req_per_s >= loose >= tight
