"""From a YAML text and ``--set`` words to plain data in which every key knows the line it came from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw_catalog.strict_files import Unreadable, read_text, yaml_document, yaml_value
from planner.errors import BadInput
from workloads.counts import whole_number

Path_ = tuple[str | int, ...]
_DOT = re.compile(r"\.(?!\d+_(?:s|slowdown)(?:\.|$))")  # the dot of ttft_p99.9_s is no step down


STDIN = Path("-")
SHORT = {"availability": "target_frac"}
"""Section -> the key of it that a number in its place stands for."""


_EXAMPLE = "`phasewise new splitwise-conv` writes one"
_SHOWN = 40
"""Letters of a wrong file that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Plain data with the place of every key.

    Attributes:
        data: mappings, lists and scalars.
        places: path of a key -> where it was written, for example ``conv.yaml:12`` or ``--set objective=power``.
    """

    data: Mapping[str, Any]
    places: Mapping[Path_, str]

    def place(self, path: Path_) -> str:
        """Where ``path``, or the nearest thing around it, was written, and what was set inside it."""
        around = next(
            path[:length] for length in range(len(path), -1, -1) if path[:length] in self.places or not length
        )
        inside = [
            where
            for known, where in self.places.items()
            if path and len(known) > len(path) and known[: len(path)] == path and where.startswith("--")
        ]
        return " with ".join([self.places.get(around, "scenario"), *inside])

    def changed(self, path: Path_, value: object, place: str) -> "Document":
        """The document with one key set, and that key's place noted."""
        kept = {known: where for known, where in self.places.items() if known[: len(path)] != path}
        data, found = self.data, self.data.get(str(path[0])) if path else None
        if len(path) > 1 and path[0] in SHORT and isinstance(found, int | float):
            data = {**data, str(path[0]): {SHORT[str(path[0])]: found}}
        return Document(data=_changed(data, path, value), places={**kept, path: place})

    def completed(self, path: Path_, value: object, place: str) -> "Document":
        """As ``changed``; as it is where a key on the path holds no keys, which is named when the document is read."""
        try:
            return self.changed(path, value, place)
        except (IndexError, TypeError):
            return self


def read_document(path: Path) -> Document:
    """Read a YAML mapping.

    Args:
        path: the file; ``-`` is stdin.

    Returns:
        Its data, each key with its line.

    Raises:
        BadInput: there is no such file, it is no YAML, it is no mapping, or a key occurs twice.
    """
    label = "stdin" if path == STDIN else str(path)
    try:
        text = read_text(Path("/dev/stdin") if path == STDIN else path, "a YAML file")
        data, places = yaml_document(text, label)
    except Unreadable as error:
        raise BadInput(*error.problems) from None
    if data is None:
        raise BadInput(f"{label}: is empty; expected a scenario: {_EXAMPLE}")
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"the text {str(data)[:_SHOWN]!r}"
        raise BadInput(f"{label}:1: found {kind}; expected keys and values of a scenario: {_EXAMPLE}")
    return Document(data=data, places=places or {(): f"{label}:1"})


def is_there(path: Path) -> bool:
    """Whether a path names something; one that no file can have, too long or with a zero byte, names nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def override(document: Document, words: Sequence[str], *, flag: str = "--set") -> Document:
    """Apply ``dotted.key=value`` words, the value read as YAML; elements of lists are named by place or by their name.

    Args:
        document: what is changed.
        words: the changes, in order.
        flag: what the words were typed behind.

    Raises:
        BadInput: a word has no ``=``, no readable value, or names a key inside something that is no mapping.
    """
    problems = []
    for word in words:
        dotted, equals, text = word.partition("=")
        if not equals or not dotted:
            problems.append(f"{flag} {word}: expected dotted.key=value, for example workload.rate_scale=2")
            continue
        path = _path(document.data, steps(dotted.strip()))
        try:
            value = yaml_value(text)
            document = document.changed(path, value, f"{flag} {word}")
        except Unreadable as error:
            reason = error.problems[0].partition(": ")[2]
            problems.append(f"{flag} {word}: found a value that is no YAML ({reason}); quote it?")
        except (KeyError, IndexError, TypeError):
            problems.append(f"{flag} {word}: {_obstacle(document.data, path)}")
    if problems:
        raise BadInput(*problems)
    return document


def said(value: object) -> str:
    """A value as it was found; what is nothing is null in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(said, value))}]"
    return "null" if value is None else repr(value)


def steps(dotted: str) -> list[str]:
    """The keys of a dotted path; the dot of ``ttft_p99.9_s`` is no step."""
    return _DOT.split(dotted)


def _path(data: Any, parts: Sequence[str]) -> Path_:  # noqa: ANN401
    """The steps of a dotted path; one that names an element of a list is the place of that element."""
    path: list[str | int] = []
    for part in parts:
        at = whole_number(part)
        if at is None and isinstance(data, list):
            places = [
                place for place, each in enumerate(data) if isinstance(each, Mapping) and each.get("name") == part
            ]
            at = places[0] if len(places) == 1 else None
        step = part if at is None else at
        inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        data = data[step] if inside else data.get(part) if isinstance(data, Mapping) else None
        path.append(step)
    return tuple(path)


def _obstacle(data: Any, path: Path_) -> str:  # noqa: ANN401
    """Where a path leaves the document, and what was expected there."""
    for place, step in enumerate(path):
        around = ".".join(map(str, path[:place]))
        if isinstance(data, list):
            if not isinstance(step, int) or step >= len(data):
                names = [str(each["name"]) for each in data if isinstance(each, Mapping) and "name" in each]
                most = f"a number from 0 to {len(data) - 1}" if data else "nothing, as it is empty"
                expected = ", ".join(names) + f" or {most}" if names else most
                return f"found {step} in the list {around}; expected {expected}"
            data = data[step]
        elif isinstance(data, Mapping):
            data = data.get(str(step))
        elif data is not None:
            return f"found {step} inside {around}, which is {str(data)[:_SHOWN]!r}; expected no key there"
    return f"there is no {'.'.join(map(str, path))!r}"


def _changed(data: Any, path: Path_, value: object) -> Any:  # noqa: ANN401
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(data, list) and isinstance(first, int):
        return [*data[:first], _changed(data[first], rest, value), *data[first + 1 :]]
    if data is None or isinstance(data, Mapping):
        inner = (data or {}).get(str(first))
        return {**(data or {}), str(first): _changed(inner, rest, value)}
    raise TypeError(first)
