"""The journal of long work: one JSON line for everything that is finished, so that nothing is done twice."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hw_catalog.strict_files import Unreadable, json_document
from planner import __version__
from planner.errors import BadInput
from planner.scenario import Scenario

_FIRST = b'{"digest": '
_KEYS = {"digest", "elapsed_s", "name", "result"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something finished.

    Attributes:
        digest: of what was asked.
        name: of it, for people.
        elapsed_s: what it took.
        result: the answer, as JSON data.
    """

    digest: str
    name: str
    elapsed_s: float
    result: Any


class Journal:
    """Finished work, in memory and, where it has a path, in a file that survives an interruption at any moment."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is there, and see that more can be written.

        Raises:
            BadInput: the file is no journal, or it cannot be written to.
        """
        self.path = path
        self._known: dict[str, Entry] = {}
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        """Every whole line; a last line that was cut off by a crash is taken away."""
        try:
            with path.open("a+b") as file:
                file.seek(0)
                data = file.read()
                whole, _, torn = data.rpartition(b"\n")
                if torn and _FIRST.startswith(data[: len(_FIRST)]):
                    file.truncate(len(data) - len(torn))
                    data = whole
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}; expected a journal or a new file") from None
        for number, line in enumerate(data.splitlines(), 1):
            entry = _entry(line)
            if entry is None:
                raise BadInput(f"{path}:{number}: no line of a journal; expected a journal or a new file")
            self._known[entry.digest] = entry

    @property
    def elapsed_s(self) -> Mapping[str, float]:
        """Digest -> what it took, of everything finished."""
        return {digest: entry.elapsed_s for digest, entry in self._known.items()}

    def known(self, digest: str) -> Entry | None:
        """What was finished before under this digest."""
        return self._known.get(digest)

    def note(self, entry: Entry) -> None:
        """Write down what is finished, at once and for good."""
        self._known[entry.digest] = entry
        if self.path is None:
            return
        fields = {"digest": entry.digest, "name": entry.name, "elapsed_s": round(entry.elapsed_s, 3)}
        line = json.dumps({**fields, "result": entry.result}, ensure_ascii=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _entry(line: bytes) -> Entry | None:
    """A line of a journal; None where it is none."""
    try:
        data = json_document(line.decode("utf-8"), "journal", "a line of a journal")
    except (UnicodeDecodeError, Unreadable):
        return None
    if not isinstance(data, dict) or set(data) != _KEYS:
        return None
    words = isinstance(data["digest"], str) and isinstance(data["name"], str)
    spent = type(data["elapsed_s"]) in (int, float) and data["elapsed_s"] >= 0
    return Entry(**data) if words and spent else None


class Digests:
    """Digests of questions; a file that several of them name is read once."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._files: dict[Path, str] = {}

    def of(self, act: str, scenario: Scenario, more: str = "") -> str:
        """SHA-256 of what is to be done, the scenario, the files it names, this version, and what else matters."""
        catalog, trace = scenario.catalog.directory, scenario.workload.trace
        named = sorted(Path(catalog).rglob("*")) if catalog else []
        named += [Path(trace)] if trace else []
        files = [f"{path}:{self._file(path)}" for path in named if path.is_file()]
        parts = (__version__, act, scenario.model_dump_json(), *files, more)
        return sha256("\n".join(parts).encode()).hexdigest()

    def _file(self, path: Path) -> str:
        if path not in self._files:
            with path.open("rb") as file:
                hashed = sha256()
                while block := file.read(1 << 20):
                    hashed.update(block)
            self._files[path] = hashed.hexdigest()
        return self._files[path]
