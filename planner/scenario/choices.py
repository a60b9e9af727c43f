"""Values that leave something open: one word, several to choose from, or a word for all of them."""

import difflib
from collections.abc import Collection
from typing import Any

from pydantic import PlainSerializer

from planner.errors import nearest
from planner.scenario.numbers import MOST_WHOLE

Several = str | tuple[str, ...]
"""One value, or those that may be chosen."""

AS_IT_IS = PlainSerializer(lambda value: value, return_type=Any)
"""How these are written to files: pydantic would warn that JSON has a list where the type has a tuple."""


def one_or_several(value: object, known: Collection[str], everything: str) -> Several | None:
    """A known word, a list of known words, the word for all of them, or nothing.

    Args:
        value: as it was written.
        known: every word that there is.
        everything: the word for all of them.

    Returns:
        The word; the words in their order, each once, a list of one being that word.

    Raises:
        ValueError: it is none of these; the text says what was expected.
    """
    if value is None:
        return None
    if value == everything:
        return everything
    words = _words(value)
    unknown = [word for word in words or () if word not in known]
    if words is None or unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1) if unknown else []
        nearest = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"one of {', '.join(known)}, a list of these, or {everything}{nearest}")
    return words[0] if len(words) == 1 else words


def only_listed(value: dict[str, object], machines: Collection[str]) -> dict[str, object]:
    """A value by machine type, each of which may be bought.

    Raises:
        ValueError: some may not; the text names the nearest that may.
    """
    strangers = sorted(set(value) - set(machines))
    if strangers:
        meant = nearest(strangers[0], machines)
        raise ValueError(f"only machine types that catalog.machines lists, not {', '.join(strangers)}; {meant}")
    return value


AUTO_WAYS = "auto"
"""In place of a list: every number that profiles were measured at."""


def several_ways(value: object) -> object:
    """A list of whole numbers from 1 on, or the word for all that were measured; one message for both.

    Raises:
        ValueError: it is neither.
    """
    if value != AUTO_WAYS and not (value and _counts(value)):
        raise ValueError(f"a list of whole numbers from 1 on, or {AUTO_WAYS}: every one that was measured")
    return tuple(value) if isinstance(value, list | tuple) else value


def several_knobs(value: object) -> object:
    """A list of whole numbers, or the word auto; one message for both.

    Raises:
        ValueError: it is neither, or an empty list.
    """
    if value != "auto" and not (value and _counts(value)):
        raise ValueError("a list of whole numbers, or auto")
    return tuple(value) if isinstance(value, list | tuple) else value


def _counts(value: object) -> bool:
    """Whether a value is a list of whole numbers from 1 on."""
    return isinstance(value, list | tuple) and all(type(each) is int and 0 < each <= MOST_WHOLE for each in value)


def named(value: object) -> Several | None:
    """A name, several names, or nothing; whether they exist is for others to say.

    Raises:
        ValueError: it is none of these.
    """
    words = None if value is None else _words(value)
    if value is not None and words is None:
        raise ValueError("a name, or a list of names")
    return words[0] if words and len(words) == 1 else words


def _words(value: object) -> tuple[str, ...] | None:
    """The words of a value, each once; None where it is no word and no list of words, or says nothing."""
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not words or not all(isinstance(each, str) and each for each in words):
        return None
    return tuple(dict.fromkeys(words))


def listed(value: Several | None) -> tuple[str, ...]:
    """What may be chosen, as a list; empty where nothing is said."""
    return () if value is None else (value,) if isinstance(value, str) else value
