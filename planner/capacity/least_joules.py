"""Least joules: what a request takes of the wall whatever steps compute it, so that a bound in watts is one.

The joules of an envelope are an estimate: an instance that decodes is taken to do so all the time, at watts on a line
between a request alone and the working batch. A simulation draws less where instances idle, and more where batches stay
small. What no schedule of steps goes below is nothing while idle, and the least joules of steps as ``least_steps`` has
them, with joules on a line below those at any context of the decodes and any past of the chunks.

Joules of a step rise ever more slowly with its seconds, FLOP, bytes and tokens. Where these are straight between two
knots, no step between takes less than the line between those at the knots: whatever the mix, corners take least. Under
a clock lock or a cap that is so but for a small rest, so there further knots are tried halfway between. Where prompts
stream through stages the bound is weaker: decodes beside them are free of charge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hw_catalog.power import PER_SHARE, SHARE_KNOTS
from planner.capacity.envelope import Option
from planner.capacity.least_steps import Steps, context_of, shared_least, token_least
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.perf.power import WattTerms
from planner.perf.step_time import StepTime
from planner.perf.stream import StreamTime
from planner.policies.base import Policy
from workloads.demand import ClassDemand

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


BOW_FRAC = 0.003
"""Of its seconds, what a step between two contexts may take less than the line between them without being looked at. So
much is taken off its joules."""


class Joules:
    """Joules above idle of a step, all GPUs together; nothing where the watts are unknown.

    Args:
        physics: of the instance.
        parts: the classes that it serves: their longest context bounds those of all steps.
    """

    __slots__ = ("_contexts", "_decodes", "_pasts", "_physics", "_terms", "bends")

    def __init__(self, physics: InstancePhysics, parts: Sequence[ClassDemand]) -> None:
        """Nothing counted yet."""
        self._physics, self._terms = physics, physics.power.terms(1)
        profile, step = physics.step.profile, physics.step
        longest = max(int(np.max(part.prompt_tokens + part.output_tokens)) for part in parts)
        contexts, pasts = _knots(profile.context_tokens, 1, longest), _knots(profile.past_tokens, 0, longest)
        batches, chunks = profile.attention_batch.tolist(), profile.new_tokens.tolist()
        self._decodes: dict[int, Floats] = {}
        self._contexts = _bowed(contexts, [[step.decode_s(b, c) for c in contexts] for b in batches])
        self._pasts = _bowed(pasts, [[step.prefill_s([(n, past)]) for past in pasts] for n in chunks])
        self.bends: Sequence[int] = () if self._terms is None else _bends(physics, self._terms)

    def decoding(self, batch: int, context_tokens: float) -> float:
        """Of a decode-only step."""
        if batch not in self._decodes:
            power, step = self._physics.power, self._physics.step
            away_s = self._away_s(np.array([batch]))[0]
            self._decodes[batch] = np.array(
                [
                    [(power.decode_w(batch, c) - power.idle_w) * (step.decode_s(batch, c) - away_s)]
                    for c in self._contexts
                ]
            )
        return float(_below_at(self._contexts, self._decodes[batch], context_tokens)[0])

    def filled(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) as if the other prompts had no attention, and one token came out of all."""
        new, beside = steps.new_tokens, self._beside(steps)
        found = self._taken(
            steps, beside, new * new / 2, lambda step: step.filled_s(new, steps.tokens, steps.batch, beside)
        )  # fmt: skip
        return np.array([_below_at(beside, found, context) for context in contexts])

    def packed(self, steps: Steps, contexts: Sequence[float]) -> Floats:
        """(contexts, steps) of as many chunks as fill each, one token of which comes out."""
        beside, found = self._beside(steps), list[list[Floats]]()
        for past in self._pasts:
            chunk = steps.new_tokens, np.full(len(steps.tokens), past)
            pairs = self._physics.step.ranks * steps.tokens * (past + steps.new_tokens / 2)
            taken = self._taken(steps, beside, pairs, partial(_packed_s, chunk, steps, beside))
            found.append([_below_at(beside, taken, context) for context in contexts])
        pasts = steps.past_tokens.astype(float)
        return np.array([_below(self._pasts, each, pasts) for each in zip(*found, strict=True)])

    def _beside(self, steps: Steps) -> list[int]:
        """Contexts of decodes that are looked at: any, where there are none."""
        return self._contexts if steps.batch.any() else self._contexts[:1]

    def _taken(
        self, steps: Steps, contexts: Sequence[int], pairs: Floats, taken_s: Callable[[StepTime], Floats]
    ) -> Floats:
        """(contexts, steps) joules of steps of prompts beside decodes.

        Args:
            steps: which.
            contexts: KV tokens of each decode.
            pairs: (steps,) of a token of a prompt and one it attends to.
            taken_s: (contexts, steps) seconds by given step times.
        """
        terms = self._terms
        if terms is None:
            return np.zeros((len(contexts), len(steps.tokens)))
        new, step = self._physics.step.ranks * steps.tokens, self._physics.step
        away = steps.tokens - (-steps.batch // step.ranks)
        busy_s = taken_s(step)
        whole_s = busy_s if terms.full_clock is step else taken_s(terms.full_clock)
        whole_s = whole_s - terms.full_clock.ways_s(away)
        kv: Floats = steps.batch * np.array(contexts, float)[:, None]
        above_w = _above_w(
            terms, new + steps.batch * terms.verified, pairs + kv * terms.verified, kv, steps.batch + 1, whole_s
        )
        return above_w * (busy_s - self._away_s(away))

    def _away_s(self, tokens: Ints) -> Floats:
        """(steps,) seconds on the links between stages, in which no stage is busy with the batch."""
        return self._physics.step.ways_s(tokens) if self._physics.stages.count > 1 else np.zeros(len(tokens))


class Once:
    """Joules of requests, worked out when they are first asked for: most questions ask for none."""

    __slots__ = ("_found", "_work")

    def __init__(self, work: Callable[[], Mapping[str, tuple[float, float]]]) -> None:
        """Nothing asked yet; ``work`` gives class name -> joules of the prompt and of the decode of a request."""
        self._work, self._found = work, dict[str, tuple[float, float]]()

    def __call__(self) -> Mapping[str, tuple[float, float]]:
        """Class name -> joules of the prompt and of the decode of a request."""
        self._found = self._found or dict(self._work())
        return self._found


def least_joules(
    option: Option, physics: InstancePhysics, policy: Policy, parts: Sequence[ClassDemand], most: int, *, either: bool
) -> dict[str, tuple[float, float]]:
    """Class -> the least joules above idle of one instance's GPUs that the prompt and the decode of a request take.

    Args:
        option: that they are of.
        physics: of one instance.
        policy: that it serves under.
        parts: the classes, outputs in steps.
        most: largest batch.
        either: any instance may compute both phases.
    """
    role, cost = option.spec.role, Joules(physics, parts)
    if role is Role.DECODE and not either:
        found = {
            part.request_class.name: (
                0.0, float(np.mean(part.output_tokens - 1)) * token_least(cost, physics, most, context_of(part))
            )
            for part in parts
        }  # fmt: skip
    else:
        beside = most if (either or role is Role.MIXED) and not isinstance(physics.step, StreamTime) else 0
        found = shared_least(cost, option, physics, policy, parts, beside)
    ratio = (1 - BOW_FRAC) / physics.stages.count
    return {name: (ratio * max(0.0, prompt_j), ratio * decode_j) for name, (prompt_j, decode_j) in found.items()}


def shared(options: Sequence[Option]) -> tuple[Option, ...]:
    """Options of which each may do the other's work, with the least joules that any of them takes for it."""
    fewest = Once(partial(_fewest, tuple(options)))
    return tuple(replace(each, phases_j=Once(partial(_own, each, fewest))) for each in options)


def _fewest(options: Sequence[Option]) -> dict[str, tuple[float, float]]:
    """Class name -> joules at the wall that the prompt and the decode of a request take at any option at least."""
    found = dict[str, tuple[float, float]]()
    for each in options:
        assert each.phases_j is not None, "asked of options with their least work"
        for name, (prompt_j, decode_j) in each.phases_j().items():
            before = found.get(name, (np.inf, np.inf))
            found[name] = min(before[0], each.wall_ratio * prompt_j), min(before[1], each.wall_ratio * decode_j)
    return found


def _own(option: Option, fewest: Once) -> dict[str, tuple[float, float]]:
    """Class name -> of those joules what an option counts: of the phase that it is for."""
    role, ratio, found = option.spec.role, option.wall_ratio, fewest()
    return {
        name: (
            0.0 if role is Role.DECODE else found[name][0] / ratio,
            0.0 if role is Role.PREFILL else found[name][1] / ratio,
        )
        for name in option.envelopes
    }  # fmt: skip


def idle_floor(option: Option, physics: InstancePhysics) -> Option:
    """An option whose machines draw no more than without work."""
    per_machine = physics.instances_per_machine / physics.machines_per_instance
    return replace(option, floor_w=min(option.floor_w, physics.power.standby_w * per_machine))


def _bends(physics: InstancePhysics, terms: WattTerms) -> list[int]:
    """Batches and tokens at which watts may bend where step times do not.

    At batches whose watts were measured; where every expert begins to compute more than a tile; and between knots where
    clocks are held down; and where every stage has as many requests.
    """
    profile, bends = physics.step.profile, list(physics.power.measured_batches)
    if terms.hit_ratio:
        bends.append(round(terms.tile_tokens / terms.hit_ratio))
    if terms.full_clock is not physics.step or terms.most_w < terms.room_w:
        for knots in (profile.tokens, profile.batch):
            bends += np.sqrt(knots[1:] * knots[:-1]).astype(int).tolist()
    if terms.lanes > 1:
        bends += (-(-profile.batch // terms.lanes) * terms.lanes).tolist()
    return sorted(set(bends))


def _knots(knots: Ints, least: int, most: int) -> list[int]:
    """Those between, and both ends."""
    return sorted({least, *knots[(least < knots) & (knots < most)].tolist(), max(least, most)})


def _bowed(knots: Sequence[int], rows: Sequence[Sequence[float]]) -> list[int]:
    """Both ends, and those knots without which the line between others lies above some row by more than ``BOW_FRAC``.

    Joules are hardly less than those of seconds on such lines, which take least at their ends.
    """
    kept, table = [0, len(knots) - 1], np.array(rows)
    while True:
        lines = np.array([np.interp(knots, [knots[k] for k in kept], row[kept]) for row in table])
        above = (lines / table - 1.0).max(axis=0)
        worst = int(np.argmax(above))
        if above[worst] <= BOW_FRAC:
            return [knots[k] for k in kept]
        kept = sorted({*kept, worst})


def _below(knots: Sequence[int], values: Sequence[Floats], at: Floats) -> Floats:
    """(steps,) what means of knots that are ``at`` on average take at least: the lower hull of the values.

    Args:
        knots: ascending.
        values: (steps,) at each knot.
        at: (steps,) between the first and the last; what is beyond counts as these.
    """
    at = np.clip(at, knots[0], knots[-1])
    least = np.full(len(at), np.inf)
    for i, low in enumerate(knots):
        for j in range(i, len(knots)):
            inside = (low <= at) & (at <= knots[j])
            part = (at - low) / max(1, knots[j] - low)
            found = values[i] + (values[j] - values[i]) * part
            least = np.where(inside, np.minimum(least, found), least)
    return least


def _packed_s(chunk: tuple[Ints, Ints], steps: Steps, contexts: Sequence[float], step: StepTime) -> Floats:
    """(contexts, steps) seconds of steps that are filled with chunks."""
    return step.packed_s(chunk, steps.tokens, steps.batch, contexts)


def _below_at(knots: Sequence[int], values: Floats, at: float) -> Floats:
    """(steps,) ``_below`` where means are the same in all steps.

    Args:
        knots: ascending.
        values: (knots, steps).
        at: the mean.
    """
    at = min(max(at, float(knots[0])), float(knots[-1]))
    least = np.full(values.shape[1], np.inf)
    for i, low in enumerate(knots):
        for j in range(i, len(knots)):
            if low <= at <= knots[j]:
                part = (at - low) / max(1, knots[j] - low)
                least = np.minimum(least, values[i] + (values[j] - values[i]) * part)
    return least


def _above_w(
    terms: WattTerms, tokens: Ints, pairs: Floats, kv_tokens: Floats, outputs: Ints, whole_s: Floats
) -> Floats:
    """(steps,) watts above idle as ``WattTerms`` has them."""
    flops, read = terms.token_flops * tokens + terms.pair_flops * pairs, terms.weight_bytes + terms.kv_bytes * kv_tokens
    if terms.hit_ratio:
        touched = 1.0 - (1.0 - terms.hit_ratio) ** tokens
        flops = flops + terms.expert_flops * np.maximum(tokens * terms.hit_ratio, touched * terms.tile_tokens)
        read = read + terms.expert_bytes * touched
    above = terms.base_w + terms.compute_w * np.sqrt(flops / whole_s) + terms.bandwidth_w * read / whole_s
    above = above + terms.output_w * np.sqrt(outputs / whole_s)
    at = np.minimum(above / terms.room_w * PER_SHARE, SHARE_KNOTS - 1.0)
    clocked = np.interp(at, np.arange(SHARE_KNOTS), terms.clocked_ratio)
    above = np.minimum(terms.room_w, above)
    other = np.minimum(above, terms.memory_w * np.sqrt(read / whole_s))
    return np.asarray(terms.gpus * np.minimum(terms.most_w, other + (above - other) * clocked))
