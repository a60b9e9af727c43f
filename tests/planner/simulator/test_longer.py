"""The longer look at what keeps every objective in its window."""

from planner.simulator.judge import judge
from planner.simulator.traffic import Judging, Traffic
from tests.planner.simulator.test_metrics import at_the_brink
from tests.planner.toy import toy_policy, toy_pools
from workloads.slo import Metric, Slo
from workloads.traces import Trace


def test_a_longer_trace_is_drawn_only_where_all_is_well() -> None:
    """What misses in its window is not looked at over a longer time, nor is the trace of that time drawn."""

    def never(_seed: int) -> Trace:
        raise AssertionError("drawn")

    traffic = Traffic(
        draw=lambda seed: at_the_brink(seed, 120.0), seeds=[1, 2, 3], workload="", exact=False, longer=never
    )  # fmt: skip
    slos = [Slo(metric=Metric.E2E, percentile=90.0, limit=1.0)]
    judging = Judging(warmup_frac=0.1, cooldown_frac=0.1, confidence_frac=0.95)
    pools, policy = toy_pools("colocated", prefills=1, decodes=0), toy_policy("colocated")
    assert not judge(pools, policy, traffic, slos, judging).valid
