"""Where compiled code is kept between runs, and whose code is loaded; nothing here needs Numba.

Loading a file of machine code is running it. It is done only where the file and its folder belong to the user and
no other user may write them.
"""

import os
import stat
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIKELY_COMPILE_S = 5.0


def cached(compiled: Any) -> Any:
    """A compiled function that keeps its machine code between runs, where there is a safe place for it.

    Numba forgets to look at the functions that a function calls, so the place is named after all of the code. It takes
    an index that another copy of the same file wrote for stale and numbers its files from one again: a process that has
    read the index would then load the code of other records. So each copy has a place of its own.
    """
    if hasattr(compiled, "enable_caching") and not getattr(compiled, "kept", False):
        from numba import config

        compiled.kept = True
        name_by_layout()
        rows = Path(__file__).parent.parent / "rows"
        code = (rows / "kernel.py", rows / "state.py", Path(__file__))
        place = directory(*(path.read_text(encoding="utf-8") for path in code), stamp(code[0]))
        before, config.CACHE_DIR = config.CACHE_DIR, str(place)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not any(foreign(path) for path in (place, *place.rglob("*"))):
                compiled.enable_caching()
                one_writer(compiled._cache, place)
        except (OSError, RuntimeError, AttributeError, ImportError):
            pass  # nowhere to write, or no way to: it is compiled anew in every process
        finally:
            config.CACHE_DIR = before
    return compiled


def name_by_layout() -> None:
    """Let the names of compiled functions say what their records hold.

    Numba names a record by its number in the process. So functions that two processes compiled for records of two sizes
    can have one name, and where both are loaded one calls the inner functions of the other: it crashes, or counts
    wrong.
    """
    from numba.core import types

    def mangling_args(kind: Any) -> tuple[str, tuple[str]]:
        return type(kind).__name__, (sha256(kind.name.encode()).hexdigest(),)

    records: Any = types.Record
    records.mangling_args = property(mangling_args)


def stamp(path: Path) -> str:
    """Which copy of a file it is, and when it was written: what Numba stamps its index with."""
    return f"{path.resolve()} {path.stat().st_mtime_ns}"


def one_writer(kept: Any, place: Path) -> None:
    """Let one process at a time read or write a cache of Numba's.

    Numba numbers the files of signatures by an index. Two processes that read it at the same time give two signatures
    one number, and the code of one is then called with the records of the other. The index is written before the file
    that it names, so that a reader between the two finds none, or another one.
    """
    from fcntl import LOCK_EX, flock  # where there is none, nothing is kept

    def alone(act: Callable[..., Any]) -> Callable[..., Any]:
        def locked(*arguments: Any) -> Any:
            try:
                lock = (place / "lock").open("w")
            except OSError:  # the place is gone: there is nothing to read, and none to wait for
                return act(*arguments)
            with lock:
                flock(lock, LOCK_EX)
                return act(*arguments)

        return locked

    kept.save_overload, kept.load_overload = alone(kept.save_overload), alone(kept.load_overload)


def directory(*code: str) -> Path:
    """Where the machine code of some code is kept: in Numba's own place if one is set."""
    made_by = (sys.version, version("numba"), version("llvmlite"), *code)
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"replay-{sha256(repr(made_by).encode()).hexdigest()[:16]}"
    return (Path(chosen) if chosen else home / "phasewise") / name


def foreign(path: Path) -> bool:
    """Whether a file or folder is another user's, or others may write it."""
    return _foreign(path.lstat())


def own_bytes(path: Path) -> bytes:
    """The content of a file that only the user can have written.

    Raises:
        PermissionError: the file or its folder is not the user's alone.
        OSError: it cannot be read.
    """
    if foreign(path.parent):
        raise PermissionError(f"{path.parent} is not yours alone")
    with path.open("rb") as file:  # what is open is what is looked at, whatever its name leads to by then
        if _foreign(os.fstat(file.fileno())):
            raise PermissionError(f"{path} is not yours alone")
        return file.read()


def _foreign(found: os.stat_result) -> bool:
    """The same of what the system says of it; where it knows no owners, nothing is foreign."""
    if not hasattr(os, "getuid"):  # pragma: no cover
        return False
    return found.st_uid != os.getuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
