"""The section ``policy``: how requests are served."""

from typing import Annotated, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from planner.scenario.choices import AS_IT_IS, Several, one_or_several
from planner.scenario.numbers import Count, Limit, Positive, Switch, Whole
from planner.scenario.section import Section

KNOWN = ("splitwise", "colocated", "sarathi", "mnemosyne", "splitwise-sim")
"""Policies that may be named."""


def _policies(value: object) -> object:
    """A policy, several to choose from, or auto."""
    found = one_or_several(value, KNOWN, "auto")
    if found is None:
        raise ValueError(f"one of {', '.join(KNOWN)}, a list of these, or auto")
    return found


Policies = Annotated[Several, AS_IT_IS, PlainValidator(_policies)]


class PolicySection(Section):
    """How requests are served."""

    name: Policies = Field(
        "auto",
        description="splitwise, colocated, sarathi, mnemosyne, splitwise-sim (the rules of Splitwise's public "
        "simulator), a list to choose from, or auto: the best of the first three",
    )
    max_batch_tokens: Count = Field(2048, description="most tokens in one step that carries prefill work")
    max_batch_size: Count = Field(256, description="most requests in one step")
    kv_transfer: Literal["auto", "serialized", "layerwise"] = Field(
        "auto", description="when KV moves to the decode pool: after the prefill, or layer by layer during it"
    )
    layerwise_from_tokens: Whole = Field(512, description="auto moves layer by layer from this prompt length, tokens")
    block_tokens: Count = Field(16, description="tokens of one KV block")
    kv_memory_frac: Limit = Field(0.9, description="share of GPU memory the engine may use")
    kv_admission: Literal["auto", "as-needed", "whole-answers"] = Field(
        "auto",
        description="KV memory of whole-answers is set aside before decoding, or taken as-needed, block by block; "
        "auto: as engines do",
    )
    max_preemptions: Whole = Field(4, description="times a request may lose its KV memory before others do")
    foresee_output: Switch = Field(
        False, description="splitwise only: decodes go where prompts and mean outputs promise least memory, not prompts"
    )
    mixed_pool: Switch = Field(False, description="splitwise only: a phase under pressure borrows from the other")
    prefill_threshold_tokens: Whole = Field(8192, description="prompt tokens not yet computed, beyond which it borrows")
    decode_threshold_tokens: Whole = Field(
        2048, description="prompt tokens waiting for memory, beyond which it borrows"
    )
    cells: Count | None = Field(
        None,
        description="equal parts of the fleet, each request sent to one by chance; null: 1 up to some hundred "
        "machines, then cells of some 64; 1: one pool, however large",
    )
    recovery: Literal["restart", "checkpoint"] = Field(
        "restart", description="a request lost with its machine starts over, or resumes from the KV of its prompt"
    )
    order: Literal["fifo", "lars"] | None = Field(
        None,
        description="prompts wait in order of arrival (fifo) or of relative slack (lars); "
        "null: lars under mnemosyne, else fifo",
    )
    chunk_tokens: tuple[Count, ...] = Field(
        (256, 512, 1024, 2048),
        min_length=1,
        description="most tokens in a step that cuts prompts: sizes to choose from",
    )
    chunk_form: Literal["stall-free", "decode-maximal"] = Field(
        "stall-free",
        description="decodes and prompts share the tokens of a step, or one fixed chunk beside B-1 decodes",
    )
    tbt_target_s: Positive | None = Field(
        None, description="long contexts: longest step with prompts and decodes, s; null: the tightest tbt objective"
    )
    long_from_tokens: Count = Field(
        32768, description="classes whose median prompt is this long have layouts of their own"
    )
    kvp_group_tokens: Count | None = Field(
        None,
        description="tokens of a request in one KV group when it takes the next; null: an even share "
        "of the longest request; 1: all groups from the start",
    )
    long_apart: Switch = Field(
        True, description="long contexts on instances of their own; false: with the others, under mnemosyne"
    )
    longer_context: Switch = Field(
        False, description="serve requests beyond the model's own maximum, its positions scaled"
    )
    chunked_prefill: Switch = Field(
        False, description="splitwise only: prefill machines cut prompts, KV follows chunks"
    )
    chunked_decode: Switch = Field(False, description="splitwise only: decode machines cut the prompts they compute")

    @model_validator(mode="after")
    def _room_for_a_chunk(self) -> Self:
        small = [str(c) for c in self.chunk_tokens if c < self.max_batch_size]
        if self.chunk_form == "decode-maximal" and small:
            raise ValueError(
                f"chunk_tokens of at least max_batch_size ({self.max_batch_size}), since a decode-maximal step holds "
                f"max_batch_size - 1 decodes beside its chunk, not {', '.join(small)}"
            )
        return self


SPLIT = ("splitwise", "splitwise-sim")
"""Policies whose prefill and decode run on different instances."""


def own_order(name: str) -> Literal["fifo", "lars"]:
    """The order of prompts that the authors of a policy use."""
    return "lars" if name == "mnemosyne" else "fifo"
