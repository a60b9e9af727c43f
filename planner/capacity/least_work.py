"""Least work: what a request takes of an instance whatever percentiles ask, so that a program can prove a bound.

An envelope is an estimate of what an instance carries within its objectives; the simulator corrects it both ways. A
bound must not rest on an estimate. It rests on work conservation alone: steps take at least so long, memory holds so
many tokens, and nothing is asked of latencies. See docs/maths.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from sys import maxsize

import numpy as np
from numpy.typing import NDArray

from planner.capacity.envelope import Envelope, Option, mean_context_tokens
from planner.perf.drafting import in_steps
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Occupancy, Policy
from planner.policies.cuts import Prompt
from workloads.demand import ClassDemand, Demand

Ints = NDArray[np.int64]
Pack = tuple[list[tuple[int, int]], float]
"""Prompts of a step, (new tokens, past tokens) each, and how many requests' worth of prefill they are."""

PRICES = 21
"""Prices of a decoded token that are tried, from nothing to what it takes at the best batch."""

LENGTHS = 8
"""Prompt lengths that stand for the sample."""

BATCH_STEP_RATIO, LEAST_CHUNK_TOKENS = 1.5, 32


def at_least(option: Option, physics: InstancePhysics, policy: Policy, demand: Demand) -> Option:
    """The option with the work and the memory that its requests take at the very least.

    Whatever any schedule of steps serves in a steady state keeps ``load``, ``kv_held`` and ``link`` of a program over
    such options with no headroom; what does not keep them builds a backlog.

    Where phases borrow machines from each other nothing is claimed of a role alone: its work is 0.

    Args:
        option: as ``envelope.option`` made it.
        physics: of one instance.
        policy: that it serves under.
        demand: the classes asked, of which the option serves some.
    """
    if policy.borrowing.borrows(Role.PREFILL, maxsize) or policy.borrowing.borrows(Role.DECODE, maxsize):
        idle = {n: replace(e, prefill_s=0.0, decode_s=0.0, kv_tokens_s=0.0) for n, e in option.envelopes.items()}
        return replace(option, envelopes=idle)
    parts = [in_steps(part, physics.step_tokens) for part in demand.classes]
    served = [part for part in parts if part.request_class.name in option.envelopes]
    shortest = min(_context(part) for part in served)
    most = max(1, min(policy.batching.at(None, physics.step).max_batch_size, int(_share_tokens(physics) / shortest)))
    found = {part.request_class.name: _least(option, physics, policy, part, most) for part in served}
    return replace(option, envelopes=found)


def _least(option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, most: int) -> Envelope:
    """The envelope of a class with its least work, never more than what the estimate takes."""
    planned = option.envelopes[part.request_class.name]
    if option.spec.role is Role.PREFILL or planned.batch == 0:
        return replace(planned, kv_tokens_s=0.0)
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
    lanes, batches = physics.stages.count, _batches(most)
    decode_s = np.array([physics.step.decode_s(batch, context) for batch in batches])
    token_s = float((decode_s / batches).min())
    work_s = tokens * token_s
    if option.spec.role is Role.MIXED:
        work_s = _mixed_s(option, physics, policy, part, batches, token_s)
    busy_s = min(work_s / lanes, planned.prefill_s + planned.decode_s)
    held = min(
        tokens * context * _full_step_s(option.spec.role, physics, int(_share_tokens(physics) / context), context),
        planned.kv_tokens_s,
    )
    return replace(planned, prefill_s=0.0, decode_s=busy_s, kv_tokens_s=held)


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


def _mixed_s(
    option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, batches: Sequence[int], token_s: float
) -> float:
    """Busy seconds of a request where a step may compute prompts beside decodes.

    The dual of the least time for steps t(prompts, batch) that together compute all prompts and tokens: with a price
    v of a decoded token, at most what it takes in the best decode-only step, a prompt is worth the least of
    (t - v·batch) per prompt over all steps. Any v gives a bound; the best of some is taken.
    """
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
    beside = (0, *batches)
    priced = token_s * np.linspace(0.0, 1.0, PRICES)
    prompt_s = np.zeros(PRICES)
    kinds = list(_kinds(option, physics, policy, part.computed_tokens))
    for packs in kinds:
        left = [
            (physics.step.prefill_s(pack, batch, batch * context) - priced * batch) / requests
            for pack, requests in packs
            for batch in beside
        ]
        prompt_s += np.min(left, axis=0) / len(kinds)
    return float((prompt_s + priced * tokens).max())


def _kinds(option: Option, physics: InstancePhysics, policy: Policy, prompts: Ints) -> Iterator[list[Pack]]:
    """Steps that may compute prompts, for each length that stands for the sample; all alike where prompts are cut."""
    chunk = option.spec.chunk_tokens
    if chunk is None:
        for length in np.quantile(prompts, (np.arange(LENGTHS) + 0.5) / LENGTHS, method="lower").tolist():
            views = [Prompt(int(length), int(length))] * 128
            idle = Occupancy(0, 0, 0, physics.kv_blocks)
            together = max(1, len(policy.batching.at(None, physics.step).next_step(views, idle).chunk_tokens))
            yield [([(int(length), 0)] * count, float(count)) for count in {1, together}]
        return
    mean, sizes = float(np.mean(prompts)), [LEAST_CHUNK_TOKENS]
    while sizes[-1] < chunk:
        sizes.append(min(chunk, sizes[-1] * 2))
    past = float(np.mean(prompts.astype(float) ** 2)) / mean / 2  # of the tokens of all prompts
    yield [_chunk(size, mean, past) for size in sizes]


def _chunk(size: int, mean: float, past: float) -> Pack:
    """A chunk in the middle of a prompt, or as many whole prompts as it holds."""
    if size <= mean:
        return [(size, max(0, int(past - size / 2)))], size / mean
    count = int(size // mean)
    return [(int(mean), 0)] * count, float(count)


def _context(part: ClassDemand) -> float:
    """Mean context of a decoding request of the class, weighted by how long it decodes."""
    return mean_context_tokens(part.prompt_tokens, part.output_tokens)


def _batches(largest: int) -> list[int]:
    """Batch sizes that stand for all up to the largest, itself included."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, int(sizes[-1] * BATCH_STEP_RATIO))))
    return sizes
