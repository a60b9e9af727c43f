"""Copies of this process that work out answers which will be wanted, on cores that have nothing else to do.

A copy knows all that this process knew when it was made, and costs little more than the pages of memory that either of
them changes; it works one answer out and tells it. What is asked for so changes when an answer is there, never which:
it is the value of a function that depends on nothing that changes meanwhile. Copies are made on Linux, by the main
thread, where there is more than one core to use. Elsewhere all is worked out in this process, when it is wanted.
"""

import ctypes
import gc
import os
import pickle
import select
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from planner.executor import cores, use_cores

Result = TypeVar("Result")

_READ_BYTES, _LENGTH_BYTES = 1 << 20, 8
STILL_S = 10.0
"""Wall seconds without a moment's work after which a copy is taken to wait for what will not come, as for a lock that a
thread held which the copy has not: its answer is worked out here."""

MOST_S = 900.0
"""Seconds of work after which a copy is given up, too: what takes this long here takes it once more, and no longer."""

_TICKS = slice(11, 13)
"""Of the fields of proc(5)'s ``stat`` after the name of the command: ticks in the program and in the system."""

_LOOK_S = 0.5
"""How often a copy that is waited for is looked at."""

_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""


@dataclass(slots=True, eq=False)
class _Task:
    """An answer to work out.

    Attributes:
        act: works it out.
        pid: of the copy that does; None where none does.
        pipe: from it.
        said: by it so far.
        told: whether it has said all that it has to say.
        value: of the answer, where this process worked it out, in a tuple of one.
    """

    act: Callable[[], Any]
    pid: int | None = None
    pipe: int = -1
    said: bytearray = field(default_factory=bytearray)
    told: bool = False
    value: tuple[Any] | None = None

    def here(self) -> None:
        """Work it out in this process; an error is met again by who fetches it."""
        try:
            self.value = (self.act(),)
        except Exception:
            self.told = True

    def listen(self, *, patient: bool) -> None:
        """Take what the copy says: all of it unless it is given up, or what it has said by now."""
        worked_s, since_s = -1.0, monotonic()
        while not self.told:
            if _speaks(self.pipe, min(_LOOK_S, STILL_S) if patient else 0.0):
                part = os.read(self.pipe, _READ_BYTES)
                self.said += part
                if not part:
                    self.end()
                continue
            if not patient:
                return
            now_s = _worked_s(self.pid)
            if now_s != worked_s:
                worked_s, since_s = now_s, monotonic()
            if monotonic() - since_s >= STILL_S or now_s >= MOST_S:
                self.end()

    def end(self) -> None:
        """Leave the copy no time, if it has not ended."""
        if self.pid is not None and not self.told:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.close(self.pipe)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.told = True


@dataclass(slots=True)
class _Crew:
    """What this process has copies for.

    Attributes:
        running: tasks that copies work on.
        waiting: tasks for which no core is idle yet, the first first.
    """

    running: list[_Task] = field(default_factory=list)
    waiting: deque[_Task] = field(default_factory=deque)

    def advance(self) -> None:
        """Hear who has ended, and start as many as there are idle cores; none while the system refuses copies."""
        for task in self.running:
            task.listen(patient=False)
        self.running = [task for task in self.running if not task.told]
        while self.waiting and len(self.running) < cores() - 1:
            try:
                _copy(self.waiting[0])
            except OSError:
                return
            self.running.append(self.waiting.popleft())

    def drop(self, task: _Task) -> None:
        """Give a task up."""
        if task in self.waiting:
            self.waiting.remove(task)
        task.end()
        task.told = True


_crew = _Crew()


def able() -> bool:
    """Whether copies can be made here, and have a core to run on."""
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread() and cores() > 1


