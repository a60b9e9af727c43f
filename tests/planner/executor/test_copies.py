"""Answers that copies of this process work out."""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planner.executor import use_cores
from planner.executor.ahead import Ahead
from planner.executor.copies import Copies, able, given_up_after

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies of a process are made on Linux alone")


@pytest.fixture(autouse=True)
def two_cores(on_cores: Callable[[int], None]) -> Iterator[None]:
    """A machine of two cores, whatever this one is; copies that a test leaves are given up."""
    on_cores(2)
    with given_up_after():
        yield
    use_cores(None)


def wrong() -> int:
    """What must not be asked: a copy has worked it out."""
    raise AssertionError("worked out twice")


def slow(folder: Path, name: str) -> Callable[[], int]:
    """Waits until a file is there, and says in which process it ran."""

    def act() -> int:
        while not (folder / name).exists():
            time.sleep(0.01)
        return os.getpid()

    return act


def test_a_copy_works_an_answer_out_and_changes_nothing_here(capfd: pytest.CaptureFixture[str]) -> None:
    """The answer is the copy's; what it changes and what it prints is lost with it."""
    changed, copies = list[int](), Copies[int]()

    def act() -> int:
        changed.append(1)
        sys.stdout.write("a word")
        sys.stdout.flush()
        return os.getpid()

    copies.start("a", act)
    assert copies.fetch("a", wrong) != os.getpid()
    assert (changed, capfd.readouterr().out) == ([], "")


def test_a_copy_that_is_killed_costs_time_alone(tmp_path: Path) -> None:
    """Its answer is worked out here."""
    copies = Copies[int]()
    copies.start("a", slow(tmp_path, "never"))
    child = next(iter(copies._asked.values())).pid
    assert child is not None
    os.kill(child, signal.SIGKILL)
    assert copies.fetch("a", lambda: 7) == 7


@pytest.mark.parametrize("call", ["fork", "pipe"])
def test_a_refused_copy_costs_time_alone(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Where the system allows no more processes or files, all is worked out here, and no file stays open."""

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before, copies = len(list(Path("/proc/self/fd").iterdir())), Copies[int]()
    monkeypatch.setattr(os, call, refuse)
    for key in "ab":
        copies.start(key, os.getpid)
    assert not copies.idle
    assert not copies.told("a")
    assert [copies.fetch(key, os.getpid) for key in "ba"] == [os.getpid()] * 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_copies_are_heard_by_a_process_with_many_files() -> None:
    """A copy is heard whatever number its pipe has: select(2) knows those below 1024 alone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 1200:
        pytest.skip("the system does not allow 1200 open files")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(old[0], 1200), most))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        copies = Copies[int]()
        copies.start("a", os.getpid)
        copies.told("a")
        assert copies.fetch("a", wrong) != os.getpid()
    finally:
        for each in opened:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def test_an_error_of_a_copy_is_met_where_the_answer_is_fetched() -> None:
    """What fails in a copy is tried here, and fails here."""
    copies = Copies[float]()
    copies.start("a", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        copies.fetch("a", lambda: 1 / 0)


def test_a_copy_that_waits_for_a_lock_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread held at the fork is never free in a copy: the answer is worked out here in the end."""
    monkeypatch.setattr("planner.executor.copies.STILL_S", 0.2)
    held, copies = threading.Lock(), Copies[int]()
    with held:
        copies.start("a", lambda: int(held.acquire()))
        assert copies.fetch("a", lambda: 7) == 7


def test_a_copy_that_works_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is at work is not given up, however long it says nothing; but one that works without end is."""
    monkeypatch.setattr("planner.executor.copies.STILL_S", 0.2)
    copies = Copies[int]()

    def busy(seconds: float) -> int:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return os.getpid()

    copies.start("a", lambda: busy(0.6))
    assert copies.fetch("a", wrong) != os.getpid()
    monkeypatch.setattr("planner.executor.copies.MOST_S", 0.3)
    copies.start("b", lambda: busy(60.0))
    assert copies.fetch("b", lambda: 7) == 7


def test_what_waits_is_worked_off_here_meanwhile(tmp_path: Path) -> None:
    """Two tasks on two cores: this process does the second while the copy does the first."""
    copies = Copies[int]()

    def release() -> int:
        (tmp_path / "go").touch()
        return os.getpid()

    copies.start("a", slow(tmp_path, "go"))
    copies.start("b", release)
    assert not copies.idle
    assert copies.fetch("a", wrong) != os.getpid()
    assert copies.fetch("b", wrong) == os.getpid()


def test_what_is_not_fetched_is_given_up(tmp_path: Path) -> None:
    """At the end of the work that asked for it no copy of it is left; one asked for before goes on."""
    before, within = Copies[int](), Copies[int]()
    use_cores(2)
    before.start("a", slow(tmp_path, "go"))
    with given_up_after():
        within.start("b", wrong)
    (tmp_path / "go").touch()
    copy = before.fetch("a", wrong)
    assert copy != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(copy, 0)
    assert within.fetch("b", lambda: 3) == 3


def test_no_copy_is_made_by_another_thread_or_for_one_core() -> None:
    """Other threads hold locks that a copy would wait for, and one core has nothing to spare."""
    found = list[bool]()
    thread = threading.Thread(target=lambda: found.append(able()))
    thread.start()
    thread.join()
    assert (able(), found) == (True, [False])
    use_cores(1)
    copies = Copies[int]()
    copies.start("a", wrong)
    assert (able(), copies.fetch("a", os.getpid)) == (False, os.getpid())


def test_a_copy_keeps_to_one_core() -> None:
    """It makes no copies itself: the cores are shared out already."""
    copies = Copies[bool]()
    copies.start("a", able)
    assert copies.fetch("a", lambda: True) is False


def test_answers_that_take_no_time_are_not_looked_for_ahead() -> None:
    """A copy takes some hundredths of a second: a question of short answers is answered by one process."""
    ahead, calls = Ahead[int](), list[str]()
    ahead.fetch("a", lambda: 1)
    ahead.start("b", wrong)
    assert ahead.fetch("b", lambda: calls.append("here") or 2) == 2  # type: ignore[func-returns-value]
    ahead.fetch("c", lambda: time.sleep(0.11) or 3)  # type: ignore[func-returns-value]
    ahead.start("d", os.getpid)
    assert ahead.fetch("d", wrong) != os.getpid()
    assert calls == ["here"]
