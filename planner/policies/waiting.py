"""Waiting: in which order the prompts at an instance are computed, request by request, as ``Order`` says."""

from collections.abc import Sequence
from itertools import takewhile
from math import inf, isinf
from typing import Protocol, TypeVar

from planner.policies.base import RequestView, StepPredictor
from planner.policies.dealing import enough_prompts, prompts_at_once
from planner.policies.order import STRETCH_RATIO, Order, rank_of


class Prompt(RequestView, Protocol):
    """What the order of waiting prompts goes by."""

    @property
    def index(self) -> int:
        """Its place by arrival."""

    @property
    def priority(self) -> int:
        """The larger goes first."""


P = TypeVar("P", bound=Prompt)


class Holding(Protocol):
    """What of an instance says how long prompts are held that it could compute."""

    @property
    def ranks(self) -> int:
        """Of attention."""

    @property
    def hold_steps(self) -> int:
        """Most decode steps that prompts are held until every rank has one."""

    @property
    def ahead_steps(self) -> int:
        """Steps that are planned before the one in progress has ended."""


def due(
    waiting: Sequence[P], at: Holding, *, batch: int, waited_steps: int, planned_s: float | None, max_tokens: int
) -> Sequence[P]:
    """The waiting prompts, from the first on, that the next step may take.

    Args:
        waiting: in their order.
        at: the instance.
        batch: requests that decode; where none does, nothing is held and nothing was planned.
        waited_steps: decode steps since the last prompt was computed; they count while none waits, too.
        planned_s: when the step was planned if steps are planned ahead; None where the instance was idle.
        max_tokens: of the prompts of one rank in a step.
    """
    if waiting and at.hold_steps and batch >= at.ranks:
        over = waited_steps and waited_steps % at.hold_steps == 0
        if not over and len(waiting) < enough_prompts(at.ranks):
            return []
        waiting = waiting[: prompts_at_once(len(waiting), at.ranks, max(1, max_tokens // waiting[0].prefill_tokens))]
    if not batch or not at.ahead_steps or planned_s is None:
        return waiting
    return list(takewhile(lambda one: one.arrival_s < planned_s, waiting))


class Queue:
    """The prompts that wait at one kind of instance.

    Attributes:
        order: which is computed first.
        step: how long a step takes.
        chunk_tokens: most tokens in one step; None computes whole prompts.
    """

    def __init__(self, order: Order, step: StepPredictor, chunk_tokens: int | None) -> None:
        """No prompt's work is known yet."""
        self.order, self.step, self.chunk_tokens = order, step, chunk_tokens
        self._alone_s = dict[int, float]()

    def arranged(self, waiting: Sequence[P], now_s: float) -> list[P]:
        """Prompts by priority, of equal ones those computed in part first, then the others as they stand.

        Where the order moves, those in part go by the work that they have left and the others by rank; one of the
        others passes one in part that has more left, if it would else rank before that too late: after two of its
        steps, as one may be lost waiting and another shared.
        """
        in_part = [one for one in waiting if one.held_tokens]
        others = [one for one in waiting if not one.held_tokens]
        if not self.order.moves:
            in_part.sort(key=lambda one: one.index)
            return sorted(in_part + others, key=lambda one: -one.priority)
        in_part.sort(key=lambda one: (-one.priority, self._left_s(one), one.index))
        others.sort(key=lambda one: (-one.priority, self._rank(one, now_s), one.index))
        found = list[P]()
        for one in in_part:
            while others and self._passes(others[0], one, now_s):
                found.append(others.pop(0))
            found.append(one)
        return found + others

    def _passes(self, other: Prompt, in_part: Prompt, now_s: float) -> bool:
        if other.priority != in_part.priority:
            return other.priority > in_part.priority
        left_tokens = in_part.prefill_tokens - in_part.cached_tokens
        step_s = self.step.prefill_s([(min(left_tokens, self.chunk_tokens or left_tokens), in_part.cached_tokens)])
        sooner = self._rank(other, now_s + 2 * step_s) < self._rank(in_part, now_s)
        return sooner and self._left_s(other) < self._left_s(in_part)

    def _rank(self, one: Prompt, now_s: float) -> float:
        """Rank by the order's rule; a prompt that had its first token goes before all others."""
        if one.prefill_tokens > one.prompt_tokens:
            return -inf
        whole_s = self._until_s(one.prefill_tokens)
        due_s = one.arrival_s + STRETCH_RATIO * whole_s if isinf(one.due_s) else one.due_s
        return rank_of(self.order.rule, one.prefill_tokens, due_s, now_s, self._left_s(one), whole_s)

    def _left_s(self, one: Prompt) -> float:
        """Seconds of work left, alone."""
        if self.chunk_tokens is None and one.cached_tokens:
            return self.step.prefill_s([(one.prefill_tokens - one.cached_tokens, one.cached_tokens)])
        return max(0.0, self._until_s(one.prefill_tokens) - self._until_s(one.cached_tokens))

    def _until_s(self, tokens: int) -> float:
        """Seconds until the first tokens of a prompt are computed, alone, chunk by chunk."""
        if tokens not in self._alone_s:
            size = self.chunk_tokens or max(1, tokens)
            whole_s = 0.0
            for past in range(0, tokens, size):  # one by one: sum() of newer Pythons compensates rounding
                whole_s += self.step.prefill_s([(min(size, tokens - past), past)])
            self._alone_s[tokens] = whole_s
        return self._alone_s[tokens]
