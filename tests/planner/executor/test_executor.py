"""Rules of executors: the same answers in the same order whatever the workers; a lost worker costs its task alone."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.errors import BadInput
from planner.executor import CORES, Executor, LostWork, cores, executor
from planner.executor.here import Here, Threads
from planner.executor.processes import Processes
from tests.planner.executor import work


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    with Processes(2) as crew:
        yield crew


@pytest.fixture(params=["here", "threads", "processes"])
def every(request: pytest.FixtureRequest, two: Processes) -> Executor:
    return {"here": Here(), "threads": Threads(3), "processes": two}[request.param]


def test_results_keep_the_order_of_the_tasks(every: Executor) -> None:
    """Results are those of a loop, in its order, whichever task ends first; each is told of once, with its place."""
    told: dict[int, object] = {}

    def tell(place: int, result: object) -> None:
        assert place not in told
        told[place] = result

    wanted = [work.scaled(value, 3, True) for value in range(20)]
    assert every.map(work.scaled, range(20), common=(3, True), told=tell) == wanted
    assert told == dict(enumerate(wanted))
    assert every.map(work.scaled, (), common=(3,)) == []


def test_the_first_error_is_raised(every: Executor) -> None:
    """Of several tasks that fail the first one's error is raised, as a loop would, with all that it says."""
    with pytest.raises(BadInput) as caught:
        every.map(work.picky, range(8))
    assert caught.value.problems == ("3: too odd", "and more")
    assert every.map(work.picky, (0, 1, 2)) == [0, 1, 2]


def test_what_telling_raises_ends_the_work(every: Executor) -> None:
    """An interruption between two tasks ends the work at once, and the workers can be used again."""

    def stop(_place: int, _result: object) -> None:
        raise KeyboardInterrupt

    start_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        every.map(work.share, range(200), told=stop)
    assert time.monotonic() - start_s < 8  # and not 200 times 0.05 s
    assert every.map(work.picky, (0, 1)) == [0, 1]


def test_a_lost_worker_costs_its_task_only(two: Processes, tmp_path: Path) -> None:
    """A task whose worker is killed is done by another one; nothing else is done twice or lost."""
    told: list[int] = []
    found = two.map(work.deadly, range(8), common=(tmp_path, 2, 1), told=lambda place, _: told.append(place))
    assert found == list(range(1, 9))
    assert sorted(told) == list(range(8))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_task_that_ends_its_workers_is_given_up(two: Processes, tmp_path: Path) -> None:
    """A task that takes two workers with it is named; all others are finished."""
    told: list[int] = []
    with pytest.raises(LostWork, match="task 3: its worker ended 2 times") as caught:
        two.map(work.deadly, range(8), common=(tmp_path, 2, 99), told=lambda place, _: told.append(place))
    assert caught.value.places == (2,)
    assert sorted(told) == [0, 1, 3, 4, 5, 6, 7]


def test_what_tasks_have_in_common_travels_once(two: Processes, tmp_path: Path) -> None:
    """Common arguments reach every worker once, however many tasks it does."""
    assert two.map(work.with_heavy, range(50), common=(work.Heavy(tmp_path),)) == list(range(50))
    arrivals = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert 1 <= len(arrivals) == len(set(arrivals)) <= 2


def test_what_cannot_travel_is_an_error_of_its_task(two: Processes) -> None:
    """A result that no process can send says so, and the worker goes on."""
    with pytest.raises(Exception, match=r"pickle|local object"):
        two.map(work.unloved, range(3))
    assert two.map(work.picky, (1, 2)) == [1, 2]


def test_workers_share_the_cores(two: Processes) -> None:
    """Two workers have half of the cores each, so that threads inside them do not crowd each other out."""
    assert {each for _, each in two.map(work.share, range(6))} == {max(1, cores() // 2)}


def test_cores_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """``PHASEWISE_CORES`` bounds the workers; it has to be a number."""
    monkeypatch.setenv(CORES, "1")
    assert (cores(), Threads().workers, executor().workers) == (1, 1, 1)
    monkeypatch.setenv(CORES, "many")
    with pytest.raises(BadInput, match=f"{CORES}: found 'many'"):
        executor()


def test_executors_are_found_by_word() -> None:
    """A word names an executor; another one, or workers where the scheduler has its own, are refused."""
    assert isinstance(executor("local", 1), Here)
    assert executor("local", 3).workers == 3
    with pytest.raises(BadInput, match="--executor slurm: no such executor"):
        executor("slurm")
    with pytest.raises(BadInput, match="--workers 2: a Dask scheduler has workers of its own"):
        executor("dask://localhost:8786", 2)


UNGUARDED = "from planner.executor import executor\nexecutor(workers=2).map(len, ['a', 'b'])\n"


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    """Processes that end as they start are not started for ever: the script is told what it lacks."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert (
        "call phasewise below `if __name__ == '__main__':`" in done.stderr
    )  # the children's last words may come after it


@pytest.mark.parametrize("address", [
    "", ":", ":1", "host", "host:", "host:0", "host:65536", "host:-1", "host:x", "host:1/x", "host:\u00b2",
    f"host:{'9' * 400}", f"host:{'9' * 5000}", " :1",
])  # fmt: skip
def test_an_address_that_no_scheduler_has_is_refused(address: str) -> None:
    """What is no host with a port is told before anything is connected to, whatever digits it has."""
    with pytest.raises(BadInput, match="HOST:PORT, the port a number from 1 to 65535"):
        executor(f"dask://{address}")
