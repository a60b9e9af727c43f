"""Answers that may be wanted next, worked out on threads that have nothing else to do.

What is asked for ahead changes when an answer is there, never which: it is the value of a function of its arguments
alone, and one that is not fetched is forgotten.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from planner.executor import cores

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """Work that is started before it is known to be needed; none of it where there is one worker."""

    def __init__(self, workers: int | None = None) -> None:
        """Nothing started.

        Args:
            workers: threads in all, the one that asks among them; as many as cores if not given.
        """
        self._spare = (cores() if workers is None else workers) - 1
        self._pool: ThreadPoolExecutor | None = None
        self._started: dict[Hashable, Future[Result]] = {}

    @property
    def idle(self) -> bool:
        """Whether a thread has nothing to do."""
        return sum(not future.done() for future in self._started.values()) < self._spare

    def start(self, key: Hashable, act: Callable[[], Result]) -> None:
        """Start what will be fetched by a key, if a thread is idle and it was not started yet.

        Args:
            key: of the answer.
            act: works it out; releases the interpreter's lock, or nothing is gained.
        """
        if key in self._started or not self.idle:
            return
        self._pool = self._pool or ThreadPoolExecutor(self._spare)
        self._started[key] = self._pool.submit(act)

    def fetch(self, key: Hashable, act: Callable[[], Result]) -> Result:
        """The answer: the one that was started, or else worked out now."""
        future = self._started.pop(key, None)
        return act() if future is None or future.cancel() else future.result()
