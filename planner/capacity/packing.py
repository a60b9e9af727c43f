"""How long prompts keep an instance busy when there are always more of them, batched by the policy itself."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.policies.base import Batching, Occupancy
from planner.policies.cuts import Prompt

Step = list[tuple[int, int]]
"""(new tokens, past tokens) of each prompt that a step computes."""

_AHEAD = 128
"""Waiting prompts that a step is shown."""

_ENDLESS = 1 << 60
"""Blocks of a memory that is never short."""

_KEPT = 32
"""Packings that are kept: of the rules and the classes of a question."""


def packed_prefill_s(
    physics: InstancePhysics, batching: Batching, prompts: NDArray[np.int64], *, whole: bool
) -> float:  # fmt: skip
    """Busy seconds per prompt when the queue is never empty.

    Args:
        physics: of the instance.
        batching: its rules.
        prompts: lengths in the order of the queue, tokens.
        whole: whether the rules never cut a prompt.
    """
    if whole:
        steps, blocks = _whole(batching, prompts.tobytes())
        if blocks > physics.kv_blocks:
            steps = packed(batching, prompts.tolist(), physics.kv_blocks)
    else:
        steps = packed(batching, prompts.tolist(), physics.kv_blocks)
    return sum(physics.step.steps_s(steps)) / len(prompts)


@lru_cache(_KEPT)
def _whole(batching: Batching, prompts: bytes) -> tuple[list[Step], int]:
    """The steps of whole prompts where memory is never short, and the blocks from which on it is not.

    A prompt is admitted where its blocks and one for every prompt before it are free: see ``admits``.
    """
    steps = packed(batching, np.frombuffer(prompts, np.int64).tolist(), _ENDLESS)
    most = 0
    for step in steps:
        held = 0
        for place, (new, _) in enumerate(step):
            held += batching.needs(Prompt(new, new))
            most = max(most, held + place)
    return steps, most


def packed(batching: Batching, prompts: list[int], kv_blocks: int) -> list[Step]:
    """What each step computes, from the first prompt to the last, in an instance with so much memory for each step."""
    views = [Prompt(p, p) for p in prompts]
    idle = Occupancy(0, 0, 0, kv_blocks)
    at, steps = 0, list[Step]()
    while at < len(views):
        chunks = batching.next_step(views[at : at + _AHEAD], idle).chunk_tokens or (views[at].uncomputed_tokens,)
        steps.append([(new, v.cached_tokens) for v, new in zip(views[at:], chunks, strict=False)])
        at += len(chunks)
        if chunks[-1] < views[at - 1].uncomputed_tokens:
            at -= 1
            views[at] = views[at].after(chunks[-1])
    return steps
