"""What native libraries print while they solve is kept off the process's standard output, which carries answers.

HiGHS 1.16 prints two lines whenever a solver is made, whatever its options say. Python's own ``sys.stdout`` has no part
in that: C code writes to file descriptor 1, through a buffer of its own that may be flushed long after the call.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

_STDOUT = 1
_log = logging.getLogger(__name__)


class _Held:
    """Standard output while it points elsewhere: where it pointed before, and what is written in the meantime."""

    def __init__(self) -> None:
        """Point standard output to a file of its own."""
        _flush()
        self._before: int | None = None  # a process may be started without a standard output
        with suppress(OSError):
            self._before = os.dup(_STDOUT)
        self._sink = _sink()
        if self._sink.fileno() != _STDOUT:  # the number was free, and the sink took it
            os.dup2(self._sink.fileno(), _STDOUT)

    def end(self) -> str:
        """Point standard output back; what was written."""
        _flush()
        self._sink.seek(0)
        written = str(self._sink.read(), encoding="utf-8", errors="replace")
        if self._before is not None:
            os.dup2(self._before, _STDOUT)
            os.close(self._before)
        elif self._sink.fileno() != _STDOUT:
            os.close(_STDOUT)
        self._sink.close()
        return written


class _Users:
    """Solves may run in threads, but a process has one standard output: the first one moves it, the last one ends."""

    def __init__(self) -> None:
        """No solve is on."""
        self._lock, self._count = threading.Lock(), 0
        self._held: _Held | None = None

    def enter(self) -> None:
        """One more solve."""
        with self._lock:
            self._held = self._held or _Held()
            self._count += 1

    def leave(self) -> str:
        """One solve less; what was printed, if it was the last one."""
        with self._lock:
            self._count -= 1
            if self._count or self._held is None:
                return ""
            held, self._held = self._held, None
            return held.end()


_users = _Users()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what is printed inside off standard output; it is logged, level DEBUG, under this module's name.

    The whole process is affected, children that are started inside too, so nothing but a solve belongs inside.
    """
    _users.enter()
    try:
        yield
    finally:
        if printed := _users.leave():
            _log.debug("a solver printed: %s", printed.strip())


def _flush() -> None:
    """Empty the buffers of C's streams into where they point now; where C's library cannot be reached, nothing."""
    with suppress(OSError, AttributeError, TypeError):  # Windows knows no library without a name
        ctypes.CDLL(None).fflush(None)


def _sink() -> IO[bytes]:
    """A file without a name; nowhere, where none can be made."""
    try:
        return TemporaryFile(buffering=0)
    except OSError:
        return open(os.devnull, "r+b", buffering=0)  # noqa: PTH123  not a path to look at, and closed at the end
