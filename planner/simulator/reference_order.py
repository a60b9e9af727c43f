"""The reference: in which order the prompts of an instance wait, where that is not the order of arrival.

Written from ``docs/policies.md`` and decision 042 alone, as ``reference_instance`` is.
"""

from collections.abc import Iterable
from math import inf, isfinite
from typing import Protocol, TypeVar

from planner.perf.instance import InstancePhysics

STRETCH_RATIO = 4.0
"""A request that nothing is promised is due after so many times its own work."""


class Prompt(Protocol):
    """What is looked at of a request; the fields are those of ``reference_instance.Request``."""

    index: int
    arrival_s: float
    due_s: float
    priority: int
    prompt_tokens: int
    prefill_tokens: int
    cached_tokens: int
    held_tokens: int

    @property
    def left_tokens(self) -> int:
        """Tokens to compute before the next one comes out."""


P = TypeVar("P", bound=Prompt)


def by_priority(waiting: Iterable[P]) -> list[P]:
    """The larger priority first; equals as they stand."""
    return sorted(waiting, key=lambda one: -one.priority)


class Slack:
    """Order by relative slack, and how long the prompts of one kind of instance take alone."""

    def __init__(self, body: InstancePhysics, chunk_tokens: int | None) -> None:
        """Nothing asked yet."""
        self._body, self._chunk_tokens, self._alone_s = body, chunk_tokens, dict[int, float]()

    def arranged(self, waiting: Iterable[P], now_s: float) -> list[P]:
        """Tier by tier: started ones by work left; another passes with less left and, in two steps, less slack."""
        tiers: dict[int, list[P]] = {}
        for one in waiting:
            tiers.setdefault(one.priority, []).append(one)
        return [one for _, tier in sorted(tiers.items(), reverse=True) for one in self._tier(tier, now_s)]

    def _tier(self, waiting: list[P], now_s: float) -> list[P]:
        """The same of equal priority."""
        started = sorted((r for r in waiting if r.held_tokens), key=lambda r: (self._left_s(r), r.index))
        fresh = sorted((r for r in waiting if not r.held_tokens), key=lambda r: (self._slack(r, now_s), r.index))
        found = list[P]()
        for one in started:
            new = min(one.left_tokens, self._chunk_tokens or one.left_tokens)
            late_s = now_s + 2 * self._body.step.prefill_s([(new, one.cached_tokens)])
            slack, left_s = self._slack(one, now_s), self._left_s(one)
            while fresh and self._slack(fresh[0], late_s) < slack and self._left_s(fresh[0]) < left_s:
                found.append(fresh.pop(0))
            found.append(one)
        return found + fresh

    def _slack(self, request: Prompt, now_s: float) -> float:
        """(due - now - work left) / all work; one that had its first token has none."""
        if request.prefill_tokens > request.prompt_tokens:
            return -inf
        work_s = self._until_s(request.prefill_tokens)
        due_s = request.due_s if isfinite(request.due_s) else request.arrival_s + STRETCH_RATIO * work_s
        return (due_s - now_s - self._left_s(request)) / work_s

    def _left_s(self, request: Prompt) -> float:
        """Seconds of work left."""
        if self._chunk_tokens is None and request.cached_tokens:
            return self._body.step.prefill_s([(request.left_tokens, request.cached_tokens)])
        return max(0.0, self._until_s(request.prefill_tokens) - self._until_s(request.cached_tokens))

    def _until_s(self, tokens: int) -> float:
        """Seconds until the first tokens of a prompt are computed, alone, chunk by chunk."""
        if tokens not in self._alone_s:
            size, seconds = self._chunk_tokens or max(1, tokens), 0.0
            for past in range(0, tokens, size):
                seconds += self._body.step.prefill_s([(min(size, tokens - past), past)])
            self._alone_s[tokens] = seconds
        return self._alone_s[tokens]
