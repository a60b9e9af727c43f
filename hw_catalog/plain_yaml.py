"""YAML that is written plainly, read at one look: the same data as strict reading has, in half of the time.

Every question reads the catalog, whose files are written so.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from hw_catalog.strict_files import Loader, yaml_document

_MOST_CHARACTERS, _MOST_ALIASES = 25_000, 10
"""Of a document that is read at one look: ten aliases make 39 times as many values of it at most, fewer than
``strict_files.MAX_NODES``.
"""


def yaml_data(text: str, label: str) -> Any:  # noqa: ANN401  YAML has no narrower type
    """The data of a YAML text, as ``yaml_document`` has them.

    Raises:
        Unreadable: as ``yaml_document``.
    """
    try:
        return plain_data(text)
    except (Odd, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return yaml_document(text, label)[0]


class Odd(Exception):  # noqa: N818  no failure
    """Something that is not written plainly."""


def plain_data(text: str) -> Any:  # noqa: ANN401  YAML has no narrower type
    """The data of a YAML text that is written plainly.

    Raises:
        Odd, YAMLError, KeyError, TypeError, ValueError, RecursionError: it is no YAML; a key occurs twice or is no
            word; a tag, or a word that can be read in two ways; or it is long, or could be longer than it looks.
    """
    if len(text) > _MOST_CHARACTERS:
        raise Odd
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _Reader().data(node)
    finally:
        loader.dispose()


def _whole(word: str) -> int:
    """A whole number that is one in every version of YAML."""
    if not re.fullmatch(r"[-+]?(?:0|[1-9][0-9]{0,17})", word):
        raise Odd
    return int(word)


def _number(word: str) -> float:
    """A number, without the underscores that Python would read over."""
    if "_" in word:
        raise Odd
    return float(word)


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": _whole,
    "tag:yaml.org,2002:float": _number,
    "tag:yaml.org,2002:bool": {"true": True, "false": False}.__getitem__,
    "tag:yaml.org,2002:null": {"null": None, "~": None, "": None}.__getitem__,
}
"""How words are read; those that are written otherwise raise."""

_MAP, _SEQ, _STR, _MERGE = (f"tag:yaml.org,2002:{tag}" for tag in ("map", "seq", "str", "merge"))


class _Reader:
    """Data of the nodes of one document."""

    __slots__ = ("_aliases", "_made")

    def __init__(self) -> None:
        """Nothing read."""
        self._made: dict[int, Any] = {}
        self._aliases = 0

    def data(self, node: yaml.Node) -> Any:  # noqa: ANN401  YAML has no narrower type
        """The data of a node; of an alias those that its anchor has."""
        if isinstance(node, yaml.ScalarNode):
            return _SCALARS[node.tag](node.value)
        if id(node) in self._made:
            self._aliases += 1
            if self._made[id(node)] is Odd or self._aliases > _MOST_ALIASES:
                raise Odd
            return self._made[id(node)]
        self._made[id(node)] = Odd  # until it is read: an alias that holds itself meets this
        found = self._made[id(node)] = self._collection(node)
        return found

    def _collection(self, node: yaml.Node) -> dict[str, Any] | list[Any]:
        """A list, or a mapping with what it merges before what is its own."""
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            return [self.data(each) for each in node.value]
        if not isinstance(node, yaml.MappingNode) or node.tag != _MAP:
            raise Odd
        own = {key.value: self.data(each) for key, each in node.value if key.tag == _STR}
        if len(own) == len(node.value):
            return own
        merged = [each for key, each in node.value if key.tag == _MERGE]
        if len(own) + 1 != len(node.value) or len(merged) != 1 or not isinstance(merged[0], yaml.MappingNode):
            raise Odd
        if any(key.tag == _MERGE for key, _ in merged[0].value):
            raise Odd  # of merges within merges the library has an order of its own
        return {**self.data(merged[0]), **own}