class Copies(Generic[Result]):
    """Answers that copies of this process work out, by key."""

    def __init__(self) -> None:
        """Nothing asked for."""
        self._asked: dict[Hashable, _Task] = {}

    @property
    def idle(self) -> bool:
        """Whether what is asked for now is started at once."""
        if not able():
            return False
        _crew.advance()
        return not _crew.waiting and len(_crew.running) < cores() - 1

    def start(self, key: Hashable, act: Callable[[], Result]) -> None:
        """Ask for what will be fetched by a key; not twice, and not where no copy can be made.

        Args:
            key: of the answer.
            act: works it out. Its value is pickled; what else it changes is lost with the copy.
        """
        if key in self._asked or not able():
            return
        self._asked[key] = task = _Task(act)
        _crew.waiting.append(task)
        _crew.advance()

    def fetch(self, key: Hashable, act: Callable[[], Result]) -> Result:
        """The answer of a copy; or worked out here, where none was asked for it, none has started or the copy failed.

        While a copy works on it, what else was asked for here and has not started is worked out in this process.
        """
        task = self._asked.pop(key, None)
        if task is None:
            return act()
        _crew.advance()
        if task in _crew.waiting:
            _crew.waiting.remove(task)
            return act()
        while not task.told and task.value is None and (other := self._unstarted()):
            _crew.waiting.remove(other)
            other.here()
            _crew.advance()
        if task.value is None:
            task.listen(patient=True)
            _crew.advance()
        found = task.value or _answer(task.said)
        return act() if found is None else found[0]

    def told(self, key: Hashable) -> bool:
        """Whether an answer that was asked for is there."""
        _crew.advance()
        return key in self._asked and self._asked[key].told

    def drop(self, key: Hashable) -> None:
        """Give up what is not wanted any more."""
        if task := self._asked.pop(key, None):
            _crew.drop(task)

    def _unstarted(self) -> _Task | None:
        """The next task of this owner that waits for a core."""
        return next((task for task in _crew.waiting if task in self._asked.values()), None)


@contextmanager
def given_up_after() -> Iterator[None]:
    """At the end what was asked for within, and has not been fetched, is given up."""
    before = {id(task) for task in (*_crew.running, *_crew.waiting)}
    try:
        yield
    finally:
        for task in [task for task in (*_crew.running, *_crew.waiting) if id(task) not in before]:
            _crew.drop(task)
        _crew.running = [task for task in _crew.running if not task.told]


def _speaks(pipe: int, within_s: float) -> bool:
    """Whether there is something to read, or nothing ever again; select(2) refuses all but the first 1024 files."""
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    return bool(ready.poll(1e3 * within_s))


def _worked_s(pid: int | None) -> float:
    """Seconds of a core that a process has used; 0 where the system does not say."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    ticks = told.rpartition(")")[2].split()[_TICKS]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _copy(task: _Task) -> None:
    """Give a task to a copy of this process.

    Raises:
        OSError: the system allows no more processes, files or memory.
    """
    ours, theirs = os.pipe()
    try:
        with warnings.catch_warnings():
            # Other threads than this one draw progress bars: a copy has none of them, and draws nothing.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        os.close(ours)
        raise
    else:
        if pid == 0:
            os.close(ours)
            _work(task.act, theirs)
    finally:
        os.close(theirs)
    task.pid, task.pipe = pid, ours


def _work(act: Callable[[], Any], pipe: int) -> None:
    """What a copy does; it ends here, says nothing but its answer, and nothing where there is none."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()  # the collector would touch, and so copy, every page
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        sys.stdout = sys.stderr = os.fdopen(nothing, "w")
        _crew.running, _crew.waiting = [], deque()
        use_cores(1)
        found = pickle.dumps((act(),))
        said = memoryview(len(found).to_bytes(_LENGTH_BYTES) + found)
        while said:
            said = said[os.write(pipe, said) :]
        code = 0
    finally:
        os._exit(code)


def _answer(said: bytearray) -> tuple[Any] | None:
    """What a copy said; None where it said less than all of it."""
    if len(said) < _LENGTH_BYTES or len(said) != _LENGTH_BYTES + int.from_bytes(said[:_LENGTH_BYTES]):
        return None
    found: tuple[Any] = pickle.loads(said[_LENGTH_BYTES:])  # noqa: S301  from a copy of this process
    return found
