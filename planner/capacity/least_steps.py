"""Least steps: what the prompts and decodes of a request take of steps at least, in seconds or in joules.

Steps compute prompts of one class beside decodes of another. A decoded token has a price, at most its share of the best
decode-only step; what a step takes beyond that is what its prompts are worth. Both hold for all classes together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planner.capacity.envelope import Option, mean_context_tokens
from planner.perf.instance import InstancePhysics
from planner.policies.base import Policy
from workloads.demand import ClassDemand

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

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


class Cost(Protocol):
    """What is counted of a step."""

    @property
    def bends(self) -> Sequence[int]:
        """Numbers of decodes and of tokens at which it may bend beside those at which step times do."""

    def decoding(self, batch: int, context_tokens: float) -> float:
        """Of a decode-only step."""

    def filled(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) at least, of steps of which a whole prompt is a part, decodes of a mean context beside."""

    def packed(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) of steps that are filled with chunks of one kind each."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds of a step."""

    physics: InstancePhysics

    @property
    def bends(self) -> Sequence[int]:
        """None: step times bend where they do."""
        return ()

    def decoding(self, batch: int, context_tokens: float) -> float:
        """Of a decode-only step."""
        return self.physics.step.decode_s(batch, context_tokens)

    def filled(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) as if the other prompts had no attention."""
        return self.physics.step.filled_s(steps.new_tokens, steps.tokens, steps.batch, contexts)

    def packed(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) of as many chunks as fill each."""
        chunk = steps.new_tokens, steps.past_tokens
        return self.physics.step.packed_s(chunk, steps.tokens, steps.batch, contexts)


def token_least(cost: Cost, physics: InstancePhysics, most: int, context: float) -> float:
    """What a decoded token takes in the best batch."""
    batches = decodes(physics, cost, most)[1:]
    return min((cost.decoding(batch, context) / batch for batch in batches.tolist()), default=0.0)


def shared_least(
    cost: Cost, option: Option, physics: InstancePhysics, policy: Policy, parts: Sequence[ClassDemand], most: int
) -> dict[str, tuple[float, float]]:
    """Class -> what the prompt and the decode of a request take where a step may compute both.

    The dual of the least time for steps t(prompts, batch) that together compute all prompts and tokens: with a price
    v of a decoded token, at most what it takes in the best decode-only step, a prompt is worth the least of
    (t - v·batch) per prompt over all steps. Any v gives a bound, also where an instance computes more of one than of
    the other. A step computes prompts of one class beside decodes of another: v is the same share of the best step for
    all classes, and a prompt is worth the least beside decodes of any of them. The share that gives most for the mix
    that is asked is taken. Joules likewise.

    Args:
        cost: what is counted.
        option: that computes them.
        physics: of one instance.
        policy: that packs prompts.
        parts: the classes, outputs in steps.
        most: decodes in a step, at most; 0 where it does none.
    """
    shares, prompt = np.linspace(0.0, 1.0, PRICES), dict[str, Floats]()
    contexts = {part.request_class.name: context_of(part) for part in parts}
    least = {context: token_least(cost, physics, most, context) for context in contexts.values()}
    worth, decode = np.zeros(PRICES), dict[str, Floats]()
    for part in parts:
        name = part.request_class.name
        near = sorted({contexts[name], min(contexts.values()), max(contexts.values())})
        prompt[name] = _prompt(cost, option, physics, policy, part, most, [(c, least[c] * shares) for c in near])
        decode[name] = shares * least[contexts[name]] * float(np.mean(part.output_tokens - 1))
        worth += part.rate_req_per_s * (prompt[name] + decode[name])
    best = int(np.argmax(worth))
    return {name: (float(prompt[name][best]), float(decode[name][best])) for name in prompt}


def _prompt(
    cost: Cost, option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, most: int,
    prices: Sequence[tuple[float, Floats]],
) -> Floats:  # fmt: skip
    """What a prompt of a class takes at least where decodes ride along, at each price of a decoded token.

    Args:
        cost: what is counted.
        option: that computes it.
        physics: of one instance.
        policy: that packs it.
        part: the class.
        most: decodes in its step, at most.
        prices: contexts of these, with prices of a token of each.
    """
    chunk, grid = option.spec.chunk_tokens, _Grid.of(physics, cost, most)
    if chunk is not None:
        steps, count = _chunked(physics, grid, chunk, part.computed_tokens), np.ones(1, np.int64)
        first = np.zeros(1, np.int64)
    else:
        lengths, count = np.unique(_lengths(part.computed_tokens), return_counts=True)
        steps = _whole(physics, grid, np.maximum(lengths, policy.batching.max_batch_tokens), lengths)
        first = np.searchsorted(steps.new_tokens, lengths)
    least, contexts = np.full((PRICES, len(first)), np.inf), [context for context, _ in prices]
    every = cost.filled(steps, contexts) if chunk is None else cost.packed(steps, contexts)
    for taken, (_, priced) in zip(every, prices, strict=True):
        for at, price in enumerate(priced.tolist()):
            left = (taken - price * steps.batch) / steps.prompts_ratio
            least[at] = np.minimum(least[at], np.minimum.reduceat(left, first))
    found = np.zeros(PRICES)
    for each in np.repeat(least, count, axis=1).T:
        found += each / count.sum()
    return found


