"""The section ``prefix_cache``: what of prompts is found in a cache, and how much memory that takes."""

from typing import Annotated, Any, Self

from pydantic import Field, PlainValidator, model_validator

from planner.scenario.numbers import Count, Number
from planner.scenario.section import Section

IDEAL = "ideal"
"""In place of a size: one cache for all instances that forgets nothing and takes no memory."""


def _size(value: object) -> object:
    """GiB, the word for a cache without limits, or nothing; one message for all."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    if value is None or value == IDEAL or number:
        return value
    raise ValueError(f"GiB above 0, {IDEAL}, or null: none")


Size = Annotated[Any, PlainValidator(_size, json_schema_input_type=float | str | None)]


class PrefixSection(Section):
    """What is found of prompts that begin as others did."""

    gib: Size = Field(
        None,
        description="KV memory that every instance that computes prompts keeps for prefixes, GiB; ideal: all of them, "
        "at no memory; null: no prefix cache",
    )
    host_gib: Annotated[Number, Field(ge=0)] = Field(
        0.0, description="memory of the host beside it, of every instance, GiB; what is found is loaded over PCIe"
    )
    hit_frac: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="share of every prompt that is found; null: by the hash_ids of the trace"
    )
    turns: Count | None = Field(
        None,
        description="requests are turns of conversations that end after so many, evenly mixed, of whose prompts all "
        "but the last turn is found; null: by the hash_ids of the trace",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.hit_frac is not None and self.turns is not None:
            raise ValueError("one of hit_frac and turns, not both")
        if self.gib is None and (self.hit_frac is not None or self.turns is not None or self.host_gib):
            raise ValueError(f"gib beside host_gib, hit_frac or turns: the memory of the cache, or {IDEAL}")
        return self
