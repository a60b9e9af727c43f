"""Rules of Dask clusters: the answers of one process, and no lost worker costs more than its task."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli import build
from planner.errors import BadInput, ExitCode
from planner.executor.cluster import Cluster
from tests.planner.executor import work
from tests.planner.small import write_small

distributed = pytest.importorskip("distributed", reason="Dask is NOT tested: pip install 'phasewise[dask]'")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options, protocol="tcp", silence_logs=50) as local:
        yield local.scheduler_address.removeprefix("tcp://")


def test_results_are_those_of_one_process(address: str) -> None:
    """Results, their order, what is told and the first error are those of a loop."""
    told: dict[int, object] = {}
    wanted = [work.scaled(value, 3) for value in range(20)]
    with Cluster(address) as crew:
        assert crew.workers == 2
        assert crew.map(work.scaled, range(20), common=(3,), told=told.__setitem__) == wanted
        assert told == dict(enumerate(wanted))
        with pytest.raises(BadInput) as caught:
            crew.map(work.picky, range(8))
        assert caught.value.problems == ("3: too odd", "and more")


def test_a_sweep_is_the_same_to_the_byte(address: str, tmp_path: Path) -> None:
    """``whatif`` prints the same bytes with one worker, with two, and on a cluster."""
    words = ["whatif", str(write_small(tmp_path)), "--vary", "workload.rate_scale=1,2", "--json", "--quiet"]

    def bytes_of(*more: str) -> str:
        done = CliRunner().invoke(build(), [*words, *more, "--journal", str(tmp_path / f"{more[1][:4]}.jsonl")])
        assert done.exit_code == ExitCode.VALIDATED, done.stderr
        return done.stdout

    one = bytes_of("--workers", "1")
    assert len(json.loads(one)["points"]) == 2
    assert bytes_of("--workers", "2") == one
    assert bytes_of("--executor", f"dask://{address}") == one


def test_no_scheduler_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that does not answer is named before anything is done."""
    monkeypatch.setattr("planner.executor.cluster._CONNECT_S", 0.5)
    with pytest.raises(BadInput, match=r"--executor dask://127\.0\.0\.1:9: no scheduler answers"):
        Cluster("127.0.0.1:9")
