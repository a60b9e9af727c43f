"""The section ``model``: what is served, in which precisions and on which engines it may be."""

from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from planner.scenario.choices import AS_IT_IS, Several, named, one_or_several
from planner.scenario.numbers import Number, Whole, Word
from planner.scenario.section import Section
from workloads.formats import DTYPE_BYTES


def _formats(value: object) -> object:
    """A number format, several to choose from, or the word any; one message for all."""
    return one_or_several(value, DTYPE_BYTES, "any")


Formats = Annotated[Several | None, AS_IT_IS, PlainValidator(_formats)]
Names = Annotated[Several | None, AS_IT_IS, PlainValidator(named)]


class Model(Section):
    """What is served."""

    name: Word = Field(description="model id; `phasewise models` lists them")
    dtype: Formats = Field(
        None,
        description="number format of the weights, a list to choose from, or any; null: the model's own",
    )
    prefill_dtype: Formats = Field(
        None,
        description="number format of the weights of prefill workers, phases being apart, a list, or any; null: dtype",
    )
    kv_dtype: Formats = Field(
        None,
        description="number format of the KV cache, a list, or any; null: fp8 where the checkpoint brings scales for "
        "it, else 16-bit",
    )
    engine: Names = Field("auto", description="engine, a list to choose from, or auto: every one with kernel profiles")
    profile_set: Names = Field(
        None, description="family of kernel profiles that step times come from, or a list; null: today's of each engine"
    )
    reading: Literal["as-measured", "as-published"] = Field(
        "as-measured",
        description="as-published: priced, sized, linked and judged as in Splitwise's public simulator; needs "
        "profile_set splitwise-2023 and tp [8]",
    )
    draft_tokens: Whole = Field(
        0, description="tokens that every decode step drafts and verifies (multi-token prediction); 0: none"
    )
    acceptance_frac: Annotated[Number, Field(ge=0, le=1)] | None = Field(
        None, description="share of drafted tokens that is accepted; null: as measured of the model"
    )
    checkpoint: Word | None = Field(
        None, description="repository of weights in dtype, for `export`; null: the one phasewise knows"
    )
