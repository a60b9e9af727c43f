"""Workers inside this process."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any

from planner.executor import End, Ends, Executor, cores


class Here(Executor):
    """This thread."""

    workers = 1

    def _ends(self, act: Callable[..., Any], items: Sequence[object], common: tuple[object, ...]) -> Ends:
        for place, item in enumerate(items):
            yield _ended(place, partial(act, item, *common))


class Threads(Executor):
    """Threads, for work that releases the interpreter's lock, as the compiled replay does."""

    def __init__(self, workers: int | None = None) -> None:
        """So many at most; as many as cores if not given."""
        self.workers = cores() if workers is None else workers

    def _ends(self, act: Callable[..., Any], items: Sequence[object], common: tuple[object, ...]) -> Ends:
        if min(self.workers, len(items)) <= 1:
            yield from Here()._ends(act, items, common)
            return
        pool = ThreadPoolExecutor(min(self.workers, len(items)))
        try:
            waiting: dict[Future[Any], int] = {pool.submit(act, item, *common): k for k, item in enumerate(items)}
            for future in as_completed(waiting):
                yield _ended(waiting[future], future.result)
        finally:
            pool.shutdown(cancel_futures=True)


def _ended(place: int, result: Callable[[], Any]) -> End:
    """How a task ended that is done in this process, where an interruption is none of its errors."""
    try:
        return End(place=place, value=result())
    except Exception as error:
        return End(place=place, error=error)