def _lengths(prompts: Ints) -> list[int]:
    """Lengths that stand for the sample."""
    return [int(n) for n in np.quantile(prompts, (np.arange(LENGTHS) + 0.5) / LENGTHS, method="lower")]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where step times, and what is counted of them, bend.

    Attributes:
        knots: of tokens, ascending.
        batch: of decodes, ascending.
        most: decodes in a step, at most.
        ranks: that step together.
    """

    knots: Ints
    batch: Ints
    most: int
    ranks: int

    @classmethod
    def of(cls, physics: InstancePhysics, cost: Cost, most: int) -> "_Grid":
        """Of steps with so many decodes at most."""
        knots = np.unique([*physics.step.profile.tokens.tolist(), *cost.bends])
        return cls(knots, decodes(physics, cost, most), most, physics.step.ranks)


def _whole(physics: InstancePhysics, grid: _Grid, largest: Ints, lengths: Ints) -> Steps:
    """Steps that compute a prompt of a length as a whole, beside others of any lengths: it takes its share of tokens.

    Attention ranks step together, each with as much at best.

    Args:
        physics: of one instance.
        grid: where step times bend.
        largest: (lengths,) most tokens of all prompts of a step.
        lengths: of the prompts, ascending; steps are in their order.
    """
    step, tokens, batch = _corners(grid, (lengths, largest), ())
    same = lengths[step]
    return Steps(
        new_tokens=same, past_tokens=np.zeros_like(same), tokens=tokens, batch=batch,
        prompts_ratio=physics.step.ranks * tokens / same,
    )  # fmt: skip


def _chunked(physics: InstancePhysics, grid: _Grid, size: int, prompts: Ints) -> Steps:
    """Steps that compute a chunk in the middle of a prompt of mean length, or as many such prompts as they hold."""
    mean = float(np.mean(prompts))
    past = float(np.mean(prompts.astype(float) ** 2)) / mean / 2  # of the tokens of all prompts
    bends = (int(mean), *physics.step.profile.new_tokens.tolist())
    _, tokens, batch = _corners(grid, (np.array([1]), np.array([size])), bends)
    inside = tokens <= mean
    return Steps(
        new_tokens=np.where(inside, tokens, max(1, int(mean))),
        past_tokens=np.where(inside, np.maximum(0, past - tokens / 2), 0).astype(np.int64),
        tokens=tokens, batch=batch, prompts_ratio=physics.step.ranks * tokens / mean,
    )  # fmt: skip


def _corners(grid: _Grid, between: tuple[Ints, Ints], bends: Sequence[int]) -> tuple[Ints, Ints, Ints]:
    """Prompt tokens and decodes of steps at the corners of the pieces between which step times are straight.

    Args:
        grid: where they bend.
        between: (kinds,) fewest and most prompt tokens.
        bends: prompt tokens at which their attention bends.

    Returns:
        (steps,) the kind of each, its prompt tokens and its decodes: kind by kind, each step once.
    """
    fewest, largest = (each[:, None, None] for each in between)
    ranks, most, knots, batches = grid.ranks, grid.most, grid.knots[:, None], grid.batch
    inside = np.clip(np.array(bends, np.int64)[:, None], fewest, largest)
    ends = np.concatenate([fewest, inside, largest], axis=1)
    wide = np.clip(knots + (-batches // ranks), fewest, largest)
    beside = np.clip(ranks * (knots - ends.swapaxes(1, 2)), 0, most)
    row = most + 1  # a kind and a pair as one number, which sorts as they do
    pairs = [ends * row + batches, wide * row + batches, ends.swapaxes(1, 2) * row + beside]
    every = np.concatenate([each.reshape(len(fewest), -1) for each in pairs], axis=1)
    every.sort(axis=1)  # np.unique takes six times as long
    first = np.ones(every.shape, bool)
    first[:, 1:] = every[:, 1:] != every[:, :-1]
    tokens, batch = np.divmod(every[first], row)
    return np.repeat(np.arange(len(every)), first.sum(axis=1)), tokens, batch


def context_of(part: ClassDemand) -> float:
    """Mean context of a decoding request of the class, weighted by how long it decodes."""
    return mean_context_tokens(part.prompt_tokens, part.output_tokens)


def decodes(physics: InstancePhysics, cost: Cost, most: int) -> Ints:
    """Batch sizes one of which is the best of all up to the largest: none, the knots of measured times, the ends."""
    profile = physics.step.profile
    knots = np.unique([*profile.batch.tolist(), *profile.attention_batch.tolist(), *cost.bends])
    return np.unique([0, *([1, most] if most else []), *knots[knots < most].tolist()]).astype(np.int64)
