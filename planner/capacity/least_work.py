"""Least work: what a request takes of an instance whatever percentiles ask, so that a program can prove a bound.

An envelope is an estimate of what an instance carries within its objectives; the simulator corrects it both ways. A
bound must not rest on an estimate. It rests on work conservation alone: steps take at least so long, memory holds so
many tokens, and nothing is asked of latencies. See docs/maths.md. Watts have a bound of the same kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from sys import maxsize

import numpy as np
from numpy.typing import NDArray

from planner.capacity.envelope import Envelope, Option, mean_context_tokens
from planner.capacity.least_joules import idle_floor, least_joules
from planner.perf.drafting import in_steps
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy
from workloads.demand import ClassDemand, Demand

Ints = NDArray[np.int64]
Chunk = tuple[list[tuple[int, int]], int, float]
"""Prompts of a step, (new tokens, past tokens) each; tokens of all its prompts, these and others; how many requests'
worth of prefill these tokens are."""

Pack = tuple[list[tuple[int, int]], Ints, Ints, NDArray[np.float64]]
"""Likewise of several steps that compute the same prompts, with the decoding requests beside each."""

PRICES = 21
"""Prices of a decoded token that are tried, from nothing to what it takes at the best batch."""

LENGTHS = 64
"""Prompt lengths that stand for the sample."""

BATCH_STEP_RATIO, LEAST_CHUNK_TOKENS = 1.5, 32


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
    shortest = min(_context(part) for part in served)
    most = max(1, min(policy.batching.at(None, physics.step).max_batch_size, int(_share_tokens(physics) / shortest)))
    either = borrows(policy)

    def watted(envelopes: Mapping[str, Envelope]) -> dict[str, Envelope]:
        return {
            part.request_class.name: least_joules(
                envelopes[part.request_class.name], option, physics, policy, part, most, either=either
            )
            for part in served
        }

    idle_w = idle_floor(option, physics)
    if either:
        if option.spec.role is Role.MIXED:  # what others may do for it is not known
            idle = {n: replace(e, prefill_s=0.0, decode_s=0.0, kv_tokens_s=0.0) for n, e in option.envelopes.items()}
            return replace(idle_w, envelopes=watted(idle))
        pairs = {part.request_class.name: _either(option, physics, policy, part, most) for part in served}
        own, other = ({name: pair[k] for name, pair in pairs.items()} for k in range(2))
        return replace(idle_w, envelopes=watted(own), borrowed=other)
    found = {part.request_class.name: _least(option, physics, policy, part, most) for part in served}
    return replace(idle_w, envelopes=watted(found))


def borrows(policy: Policy) -> bool:
    """Whether an instance of one phase may work for the other: not where every instance serves both."""
    split = any(role is not Role.MIXED for role in policy.topology.roles())
    return split and any(policy.borrowing.borrows(role, maxsize) for role in (Role.PREFILL, Role.DECODE))


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
        work_s = sum(_beside_s(option, physics, policy, part, batches, token_s))
    busy_s = min(work_s / lanes, planned.prefill_s + planned.decode_s)
    held = min(
        tokens * context * _full_step_s(option.spec.role, physics, int(_share_tokens(physics) / context), context),
        planned.kv_tokens_s,
    )
    return replace(planned, prefill_s=0.0, decode_s=busy_s, kv_tokens_s=held)


def _either(
    option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, most: int
) -> tuple[Envelope, Envelope]:
    """The least work of a phase of its own and of the other one at an instance that may compute both."""
    planned = option.envelopes[part.request_class.name]
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
    batches, lanes = _batches(most), physics.stages.count
    token_s = min(physics.step.decode_s(batch, context) / batch for batch in batches)
    prompt_s, decode_s = (s / lanes for s in _beside_s(option, physics, policy, part, batches, token_s))
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


def _beside_s(
    option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, batches: Sequence[int], token_s: float
) -> tuple[float, float]:
    """Busy seconds of the prompt and of the decode of a request where a step may compute prompts beside decodes.

    The dual of the least time for steps t(prompts, batch) that together compute all prompts and tokens: with a price
    v of a decoded token, at most what it takes in the best decode-only step, a prompt is worth the least of
    (t - v·batch) per prompt over all steps. Any v gives a bound, also where an instance computes more of one than of
    the other; the best of some for whole requests is taken.
    """
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
    step, beside, priced = physics.step, (0, *batches), token_s * np.linspace(0.0, 1.0, PRICES)
    prompt_s, lengths = np.zeros(PRICES), _lengths(option, part.computed_tokens)
    for length in lengths:
        left = [
            (step.filled_s(prompts, together, batch, context)[:, None] - priced * batch[:, None]) / requests[:, None]
            for prompts, together, batch, requests in _packs(
                option, physics, policy, part.computed_tokens, length, beside
            )
        ]
        prompt_s += np.min(np.concatenate(left), axis=0) / len(lengths)
    best = int(np.argmax(prompt_s + priced * tokens))
    return float(prompt_s[best]), float(priced[best] * tokens)


def _lengths(option: Option, prompts: Ints) -> list[int]:
    """Lengths that stand for the sample; one that stands for all alike where prompts are cut."""
    if option.spec.chunk_tokens is not None:
        return [int(np.mean(prompts))]
    return [int(n) for n in np.quantile(prompts, (np.arange(LENGTHS) + 0.5) / LENGTHS, method="lower")]


def _packs(
    option: Option, physics: InstancePhysics, policy: Policy, prompts: Ints, length: int, beside: Sequence[int]
) -> Iterator[Pack]:
    """Steps that may compute a prompt of a length, one of which takes least for it: at ends and bends of the time.

    A whole prompt may share its step with others of any lengths; it takes its share of the tokens. Attention ranks step
    together, each with as much at best.
    """
    ranks, batches = physics.step.ranks, np.array(beside)
    if option.spec.chunk_tokens is None:
        most, decodes = max(length, policy.batching.max_batch_tokens), -(-batches // ranks)
        bends = np.clip(physics.step.profile.tokens - decodes[:, None], length, most)  # one outside is an end again
        tokens = np.column_stack([np.full(len(batches), length), bends, np.full(len(batches), most)])
        each = tokens.ravel()
        yield [(length, 0)], each, np.repeat(batches, tokens.shape[1]), ranks * each / length
        return
    mean, size = float(np.mean(prompts)), LEAST_CHUNK_TOKENS
    past = float(np.mean(prompts.astype(float) ** 2)) / mean / 2  # of the tokens of all prompts
    while True:
        prompts_of, filled, requests = _chunk(size, mean, past)
        yield prompts_of, np.full(len(batches), filled), batches, np.full(len(batches), ranks * requests)
        if size == option.spec.chunk_tokens:
            return
        size = min(option.spec.chunk_tokens, size * 2)


def _chunk(size: int, mean: float, past: float) -> Chunk:
    """A chunk in the middle of a prompt, or as many whole prompts as it holds."""
    if size <= mean:
        return [(size, max(0, int(past - size / 2)))], size, size / mean
    count = int(size // mean)
    return [(int(mean), 0)] * count, int(mean) * count, float(count)


def _context(part: ClassDemand) -> float:
    """Mean context of a decoding request of the class, weighted by how long it decodes."""
    return mean_context_tokens(part.prompt_tokens, part.output_tokens)


def _batches(largest: int) -> list[int]:
    """Batch sizes that stand for all up to the largest, itself included."""
    sizes = [1]
    while sizes[-1] < largest:
        sizes.append(min(largest, max(sizes[-1] + 1, int(sizes[-1] * BATCH_STEP_RATIO))))
    return sizes
