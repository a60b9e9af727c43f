"""Long contexts in a case: layouts of stages and groups, which classes they serve, and what no layout can reach."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.layout import Layout
from planner.perf.parallel import token_floor_s
from planner.policies.presets import LONG as STREAMS
from planner.policies.presets import NAMES, PUBLIC
from planner.results.evidence import Excuse
from planner.scenario.choices import listed
from planner.scenario.policy_section import PolicySection
from planner.scenario.sections import Catalog
from workloads.demand import ClassDemand, Demand
from workloads.models import ModelSpec
from workloads.slo import Metric, Slo, Unit


def problems(
    wanted: Catalog, model: ModelSpec, machines: Sequence[Machine], demand: Demand, section: PolicySection
) -> tuple[str, ...]:
    """Groups that nothing uses or nothing holds, and contexts the model was not made for.

    Args:
        wanted: says which numbers of groups to try.
        model: what is served.
        machines: at least one.
        demand: what is asked.
        section: names the policy, and whether positions are scaled.
    """
    found = [
        f"catalog.kvp: {n} KV groups fit no layout: " + _misfit(machines[0], Layout(tp=min(wanted.tp), kvp=n))
        for n in sorted(set(wanted.kvp))
        if n > 1 and not any(_stands(m, tp, pp, n) for m in machines for tp in wanted.tp for pp in wanted.pp)
    ]
    named = NAMES if section.name == "auto" else listed(section.name)
    found += dict.fromkeys(words for name in named for words in unused_groups(wanted, section, name, demand))
    longest = max(int((c.prompt_tokens + c.output_tokens).max()) for c in demand.classes)
    if longest > model.max_context_tokens and not section.longer_context:
        found.append(
            f"workload: a request of {longest:,} tokens, the longest that {model.name} was made for has "
            f"{model.max_context_tokens:,}; set policy.longer_context: true to plan for scaled positions"
        )
    return tuple(found)


def is_long(section: PolicySection, part: ClassDemand) -> bool:
    """Whether a class is one of long contexts."""
    return bool(np.median(part.prompt_tokens) >= section.long_from_tokens)


def beside(wanted: Catalog, section: PolicySection, policy: str, demand: Demand) -> bool:
    """Whether a policy serves long contexts beside the other requests, on instances of their own.

    It does where it splits the phases of the others, and where there are KV groups to share a long context.
    """
    if policy in (STREAMS, PUBLIC) or not section.long_apart:
        return False
    found = {is_long(section, part) for part in demand.classes}
    return True in found and (max(wanted.kvp) > 1 or (policy == "splitwise" and False in found))


def unused_groups(wanted: Catalog, section: PolicySection, policy: str, demand: Demand) -> tuple[str, ...]:
    """A sentence on KV groups that no class of long contexts has a use for under a policy."""
    if policy == STREAMS or max(wanted.kvp) <= 1 or beside(wanted, section, policy, demand):
        return ()
    why = f"no class has a median prompt of policy.long_from_tokens ({section.long_from_tokens}) or more"
    if policy == PUBLIC:
        why = f"the rules of {PUBLIC} have none; splitwise serves long contexts beside its pools"
    elif not section.long_apart:
        why = f"policy.long_apart is false, and only {STREAMS} serves all requests on them"
    return (
        f"catalog.kvp: found {list(wanted.kvp)}; expected [1]: KV groups serve classes of long contexts, and {why}",
    )


def layouts(
    counts: Iterable[int], machine: Machine, plain: Sequence[tuple[Layout, KernelProfile]]
) -> tuple[list[tuple[Layout, KernelProfile]], list[Excuse]]:
    """The layouts of a machine with every number of groups, and excuses for those that stand on no machines.

    Args:
        counts: numbers of groups to try.
        machine: a replica is on a part of one, or on several alone, which then need a link to each other.
        plain: its layouts without groups.
    """
    found: list[tuple[Layout, KernelProfile]] = []
    excuses: dict[str, Excuse] = {}
    tried = sorted(set(counts))
    for layout, profile in ((replace(layout, kvp=kvp), profile) for layout, profile in plain for kvp in tried):
        misfit = _misfit(machine, layout)
        if misfit:
            name = f"*/{machine.name}/{layout.name}"
            excuses[name] = Excuse(option=name, reason=misfit, bottleneck="catalog")
        else:
            found.append((layout, profile))
    return found, list(excuses.values())


def _stands(machine: Machine, tp: int, pp: int, kvp: int) -> bool:
    """Whether a layout stands on machines of a type, as it does without groups."""
    plain, whole = Layout(tp=tp, pp=pp), Layout(tp=tp, pp=pp, kvp=kvp)
    return machine.gpus % tp == 0 and not _misfit(machine, plain) and not _misfit(machine, whole)


def _misfit(machine: Machine, layout: Layout) -> str:
    """Why a layout stands on no number of machines of a type; empty where it does."""
    gpus = layout.gpus
    if layout.kvp > 1 and machine.gpus == 1:
        return f"{layout.kvp} KV groups need {layout.kvp} GPUs; {machine.name} has 1"
    if gpus % machine.gpus and machine.gpus % gpus:
        return f"{gpus} GPUs neither divide a machine of {machine.gpus} nor fill whole ones"
    if gpus > machine.gpus and not machine.inter_link.exists:
        return f"it would span machines, which have no link to each other ({machine.inter_link.name})"
    return ""


def group_tokens(section: PolicySection, layout: Layout, demand: Demand) -> int:
    """Tokens of a request's KV cache in one group at which it takes the next.

    The scenario's word, or an even share of the longest request: that one has all groups at its end, shorter ones leave
    some to others, and no group ever holds more of a request than if it had been spread from the start.
    """
    longest = max(int((c.prompt_tokens + c.output_tokens).max()) for c in demand.classes)
    return section.kvp_group_tokens or -(-longest // layout.kvp)


def served(section: PolicySection, layout: Layout, demand: Demand, *, beside: bool = False) -> Demand:
    """The classes that a layout is for: stages and groups serve the long ones, all other layouts the rest.

    Every layout serves the long ones that stands ``beside`` those of another policy.

    So long-context and short requests never share an instance, and no short one waits behind a
    long one. Where they are not to be kept apart every layout is for all; then the order of prompts has to see to that.

    Source: Medha (arXiv 2409.17264), length-aware routing; the pools of a plan take its place.
    """
    if not section.long_apart:
        return demand
    for_long = beside or layout.pp * layout.kvp > 1
    mine = (c for c in demand.classes if is_long(section, c) == for_long)
    return Demand(classes=tuple(mine))


def out_of_reach(
    spec_name: str, layout: Layout, model: ModelSpec, machine: Machine, profile: KernelProfile, part: ClassDemand,
    slos: Iterable[Slo],
) -> Excuse | None:  # fmt: skip
    """Why no engine could serve a class on a layout: a token takes longer to read than an objective allows.

    Returns:
        None where the memory is fast enough.
    """
    contexts = part.prompt_tokens + part.output_tokens / 2
    for slo in slos:
        if slo.metric not in (Metric.TBT, Metric.TPOT, Metric.STALL) or slo.unit is not Unit.SECONDS:
            continue
        if slo.request_class not in (None, part.request_class.name):
            continue
        context = float(np.percentile(contexts, slo.percentile))
        floor_s = token_floor_s(
            model, layout, context, dtype=profile.dtype, kv_dtype=profile.kv_dtype,
            hbm_bytes_per_s=machine.gpu.hbm_bytes_per_s,
        )  # fmt: skip
        if floor_s > slo.limit:
            return Excuse(
                option=spec_name,
                reason=f"{slo.name} of class {part.request_class.name} is out of reach: at {context:,.0f} tokens "
                f"memory alone takes {floor_s:.3g} s a token, {floor_s / slo.limit:.2g} times the limit of "
                f"{slo.limit:g} s",
                bottleneck="latency",
            )
    return None


def doubt(model: ModelSpec, longest_tokens: int) -> tuple[str, ...]:
    """What to know about contexts that the model was not made for."""
    if longest_tokens <= model.max_context_tokens:
        return ()
    return (
        f"requests of up to {longest_tokens:,} tokens exceed the {model.max_context_tokens:,} that {model.name} was "
        "made for: its positions have to be scaled, and what it then answers is not judged here",
    )
