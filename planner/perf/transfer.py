"""How long a KV cache takes from one machine to another; functions of numbers, compiled into the simulator's engine."""


def busy_s(tokens: int, token_bytes: float, source_bytes_per_s: float, target_bytes_per_s: float) -> float:
    """Seconds that the bytes of a KV cache take at the slower of two ports."""
    return token_bytes * tokens / min(source_bytes_per_s, target_bytes_per_s)


def serialized_end_s(begin_s: float, wire_s: float, latency_s: float) -> float:
    """When a KV cache has arrived that is sent in one piece after its prompt is computed.

    end = begin + latency + bytes / bandwidth
    """
    return begin_s + latency_s + wire_s


def layerwise_ready_s(step_start_s: float, step_s: float, layers: int) -> float:
    """When the first layer of a step is computed, and its part of the KV cache may leave."""
    return step_start_s + step_s / layers


def layerwise_end_s(
    begin_s: float, step_end_s: float, wire_s: float, layers: int, latency_s: float, sync_s: float
) -> float:
    """When a KV cache has arrived that is sent layer by layer while a step computes it; after the end of the step.

    end = max(begin + bytes / bandwidth, step end + bytes / (layers · bandwidth)) + latency + sync

    ``sync_s`` is the residue that stays visible however fast the link (Splitwise, ISCA'24, Fig. 14: 8 ms on A100, 5 ms
    on H100).
    """
    return max(begin_s + wire_s, step_end_s + wire_s / layers) + latency_s + sync_s
