"""KV transfers over links that are shared."""

from planner.perf.instance import InstancePhysics


class KvLink:
    """The machines' network ports: one egress and one ingress queue per machine, first come, first served.

    A transfer holds the egress port of its source and the ingress port of its destination for the time its bytes
    take; it waits until both are free. The slower of the two ports sets its speed. A layer-wise transfer leaves gaps
    while the next layer is computed; they are free for others, so it too holds the ports for its bytes only.
    """

    def __init__(self, machines: int) -> None:
        """All ports free.

        Args:
            machines: number of machines in the cluster.
        """
        self._egress_free_s = [0.0] * machines
        self._ingress_free_s = [0.0] * machines

    def serialized(
        self, source: InstancePhysics, source_machine: int, target: InstancePhysics, target_machine: int,
        tokens: int, now_s: float,
    ) -> tuple[float, float]:  # fmt: skip
        """Send a finished KV cache.

        end = start + latency + bytes / bandwidth

        Returns:
            (start, end) in seconds.
        """
        busy = _bytes(source, tokens) / _bandwidth(source, target)
        begin = self._begin(source, source_machine, target_machine, now_s, busy)
        return begin, begin + source.link.latency_s + busy

    def layerwise(
        self, source: InstancePhysics, source_machine: int, target: InstancePhysics, target_machine: int,
        tokens: int, prefill_start_s: float, prefill_s: float,
    ) -> tuple[float, float]:  # fmt: skip
        """Send what a step computes while it runs: the first layer leaves when it is computed, the last after the end.

        start >= prefill start + prefill / layers
        end = max(start + bytes / bandwidth, prefill end + bytes / (layers · bandwidth)) + latency + sync

        ``sync`` is the residue that stays visible however fast the link (Splitwise, ISCA'24, Fig. 14: 8 ms on A100,
        5 ms on H100).

        Returns:
            (start, end) in seconds; the end is after the end of the prefill.
        """
        layers = source.layers
        ready = prefill_start_s + prefill_s / layers
        busy = _bytes(source, tokens) / _bandwidth(source, target)
        begin = self._begin(source, source_machine, target_machine, ready, busy)
        last_byte = max(begin + busy, prefill_start_s + prefill_s + busy / layers)
        return begin, last_byte + source.link.latency_s + source.link.sync_s

    def _begin(
        self, source: InstancePhysics, source_machine: int, target_machine: int, ready_s: float, busy_s: float
    ) -> float:
        """When both ports are free; they are taken from then on, unless the link is assumed to have no queues."""
        if not source.link_queues:
            return ready_s
        begin = max(ready_s, self._egress_free_s[source_machine], self._ingress_free_s[target_machine])
        self._egress_free_s[source_machine] = self._ingress_free_s[target_machine] = begin + busy_s
        return begin


def _bytes(source: InstancePhysics, tokens: int) -> float:
    """Bytes of the KV cache of ``tokens``."""
    return source.kv_bytes_per_token * tokens


def _bandwidth(source: InstancePhysics, target: InstancePhysics) -> float:
    """Speed of the slower port, bytes/s."""
    return min(source.link.bandwidth_bytes_per_s, target.link.bandwidth_bytes_per_s)
