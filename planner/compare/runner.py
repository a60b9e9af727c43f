"""Many tasks over the cores of one machine, each done once, however often the work is interrupted."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from planner.compare.journal import Entry, Journal
from planner.errors import BadInput
from planner.files.plan_file import dumps

Progress = Callable[[str, float], None]


class Interrupted(KeyboardInterrupt):
    """Stopped by the user between two tasks; what was finished is in the journal.

    Attributes:
        done: tasks that are finished.
        total: tasks that were asked for.
    """

    def __init__(self, done: int, total: int) -> None:
        """Remember how far it came."""
        super().__init__(f"{done} of {total} done")
        self.done, self.total = done, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something to be done in any process.

    Attributes:
        digest: of what is asked.
        name: of it, for people.
        act: a function of a module.
        arguments: of the function; they and its result travel between processes.
    """

    digest: str
    name: str
    act: Callable[..., object]
    arguments: tuple[object, ...]


def cores() -> int:
    """Processes that can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def perform(tasks: Sequence[Task], *, journal: Journal, jobs: int, progress: Progress) -> dict[str, Any]:
    """Do every task that the journal does not know.

    Args:
        tasks: with a digest each; equal digests are done once.
        journal: told of every task as it is finished.
        jobs: processes; 1 works in this one.
        progress: told how many are finished, an estimate of the time left, and the share done.

    Returns:
        Digest -> the result as JSON data, the same whether it was computed now or read from the journal.

    Raises:
        Interrupted: by Ctrl-C; the journal holds what was finished.
        BadInput: a task's input is wrong; the others that were running are given up.
    """
    missing = {task.digest: task for task in tasks if journal.known(task.digest) is None}
    total = len({task.digest for task in tasks})
    clock = _Clock(total=total, jobs=min(jobs, max(1, len(missing))), known=journal.elapsed_s)
    progress(clock.words(total - len(missing), ""), clock.frac(total - len(missing)))
    done = total - len(missing)
    try:
        for entry in _finished(tuple(missing.values()), jobs):
            journal.note(entry)
            done += 1
            progress(clock.words(done, entry.name, entry.elapsed_s), clock.frac(done))
    except KeyboardInterrupt:
        raise Interrupted(done, total) from None
    known = {task.digest: journal.known(task.digest) for task in tasks}
    return {digest: entry.result for digest, entry in known.items() if entry is not None}


def _finished(tasks: Sequence[Task], jobs: int) -> Iterator[Entry]:
    """Tasks as they are finished."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from map(_do, tasks)
        return
    with _crew(min(jobs, len(tasks))) as crew:
        futures = [crew.submit(_do, task) for task in tasks]
        yield from (future.result() for future in as_completed(futures))


@contextmanager
def _crew(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that leave Ctrl-C to the one that started them, and that end at once when it gives up."""
    # Forking would copy the threads of progress bars and solvers in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    crew = ProcessPoolExecutor(max_workers=jobs, mp_context=spawn, initializer=_deaf)
    try:
        yield crew
    except BaseException:
        crew.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    crew.shutdown()


def _deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(task: Task) -> Entry:
    """One task, its result in the form in which the journal keeps it."""
    began_s = time.perf_counter()
    try:
        result = json.loads(dumps(task.act(*task.arguments)))
    except BadInput as wrong:
        raise BadInput(*(f"{task.name}: {problem}" for problem in wrong.problems)) from None
    return Entry(digest=task.digest, name=task.name, elapsed_s=time.perf_counter() - began_s, result=result)


class _Clock:
    """An estimate of what is left, from what the finished tasks took."""

    def __init__(self, *, total: int, jobs: int, known: Mapping[str, float]) -> None:
        """Start from what earlier work took."""
        self._total, self._jobs, self._took_s = total, jobs, list(known.values())

    def frac(self, done: int) -> float:
        """Share of the tasks that are finished."""
        return done / max(1, self._total)

    def words(self, done: int, name: str, elapsed_s: float | None = None) -> str:
        """How far it is, how long it will take, and what was finished last."""
        self._took_s += [] if elapsed_s is None else [elapsed_s]
        left = ""
        if self._took_s and done < self._total:
            mean_s = sum(self._took_s) / len(self._took_s)
            left = f", about {_duration((self._total - done) * mean_s / self._jobs)} left"
        return f"{done} of {self._total} done{left}" + (f"; last {name}" if name else "")


def _duration(value_s: float) -> str:
    return f"{value_s:.0f} s" if value_s < 90 else f"{value_s / 60:.0f} min"
