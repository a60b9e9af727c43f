"""The journal of long work: one JSON line for everything that is finished, so that nothing is done twice."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

from hw_catalog.strict_files import Unreadable, json_document, no_file
from planner import __version__
from planner.errors import BadInput
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet

_FIRST = b'{"digest": '
_KEYS = {"digest", "elapsed_s", "name", "result"}
_SEAL = "sha256"


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
    """Finished work, in memory and, where it has a path, in a file that survives an interruption at any moment.

    The file is one run's alone until the journal is closed.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what is there, and see that more can be written.

        Raises:
            BadInput: the file is no journal, was changed, is in another run's use, or cannot be written to.
        """
        self.path = path
        self._known: dict[str, Entry] = {}
        self._file: BinaryIO | None = None
        if path is not None:
            self._file = _taken(path)
            try:
                self._read(path, self._file)
            except BadInput:
                self.close()
                raise

    def __enter__(self) -> Self:
        """The journal, closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the file to the next run."""
        self.close()

    def close(self) -> None:
        """Leave the file to the next run."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, path: Path, file: BinaryIO) -> None:
        """Every whole line; a last line that was cut off by a crash is taken away."""
        try:
            file.seek(0)
            data = file.read()
            whole, _, torn = data.rpartition(b"\n")
            cut_off = bool(torn) and _FIRST.startswith(data[: len(_FIRST)])
            lines = (whole if cut_off else data).splitlines()
            for number, line in enumerate(lines, 1):
                entry = _entry(line, f"{path}:{number}")
                self._known[entry.digest] = entry
            if cut_off:
                file.truncate(len(data) - len(torn))
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}; expected a journal or a new file") from None

    @property
    def elapsed_s(self) -> Mapping[str, float]:
        """Digest -> what it took, of everything finished."""
        return {digest: entry.elapsed_s for digest, entry in self._known.items()}

    def known(self, digest: str) -> Entry | None:
        """What was finished before under this digest."""
        return self._known.get(digest)

    def note(self, entry: Entry) -> None:
        """Write down what is finished, at once and for good.

        Raises:
            BadInput: the disk is full, or the file cannot be written to any more.
        """
        self._known[entry.digest] = entry
        if self._file is None:
            return
        fields = {
            "digest": entry.digest,
            "name": entry.name,
            "elapsed_s": round(entry.elapsed_s, 3),
            "result": entry.result,
        }
        line = json.dumps({**fields, _SEAL: _sealed(fields)}, ensure_ascii=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):  # what is in its buffer still does not fit
                self._file.close()
            self._file = None
            kept = "what was finished before is kept, and the same command goes on from there"
            raise BadInput(f"{self.path}: cannot be written: {error.strerror}; {kept}") from None


def _taken(path: Path) -> BinaryIO:
    """The file, for this run alone as long as it lives."""
    try:
        if found := no_file(path) if path.exists() else "":
            raise BadInput(f"{path}: {found}; expected a journal or a new file")
        file = path.open("a+b")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}; expected a journal or a new file") from None
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BadInput(f"{path}: another run writes this journal; wait for it, or give another --journal") from None
    except (ImportError, OSError):  # a system, or a file system, without locks
        return file
    return file


def _entry(line: bytes, place: str) -> Entry:
    """A line of a journal.

    Raises:
        BadInput: it is none, or it does not say what was written.
    """
    expected = "expected a journal of this version or a new file"
    try:
        data = json_document(line.decode("utf-8"), place, "a line of a journal")
    except (UnicodeDecodeError, Unreadable):
        raise BadInput(f"{place}: no line of a journal; {expected}") from None
    if not isinstance(data, dict) or data.keys() - {_SEAL} != _KEYS:
        raise BadInput(f"{place}: no line of a journal; {expected}")
    if data.pop(_SEAL, None) != _sealed(data):
        raise BadInput(f"{place}: changed since it was written, or of an earlier version; {expected}")
    return Entry(**data)


def _sealed(fields: Mapping[str, Any]) -> str:
    """SHA-256 of what a line says: a journal is believed without working anything out again."""
    return sha256(json.dumps(dict(fields), sort_keys=True).encode()).hexdigest()


class Digests:
    """Digests of questions; a file that several of them name is read once."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._files: dict[Path, str] = {}

    def of(self, act: str, scenario: Scenario | Fleet, more: str = "") -> str:
        """SHA-256 of what is to be done, the scenario, the files it names, this version, and what else matters."""
        catalog = scenario.catalog.directory
        models = scenario.models if isinstance(scenario, Fleet) else (scenario,)
        named = sorted(Path(catalog).rglob("*")) if catalog else []
        named += [Path(trace) for each in models if (trace := each.workload.trace)]
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
