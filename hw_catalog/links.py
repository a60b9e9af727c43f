"""Links between GPUs and between machines."""

from dataclasses import dataclass

from hw_catalog.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A path for KV caches and activations.

    Attributes:
        name: for example ``infiniband-400``.
        bandwidth_bytes_per_s: one-direction bandwidth of one machine (inter) or one GPU (intra); 0: there is no link.
        latency_s: time to first byte, >= 0.
        sync_s: what remains visible of a layer-wise overlapped transfer after the prefill ends, >= 0.
        provenance: where the numbers come from.
    """

    name: str
    bandwidth_bytes_per_s: float
    latency_s: float
    sync_s: float
    provenance: Provenance

    @property
    def exists(self) -> bool:
        """Whether anything can cross it."""
        return self.bandwidth_bytes_per_s > 0
