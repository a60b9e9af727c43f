"""How phasewise ends when it does not end well."""

import difflib
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TypeVar

Given = TypeVar("Given")
Read = TypeVar("Read")


class ExitCode(IntEnum):
    """The process exit codes, part of the public contract."""

    VALIDATED = 0
    BUG = 1
    BAD_INPUT = 2
    INFEASIBLE = 3
    NOT_VALIDATED = 4
    SOLVER_EMPTY = 5
    INTERRUPTED = 130
    """By Ctrl-C, as shells count it: 128 and the number of the signal."""


class BadInput(ValueError):  # noqa: N818  the field's word; it is shown to users
    """The user's input is wrong; ``problems`` lists every finding: file, line or key, found, expected."""

    def __init__(self, *problems: str) -> None:
        """Collect the findings."""
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type["BadInput"], tuple[str, ...]]:
        """The same findings in another process."""
        return BadInput, self.problems


def read_each(read: Callable[[Given], Read], inputs: Iterable[Given]) -> list[Read]:
    """What ``read`` makes of each input.

    Raises:
        BadInput: some are wrong; the problems of all of them together.
    """
    found, problems = list[Read](), list[str]()
    for each in inputs:
        try:
            found.append(read(each))
        except BadInput as wrong:
            problems += wrong.problems
    if problems:
        raise BadInput(*problems)
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that refuses an unknown name.

    Args:
        name: what was found.
        known: what could have been meant.

    Returns:
        ``did you mean 'dgx-h100'?`` where one is close, else ``expected one of: …`` with all of them.
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return "expected one of: " + ", ".join(names)
