"""Where tasks are worked off: in this process, on threads, in processes of this machine, or on a Dask cluster.

The answers are those of one worker, in the order of the tasks, however many workers there are.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from planner.errors import BadInput
from workloads.counts import whole_number

Result = TypeVar("Result")

CORES = "PHASEWISE_CORES"
"""Environment variable: cores that this process may use; every worker is given its share."""

TRIES = 2
"""Workers that a task may take with it before it is given up."""

LOCAL = "local"
_DASK = "dask://"
_MOST_PORT = 65_535


@dataclass(slots=True)
class _Asked:
    """What this process was asked to keep to.

    Attributes:
        workers: at most so many cores; None is as many as there are.
    """

    workers: int | None = None


_asked = _Asked()


def use_cores(most: int | None) -> None:
    """Let this process use so many cores from now on; None is as many as there are."""
    _asked.workers = most


def cores() -> int:
    """Cores that this process may use: those that it is allowed to run on.

    Fewer where ``use_cores`` or ``PHASEWISE_CORES`` says so.

    Raises:
        BadInput: the variable holds no number of cores.
    """
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    have = have if _asked.workers is None else min(have, _asked.workers)
    said = os.environ.get(CORES)
    if said is None:
        return have
    if not (cores := whole_number(said)):
        raise BadInput(f"{CORES}: found {said!r}; expected a number of cores, 1 or more")
    return min(have, cores)


class LostWork(RuntimeError):  # noqa: N818  said of work, as Interrupted is
    """Tasks whose workers ended under them every time; all others were finished and told of.

    Attributes:
        places: of the tasks, from 0 on.
    """

    def __init__(self, places: Sequence[int]) -> None:
        """Remember which."""
        super().__init__(f"task {', '.join(str(place + 1) for place in places)}: its worker ended {TRIES} times")
        self.places = tuple(places)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a task ended.

    Attributes:
        place: of the task, from 0 on.
        value: its result, where it has one.
        error: what it raised.
        lost: its worker ended under it ``TRIES`` times.
    """

    place: int
    value: Any = None
    error: BaseException | None = None
    lost: bool = False


Ends = Generator[End, None, None]


def untold(_place: int, _result: object) -> None:
    """A finished task is not told of."""


class Executor(ABC):
    """Workers. Use it in a ``with`` statement, which ends them.

    Attributes:
        workers: tasks that can run at once.
    """

    workers: int

    def map(
        self,
        act: Callable[..., Result],
        items: Iterable[object],
        *,
        common: tuple[object, ...] = (),
        told: Callable[[int, Result], None] = untold,
    ) -> list[Result]:
        """``act(item, *common)`` of every item.

        Args:
            act: a function of a module that depends on its arguments alone. It runs again where its worker was lost.
            items: one per task. Where workers are processes, items and results travel between them.
            common: further arguments, the same for every task; they travel once to each worker.
            told: in this thread, the place and the result of every task as it is finished. What it raises, an
                interruption for example, ends the work; tasks that run are given up.

        Returns:
            The results in the order of the items.

        Raises:
            LostWork: a task's worker ended ``TRIES`` times; the others are finished.
            Exception: what the first of the items raised for which ``act`` raised anything.
        """
        tasks = tuple(items)
        found = dict[int, End]()
        upto = len(tasks)
        with closing(self._ends(act, tasks, common)) as ends:
            for end in ends:
                found[end.place] = end
                if end.error is not None:
                    upto = min(upto, end.place)
                elif not end.lost:
                    told(end.place, end.value)
                if upto < len(tasks) and all(place in found for place in range(upto)):
                    break
        if upto < len(tasks):
            error = found[upto].error
            assert error is not None
            raise error
        if lost := sorted(end.place for end in found.values() if end.lost):
            raise LostWork(lost)
        return [found[place].value for place in range(len(tasks))]

    @abstractmethod
    def _ends(self, act: Callable[..., Any], items: Sequence[object], common: tuple[object, ...]) -> Ends:
        """Tasks as they end, started in their order; closing it gives up those that run."""

    def close(self) -> None:  # noqa: B027  some have nothing to end
        """End the workers."""

    def __enter__(self) -> Self:
        """The executor, closed at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the workers."""
        self.close()


def executor(word: str = LOCAL, workers: int | None = None) -> Executor:
    """What a word of the command line names.

    Args:
        word: ``local``: processes of this machine, or this one alone where one worker is asked for;
            ``dask://HOST:PORT``: the workers of a Dask scheduler.
        workers: processes of this machine; None: as many as cores.

    Raises:
        BadInput: the word names none, workers are given where the scheduler has its own, or no scheduler answers.
    """
    if word == LOCAL:
        from planner.executor.here import Here
        from planner.executor.processes import Processes

        many = cores() if workers is None else workers
        return Here() if many == 1 else Processes(many)
    if not word.startswith(_DASK):
        raise BadInput(f"--executor {word}: no such executor; expected {LOCAL} or {_DASK}HOST:PORT")
    if workers is not None:
        raise BadInput(f"--workers {workers}: a Dask scheduler has workers of its own; expected --executor {LOCAL}")
    address = word.removeprefix(_DASK)
    host, _, port = address.rpartition(":")
    if not host.strip() or not 0 < (whole_number(port) or 0) <= _MOST_PORT:
        raise BadInput(f"--executor {word}: expected {_DASK}HOST:PORT, the port a number from 1 to {_MOST_PORT}")
    from planner.executor.cluster import Cluster

    return Cluster(address)
