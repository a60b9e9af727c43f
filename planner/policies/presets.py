"""Presets: published systems as compositions of parts."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from planner.perf.layout import Role
from planner.policies.base import Policy, Recovery, Topology
from planner.policies.batching import ChunkForm, Continuous, TokenBatches
from planner.policies.borrowing import Apart, MixedPool
from planner.policies.order import ORDERS, Order
from planner.policies.routing import LeastReserved, ShortestQueue
from planner.policies.topology import Colocated, PhaseSplit
from planner.scenario.policy_section import PolicySection, own_order

NAMES = ("colocated", "sarathi", "splitwise")
"""Policies that ``auto`` compares; ``mnemosyne`` is for populations with long contexts, and asked for by name."""

LONG = "mnemosyne"
"""The preset for long contexts, alone or beside another."""

PUBLIC = "splitwise-sim"
"""The rules of Splitwise's public simulator, to compare with what was published by them."""

KNOWN = (*NAMES, LONG, PUBLIC)
"""Every preset."""


def policy(
    name: str,
    section: PolicySection,
    *,
    gap_s: float = inf,
    ttft_limits_s: Mapping[str, float] | None = None,
    form: ChunkForm | None = None,
    output_tokens: float = 0.0,
    long: bool = False,
    priorities: Mapping[str, int] | None = None,
) -> Policy:
    """The preset ``name`` with its knobs set.

    Args:
        name: of the preset; the section's own may be ``auto``.
        section: the knobs; an order of None is what the preset's authors use.
        gap_s: the tightest objective on token gaps, which steps are kept within where the section names no target.
        ttft_limits_s: by class, when first tokens are due; "" for all others.
        form: how prompts are cut, where that is not what the section says.
        output_tokens: mean output of the requests, for rules that foresee it.
        long: whether long contexts are served beside the others, as ``mnemosyne`` serves them.
        priorities: by class, the larger first; an unnamed one has 0.

    Raises:
        KeyError: no preset has that name.
    """
    split = PhaseSplit(mode=section.kv_transfer, layerwise_from_tokens=section.layerwise_from_tokens)
    public, splits = name == PUBLIC, name == "splitwise"
    foreseen = round(output_tokens) if section.foresee_output and splits else 0
    batching = (TokenBatches if public else Continuous)(
        max_batch_tokens=section.max_batch_tokens, max_batch_size=section.max_batch_size,
        block_tokens=section.block_tokens, max_preemptions=section.max_preemptions,
        target_s=section.tbt_target_s or gap_s,
        form=form or (ChunkForm.ADAPTIVE if name == LONG else ChunkForm(section.chunk_form)),
    )  # fmt: skip
    thresholds = {Role.PREFILL: section.prefill_threshold_tokens, Role.DECODE: section.decode_threshold_tokens}
    routing = LeastReserved() if public else ShortestQueue(foreseen_tokens=foreseen)
    beside = policy(LONG, section, gap_s=gap_s, ttft_limits_s=ttft_limits_s) if long else None
    return Policy(
        name=name,
        topology=_topology(name, split),
        batching=batching,
        order=Order(
            rule=ORDERS[section.order or own_order(name)], limits_s=ttft_limits_s or {}, priorities=priorities or {}
        ),
        routing=routing,
        borrowing=MixedPool(threshold_tokens=thresholds) if public or (section.mixed_pool and splits) else Apart(),
        recovery=Recovery(section.recovery),
        cuts=_cuts(name, {Role.DECODE: section.chunked_decode, Role.PREFILL: section.chunked_prefill}),
        streams=name == LONG,
        long=replace(beside, routing=routing) if beside else None,
    )


def _topology(name: str, split: PhaseSplit) -> Topology:
    """Roles and movement; ``split`` is for policies that split phases."""
    topologies: dict[str, Topology] = {
        **dict.fromkeys(("colocated", "mnemosyne", "sarathi"), Colocated()), "splitwise": split,
        PUBLIC: replace(split, mode="serialized"),
    }  # fmt: skip
    return topologies[name]


def _cuts(name: str, asked: Mapping[Role, bool]) -> frozenset[Role]:
    """Roles whose instances cut prompts into chunks."""
    if name in ("sarathi", "mnemosyne"):
        return frozenset({Role.MIXED})
    return frozenset(role for role, cut in asked.items() if cut and name == "splitwise")
