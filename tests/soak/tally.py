"""What became of cases, and the time that each is given."""

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

PATIENCE_S = 60


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
    """A case that takes too long is stopped, and counts as a failure; in the main thread, where alarms ring."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise HangError(f"no answer after {limit_s} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
