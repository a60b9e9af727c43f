"""Instances of two epochs beside each other."""

from hypothesis import given
from hypothesis import strategies as st

from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.schedule import Run
from planner.schedules.scenes import paired


def _run(tp: int, clock_mhz: int, instances: int, *classes: str) -> Run:
    spec = InstanceSpec(role=Role.MIXED, machine="m", layout=Layout(tp=tp), clock_mhz=clock_mhz)
    return Run(spec=spec, instances=instances, rate_req_per_s=dict.fromkeys(classes, 1.0))


RUNS = st.lists(
    st.builds(
        _run, st.sampled_from([2, 4]), st.sampled_from([1000, 2000]), st.integers(1, 5), st.sampled_from(["a", "b"])
    ),
    max_size=5,
)


@given(RUNS, RUNS)
def test_every_instance_of_two_epochs_is_in_one_pair(before: list[Run], now: list[Run]) -> None:
    """Pairs hold each instance of either epoch once; none comes of a kind, clock aside, of which one goes."""
    pairs = list(paired(before, now))
    assert sum(count for old, _, count in pairs if old) == sum(run.instances for run in before)
    assert sum(count for _, new, count in pairs if new) == sum(run.instances for run in now)
    gone = {(old.spec.layout, *old.rate_req_per_s) for old, new, _ in pairs if old and not new}
    come = {(new.spec.layout, *new.rate_req_per_s) for old, new, _ in pairs if new and not old}
    assert not gone & come
