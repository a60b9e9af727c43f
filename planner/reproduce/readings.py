"""Readings: one set of step times, memory and links for every machine, and the reference that slowdowns refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hw_catalog.load import load_catalog
from hw_catalog.machines import Machine
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.instance import InstancePhysics, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout
from planner.perf.published import TP, PublishedReference, published_physics
from planner.perf.reference import Reference
from planner.perf.step_time import StepTime
from planner.policies.base import Policy
from planner.policies.presets import PUBLIC, policy
from planner.policies.topology import Colocated
from planner.scenario.designs import A100
from planner.scenario.policy_section import PolicySection
from workloads.models import load_model

AS_PUBLISHED, AS_MEASURED, CURRENT = "as-published", "as-measured", "current"
PROFILE_SETS = {AS_PUBLISHED: "splitwise-2023", AS_MEASURED: "splitwise-2023", CURRENT: "aiconfigurator-0.12"}
BLOCK_TOKENS = 16

MAX_BATCH_TOKENS = 2048
MAX_BATCH_SIZE = 512
MEMORY_FRAC = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """How the published data are read.

    Attributes:
        name: ``as-published``, ``as-measured`` or ``current``.
        model: what is served.
        physics: machine -> one instance, the whole machine at tp 8.
        alone: what slowdowns refer to.
        split: how split designs serve.
        colocated: how the baselines serve.
    """

    name: str
    model: str
    physics: Mapping[str, InstancePhysics]
    alone: Reference
    split: Policy
    colocated: Policy


def reading(name: str, model: str, machines: Sequence[str]) -> Reading:
    """One reading of a model on some machines of the catalog.

    Args:
        name: ``as-published`` (the public simulator's pricing), ``as-measured`` (its table read by batch size) or
            ``current`` (today's profiles).
        model: model id.
        machines: catalog ids; the reference machine need not be among them.

    Raises:
        CatalogError: a machine or profile is not in the catalog.
    """
    catalog = load_catalog()
    profiles = {
        p.gpu: p
        for p in load_profiles(None, model=model, profile_set=PROFILE_SETS[name])
        if p.tp == TP and p.dtype == "bf16" and p.ep == 1
    }
    bought = {m: catalog.machines[m] for m in (*machines, A100)}
    physics = {m: _physics(name, model, machine, profiles[machine.gpu.profile_gpu]) for m, machine in bought.items()}
    published = name == AS_PUBLISHED
    split = _policy(PUBLIC if published else "splitwise", "auto")
    return Reading(
        name=name,
        model=model,
        physics=physics,
        alone=PublishedReference(StepTime(profiles[bought[A100].gpu.profile_gpu]))
        if published
        else Reference(physics[A100].step),
        split=split,
        colocated=replace(split, name="colocated", topology=Colocated()),
    )


def _physics(name: str, model: str, machine: Machine, profile: KernelProfile) -> InstancePhysics:
    """One machine under a reading."""
    spec = load_model(model)
    if name == AS_PUBLISHED:
        return published_physics(spec, machine, profile)
    return instance_physics(
        spec,
        machine,
        Layout(tp=TP),
        profile,
        EngineSettings(memory_frac=MEMORY_FRAC, max_batch_tokens=MAX_BATCH_TOKENS, block_tokens=BLOCK_TOKENS),
    )


def _policy(name: str, transfer: str) -> Policy:
    """The paper's batching, routing and mixed pool in one topology."""
    return policy(
        name,
        PolicySection(
            max_batch_tokens=MAX_BATCH_TOKENS,
            max_batch_size=MAX_BATCH_SIZE,
            block_tokens=BLOCK_TOKENS,
            kv_transfer=transfer,
            layerwise_from_tokens=512,
            mixed_pool=True,
        ),
    )
