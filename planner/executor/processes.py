"""Workers that are processes of this machine: a lost one costs the task that it had, which another one repeats."""

import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from planner.executor import CORES, TRIES, End, Ends, Executor, cores
from planner.executor.here import Here

_READY = b"ready"
_LEAVE_S = 5.0
"""What a worker with nothing to do is given to leave in."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, as this one sees it.

    Attributes:
        process: that works.
        pipe: to it.
        ready: it has said that it can work.
        place: of the task that it has; None: it has none.
        work: number of the work whose function and common arguments it was sent last.
    """

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    place: int | None = None
    work: int = -1

    def end(self) -> None:
        """Leave the process no time."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Processes(Executor):
    """Processes, started as they are needed and kept until the executor is closed.

    A single task is done in this process. Interruptions by Ctrl-C are left to this process.
    """

    def __init__(self, workers: int) -> None:
        """So many at most."""
        self.workers = workers
        self._crew: list[_Worker] = []
        self._works = count()
        self._stillborn = 0

    def close(self) -> None:
        """End the workers."""
        for worker in self._crew:
            worker.pipe.close()
        for worker in self._crew:
            worker.process.join(_LEAVE_S)
            worker.process.kill()
            worker.process.join()
        self._crew.clear()

    def _ends(self, act: Callable[..., Any], items: Sequence[object], common: tuple[object, ...]) -> Ends:
        if min(self.workers, len(items)) <= 1:
            yield from Here()._ends(act, items, common)
            return
        number, shipped = next(self._works), pickle.dumps((act, common))
        waiting, lost, left = deque(range(len(items))), Counter[int](), len(items)
        try:
            while left:
                self._start(min(self.workers, left))
                for worker in [each for each in self._crew if each.ready and each.place is None]:
                    if waiting and _sent(worker, number, shipped, items[waiting[0]]):
                        worker.place = waiting.popleft()
                for end in self._told():
                    if end.lost and (lost.update([end.place]) or lost[end.place] < TRIES):
                        waiting.appendleft(end.place)
                        continue
                    left -= 1
                    yield end
        finally:
            for worker in [each for each in self._crew if each.place is not None]:
                worker.end()
                self._crew.remove(worker)

    def _start(self, wanted: int) -> None:
        """As many workers as are wanted; a process that starts takes a second, so none waits for another."""
        context = get_context("spawn")  # forking would copy the threads of progress bars and solvers as they are
        while len(self._crew) < wanted:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, max(1, cores() // self.workers)), daemon=True)
            process.start()
            theirs.close()  # with no copy of it here, its end is the end of the worker
            self._crew.append(_Worker(process, ours))

    def _told(self) -> Iterator[End]:
        """What workers say, waiting until one does; ``lost`` of the task of every worker that has ended."""
        pipes = {worker.pipe: worker for worker in self._crew}
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                said = worker.pipe.recv_bytes()
            except (EOFError, OSError):
                yield from self._ended(worker)
                continue
            if said == _READY:
                worker.ready, self._stillborn = True, 0
                continue
            assert worker.place is not None
            place, worker.place = worker.place, None
            value, error = pickle.loads(said)  # noqa: S301  from a process that this one has started
            yield End(place=place, value=value, error=error)

    def _ended(self, worker: _Worker) -> Iterator[End]:
        """A worker that is gone, and what became of its task."""
        worker.end()
        self._crew.remove(worker)
        self._stillborn += not worker.ready
        if self._stillborn > 2 * self.workers:
            raise RuntimeError(
                "worker processes end as they start; in a script, call phasewise below `if __name__ == '__main__':`"
            )
        if worker.place is not None:
            yield End(place=worker.place, lost=True)


def _sent(worker: _Worker, number: int, shipped: bytes, item: object) -> bool:
    """Whether a worker has been given a task; not where it has ended, which is noticed when it is next listened to."""
    task = (None if worker.work == number else shipped, pickle.dumps(item))
    try:
        worker.pipe.send_bytes(pickle.dumps(task))
    except OSError:
        return False
    worker.work = number
    return True


def _work(pipe: Connection, share: int) -> None:
    """What a worker does: task after task, until the one that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[CORES] = str(share)
    act: Callable[..., Any] = _work
    common: tuple[object, ...] = ()
    try:
        pipe.send_bytes(_READY)
        while True:
            shipped, item = pickle.loads(pipe.recv_bytes())  # noqa: S301  from the process that started this one
            try:
                if shipped is not None:
                    act, common = pickle.loads(shipped)  # noqa: S301
                said = pickle.dumps((act(pickle.loads(item), *common), None))  # noqa: S301
            except Exception as error:
                said = _failed(error)
            pipe.send_bytes(said)
    except (EOFError, OSError):
        return


def _failed(error: Exception) -> bytes:
    """An error, as it is where it can travel."""
    try:
        said = pickle.dumps((None, error))
        pickle.loads(said)  # noqa: S301  what was just written
    except Exception:
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
    return said
