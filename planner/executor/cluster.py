"""Workers of a Dask cluster: several machines, added and taken away while the work goes on."""

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, Queue
from typing import Any

from planner import __version__
from planner.errors import BadInput
from planner.executor import End, Ends, Executor

_Shared = tuple[Callable[..., Any], tuple[object, ...]]

_CONNECT_S = 10
_LISTEN_S = 2.0
"""How often it is seen to that the scheduler is there."""

_GIVE_UP_S = 300.0
"""For how long there may be no worker at all."""


class Cluster(Executor):
    """The workers of a scheduler that runs.

    The scheduler repeats the task of a worker that is lost. How many workers a task may take with it before it is
    given up is the scheduler's to say: ``distributed.scheduler.allowed-failures``, 3 unless it is told otherwise.
    """

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
            address: ``HOST:PORT`` of the scheduler.

        Raises:
            BadInput: Dask is not installed here, or no scheduler answers.
        """
        try:
            from distributed import Client
        except ImportError:
            raise BadInput("--executor dask: Dask is not installed; expected pip install 'phasewise[dask]'") from None
        try:
            self._client = Client(f"tcp://{address}", timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInput(f"--executor dask://{address}: no scheduler answers: {first}") from None

    @property
    def workers(self) -> int:  # type: ignore[override]
        """Tasks that can run at once, as many as the scheduler has threads now."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def close(self) -> None:
        """Leave the scheduler and its workers as they are."""
        self._client.close()

    def _ends(self, act: Callable[..., Any], items: Sequence[object], common: tuple[object, ...]) -> Ends:
        # A task that makes them, not data that is put there: made again where every worker that had them is lost.
        shared = self._client.submit(_unpacked, pickle.dumps((act, common)), pure=False)
        ended: Queue[Any] = Queue()
        running: dict[Any, tuple[int, str]] = {}
        left = iter(enumerate(items))
        pending, idle_s = len(items), 0.0
        try:
            while pending:
                # One for each idle thread: a task that waits at a worker would be taken for the one that has ended it.
                for worker, (place, item) in zip(self._idle(at for _, at in running.values()), left, strict=False):
                    future = self._client.submit(
                        _on_worker, __version__, item, shared, workers=[worker], allow_other_workers=True, pure=False
                    )
                    running[future] = place, worker
                    future.add_done_callback(ended.put)
                try:
                    future = ended.get(timeout=_LISTEN_S)
                except Empty:
                    idle_s = self._still_there(idle_s)
                    continue
                pending, idle_s = pending - 1, 0.0
                yield _end(running.pop(future)[0], future)
        finally:
            self._client.cancel([shared, *running], force=True)

    def _idle(self, busy: Iterable[str]) -> list[str]:
        """The worker of every thread that has nothing to do, as far as is known here."""
        threads = Counter[str](self._client.nthreads())
        threads.subtract(busy)
        return list(threads.elements())

    def _still_there(self, idle_s: float) -> float:
        """For how long there has been no worker.

        Raises:
            BadInput: for too long, or the scheduler is gone.
        """
        if self._client.status != "running":
            raise BadInput("--executor dask: the scheduler is gone; the same command goes on where there is a journal")
        if self._client.nthreads():
            return 0.0
        if idle_s >= _GIVE_UP_S:
            raise BadInput(f"--executor dask: the scheduler has had no worker for {_GIVE_UP_S:.0f} s")
        return idle_s + _LISTEN_S


def _end(place: int, future: Any) -> End:  # noqa: ANN401  Dask has no types
    """How a task ended."""
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        return End(place=place, value=future.result())
    error = future.exception()
    return End(place=place, lost=True) if isinstance(error, KilledWorker) else End(place=place, error=error)


def _unpacked(shipped: bytes) -> _Shared:
    """What all tasks have in common, on a worker."""
    found: _Shared = pickle.loads(shipped)  # noqa: S301  from the client that asks
    return found


def _on_worker(version: str, item: object, shared: _Shared) -> Any:  # noqa: ANN401  whatever the task makes
    """One task.

    Raises:
        BadInput: the worker has another phasewise, whose answers may be others.
    """
    if version != __version__:
        raise BadInput(f"--executor dask: a worker has phasewise {__version__}; expected {version}, as here")
    act, common = shared
    return act(item, *common)
