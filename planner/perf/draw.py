"""What steps of an instance draw on average: numbers for an optimiser, which has no clock."""

import numpy as np
from numpy.typing import NDArray

from planner.perf.instance import InstancePhysics

Ints = NDArray[np.int64]

SAMPLED = 50
"""Prompts that a mean is taken over: watts vary far less between prompts than seconds do."""


def prefill_above_w(physics: InstancePhysics, prompts: Ints, batch: int = 0, mean_context_tokens: float = 0.0) -> float:
    """Watts above idle of steps that compute one prompt beside ``batch`` decodes, weighted by their time."""
    some, tokens = prompts[:: max(1, len(prompts) // SAMPLED)].tolist(), int(batch * mean_context_tokens)
    times = [physics.step.prefill_s([(p, 0)], batch, tokens) for p in some]
    watts = [physics.power.prefill_w([(p, 0)], batch, tokens) for p in some]
    return float(np.average(watts, weights=times)) - physics.power.idle_w


def decoding_w(
    physics: InstancePhysics, prompts: Ints, batch: int, mean_context_tokens: float, *, mixed: bool
) -> tuple[float, float, float]:
    """Watts of an instance that decodes: of prefill and of decode steps above the floor, and of the floor above idle.

    The floor is a request that decodes alone, in a pipeline one in every stage; watts grow from it to the working
    batch.

    Args:
        physics: of the instance.
        prompts: lengths.
        batch: decoding requests at the working point.
        mean_context_tokens: of them.
        mixed: whether it computes prompts too.
    """
    power = physics.power
    floor_w = power.decode_w(1, mean_context_tokens) - power.idle_w
    prefill_w = prefill_above_w(physics, prompts, batch, mean_context_tokens) - floor_w if mixed else 0.0
    decode_w = power.decode_w(batch, mean_context_tokens) - power.idle_w - floor_w
    return max(0.0, prefill_w), max(0.0, decode_w), floor_w
