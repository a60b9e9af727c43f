"""Strict reading of YAML and JSON: what is written twice, or can be read in two ways, is refused.

Every file that people write by hand comes through here, the planner's scenarios and plans too. Of YAML the part is read
that every version agrees on: ``true`` and ``false`` but not ``yes``, ``10`` but not ``010``, ``0x10``, ``1_000`` or
``1:30`` (8, 16, 1000 and 90 in YAML 1.1); such words stay text, so that a key that expects a number refuses them.
"""

import json
import math
import re
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml

MAX_YAML_BYTES = 16 << 20
MAX_JSON_BYTES = 512 << 20
MAX_NODES = 1_000_000
"""Of a YAML document with every alias written out."""

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""

_DEEPEST = 6
_SHOWN = 60


class Unreadable(ValueError):  # noqa: N818  callers turn it into the error of their users
    """A text that cannot be read; ``problems`` lists every finding with its line."""

    def __init__(self, *problems: str) -> None:
        """Collect the findings."""
        self.problems = problems
        super().__init__("\n".join(problems))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one is six times as fast
    """YAML whose plain words are numbers, truth values or nothing only where every version of YAML says so."""

    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012  as the library declares it


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$"
        r"|^\.(?:nan|NaN|NAN)$",
        "-+.0123456789",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("merge", r"^<<$", "<"),
):
    _starts = (*(letter for letter in _first if letter != "\0"), *(("",) if "\0" in _first else ()))
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _starts)


