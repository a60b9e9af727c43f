"""Rules of a Dask cluster whose workers are killed: nothing is lost but the time of their tasks."""

import os
import signal
from pathlib import Path

import pytest

from planner.executor import LostWork
from planner.executor.cluster import Cluster
from tests.planner.executor import work

pytest.importorskip("distributed", reason="Dask is NOT tested: pip install 'phasewise[dask]'")
from benchmarks.cluster import cluster

pytestmark = pytest.mark.slow


def test_a_killed_worker_costs_its_task_only(tmp_path: Path) -> None:
    """One of three worker processes killed half-way: all results, in their order, each told of once."""
    told: list[int] = []
    with cluster(3, tmp_path) as local, Cluster(local.address) as crew:

        def tell(place: int, _result: object) -> None:
            told.append(place)
            if len(told) == 15:
                os.kill(local.workers[1].pid, signal.SIGKILL)

        assert crew.map(work.share, range(30), told=tell) != []
        assert sorted(told) == list(range(30))
        assert crew.workers == 2
        assert crew.map(work.scaled, range(9), common=(2,)) == [work.scaled(k, 2) for k in range(9)]


def test_common_data_outlive_the_workers_that_had_them(tmp_path: Path) -> None:
    """What tasks have in common is made again where every worker that had it is gone."""
    with cluster(2, tmp_path) as local, Cluster(local.address) as crew:
        heavy = work.Heavy(tmp_path)
        assert crew.map(work.with_heavy, range(4), common=(heavy,)) == list(range(4))

        def tell(place: int, _result: object) -> None:
            if place == 0:
                os.kill(local.workers[0].pid, signal.SIGKILL)

        assert crew.map(work.with_heavy, range(40), common=(heavy,), told=tell) == list(range(40))


def test_a_task_that_ends_its_workers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that takes as many workers with it as the scheduler allows is named; the others are finished."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    told: list[int] = []
    with cluster(4, tmp_path) as local, Cluster(local.address) as crew:
        with pytest.raises(LostWork) as caught:
            crew.map(work.deadly, range(8), common=(tmp_path, 2, 99), told=lambda place, _: told.append(place))
        assert caught.value.places == (2,)
        assert sorted(told) == [0, 1, 3, 4, 5, 6, 7]
        assert sum(worker.poll() is None for worker in local.workers) == 2
