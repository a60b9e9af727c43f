"""Presets: published systems as compositions of parts."""

from collections.abc import Mapping
from math import inf

from planner.perf.layout import Role
from planner.policies.base import Order, Policy, Recovery, Topology
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.lending import Apart, MixedPool
from planner.policies.order import Fifo, RelativeSlack
from planner.policies.routing import ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit

NAMES = ("colocated", "sarathi", "splitwise")
"""Policies that ``auto`` compares; ``mnemosyne`` is for populations with long contexts, and asked for by name."""


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
    chunked_prefill: bool = False,
    tbt_target_s: float = inf,
    order: str | None = None,
    ttft_limits_s: Mapping[str, float] | None = None,
) -> Policy:
    """The preset ``name`` with its knobs set.

    ``order`` is ``fifo`` or ``lars``; None is what the preset's authors use. ``ttft_limits_s`` says by class when first
    tokens are due.

    Raises:
        KeyError: no preset has that name.
    """
    split = PhaseSplit(mode=kv_transfer, layerwise_from_tokens=layerwise_from_tokens)
    batching = Continuous(
        max_batch_tokens=max_batch_tokens, max_batch_size=max_batch_size, block_tokens=block_tokens,
        max_preemptions=max_preemptions, target_s=tbt_target_s,
        form=ChunkForm.ADAPTIVE if name == "mnemosyne" else ChunkForm(chunk_form),
    )  # fmt: skip
    thresholds = {Role.PREFILL: prefill_threshold_tokens, Role.DECODE: decode_threshold_tokens}
    return Policy(
        name=name,
        topology=_topology(name, split),
        batching=batching,
        order=_order(order or ("lars" if name == "mnemosyne" else "fifo"), ttft_limits_s or {}),
        routing=ShortestQueue(),
        lending=MixedPool(threshold_tokens=thresholds) if mixed_pool else Apart(),
        recovery=Recovery(recovery),
        cuts=_cuts(name, {Role.DECODE: chunked_decode, Role.PREFILL: chunked_prefill}),
        streams=name == "mnemosyne",
    )


def _topology(name: str, split: PhaseSplit) -> Topology:
    """Roles and movement; ``split`` is for policies that split phases."""
    topologies: dict[str, Topology] = {
        **dict.fromkeys(("colocated", "mnemosyne", "sarathi"), Colocated()), "splitwise": split,
    }  # fmt: skip
    return topologies[name]


def _cuts(name: str, asked: Mapping[Role, bool]) -> frozenset[Role]:
    """Roles whose instances cut prompts into chunks."""
    if name in ("sarathi", "mnemosyne"):
        return frozenset({Role.MIXED})
    return frozenset(role for role, cut in asked.items() if cut and name == "splitwise")


def _order(name: str, limits_s: Mapping[str, float]) -> Order:
    """Which waiting prompt is computed first."""
    return RelativeSlack(limits_s=limits_s) if name == "lars" else Fifo()
