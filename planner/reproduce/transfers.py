"""What moving a KV cache adds to one request that has two machines to itself."""

from dataclasses import dataclass, replace

from planner.perf.instance import InstancePhysics
from planner.perf.reference import Reference
from planner.perf.transfer import busy_s, layerwise_end_s, layerwise_ready_s, serialized_end_s

CODING_PROMPT_TOKENS = 1500
CODING_OUTPUT_TOKENS = 13
"""Medians of the coding service. Source: Splitwise, §III-A."""

TABLE_I_BYTES_PER_S = 25e9
"""200 Gb/s, what Table I gives for the InfiniBand of a whole DGX-A100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What a transfer adds to the median coding request.

    Attributes:
        serialized_s: visible time where the cache moves after the prompt.
        layerwise_s: visible time where it moves while the prompt is computed.
        e2e_s: the request without any transfer.
        tbt_s: one token without any transfer.
    """

    serialized_s: float
    layerwise_s: float
    e2e_s: float
    tbt_s: float


def overhead(
    physics: InstancePhysics, alone: Reference, *, bandwidth_bytes_per_s: float | None = None,
    prompt_tokens: int = CODING_PROMPT_TOKENS,
) -> Overhead:  # fmt: skip
    """The overhead between two equal machines.

    Args:
        physics: of both.
        alone: times of the request on one of them.
        bandwidth_bytes_per_s: of the link, where not the machine's own.
        prompt_tokens: of the request.
    """
    if bandwidth_bytes_per_s is not None:
        physics = replace(physics, link=replace(physics.link, bandwidth_bytes_per_s=bandwidth_bytes_per_s))
    prefill_s = alone.ttft_s(prompt_tokens)
    link, layers = physics.link, physics.layers
    speed = link.bandwidth_bytes_per_s
    wire_s = busy_s(prompt_tokens, physics.kv_bytes_per_token, speed, speed)
    begin_s = layerwise_ready_s(0.0, prefill_s, layers)
    serialized = serialized_end_s(prefill_s, wire_s, link.latency_s)
    layerwise = layerwise_end_s(begin_s, prefill_s, wire_s, layers, link.latency_s, link.sync_s)
    return Overhead(
        serialized_s=serialized - prefill_s,
        layerwise_s=layerwise - prefill_s,
        e2e_s=alone.e2e_s(prompt_tokens, CODING_OUTPUT_TOKENS),
        tbt_s=alone.tbt_s(prompt_tokens),
    )
