"""Least work: what a request takes of an instance whatever percentiles ask, so that a program can prove a bound.

An envelope is an estimate of what an instance carries within its objectives; the simulator corrects it both ways. A
bound must not rest on an estimate. It rests on work conservation alone: steps take at least so long, memory holds so
many tokens, and nothing is asked of latencies. See docs/maths.md. Watts have a bound of the same kind.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from sys import maxsize

import numpy as np

from planner.capacity.envelope import Envelope, Option
from planner.capacity.least_joules import Once, idle_floor, least_joules
from planner.capacity.least_steps import Seconds, context_of, shared_least, token_least
from planner.perf.drafting import in_steps
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy
from workloads.demand import ClassDemand, Demand


def at_least(option: Option, physics: InstancePhysics, policy: Policy, demand: Demand) -> Option:
    """The option with the work and the memory that its requests take at the very least.

    Whatever any schedule of steps serves in a steady state keeps ``load``, ``kv_held`` and ``link`` of a program over
    such options with no headroom; what does not keep them builds a backlog.

    Where phases borrow machines from each other either phase may run anywhere, beside the other: ``borrowed`` has what
    the other one takes there, and no KV cache need travel.

    Args:
        option: as ``envelope.option`` made it.
        physics: of one instance.
        policy: that it serves under.
        demand: the classes asked, of which the option serves some.
    """
    parts = [in_steps(part, physics.step_tokens) for part in demand.classes]
    served = [part for part in parts if part.request_class.name in option.envelopes]
    shortest = min(context_of(part) for part in served)
    most = max(1, min(policy.batching.at(None, physics.step).max_batch_size, int(_share_tokens(physics) / shortest)))
    names, either = [part.request_class.name for part in served], borrows(policy)

    joules = Once(partial(least_joules, option, physics, policy, served, most, either=either))
    idle_w = replace(idle_floor(option, physics), phases_j=joules)
    if either and option.spec.role is Role.MIXED:  # what others may do for it is not known
        idle = {n: replace(e, prefill_s=0.0, decode_s=0.0, kv_tokens_s=0.0) for n, e in option.envelopes.items()}
        return replace(idle_w, envelopes=_without_joules(idle))
    shared = either or option.spec.role is Role.MIXED
    both = shared_least(Seconds(physics), option, physics, policy, served, most) if shared else {}
    if either:
        pairs = {name: _either(option, physics, part, both[name]) for name, part in zip(names, served, strict=True)}
        own, other = ({name: pair[k] for name, pair in pairs.items()} for k in range(2))
        return replace(idle_w, envelopes=_without_joules(own), borrowed=other)
    found = {
        name: _least(option, physics, part, most, both.get(name)) for name, part in zip(names, served, strict=True)
    }
    return replace(idle_w, envelopes=_without_joules(found))


def _without_joules(envelopes: Mapping[str, Envelope]) -> dict[str, Envelope]:
    """Envelopes without what is estimated of watts."""
    return {name: replace(each, floor_w=0.0, prefill_j=0.0, decode_j=0.0) for name, each in envelopes.items()}


def borrows(policy: Policy) -> bool:
    """Whether an instance of one phase may work for the other: not where every instance serves both."""
    split = any(role is not Role.MIXED for role in policy.topology.roles())
    return split and any(policy.borrowing.borrows(role, maxsize) for role in (Role.PREFILL, Role.DECODE))


def _least(
    option: Option, physics: InstancePhysics, part: ClassDemand, most: int, both: tuple[float, float] | None
) -> Envelope:
    """The envelope of a class with its least work, never more than what the estimate takes.

    Args:
        option: as it is planned with.
        physics: of one instance.
        part: the class.
        most: requests that decode at once, at most.
        both: seconds of its prompt and of its decode where a step computes both; None where it does not.
    """
    planned = option.envelopes[part.request_class.name]
    if option.spec.role is Role.PREFILL or planned.batch == 0:
        return replace(planned, kv_tokens_s=0.0)
    context, tokens = context_of(part), float(np.mean(part.output_tokens - 1))
    work_s = tokens * token_least(Seconds(physics), physics, most, context) if both is None else sum(both)
    busy_s = min(work_s / physics.stages.count, planned.prefill_s + planned.decode_s)
    held = min(
        tokens * context * _full_step_s(option.spec.role, physics, int(_share_tokens(physics) / context), context),
        planned.kv_tokens_s,
    )
    return replace(planned, prefill_s=0.0, decode_s=busy_s, kv_tokens_s=held)


def _either(
    option: Option, physics: InstancePhysics, part: ClassDemand, both: tuple[float, float]
) -> tuple[Envelope, Envelope]:
    """The least work of a phase of its own and of the other one at an instance that may compute both."""
    planned = option.envelopes[part.request_class.name]
    context, tokens = context_of(part), float(np.mean(part.output_tokens - 1))
    prompt_s, decode_s = (s / physics.stages.count for s in both)
    full = int(_share_tokens(physics) / context)
    held = tokens * context * _full_step_s(Role.MIXED, physics, full, context)
    idle = replace(
        planned, prefill_s=0.0, decode_s=0.0, link_bytes=0.0, kv_tokens_s=0.0, floor_w=0.0, prefill_j=0.0, decode_j=0.0
    )
    if option.spec.role is Role.PREFILL:
        prompts = replace(planned, prefill_s=min(prompt_s, planned.prefill_s), kv_tokens_s=0.0, link_bytes=0.0)
        return prompts, replace(idle, decode_s=decode_s, kv_tokens_s=held)
    decodes = replace(
        planned, decode_s=min(decode_s, planned.decode_s), kv_tokens_s=min(held, planned.kv_tokens_s), link_bytes=0.0
    )
    return decodes, replace(idle, prefill_s=prompt_s)


def _share_tokens(physics: InstancePhysics) -> float:
    """KV tokens that one of the batches in flight may hold."""
    return physics.kv_tokens / physics.stages.count


def _full_step_s(role: Role, physics: InstancePhysics, full: int, context: float) -> float:
    """Seconds of a step that reads all the memory, with as little else to do as in a step of one request.

    A step that reads less takes less, but more per token read: so many KV tokens a second is the most that is read.
    In a mixed instance the decodes may ride along with the shortest prompt.
    """
    full, step = max(1, full), physics.step
    apart_s = step.decode_s(full, context) - max(0.0, step.decode_s(full, 1) - step.decode_s(1, 1))
    if role is not Role.MIXED:
        return apart_s
    shortest = [(1, 0)]
    others_s = step.prefill_s(shortest, full, full) - step.prefill_s(shortest, 1, 1)
    return min(apart_s, step.prefill_s(shortest, full, full * context) - max(0.0, others_s))
