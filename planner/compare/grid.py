"""Grids: from ``--vary`` words to scenarios, with every mistake found before anything is planned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from planner.errors import BadInput
from planner.results.sweep import Knob, short_names
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet, keys_of

AS_GIVEN = "as given"
"""The name of a point at which nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One scenario to plan.

    Attributes:
        name: what was set, for people.
        settings: dotted key -> value, as it would be typed.
        scenario: the question with these settings.
    """

    name: str
    settings: Mapping[str, str]
    scenario: Scenario | Fleet


def knobs(words: Sequence[str]) -> tuple[Knob, ...]:
    """The knobs that ``dotted.key=value,value`` words name.

    Raises:
        BadInput: with every problem: a word without ``=`` or without a value, a value or a key given twice.
    """
    found: dict[str, Knob] = {}
    problems = []
    for word in words:
        key, equals, text = word.partition("=")
        key, values = key.strip(), tuple(part.strip() for part in split(text))
        if not equals or not key or not all(values):
            problems.append(f"--vary {word}: expected dotted.key=value,value, for example workload.rate_scale=1,2,4")
        elif len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            problems.append(f"--vary {word}: {twice} is given twice; expected every value once")
        elif key in found:
            problems.append(f"--vary {word}: {key} is varied twice; expected all its values behind one --vary")
        else:
            found[key] = Knob(key=key, values=values)
    if problems:
        raise BadInput(*problems)
    return tuple(found.values())


def split(text: str) -> Iterator[str]:
    """The parts of a text between its commas; commas inside brackets, braces and quotes do not count."""
    depth, quote, start = 0, "", 0
    for index, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def grid(scenario: Scenario | Fleet, varied: Sequence[Knob]) -> tuple[Asked, ...]:
    """Every combination of the knobs' values, the last knob changing fastest.

    Raises:
        BadInput: with every problem that any of them has, each once.
    """
    short = short_names([knob.key for knob in varied])
    asked: list[Asked] = []
    problems: dict[str, None] = {}
    for values in product(*(knob.values for knob in varied)):
        settings = {knob.key: value for knob, value in zip(varied, values, strict=True)}
        name = ", ".join(f"{short[key]}={value}" for key, value in settings.items())
        try:
            asked.append(setting(scenario, name, settings))
        except BadInput as wrong:
            problems |= dict.fromkeys(wrong.problems)
    if problems:
        raise BadInput(*problems)
    return tuple(asked)


def setting(scenario: Scenario | Fleet, name: str, settings: Mapping[str, str]) -> Asked:
    """The scenario with these settings; of several models on one fleet, a key that each has is set in all of them.

    Raises:
        BadInput: a key does not exist or a value is not allowed there.
    """
    words = [f"{key}={value}" for short, value in settings.items() for key in _keys(scenario, short)]
    changed = scenario.changed(words, flag="--vary") if words else scenario
    return Asked(name=name or AS_GIVEN, settings=settings, scenario=changed)


def _keys(scenario: Scenario | Fleet, key: str) -> Iterator[str]:
    """The keys that a word sets."""
    yield from keys_of(key, len(scenario.models)) if isinstance(scenario, Fleet) else (key,)
