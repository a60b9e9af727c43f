"""What a value of a scenario may be: a number of this world, a count, a share, a word."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from hw_catalog.strict_files import one_line

MOST = 1e12
"""No rate, price, time or power that is asked for is larger, in the unit of its key."""

LEAST = 1e-12
"""None that has to be above zero is smaller."""

MOST_WHOLE = 1_000_000_000
"""Machines, tokens, rounds: more of them overflow what counts them."""

LEAST_CONFIDENCE = 0.5
"""A confidence below that of a coin is none: an interval would leave out what it is about."""


def _of_scale(value: float) -> float:
    """A number that is not so small that what is divided by it has no end."""
    if value < LEAST:
        raise ValueError(f"a number from {LEAST:g} on")
    return value


def _says_something(word: str) -> str:
    """A word that is not empty and not made of blanks; one message for both."""
    if not word.strip():
        raise ValueError("a word, not an empty one and not only blanks")
    return one_line(word)


def _is_whole(value: object) -> object:
    """A version is a number: ``true`` equals 1 and is none."""
    if isinstance(value, bool):
        raise ValueError("1")  # noqa: TRY004  pydantic turns it into a finding
    return value


Number = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=-MOST, le=MOST)]
Positive = Annotated[float, Strict(), Field(gt=0, le=MOST, allow_inf_nan=False), AfterValidator(_of_scale)]
Budget = Annotated[Number, Field(ge=0)]
Limit = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False), AfterValidator(_of_scale)]
Confidence = Annotated[Number, Field(ge=LEAST_CONFIDENCE, lt=1)]
Count = Annotated[int, Strict(), Field(ge=1, le=MOST_WHOLE)]
Whole = Annotated[int, Strict(), Field(ge=0, le=MOST_WHOLE)]
Switch = Annotated[bool, Strict()]
Word = Annotated[str, Strict(), Field(json_schema_extra={"minLength": 1}), AfterValidator(_says_something)]
Version = Annotated[Literal[1], BeforeValidator(_is_whole)]
