"""Tasks that other processes do: functions of a module, as every task has to be."""

import os
import signal
import time
from pathlib import Path

from planner.errors import BadInput
from planner.executor import cores


def scaled(value: int, by: int, late: bool = False) -> tuple[int, float]:
    """A number times another; the first of them take longest where they are late."""
    if late:
        time.sleep(0.02 if value == 0 else 0.0)
    return value * by, value / 7


def picky(value: int) -> int:
    """Refuses two numbers, the greater one at once and the smaller one late."""
    if value == 3:
        time.sleep(0.1)
    if value in (3, 4):
        raise BadInput(f"{value}: too odd", "and more")
    return value


def deadly(value: int, folder: Path, which: int, times: int) -> int:
    """Ends its process as the system does when memory is full, so often, at one of the numbers."""
    if value == which:
        marks = len(list(folder.glob("mark-*")))
        (folder / f"mark-{marks}").touch()
        if marks < times:
            os.kill(os.getpid(), signal.SIGKILL)
    return value + 1


def unloved(_value: int) -> object:
    """Returns what cannot travel."""
    return lambda: 0


def share(_value: int) -> tuple[int, int]:
    """Who did it, and the cores that it had."""
    time.sleep(0.05)
    return os.getpid(), cores()


class Heavy:
    """Something large that says where it arrives."""

    def __init__(self, folder: Path) -> None:
        """Arrivals are noted in the folder."""
        self.folder = folder

    def __setstate__(self, state: dict[str, Path]) -> None:
        """It has arrived in a process."""
        self.folder = state["folder"]
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()


def with_heavy(value: int, _heavy: Heavy) -> int:
    """A task that needs it."""
    return value
