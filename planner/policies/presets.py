"""Presets: published systems as compositions of parts."""

from planner.plan import Role
from planner.policies.base import Policy, Recovery, Topology
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.lending import Apart, MixedPool
from planner.policies.routing import ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit

NAMES = ("colocated", "sarathi", "splitwise")


def policy(
    name: str,
    *,
    max_batch_tokens: int,
    max_batch_size: int,
    block_tokens: int,
    kv_transfer: str,
    layerwise_from_tokens: int,
    max_preemptions: int = 4,
    mixed_pool: bool = False,
    prefill_threshold_tokens: int = 8192,
    decode_threshold_tokens: int = 2048,
    recovery: str = "restart",
    chunk_form: str = "stall-free",
    chunked_decode: bool = False,
) -> Policy:
    """The preset ``name`` with its knobs set.

    Raises:
        KeyError: no preset has that name.
    """
    topologies: dict[str, Topology] = {
        "colocated": Colocated(),
        "sarathi": Colocated(),
        "splitwise": PhaseSplit(mode=kv_transfer, layerwise_from_tokens=layerwise_from_tokens),
    }
    split_cuts = frozenset({Role.DECODE} if chunked_decode else ())
    cuts = {"colocated": frozenset[Role](), "sarathi": frozenset({Role.MIXED}), "splitwise": split_cuts}
    thresholds = {Role.PREFILL: prefill_threshold_tokens, Role.DECODE: decode_threshold_tokens}
    return Policy(
        name=name,
        topology=topologies[name],
        batching=Continuous(
            max_batch_tokens=max_batch_tokens,
            max_batch_size=max_batch_size,
            block_tokens=block_tokens,
            max_preemptions=max_preemptions,
            form=ChunkForm(chunk_form),
        ),
        routing=ShortestQueue(),
        lending=MixedPool(threshold_tokens=thresholds) if mixed_pool else Apart(),
        recovery=Recovery(recovery),
        cuts=cuts[name],
    )
