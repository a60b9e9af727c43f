"""From a YAML text and ``--set`` words to plain data in which every key knows the line it came from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from planner.errors import BadInput

Path_ = tuple[str | int, ...]
_DEEPEST = 6
_DOT = re.compile(r"\.(?!\d+_(?:s|slowdown)(?:\.|$))")  # the dot of ttft_p99.9_s is no step down


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-6`` is a number, as people expect and YAML 1.2 says."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


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
        return Document(data=_changed(self.data, path, value), places={**kept, path: place})


def read_document(path: Path) -> Document:
    """Read a YAML mapping.

    Args:
        path: the file.

    Returns:
        Its data, each key with its line.

    Raises:
        BadInput: there is no such file, it is no YAML, it is no mapping, or a key occurs twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        data = {} if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadInput(f"{path}: cannot be read: {reason}; expected a YAML file") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path}:{line}: no valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: no valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path}:1: found {type(data).__name__}; expected a mapping of keys to values")
    places: dict[Path_, str] = {}
    problems: list[str] = []
    _locate(node, (), str(path), places, problems)
    if problems:
        raise BadInput(*problems)
    return Document(data=data, places=places)


def override(document: Document, words: Sequence[str], *, flag: str = "--set") -> Document:
    """Apply ``dotted.key=value`` words, the value read as YAML.

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
        path = tuple(int(part) if part.isdigit() else part for part in steps(dotted.strip()))
        try:
            value = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
            document = document.changed(path, value, f"{flag} {word}")
        except yaml.YAMLError:
            problems.append(f"{flag} {word}: found a value that is no YAML; quote it?")
        except (KeyError, IndexError, TypeError):
            problems.append(f"{flag} {word}: there is no '{dotted}': part of the path is neither a mapping nor a list")
    if problems:
        raise BadInput(*problems)
    return document


def steps(dotted: str) -> list[str]:
    """The keys of a dotted path; the dot of ``ttft_p99.9_s`` is no step."""
    return _DOT.split(dotted)


def _locate(node: Any, path: Path_, file: str, places: dict[Path_, str], problems: list[str]) -> None:  # noqa: ANN401
    if len(path) > _DEEPEST:  # an alias that holds itself has no end
        return
    places.setdefault(path, f"{file}:{node.start_mark.line + 1}" if node else f"{file}:1")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner, line = (*path, key.value), key.start_mark.line + 1
            if inner in places:
                first = places[inner]
                problems.append(f"{file}:{line}: {spell(inner)}: the key is given twice, first at {first}")
            places[inner] = f"{file}:{line}"
            _locate(value, inner, file, places, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _locate(value, (*path, index), file, places, problems)


def spell(path: Path_) -> str:
    """A path as ``--set`` spells it."""
    return ".".join(str(part) for part in path)


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
