"""Rules of objectives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.slo import Metric, Slo, Unit


@given(
    metric=st.sampled_from(Metric), percentile=st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9]),
    unit=st.sampled_from(Unit), limit=st.floats(1e-3, 1e3), request_class=st.none() | st.sampled_from(["chat", "a_b"]),
)  # fmt: skip
def test_an_objective_is_read_back_from_its_name(
    metric: Metric, percentile: float, unit: Unit, limit: float, request_class: str | None
) -> None:
    """The name of an objective and its limit tell all of it; a name without a metric or a percentile is refused."""
    slo = Slo(metric=metric, percentile=percentile, limit=limit, unit=unit, request_class=request_class)
    assert Slo.named(slo.name, limit) == slo
    for wrong in ("ttft", "p99_s", "ttft_pmany_s", f"{request_class}:"):
        with pytest.raises(ValueError, match=r"."):
            Slo.named(wrong, limit)
