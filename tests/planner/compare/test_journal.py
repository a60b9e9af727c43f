"""The journal of long work: what a run left is what the next one goes on with, or it is refused."""

import re
from pathlib import Path

import pytest

from planner.compare.journal import Entry, Journal
from planner.errors import BadInput


def entry(digest: str) -> Entry:
    return Entry(digest=digest, name=f"point {digest}", elapsed_s=0.5, result={"value": 1})


def test_a_journal_survives_being_cut_off(tmp_path: Path) -> None:
    """Cut off after any byte, a journal still knows every whole line, and goes on where it was cut."""
    path = tmp_path / "j.jsonl"
    for digest in "ab":
        with Journal(path) as journal:
            journal.note(entry(digest))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        with Journal(path) as journal:
            known = [digest for digest in "ab" if journal.known(digest) is not None]
            assert known == ["a"] * (end >= first) + ["b"] * (end >= len(data))
            journal.note(entry("c"))
        with Journal(path) as journal:
            assert journal.known("c") == entry("c")


def test_a_journal_is_believed_only_as_it_was_written(tmp_path: Path) -> None:
    """A result changed by hand, a line without its digest, and a journal that another run writes are refused."""
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.note(entry("a"))
        with pytest.raises(BadInput, match="another run writes this journal"):
            Journal(path)
    written = path.read_text()
    for changed in (written.replace('"value": 1', '"value": 2'), re.sub(r', "sha256": "\w+"', "", written)):
        assert changed != written
        path.write_text(changed)
        with pytest.raises(BadInput, match=r"j\.jsonl:1: changed since it was written"):
            Journal(path)
        assert path.read_text() == changed


def test_a_full_disk_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that cannot be written any more ends the work with its name and the reason; what it has is kept."""
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.note(entry("a"))

        def full(_file: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("planner.compare.journal.os.fsync", full)
        with pytest.raises(BadInput, match=r"j\.jsonl: cannot be written: No space left on device; what was finished"):
            journal.note(entry("b"))
    monkeypatch.undo()
    with Journal(path) as journal:
        assert journal.known("a") == entry("a")
