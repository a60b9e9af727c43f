"""How many requests a percentile takes."""

from math import inf

import numpy as np
import pytest

from planner.results.evidence import Verdict
from planner.simulator.metrics import ENOUGH_BEYOND, Sample, evidence
from workloads.slo import Metric, Slo


@pytest.mark.parametrize(("percentile", "needed"), [(50.0, 40), (90.0, 200), (99.0, 2000), (99.9, 20_000)])
def test_the_percentile_says_how_many_requests_it_takes(percentile: float, needed: int) -> None:
    """As many as leave twenty beyond it bound a percentile, however alike they are; a tenth of them does not."""
    slo = Slo(metric=Metric.TTFT, percentile=percentile, limit=10.0)
    draws = np.random.default_rng(5).exponential(size=needed)
    enough, few = (
        evidence(
            slo,
            Sample(values=tuple(map(np.sort, np.split(x, 4))), weights=(np.ones(len(x) // 4),) * 4),
            confidence_frac=0.95,
            exact=False,
        )
        for x in (draws, draws[: needed // 10])
    )
    assert needed == round(ENOUGH_BEYOND / (1 - percentile / 100))
    assert (enough.verdict, enough.few, enough.high <= draws.max()) == (Verdict.MET, False, True)
    assert (few.verdict, few.high) == (Verdict.UNDECIDED, inf)