def no_file(path: Path) -> str:
    """Why a path is nothing to read; empty where it is a file.

    A pipe or a device may never end. What a shell hands over is read all the same: ``/dev/stdin`` and ``/dev/fd/N``.

    Raises:
        OSError: there is nothing of that name.
    """
    mode = path.stat().st_mode
    if re.fullmatch(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+", path.as_posix()):
        return ""
    kinds = {stat.S_ISFIFO: "a pipe", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device", stat.S_ISSOCK: "a socket"}
    return next((f"found {kind}, which may never end" for tells, kind in kinds.items() if tells(mode)), "")


def read_text(path: Path, what: str, *, limit_bytes: int = MAX_YAML_BYTES) -> str:
    """The text of a file.

    Args:
        path: the file.
        what: what is expected there, for messages: ``a YAML file``.
        limit_bytes: larger files are refused unread.

    Raises:
        Unreadable: there is none, it is too large, or it is no UTF-8.
    """
    try:
        return read_bytes(path, what, limit_bytes=limit_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable(f"{path}: cannot be read: not UTF-8 text; expected {what}") from None


def read_bytes(path: Path, what: str, *, limit_bytes: int) -> bytes:
    """The content of a file, as :func:`read_text` reads it.

    Raises:
        Unreadable: there is none, it is a pipe or a device, or it is too large.
    """
    try:
        if found := no_file(path):
            raise Unreadable(f"{path}: {found}; expected {what}")
        with path.open("rb") as file:
            return within(file.read(limit_bytes + 1), path, what, limit_bytes)
    except OSError as error:
        meant = _nearby(path) if isinstance(error, FileNotFoundError) else ""
        raise Unreadable(f"{path}: cannot be read: {error.strerror}; {meant}expected {what}") from None


def _nearby(path: Path) -> str:
    """A file of that directory whose name is close, as a question; nothing where none is."""
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    close = get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"did you mean {path.with_name(close[0])}? " if close else ""


def within(data: bytes, path: Path, what: str, limit_bytes: int) -> bytes:
    """The data, where there is no more of it than the limit.

    Raises:
        Unreadable: there is.
    """
    if len(data) > limit_bytes:
        raise Unreadable(f"{path}: found more than {limit_bytes >> 20} MiB; expected {what}")
    return data


def yaml_value(text: str) -> object:
    """The value of a short YAML text.

    Raises:
        Unreadable: it is none; the text says why, without a place.
    """
    data, _ = yaml_document(text, "")
    return data


def yaml_document(text: str, label: str) -> tuple[Any, dict[Place, str]]:
    """The data of a YAML text, and where every key of the first levels stands.

    Args:
        text: one document.
        label: the file, for places such as ``label:12``.

    Returns:
        Mappings, lists and scalars; path -> place.

    Raises:
        Unreadable: it is no YAML, or a key occurs twice or is no word; all of them are named.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            problems = [] if node is None else list(_node_problems(node, label))
            if problems:
                raise Unreadable(*problems)
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        slashes = any(each.lstrip().startswith("//") for each in text.splitlines()[:line])
        hint = "; JSON has no comments, and YAML's begin with #, not //" if slashes else ""
        raise Unreadable(f"{label}:{line}: no valid YAML: {error.problem}{hint}") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"{label}: no valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise Unreadable(f"{label}: no valid YAML: nested too deeply") from None
    except Unreadable:
        raise
    except (ValueError, TypeError, OverflowError) as error:  # a value that its tag cannot hold: !!int x, !!timestamp
        raise Unreadable(f"{label}: no valid YAML: {str(error)[:_SHOWN]}") from None
    places: dict[Place, str] = {}
    if node is not None:
        _locate(node, (), label, places)
    return data, places


def _node_problems(root: yaml.Node, label: str) -> Iterator[str]:
    """Keys given twice or that are no words, aliases that hold themselves, and documents that alias into millions."""
    sizes: dict[int, int] = {}
    above: set[int] = set()
    problems: list[str] = []

    def size(node: yaml.Node, path: Place) -> int:
        if id(node) in above:
            raise Unreadable(f"{label}:{node.start_mark.line + 1}: found an alias that holds itself")
        if id(node) in sizes:
            return sizes[id(node)]
        above.add(id(node))
        total = 1
        if isinstance(node, yaml.MappingNode):
            problems.extend(_key_problems(node, path, label))
            total += sum(1 + size(value, (*path, str(key.value))) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(value, (*path, place)) for place, value in enumerate(node.value))
        above.discard(id(node))
        sizes[id(node)] = total
        return total

    if size(root, ()) > MAX_NODES:
        problems.append(f"{label}: found more than {MAX_NODES:,} values once aliases are written out")
    yield from problems


def _key_problems(node: yaml.MappingNode, path: Place, label: str) -> Iterator[str]:
    """What is wrong with the keys of one mapping."""
    first: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            where = f"{spell(path)}: " if path else ""
            found = str(key.value)[:_SHOWN]
            yield f"{label}:{line}: {where}found the key {found!r}; expected a word, or quotes around it"
            continue
        if key.value in first:
            where = spell((*path, key.value))
            yield f"{label}:{line}: {where}: the key is given twice, first at {label}:{first[key.value]}"
        first.setdefault(key.value, line)


def _locate(node: yaml.Node, path: Place, label: str, places: dict[Place, str]) -> None:
    """Where keys stand, some levels deep."""
    if len(path) > _DEEPEST:
        return
    places.setdefault(path, f"{label}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            places[(*path, key.value)] = f"{label}:{key.start_mark.line + 1}"
            _locate(value, (*path, key.value), label, places)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _locate(value, (*path, index), label, places)


def one_line(word: str) -> str:
    """A word as it is, if it is one line that terminals, manifests and tables show as it is written.

    Raises:
        ValueError: it holds a line end, an escape sequence, or a sign that turns the direction of what follows.
    """
    if not word.isprintable():
        raise ValueError("one line without control characters")
    return word


def spell(path: Place) -> str:
    """A path as people write it: ``catalog.tp.0``."""
    return ".".join(str(part) for part in path)


def json_document(text: str, label: str, what: str) -> Any:  # noqa: ANN401  JSON has no narrower type
    """The data of a JSON text without NaN, infinities and keys given twice.

    Args:
        text: one value.
        label: the file.
        what: what is expected there, for messages.

    Raises:
        Unreadable: it is none.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise Unreadable(f"{label}: {twice[:_SHOWN]}: the key is given twice; expected {what}")
        return found

    def endless(word: str) -> NoReturn:
        raise Unreadable(f"{label}: found the number {word[:_SHOWN]}; expected finite numbers")

    def finite(word: str) -> float:
        number = float(word)
        return number if math.isfinite(number) else endless(word)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=endless, parse_float=finite)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{label}:{error.lineno}: no valid JSON: {error.msg}; is the file cut off?") from None
    except RecursionError:
        raise Unreadable(f"{label}: no valid JSON: nested too deeply; expected {what}") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable(f"{label}: no valid JSON: {str(error)[:_SHOWN]}; expected {what}") from None
