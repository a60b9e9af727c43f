"""Answers that may be wanted next, worked out by copies of this process while it works on something else."""

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Generic, TypeVar

from planner.executor.copies import Copies

Result = TypeVar("Result")

WORTHWHILE_S = 0.1
"""Seconds that an answer took before, from which on the next one is worth a copy, which takes some hundredths."""


class Ahead(Generic[Result]):
    """Work that is started before it is known to be needed; one that is not fetched is forgotten."""

    def __init__(self) -> None:
        """Nothing started, and nothing known of what it takes."""
        self._copies = Copies[Result]()
        self._took_s = 0.0

    @property
    def idle(self) -> bool:
        """Whether there is a core with nothing to do, and an answer is worth it."""
        return self._took_s >= WORTHWHILE_S and self._copies.idle

    def start(self, key: Hashable, act: Callable[[], Result]) -> None:
        """Start what will be fetched by a key, if it is worth it and was not started yet."""
        if self.idle:
            self._copies.start(key, act)

    def told(self, key: Hashable) -> bool:
        """Whether an answer that was started is there."""
        return self._copies.told(key)

    def fetch(self, key: Hashable, act: Callable[[], Result]) -> Result:
        """The answer: the one that was started, or else worked out now."""
        return self._copies.fetch(key, lambda: self._timed(act))

    def _timed(self, act: Callable[[], Result]) -> Result:
        """The answer, worked out here; what it took is what the next one may take."""
        start, found = perf_counter(), act()
        self._took_s = perf_counter() - start
        return found
