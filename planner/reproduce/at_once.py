"""Requests that are all there at the start, served by the core: a closed batch is a trace that arrives at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hw_catalog.load import load_catalog
from hw_catalog.profiles import KernelProfile
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings, blocks
from planner.perf.layout import Layout, Role
from planner.policies.batching import ChunkForm
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import Window
from planner.simulator.pools import UNLIMITED, PoolModel
from planner.simulator.serve import serve
from workloads.models import load_model
from workloads.traces import plain_trace

Requests = Sequence[tuple[int, int]]
"""Prompt and output tokens of each."""

NEVER_S = 1e9


class Batching(Enum):
    """How SARATHI and what it compares with form the steps of an instance, as policies of the product."""

    SARATHI = ("sarathi", ChunkForm.DECODE_MAXIMAL)
    """One chunk of a fixed size beside all decodes."""
    WHOLE = ("colocated", None)
    """One whole prompt beside all decodes: Orca at best."""
    APART = ("sarathi", ChunkForm.PREFILL_FIRST)
    """Prompts alone, then decodes alone: of equal requests, batch after batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of the requests.

    Attributes:
        end_s: when the last one ended.
        bubble_s: of each, idle seconds of the stages before its steps, summed over the stages.
    """

    end_s: float
    bubble_s: NDArray[np.float64]


def physics_of(profile: KernelProfile, machine: str, *, pp: int = 1) -> InstancePhysics:
    """One instance of a profile's model on a machine of the catalog.

    Args:
        profile: step times.
        machine: catalog id.
        pp: pipeline stages.
    """
    settings = EngineSettings(memory_frac=0.9, max_batch_tokens=4096)
    catalog, layout = load_catalog(), Layout(tp=profile.tp, pp=pp)
    return instance_physics(load_model(profile.model), catalog.machines[machine], layout, profile, settings)


def served(
    body: InstancePhysics, requests: Requests, how: Batching, *, slots: int, tile_tokens: int = UNLIMITED
) -> Ended:  # fmt: skip
    """Serve requests on one instance, first come, first served; its memory holds as many as it has slots.

    Args:
        body: the instance.
        requests: at least one.
        how: what steps are made of.
        slots: of every pipeline stage, as published.
        tile_tokens: of a step with chunks, decodes included.
    """
    name, form = how.value
    prompts, outputs = np.ascontiguousarray(np.array(requests, np.int64).T)
    held = slots * body.stages.count * (blocks(int((prompts + outputs).max()), body.block_tokens) + 1)
    most = slots * int(prompts.max()) if how is Batching.APART else 1
    pool = PoolModel(
        name="all", role=Role.MIXED, physics=replace(body, kv_blocks=held), instances=1, speed=1.0,
        classes=frozenset({0}), max_batch_size=slots, max_batch_tokens=most,
        chunk_tokens={Batching.SARATHI: tile_tokens, Batching.WHOLE: None, Batching.APART: most}[how],
    )  # fmt: skip
    rules = policy(name, PolicySection(max_batch_size=slots, max_batch_tokens=most), form=form)
    trace = plain_trace("at once", np.zeros(len(prompts)), prompts, outputs, duration_s=1.0)
    window = Window(first=0, last=len(trace), slices=1, start_s=0.0, end_s=NEVER_S)
    run = serve([pool], rules, trace, window, cutoff_s=NEVER_S)
    bubble_s = np.array([found.total_s if (found := run.ledger.bubbles.get(i)) else 0.0 for i in range(len(trace))])
    return Ended(end_s=float(run.ledger.e2e_s.max()), bubble_s=bubble_s)
