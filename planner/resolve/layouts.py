"""Second pass: the physics of every machine type, layout, clock and cap."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from hw_catalog.engines import layout_name
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.deploying import LOAD_CHECKED, known_weights, load_limits
from planner.perf.instance import GpuLimits, InstancePhysics, Streaming, instance_physics, with_steps_of
from planner.perf.kv import EngineSettings, promised_requests
from planner.perf.layout import Layout, Role
from planner.perf.published import published_physics
from planner.policies.base import Policy
from planner.resolve import long_context as long
from planner.resolve.admission import sets_aside
from planner.resolve.drafts import drafted, drafting_of, stepping
from planner.resolve.inputs import Inputs
from planner.resolve.public_rules import published_reading
from planner.resolve.rank_ways import asked_for, spans
from planner.results.evidence import Excuse
from planner.results.precision import Variant
from planner.scenario.model_section import Model
from planner.scenario.policy_section import PolicySection
from planner.scenario.sections import Catalog

Layouts = list[tuple[Layout, KernelProfile]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replica:
    """One way of running a replica of the model, whatever its role.

    Attributes:
        machine: where it stands.
        layout: how it is spread over GPUs.
        limits: clock and cap of these.
        profile: measured surfaces behind its times.
        physics: computing whole prompts.
        rules: that it serves under.
        beside: it is for long contexts, beside instances under other rules.
        prefill: True where it is for prefill workers alone, False where for all others, None where for any.
    """

    machine: Machine
    layout: Layout
    limits: GpuLimits
    profile: KernelProfile
    physics: InstancePhysics
    rules: Policy
    beside: bool
    prefill: bool | None = None

    def serves(self, role: Role) -> bool:
        """Whether it may work on a phase."""
        return self.prefill is None or (role is Role.PREFILL) is self.prefill


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stand:
    """What can stand on a machine type.

    Attributes:
        replicas: every layout at every clock and cap.
        excuses: layouts that cannot, and why.
    """

    replicas: tuple[Replica, ...]
    excuses: tuple[Excuse, ...]


def stands(inputs: Inputs, policy: Policy) -> Iterator[Stand]:
    """Every machine type of a scenario, in its order."""
    offered, variant = inputs.scenario.catalog, inputs.variants[0]
    for machine in inputs.machines:
        found, excuses = _loaded(inputs, machine, variant)
        others, more = (
            _loaded(inputs, machine, replace(variant, dtype=variant.prefill_dtype)) if apart(variant) else ([], [])
        )
        excuses = [*excuses, *more]
        replicas: list[Replica] = []
        for rules in (policy, policy.long) if policy.long else (policy,):
            beside, mine = rules is policy.long, found
            if rules.streams:
                mine, more = long.layouts(offered.kvp, machine, [way for way in found if way[0].dp == 1])
                excuses = [*excuses, *more, *(_no_streamed_ranks(machine, way[0]) for way in found if way[0].dp > 1)]
            if beside and rules.roles == policy.topology.roles():  # where roles do not tell them apart, groups do
                mine = [(layout, profile) for layout, profile in mine if layout.kvp > 1]
            replicas += (
                Replica(
                    machine=machine,
                    layout=layout,
                    limits=limits,
                    profile=profile,
                    rules=rules,
                    beside=beside,
                    physics=physics(inputs, rules, machine, layout, profile, limits),
                    prefill=prefill,
                )
                for ways, prefill in ((mine, False if apart(variant) else None), (others, True))
                for (layout, profile), limits in product(ways, inputs.limits[machine.name])
            )
        yield Stand(replicas=tuple(replicas), excuses=tuple(excuses))


def apart(variant: Variant) -> bool:
    """Whether prefill workers have weights in a format of their own."""
    return bool(variant.prefill_dtype)


def _loaded(inputs: Inputs, machine: Machine, variant: Variant) -> tuple[Layouts, list[Excuse]]:
    """Layouts of a machine in one format of the weights that an engine loads, and excuses for the others."""
    found, excuses = layouts_of(inputs.scenario.catalog, inputs.scenario.model, machine, inputs.profiles, variant)
    found, unloaded = loadable(inputs, machine, found)
    return found, [*excuses, *unloaded]


def chunked(inputs: Inputs, replica: Replica, chunk_tokens: int | None) -> InstancePhysics:
    """The physics of a replica whose longest step is a chunk: its activations leave other room for KV."""
    if chunk_tokens is None or published_reading(inputs.scenario):
        return replica.physics
    settings = settings_of(inputs.scenario.policy, chunk_tokens)
    body = with_steps_of(
        replica.physics, inputs.model, replica.machine, replica.layout, replica.profile, settings
    )  # fmt: skip
    return _promising(inputs, body, replica.layout, replica.profile)


def physics(
    inputs: Inputs, policy: Policy, machine: Machine, layout: Layout, profile: KernelProfile, limits: GpuLimits
) -> InstancePhysics:
    """One replica that computes whole prompts; its activations are sized for the most tokens of a step."""
    section, streaming = inputs.scenario.policy, None
    if policy.streams:
        streaming = Streaming(group_tokens=long.group_tokens(section, layout, inputs.asked.demand))
    how = drafting_of(inputs.scenario.model)
    profile = drafted(profile, how, inputs.model, inputs.asked.demand) if how else profile
    body = instance_physics(
        inputs.model, machine, layout, profile, settings_of(section), limits=limits,
        timing=inputs.timings.of(profile, policy.topology.roles()[0]), streaming=streaming,
    )  # fmt: skip
    if published_reading(inputs.scenario):
        said = published_physics(inputs.model, machine, profile)
        return replace(said, power=body.power)
    return _promising(inputs, body, layout, profile)


def _promising(inputs: Inputs, body: InstancePhysics, layout: Layout, profile: KernelProfile) -> InstancePhysics:
    """An instance with what its memory is promised to: whole answers, and tokens that a model drafts."""
    asked, how = inputs.asked.demand, drafting_of(inputs.scenario.model)
    if sets_aside(inputs.scenario.policy.kv_admission, profile.engine):
        body = replace(body, promised_requests=promised_requests(body.kv_tokens, asked.mean_tokens, layout.dp))
    return stepping(body, how, asked) if how else body


def settings_of(section: PolicySection, chunk_tokens: int | None = None) -> EngineSettings:
    """What engines are started with; ``chunk_tokens`` is their longest step where they cut prompts."""
    return EngineSettings(
        memory_frac=section.kv_memory_frac, max_batch_tokens=chunk_tokens or section.max_batch_tokens,
        max_batch_size=section.max_batch_size, block_tokens=section.block_tokens,
    )  # fmt: skip


def layouts_of(
    offered: Catalog, served: Model, machine: Machine, profiles: Iterable[KernelProfile], variant: Variant
) -> tuple[Layouts, list[Excuse]]:
    """Layouts of a machine that have a profile in one precision and engine, and excuses for the others."""
    dtype, kv_dtype = variant.dtype, variant.kv_dtype
    family = [p for p in profiles if p.profile_set == variant.profile_set]
    mine = [p for p in family if p.gpu == machine.gpu.profile_gpu and p.kv_dtype == kv_dtype]
    found: Layouts = []
    excuses: list[Excuse] = []
    for tp in sorted(set(offered.tp)):
        name = f"*/{machine.name}/tp{tp}"
        fitting = [p for p in mine if p.tp == tp and p.dtype == dtype and asked_for(offered, p)]
        ranked = [p for p in fitting if p.dp > 1 or spans(machine, p)]
        excuses += [_no_ranked_stages(machine, p) for p in ranked if 1 not in offered.pp]
        for p in ranked if 1 in offered.pp else ():
            layout = Layout(tp=tp, ep=p.ep, dp=p.dp)
            if misfit := _no_ranks(machine, p):
                excuses.append(Excuse(option=f"*/{machine.name}/{layout.name}", reason=misfit, bottleneck="link"))
            else:
                found.append((layout, p))
        fitting = [p for p in fitting if p not in ranked]
        if machine.gpus % tp:
            reason = f"{tp} GPUs do not divide a machine of {machine.gpus}"
            excuses += [] if ranked else [Excuse(option=name, reason=reason, bottleneck="catalog")]
            continue
        if not fitting and not ranked:
            have = ", ".join(sorted({f"{p.dtype} {layout_name(p)}" for p in mine})) or _elsewhere(family, machine)
            reason = (
                f"no {dtype} kernel profile of {served.name} on {machine.gpu.profile_gpu} at tp{tp} "
                f"with a {kv_dtype} KV cache in {variant.profile_set}; there are: {have}"
            )
            excuses.append(Excuse(option=name, reason=reason, bottleneck="profile"))
        for pp in sorted(set(offered.pp)):
            if words := _no_stages(machine, tp * pp):
                reason, bottleneck = words
                excuses.append(Excuse(option=f"{name}pp{pp}", reason=reason, bottleneck=bottleneck))
            else:
                found += [(Layout(tp=tp, pp=pp, ep=p.ep), p) for p in fitting]
    return found, excuses


def _elsewhere(family: Iterable[KernelProfile], machine: Machine) -> str:
    """That a GPU has no profile of a model in a precision, and which have one in any."""
    there = sorted({p.gpu for p in family if p.gpu != machine.gpu.profile_gpu})
    return f"none on it, but on {', '.join(there)}" if there else "none"


def loadable(inputs: Inputs, machine: Machine, found: Layouts) -> tuple[Layouts, list[Excuse]]:
    """The layouts over which an engine loads the known weights of the model, and excuses for the others."""
    kept: Layouts = []
    excuses: list[Excuse] = []
    for layout, profile in found:
        weights = known_weights(inputs.model, profile.dtype, inputs.scenario.model.checkpoint)
        limits = load_limits(inputs.model, weights, layout) if weights and profile.engine in LOAD_CHECKED else ()
        name = f"*/{machine.name}/{layout.name}"
        refused = [Excuse(option=name, reason=limit.reason, bottleneck="engine") for limit in limits]
        excuses += refused
        kept += [] if refused else [(layout, profile)]
    return kept, excuses


def _no_ranks(machine: Machine, profile: KernelProfile) -> str:
    """Why a layout of attention ranks stands on no machines of a type; empty where it does."""
    gpus = profile.tp * profile.dp
    if gpus <= machine.gpus or spans(machine, profile):
        return ""
    if gpus % machine.gpus:
        return f"{gpus} GPUs neither fit a machine of {machine.gpus} nor fill whole ones"
    joined = machine.domain_gpus or machine.gpus
    return f"its {gpus} GPUs are more than the {joined} of a link domain, and nothing wider was measured on these"


def _no_ranked_stages(machine: Machine, profile: KernelProfile) -> Excuse:
    """Why a layout of attention ranks is not offered where every layout has pipeline stages."""
    name = Layout(tp=profile.tp, ep=profile.ep, dp=profile.dp).name
    reason = "attention ranks (catalog.dp) are not simulated in pipeline stages; expected 1 among catalog.pp"
    return Excuse(option=f"*/{machine.name}/{name}", reason=reason, bottleneck="catalog")


def _no_streamed_ranks(machine: Machine, layout: Layout) -> Excuse:
    """Why a layout of attention ranks is not offered to a policy that streams long prompts."""
    reason = "attention ranks (catalog.dp) are not simulated with pipelined prefill; expected 1 among catalog.dp"
    return Excuse(option=f"*/{machine.name}/{layout.name}", reason=reason, bottleneck="policy")


def _no_stages(machine: Machine, gpus: int) -> tuple[str, str] | None:
    """Why so many GPUs make no replica on machines of a type, and what binds; None where they do."""
    if gpus % machine.gpus and machine.gpus % gpus:
        return f"{gpus} GPUs neither divide a machine of {machine.gpus} nor fill whole ones", "catalog"
    if gpus > machine.gpus and not machine.inter_link.exists:
        return f"its stages would span machines, which have no link to each other ({machine.inter_link.name})", "link"
    return None
