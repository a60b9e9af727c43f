"""Least joules: what a request takes of the wall whatever steps compute it, so that a bound in watts is one.

The joules of an envelope are an estimate: an instance that decodes is taken to do so all the time, at watts on a line
between a request alone and the working batch. A simulation draws less where instances idle, and more where batches stay
small. What no schedule of steps goes below is the best step's joules per token, and nothing while idle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.capacity.envelope import Envelope, Option, mean_context_tokens
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.policies.base import Policy
from workloads.demand import ClassDemand

Ints = NDArray[np.int64]
Prompts = list[tuple[int, int]]

PRICES, LENGTHS, BATCHES = 11, 4, 4
"""Prices of a decoded token that are tried; prompt lengths that stand for the sample, and batch sizes for all."""


def least_joules(
    envelope: Envelope, option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, most: int, *,
    either: bool,
) -> Envelope:  # fmt: skip
    """An envelope with the least joules that a request of the class takes above idle, and no floor.

    Args:
        envelope: of the class.
        option: that it is of.
        physics: of one instance.
        policy: that it serves under.
        part: the class, outputs in steps.
        most: largest batch.
        either: any instance may compute both phases.
    """
    role, lanes = option.spec.role, physics.stages.count
    batches = sorted({max(1, round(size)) for size in np.geomspace(1, most, BATCHES)})
    tokens = 0.0 if role is Role.PREFILL and not either else float(np.mean(part.output_tokens - 1))
    token_j = min(_decode_j(physics, batch, part) / batch for batch in batches) if tokens else 0.0
    if role is Role.DECODE and not either:
        prompt_j, decode_j = 0.0, token_j * tokens
    else:
        beside = (0, *batches) if either or role is Role.MIXED else (0,)
        prompt_j, decode_j = _beside_j(option, physics, policy, part, beside, (token_j, tokens))
    return replace(envelope, floor_w=0.0, prefill_j=prompt_j / lanes, decode_j=decode_j / lanes)


def shared(options: Sequence[Option]) -> tuple[Option, ...]:
    """Options of which each may do the other's work, with the least joules that any of them takes for it."""
    prompt_j, decode_j = dict[str, float](), dict[str, float]()
    for each in options:
        for name, found in each.envelopes.items():
            prompt_j[name] = min(prompt_j.get(name, np.inf), each.wall_ratio * found.prefill_j)
            decode_j[name] = min(decode_j.get(name, np.inf), each.wall_ratio * found.decode_j)
    return tuple(
        replace(
            each, envelopes={
                name: replace(
                    found, prefill_j=0.0 if each.spec.role is Role.DECODE else prompt_j[name] / each.wall_ratio,
                    decode_j=0.0 if each.spec.role is Role.PREFILL else decode_j[name] / each.wall_ratio,
                )
                for name, found in each.envelopes.items()
            },
        )
        for each in options
    )  # fmt: skip


def idle_floor(option: Option, physics: InstancePhysics) -> Option:
    """An option whose machines draw no more than without work."""
    per_machine = physics.instances_per_machine / physics.machines_per_instance
    return replace(option, floor_w=min(option.floor_w, physics.power.standby_w * per_machine))


def _decode_j(physics: InstancePhysics, batch: int, part: ClassDemand) -> float:
    """Joules above idle of a decode step: on the line between an empty and the longest context.

    They rise ever more slowly with the context, so that no mix of contexts takes less than the line at their mean.
    """

    def step_j(context: float) -> float:
        return (physics.power.decode_w(batch, context) - physics.power.idle_w) * physics.step.decode_s(batch, context)

    longest = float(np.max(part.prompt_tokens + part.output_tokens))
    mean = mean_context_tokens(part.prompt_tokens, part.output_tokens)
    low_j = step_j(1.0)
    return min(step_j(mean), low_j + (step_j(longest) - low_j) * mean / longest)


def _beside_j(
    option: Option, physics: InstancePhysics, policy: Policy, part: ClassDemand, beside: Sequence[int],
    decoded: tuple[float, float],
) -> tuple[float, float]:  # fmt: skip
    """Joules of the prompt and of the decode of a request: the dual of the least joules, as for its seconds.

    With a price of a decoded token, at most its joules in the best decode-only step, a prompt is worth the least of
    (joules - price · batch) per prompt over all steps.
    """
    token_j, tokens = decoded
    context = mean_context_tokens(part.prompt_tokens, part.output_tokens)
    priced = token_j * np.linspace(0.0, 1.0, PRICES)
    sets = _prompt_sets(option, policy, part.computed_tokens)
    prompt_j = np.zeros(PRICES)
    for packs in sets:
        left = [
            (_prefill_j(physics, prompts, batch, context) - priced * batch) / requests
            for prompts, requests in packs
            for batch in beside
        ]
        prompt_j += np.min(left, axis=0) / len(sets)
    best = int(np.argmax(prompt_j + priced * tokens))
    return max(0.0, float(prompt_j[best])), float(priced[best] * tokens)


def _prefill_j(physics: InstancePhysics, prompts: Prompts, batch: int, context: float) -> float:
    """Joules above idle of a step."""
    tokens = int(batch * context)
    watts = physics.power.prefill_w(prompts, batch, tokens) - physics.power.idle_w
    return watts * physics.step.prefill_s(prompts, batch, tokens)


def _prompt_sets(option: Option, policy: Policy, prompts: Ints) -> list[list[tuple[Prompts, float]]]:
    """Steps that may compute prompts, for each length that stands for some: alone, or as many as a step takes."""
    if option.spec.chunk_tokens is not None:
        mean = float(np.mean(prompts))
        past = float(np.mean(prompts.astype(float) ** 2)) / mean / 2
        return [[_chunk(size, mean, past) for size in _sizes(option.spec.chunk_tokens)]]
    lengths = np.quantile(prompts, (np.arange(LENGTHS) + 0.5) / LENGTHS, method="lower").astype(int).tolist()
    most = [max(1, policy.batching.max_batch_tokens // max(1, length)) for length in lengths]
    return [
        [([(length, 0)] * count, float(count)) for count in dict.fromkeys((1, many))]
        for length, many in zip(lengths, most, strict=True)
    ]


def _sizes(largest: int) -> Iterable[int]:
    """Chunks that are tried."""
    return dict.fromkeys((largest, max(1, largest // 4)))


def _chunk(size: int, mean: float, past: float) -> tuple[Prompts, float]:
    """A chunk in the middle of a prompt, or as many whole prompts as it holds; how many prompts it is worth."""
    if size <= mean:
        return [(size, max(0, int(past - size / 2)))], size / mean
    count = int(size // mean)
    return [(int(mean), 0)] * count, float(count)
