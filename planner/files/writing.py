"""Writing files: whole or not at all, and never in place of something that is no file."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from planner.errors import BadInput

STDOUT = "-"
"""What other tools take for stdout: a file of this name would be read as stdin by the next command."""


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that no reader ever sees half of it.

    A link stays a link: what it leads to is replaced, with the permissions it had. A device or a pipe is written to.

    Raises:
        BadInput: it cannot be written; what was there before is untouched.
    """
    try:
        target = led_to(path)
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        _replace(target, text)
    except (OSError, RuntimeError) as error:  # a link that leads to itself is a RuntimeError
        words = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{path}: cannot be written: {words}; nothing was written") from None


def led_to(path: Path) -> Path:
    """Where a path ends, links followed.

    Raises:
        OSError, RuntimeError: a link leads to itself; from Python 3.13 on ``resolve`` alone gives that link.
    """
    target = path.resolve()
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path) -> str:
    """Why a file cannot be written; empty where it can."""
    try:
        return _unwritable(path)
    except (OSError, RuntimeError) as error:  # a link that leads to itself, a name that is too long
        return f"cannot be written: {getattr(error, 'strerror', None) or 'the link leads to itself'}"


def _unwritable(path: Path) -> str:
    if str(path) == STDOUT:
        return "is no name of a file; results go to stdout with --json"
    if path.is_dir():
        return "is a directory; expected the name of a file"
    if path.is_socket():
        return "is a socket; expected the name of a file"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if path.exists() and not os.access(path, os.W_OK):
        return "is write-protected"
    there = led_to(path).parent
    written_to = path.exists() and not path.is_file()  # a device: nothing is made beside it
    return "" if written_to or os.access(there, os.W_OK) else f"the directory {there} cannot be written to"


def clashes(read: Mapping[str, Path | None], written: Mapping[str, Path | None]) -> list[str]:
    """Files that a command would both read and write, or write twice; what is no file may be written as often as asked.

    Args:
        read: name -> file.
        written: name -> file.

    Returns:
        A sentence each.
    """
    found, seen = [], {_same(path): name for name, path in read.items() if path is not None}
    for name, path in written.items():
        if path is None or (path.exists() and not path.is_file()):
            continue
        if other := seen.get(_same(path)):
            found.append(f"{name} {path}: is {other} of this command too; expected another file")
        seen[_same(path)] = name
    return found


def _same(path: Path) -> str:
    """One name for a file, whatever links lead to it."""
    return os.path.realpath(path)
