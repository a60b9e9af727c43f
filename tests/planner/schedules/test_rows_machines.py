"""Machines of an epoch as a row has them: as many as the schedule powers, whatever pools share them."""

from functools import cache
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from planner.resolve.case import Case, open_case
from planner.results.schedule import Epoch, Run
from planner.results.timetable import Timetable
from planner.schedules.rows import at_work
from solvers.allocation import Reason, Termination
from tests.planner.small import small

SOLVED = Termination(reason=Reason.FEASIBLE)


@cache
def _case() -> Case:
    return open_case(small("catalog.machines=[dgx-h100]", "catalog.tp=[1,2,4,8]"), "colocated")


def _epoch(instances: tuple[int, ...], more: int) -> Epoch:
    """Pools of one layout each, on as few machines as hold their GPUs, and some more."""
    runs = tuple(
        Run(spec=option.spec, instances=count, rate_req_per_s={"all": 1.0})
        for option, count in zip(_case().options, instances, strict=True) if count
    )  # fmt: skip
    powered = {"dgx-h100": ceil(sum(run.instances * run.spec.layout.gpus for run in runs) / 8) + more}
    return Epoch(
        start_s=0.0, machines=powered, top_machines={}, started={}, stopped={}, runs=runs, energy_j=0.0, carbon_g=0.0,
        cost_usd=0.0,
    )  # fmt: skip


@given(instances=st.tuples(*[st.integers(0, 20)] * 4).filter(any), more=st.integers(0, 3))
def test_a_row_has_the_machines_that_are_powered(instances: tuple[int, ...], more: int) -> None:
    """No more than are powered, all that pools need, and none more than a machine away from the share of its GPUs."""
    epoch = _epoch(instances, more)
    found = Timetable(
        schedule=None, served=(), unserved=(), termination=SOLVED, provided_ratio={}, policy="colocated"
    )  # fmt: skip
    pools = at_work(_case(), epoch, found).pools
    rounded_up = sum(ceil(pool.instances * pool.spec.layout.gpus / 8) for pool in pools)
    assert sum(pool.machines for pool in pools) == min(rounded_up, epoch.machines["dgx-h100"])
    for pool in pools:
        assert abs(pool.machines - pool.instances * pool.spec.layout.gpus / 8) < 1
