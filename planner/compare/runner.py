"""Many tasks, each done once, however often the work is interrupted."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.compare.journal import Entry, Journal
from planner.errors import BadInput
from planner.executor import TRIES, Executor, LostWork
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


def perform(
    tasks: Sequence[Task], *, journal: Journal, executor: Executor, progress: Progress, common: tuple[object, ...] = ()
) -> dict[str, Any]:
    """Do every task that the journal does not know.

    Args:
        tasks: with a digest each; equal digests are done once.
        journal: told of every task as it is finished.
        executor: works the tasks off.
        progress: told how many are finished, an estimate of the time left, and the share done.
        common: further arguments of every task; they travel once.

    Returns:
        Digest -> the result as JSON data, the same whether it was computed now or read from the journal.

    Raises:
        Interrupted: by Ctrl-C; the journal holds what was finished.
        BadInput: a task's input is wrong, the others that were running are given up; or a task took its workers with
            it every time, the others are finished.
    """
    missing = tuple({task.digest: task for task in tasks if journal.known(task.digest) is None}.values())
    total = len({task.digest for task in tasks})
    clock = _Clock(total=total, workers=min(executor.workers, max(1, len(missing))), known=journal.elapsed_s)
    done = total - len(missing)
    progress(clock.words(done, ""), clock.frac(done))

    def told(_place: int, entry: Entry) -> None:
        nonlocal done
        journal.note(entry)
        done += 1
        progress(clock.words(done, entry.name, entry.elapsed_s), clock.frac(done))

    try:
        executor.map(_do, missing, common=(common,), told=told)
    except KeyboardInterrupt:
        raise Interrupted(done, total) from None
    except LostWork as lost:
        raise BadInput(*(_lost_words(missing[place].name) for place in lost.places)) from None
    known = {task.digest: journal.known(task.digest) for task in tasks}
    return {digest: entry.result for digest, entry in known.items() if entry is not None}


def _lost_words(name: str) -> str:
    return (
        f"{name}: ended {TRIES} workers that worked on it, as the system does when memory is full; expected fewer "
        "--workers, or workers with more memory; everything else is finished, and kept where there is a journal"
    )


def _do(task: Task, common: tuple[object, ...]) -> Entry:
    """One task, its result in the form in which the journal keeps it."""
    began_s = time.perf_counter()
    try:
        result = json.loads(dumps(task.act(*task.arguments, *common)))
    except BadInput as wrong:
        raise BadInput(*(f"{task.name}: {problem}" for problem in wrong.problems)) from None
    return Entry(digest=task.digest, name=task.name, elapsed_s=time.perf_counter() - began_s, result=result)


class _Clock:
    """An estimate of what is left, from what the finished tasks took."""

    def __init__(self, *, total: int, workers: int, known: Mapping[str, float]) -> None:
        """Start from what earlier work took."""
        self._total, self._workers, self._took_s = total, workers, list(known.values())

    def frac(self, done: int) -> float:
        """Share of the tasks that are finished."""
        return done / max(1, self._total)

    def words(self, done: int, name: str, elapsed_s: float | None = None) -> str:
        """How far it is, how long it will take, and what was finished last."""
        self._took_s += [] if elapsed_s is None else [elapsed_s]
        left = ""
        if self._took_s and done < self._total:
            mean_s = sum(self._took_s) / len(self._took_s)
            left = f", about {_duration((self._total - done) * mean_s / self._workers)} left"
        return f"{done} of {self._total} done{left}" + (f"; last {name}" if name else "")


def _duration(value_s: float) -> str:
    return f"{value_s:.0f} s" if value_s < 90 else f"{value_s / 60:.0f} min"
