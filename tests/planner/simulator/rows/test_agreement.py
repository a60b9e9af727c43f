"""A row simulated tick by tick, against the same requests simulated step by step."""

import pytest

from benchmarks.row import agreement


@pytest.mark.slow
def test_an_hour_of_a_row_agrees_with_its_steps() -> None:
    """Ten servers over an hour: watts within 1 %, every kind's latency within 5 % at the median and 8 % at P99."""
    found = agreement(10, 0.35, 2.0)
    assert all(abs(found[key]) < 0.01 for key in ("mean", "p99", "tick by tick"))
    assert abs(found["peak"]) < 0.03
    assert all(abs(value) < 0.05 for key, value in found.items() if key.endswith("p50"))
    assert all(abs(value) < 0.08 for key, value in found.items() if key.endswith(("low p99", "high p99")))
