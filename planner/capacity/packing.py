"""How long prompts keep an instance busy when there are always more of them, batched by the policy itself."""

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics
from planner.policies.base import Batching, Occupancy
from planner.policies.cuts import Prompt

Step = list[tuple[int, int]]
"""(new tokens, past tokens) of each prompt that a step computes."""

_AHEAD = 128
"""Waiting prompts that a step is shown."""


def packed_prefill_s(physics: InstancePhysics, batching: Batching, prompts: NDArray[np.int64]) -> float:
    """Busy seconds per prompt, of lengths in the order of the queue, when that is never empty."""
    return sum(physics.step.steps_s(packed(batching, prompts.tolist(), physics.kv_blocks))) / len(prompts)


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
