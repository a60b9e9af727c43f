"""What became of cases, and the time that each is given."""

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

PATIENCE_S = 60
BUSY_RATIO = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A case that ended as none may: a bug, a hang, a refusal that wrote to stdout, a law that does not hold.

    Attributes:
        of: the door, law or solver.
        seed: draws it again.
        command: that was run, or runs it again.
        what: happened.
        data: the file, cut to a few thousand bytes.
    """

    of: str
    seed: int
    command: str
    what: str
    data: str


@dataclass(slots=True)
class Tally:
    """What became of the cases of a door, law or solver: how they ended -> cases, and every failure."""

    ends: Counter[int | str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """More cases of the same."""
        self.ends.update(other.ends)
        self.failures += other.failures

    def counts(self) -> dict[str, object]:
        """For a line of JSON."""
        ends = {str(end): self.ends[end] for end in sorted(self.ends, key=str)}
        return {"cases": self.ends.total(), "failures": len(self.failures), "ends": ends}


class HangError(Exception):
    """No answer in time."""


@contextlib.contextmanager
def patience(limit_s: int = PATIENCE_S) -> Iterator[None]:
    """A case that takes too long is stopped, and counts as a failure; in the main thread, where alarms ring.

    So many seconds of CPU time, or ten times as many on the clock: a busy machine makes no case hang.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise HangError(f"no answer after {limit_s} s of CPU time or {BUSY_RATIO * limit_s} s on the clock")

    before = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_REAL, BUSY_RATIO * limit_s)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, act in before.items():
            signal.signal(number, act)
