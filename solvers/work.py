"""How much a solve may do: counted in its own steps, so that the same problem has the same answer under any load.

A step is a point at which HiGHS asks whether it should go on: after a node, a dive, a round of cuts; of CBC and SCIP it
is a node. Where they come is decided by the problem alone. What one takes grows with the nonzeros of the problem, so a
limit in seconds stands for so many steps of a problem of its size. The clock is the last resort: it stops what takes
many times as long.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from solvers.problem import Problem

if TYPE_CHECKING:  # not at run time: the child that asks SCIP must not load it
    import highspy

NONZEROS_PER_S = 1e6
"""Nonzeros of a problem, times steps, that a second of a limit stands for: measured on programs over epochs."""

LEAST_STEPS = 100
"""Steps of any solve: its root takes about as many, whatever it is of."""

LAST_RESORT_S, LAST_RESORT_TIMES = 60.0, 10.0
"""Wall time after which a solve is stopped whatever it has done: so many seconds, and so many times its limit."""

OUT_OF_WORK = "work limit"
"""What a termination says of a solve that its steps ended."""


def most_steps(problem: Problem, limit_s: float) -> int:
    """The steps that a limit in seconds stands for."""
    nonzeros = sum(len(row.terms) for row in problem.rows)
    return LEAST_STEPS + int(min(1e9, limit_s * NONZEROS_PER_S / max(1, nonzeros)))


def last_resort_s(limit_s: float) -> float:
    """Wall seconds after which a solve is stopped, whatever it has done."""
    return LAST_RESORT_S + LAST_RESORT_TIMES * limit_s


@contextmanager
def limited(highs: "highspy.Highs", problem: Problem, limit_s: float) -> Iterator[None]:
    """Let a solver stop after the steps that a limit stands for, at the last resort, and where a signal asks for it.

    HiGHS takes what is raised while it counts for an error of its own, and forgets it: an interruption would end as
    another answer. So it is heard inside and raised once the solver has stopped.

    Raises:
        KeyboardInterrupt: or what else the handler of a signal raises, at the end.
    """
    most, done = most_steps(problem, limit_s), 0
    with _heard() as signals:

        def count(event: "highspy.HighsCallbackEvent") -> None:
            nonlocal done
            done += 1
            if done > most or signals:
                event.interrupt()

        highs.setOptionValue("time_limit", last_resort_s(limit_s))
        highs.cbMipInterrupt += count
        yield


@contextmanager
def _heard() -> Iterator[list[int]]:
    """The signals that came inside, handled at the end; Python handles them on the main thread only."""
    heard = list[int]()
    handlers = dict[int, Callable[[int, FrameType | None], object]]()

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler) and threading.current_thread() is threading.main_thread():
                handlers[number] = handler
                signal.signal(number, hear)
        yield heard
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    for each in heard:
        handlers[each](each, None)
