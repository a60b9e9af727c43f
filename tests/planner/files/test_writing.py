"""Files are written whole or not at all, and never in place of something that is no file."""

import os
import socket
import threading
from pathlib import Path

import pytest

from planner.errors import BadInput
from planner.files.writing import clashes, unwritable, write_whole


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What a link leads to is replaced, with the permissions it had; the link and its target's name remain."""
    target, link = tmp_path / "there.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target.name)
    write_whole(link, "new")
    assert (link.is_symlink(), target.read_text(), target.stat().st_mode & 0o777) == (True, "new", 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "there.json"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """What is no file is written to where it is, never replaced by a file of its name."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "all of it")
    reader.join(5)
    assert (read, pipe.is_fifo()) == (["all of it"], True)


def test_what_was_there_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up midway leaves the old file as it was and nothing beside it."""
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left on device; nothing was written"):
        write_whole(path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("plan.json", "old")]


def test_loops_and_directories_are_refused(tmp_path: Path) -> None:
    """A link that leads to itself, a directory, a socket and ``-`` cannot be written; each is told in one line."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(BadInput, match="cannot be written"):
        write_whole(loop, "x")
    assert unwritable(tmp_path) == "is a directory; expected the name of a file"
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "socket"))
        assert unwritable(tmp_path / "socket") == "is a socket; expected the name of a file"
    assert unwritable(Path("-")) == "is no name of a file; results go to stdout with --json"
    assert unwritable(tmp_path / "none" / "x") == f"there is no directory {tmp_path / 'none'}"


def test_no_file_is_read_and_written(tmp_path: Path) -> None:
    """A file that a command reads, by whatever link, is none that it may write; nor are two results one file."""
    question, link = tmp_path / "q.yaml", tmp_path / "l.yaml"
    question.write_text("x")
    link.symlink_to(question)
    other = tmp_path / "other"
    assert not clashes({"the scenario": question}, {"--out": other, "--report": None})
    assert clashes({"the scenario": question}, {"--out": link}) == [
        f"--out {link}: is the scenario of this command too; expected another file"
    ]
    assert clashes({}, {"--out": other, "--report": other}) == [
        f"--report {other}: is --out of this command too; expected another file"
    ]
