"""Columns of a trace file under names of its own: a section of a scenario, and the words of an option."""

from pydantic import BaseModel, ConfigDict, Field

from planner.errors import BadInput, nearest
from planner.scenario.numbers import Word
from workloads.trace_formats import KINDS


class TraceColumns(BaseModel):
    """Which column of a trace file holds what; inside JSON objects with dots, for example usage.prompt_tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arrival: Word | None = Field(None, description="when a request arrives; null: known by a format's name")
    prompt: Word | None = Field(None, description="prompt tokens, likewise")
    output: Word | None = Field(None, description="output tokens, likewise")

    @property
    def named(self) -> dict[str, str]:
        """Those that are named."""
        every = {"arrival": self.arrival, "prompt": self.prompt, "output": self.output}
        return {kind: column for kind, column in every.items() if column is not None}


def columns_of(words: str) -> dict[str, str]:
    """Columns as typed: ``arrival=sent_ms,prompt=in,output=out``.

    Raises:
        BadInput: a part is no such pair, names no kind of column, or one that was named before.
    """
    found, problems = dict[str, str](), list[str]()
    for part in words.split(","):
        kind, equals, column = (each.strip() for each in part.partition("="))
        if not equals or not column:
            problems.append(f"--columns {part}: expected {', '.join(f'{each}=NAME' for each in KINDS)}")
        elif kind not in KINDS or kind in found:
            why = "named twice; expected each once" if kind in found else f"unknown; {nearest(kind, KINDS)}"
            problems.append(f"--columns {part}: '{kind}' is {why}")
        found[kind] = column
    if problems:
        raise BadInput(*problems)
    return found
