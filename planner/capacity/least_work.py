"""Least work: what a request takes of an instance whatever percentiles ask, so that a program can prove a bound.

An envelope is an estimate of what an instance carries within its objectives; the simulator corrects it both ways. A
bound must not rest on an estimate. It rests on work conservation alone: steps take at least so long, memory holds so
many tokens, and nothing is asked of latencies. See docs/maths.md. Watts have a bound of the same kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

PRICES = 21
"""Prices of a decoded token that are tried, from nothing to what it takes at the best batch."""

LENGTHS = 64
"""Prompt lengths that stand for the sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps that may compute prompts of a class beside decodes, one of which takes least for them.

    Step times are measured between knots: for any price of a decoded token one of least worth per prompt has as many
    tokens and as many decodes as some of the knots say.

    Attributes:
        new_tokens: (steps,) of one chunk, or of one prompt.
        past_tokens: (steps,) before it.
        tokens: (steps,) of all chunks and prompts of each step.
        batch: (steps,) decodes beside them.
        prompts_ratio: (steps,) requests' worth of prefill that they are.
    """

    new_tokens: Ints
    past_tokens: Ints
    tokens: Ints
    batch: Ints
    prompts_ratio: NDArray[np.float64]


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
    names, either = [part.request_class.name for part in served], borrows(policy)

    def watted(envelopes: Mapping[str, Envelope]) -> dict[str, Envelope]:
        return {
            name: least_joules(envelopes[name], option, physics, policy, part, most, either=either)
            for name, part in zip(names, served, strict=True)
        }

    idle_w = idle_floor(option, physics)
    if either and option.spec.role is Role.MIXED:  # what others may do for it is not known
        idle = {n: replace(e, prefill_s=0.0, decode_s=0.0, kv_tokens_s=0.0) for n, e in option.envelopes.items()}
        return replace(idle_w, envelopes=watted(idle))
    shared = either or option.spec.role is Role.MIXED
    both = shared_steps_s(option, physics, policy, served, most) if shared else {}
    if either:
        pairs = {name: _either(option, physics, part, both[name]) for name, part in zip(names, served, strict=True)}
        own, other = ({name: pair[k] for name, pair in pairs.items()} for k in range(2))
        return replace(idle_w, envelopes=watted(own), borrowed=other)
    found = {
        name: _least(option, physics, part, most, both.get(name)) for name, part in zip(names, served, strict=True)
    }
    return replace(idle_w, envelopes=watted(found))


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
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
    work_s = tokens * _token_s(physics, most, context) if both is None else sum(both)
    busy_s = min(work_s / physics.stages.count, planned.prefill_s + planned.decode_s)
    held = min(
        tokens * context * _full_step_s(option.spec.role, physics, int(_share_tokens(physics) / context), context),
        planned.kv_tokens_s,
    )
    return replace(planned, prefill_s=0.0, decode_s=busy_s, kv_tokens_s=held)


def _token_s(physics: InstancePhysics, most: int, context: float) -> float:
    """Seconds of a decoded token in the best batch."""
    batches = _batches(physics, most)[1:]
    return min(float(physics.step.decode_s(batch, context) / batch) for batch in batches.tolist())


def _either(
    option: Option, physics: InstancePhysics, part: ClassDemand, both: tuple[float, float]
) -> tuple[Envelope, Envelope]:
    """The least work of a phase of its own and of the other one at an instance that may compute both."""
    planned = option.envelopes[part.request_class.name]
    context, tokens = _context(part), float(np.mean(part.output_tokens - 1))
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


def shared_steps_s(
    option: Option, physics: InstancePhysics, policy: Policy, parts: Sequence[ClassDemand], most: int
) -> dict[str, tuple[float, float]]:
    """Class -> busy seconds of the prompt and of the decode of a request where a step may compute both.

    The dual of the least time for steps t(prompts, batch) that together compute all prompts and tokens: with a price
    v of a decoded token, at most what it takes in the best decode-only step, a prompt is worth the least of
    (t - v·batch) per prompt over all steps. Any v gives a bound, also where an instance computes more of one than of
    the other. A step computes prompts of one class beside decodes of another: v is the same share of the best step for
    all classes, and a prompt is worth the least beside decodes of any of them. The share that gives most for the mix
    that is asked is taken.
    """
    shares, prompt_s = np.linspace(0.0, 1.0, PRICES), dict[str, NDArray[np.float64]]()
    contexts = {part.request_class.name: _context(part) for part in parts}
    worth, decode_s = np.zeros(PRICES), dict[str, NDArray[np.float64]]()
    for part in parts:
        name = part.request_class.name
        near = sorted({contexts[name], min(contexts.values()), max(contexts.values())})
        prices = [(context, _token_s(physics, most, context) * shares) for context in near]
        prompt_s[name] = _prompt_s(option, physics, policy, part, most, prices)
        decode_s[name] = shares * _token_s(physics, most, contexts[name]) * float(np.mean(part.output_tokens - 1))
        worth += part.rate_req_per_s * (prompt_s[name] + decode_s[name])
    best = int(np.argmax(worth))
    return {name: (float(prompt_s[name][best]), float(decode_s[name][best])) for name in prompt_s}


def _prompt_s(
    option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, most: int,
    prices: Sequence[tuple[float, NDArray[np.float64]]],
) -> NDArray[np.float64]:  # fmt: skip
    """What a prompt of a class takes at least where decodes ride along, at each price of a decoded token.

    Args:
        option: that computes it.
        physics: of one instance.
        policy: that packs it.
        part: the class.
        most: decodes in its step, at most.
        prices: contexts of these, with prices of a token of each.
    """
    found, step = np.zeros(PRICES), physics.step
    if option.spec.chunk_tokens is not None:
        steps = [_chunked(physics, option.spec.chunk_tokens, part.computed_tokens, most)]
    else:
        lengths = _lengths(part.computed_tokens)
        steps = [_whole(physics, max(n, policy.batching.max_batch_tokens), n, most) for n in lengths]
    for each in steps:
        least = np.full(PRICES, np.inf)
        for context, priced in prices:
            if option.spec.chunk_tokens is not None:
                chunk = each.new_tokens, each.past_tokens
                taken_s = step.packed_s(chunk, each.tokens, each.batch, context)
            else:
                taken_s = step.filled_s([(int(each.new_tokens[0]), 0)], each.tokens, each.batch, context)
            left = (taken_s[:, None] - priced * each.batch[:, None]) / each.prompts_ratio[:, None]
            least = np.minimum(least, left.min(axis=0))
        found += least / len(steps)
    return found


def _lengths(prompts: Ints) -> list[int]:
    """Lengths that stand for the sample."""
    return [int(n) for n in np.quantile(prompts, (np.arange(LENGTHS) + 0.5) / LENGTHS, method="lower")]


def _whole(physics: InstancePhysics, largest: int, length: int, most: int) -> Steps:
    """Steps that compute a prompt of a length as a whole, beside others of any lengths: it takes its share of tokens.

    Attention ranks step together, each with as much at best.
    """
    tokens, batch = _corners(physics, length, largest, (), most)
    same = np.full(len(tokens), length)
    return Steps(
        new_tokens=same, past_tokens=np.zeros_like(same), tokens=tokens, batch=batch,
        prompts_ratio=physics.step.ranks * tokens / length,
    )  # fmt: skip


def _chunked(physics: InstancePhysics, size: int, prompts: Ints, most: int) -> Steps:
    """Steps that compute a chunk in the middle of a prompt of mean length, or as many such prompts as they hold."""
    mean = float(np.mean(prompts))
    past = float(np.mean(prompts.astype(float) ** 2)) / mean / 2  # of the tokens of all prompts
    tokens, batch = _corners(physics, 1, size, (int(mean), *physics.step.profile.new_tokens.tolist()), most)
    inside = tokens <= mean
    return Steps(
        new_tokens=np.where(inside, tokens, max(1, int(mean))),
        past_tokens=np.where(inside, np.maximum(0, past - tokens / 2), 0).astype(np.int64),
        tokens=tokens, batch=batch, prompts_ratio=physics.step.ranks * tokens / mean,
    )  # fmt: skip


def _corners(physics: InstancePhysics, fewest: int, largest: int, bends: Sequence[int], most: int) -> tuple[Ints, Ints]:
    """Prompt tokens and decodes of steps at the corners of the pieces between which step times are straight.

    Args:
        physics: whose steps.
        fewest: prompt tokens.
        largest: likewise.
        bends: prompt tokens at which their attention bends.
        most: decodes, at most.
    """
    ranks, knots, batches = physics.step.ranks, physics.step.profile.tokens, _batches(physics, most)
    ends = np.unique(np.clip((fewest, *bends, largest), fewest, largest))
    wide = np.clip(knots[:, None] + (-batches // ranks)[None, :], fewest, largest)
    beside = np.clip(ranks * (knots[:, None] - ends[None, :]), 0, most)
    pairs = np.concatenate([
        np.stack(np.meshgrid(ends, batches), axis=-1).reshape(-1, 2),
        np.stack([wide, np.broadcast_to(batches, wide.shape)], axis=-1).reshape(-1, 2),
        np.stack([np.broadcast_to(ends, beside.shape), beside], axis=-1).reshape(-1, 2),
    ])  # fmt: skip
    tokens, batch = np.unique(pairs, axis=0).T
    return tokens, batch


def _context(part: ClassDemand) -> float:
    """Mean context of a decoding request of the class, weighted by how long it decodes."""
    return mean_context_tokens(part.prompt_tokens, part.output_tokens)


def _batches(physics: InstancePhysics, most: int) -> Ints:
    """Batch sizes one of which is the best of all up to the largest: none, the knots of measured times, the ends."""
    profile = physics.step.profile
    knots = np.concatenate([profile.batch, profile.attention_batch])
    return np.unique(np.concatenate([[0, 1, most], knots[knots < most]])).astype(np.int64)
