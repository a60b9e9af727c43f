"""Order: which of the prompts that wait at an instance is computed first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

from planner.perf.parallel import relative_slack_frac
from planner.policies.base import Order, RequestView, StepPredictor

STRETCH_RATIO = 4.0
"""A request that nothing is promised in seconds is due after this many times its own work (assumed)."""

ARRIVAL, SLACK = 0, 1
"""The rules by which ``rank_of`` ranks."""


def rank_of(rule: int, tokens: int, due_s: float, now_s: float, left_s: float, whole_s: float) -> float:  # noqa: ARG001
    """Where a waiting prompt stands: the smallest is computed first, of equals the one that came first.

    A function of numbers, compiled into the simulator's engine. It is not asked under ``ARRIVAL``.

    Args:
        rule: ``SLACK``, or a rule of your own.
        tokens: of the prompt that are to be computed.
        due_s: when its first token is due.
        now_s: the time.
        left_s: seconds of its work that are left, alone.
        whole_s: seconds of all its work.
    """
    return relative_slack_frac(due_s, now_s, left_s, whole_s)


@dataclass(frozen=True, slots=True)
class Fifo:
    """First come, first served."""

    moves: bool = False

    @property
    def rule(self) -> int:
        """By arrival."""
        return ARRIVAL

    def at(self, chunk_tokens: int | None, step: StepPredictor) -> Order:  # noqa: ARG002  the protocol's shape
        """The same everywhere."""
        return self

    def limit_s(self, class_name: str) -> float:  # noqa: ARG002
        """Nothing is due."""
        return inf

    def rank(self, view: RequestView, now_s: float) -> float:  # noqa: ARG002
        """By arrival."""
        return view.arrival_s

    def left_s(self, view: RequestView) -> float:  # noqa: ARG002
        """Of no interest."""
        return 0.0

    def step_s(self, view: RequestView) -> float:  # noqa: ARG002
        """Of no interest."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeSlack:
    """The prompt that can wait least for its own work goes first; chunk by chunk a short one passes a long one.

    slack = (due - now - work left) / all its work

    A second is little to a long prompt and much to a short one, whose slack shrinks faster. A prompt
    that is being computed gives way only to one with less work left: equal ones are served in order of arrival, and two
    long ones do not alternate. A request that lost its memory after its first token goes before all others.

    Source: Medha (arXiv 2409.17264), length-aware relative slack; the exception for started prompts is ours.

    Attributes:
        limits_s: class name -> seconds from arrival in which a first token is promised; "" speaks of all others.
    """

    limits_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def rule(self) -> int:
        """By relative slack."""
        return SLACK

    @property
    def moves(self) -> bool:
        """The order of two prompts may change while they wait."""
        return True

    def limit_s(self, class_name: str) -> float:
        """What is promised to a class; no end where nothing is."""
        return self.limits_s.get(class_name, self.limits_s.get("", inf))

    def at(self, chunk_tokens: int | None, step: StepPredictor) -> Order:
        """With the work of prompts as this kind of instance computes them."""
        return RelativeSlackAt(limits_s=self.limits_s, work=Work(chunk_tokens, step))

    def rank(self, view: RequestView, now_s: float) -> float:
        """Where nothing is known of the work: the time until it is due."""
        return view.due_s - now_s

    def left_s(self, view: RequestView) -> float:  # noqa: ARG002
        """Unknown."""
        return 0.0

    def step_s(self, view: RequestView) -> float:  # noqa: ARG002
        """Unknown."""
        return 0.0


class Work:
    """Seconds that prompts take alone, chunk by chunk, predicted."""

    __slots__ = ("_chunk_tokens", "_ends_s", "_step", "_whole_s")

    def __init__(self, chunk_tokens: int | None, step: StepPredictor) -> None:
        """Nothing predicted yet.

        Args:
            chunk_tokens: of each chunk; None computes whole prompts.
            step: how long steps take.
        """
        self._chunk_tokens, self._step = chunk_tokens, step
        self._ends_s = [0.0]
        self._whole_s: dict[int, float] = {}

    def whole_s(self, tokens: int) -> float:
        """A prompt from its first token to its last."""
        found = self._whole_s.get(tokens)
        if found is None:
            found = self._whole_s[tokens] = self._until_s(tokens)
        return found

    def left_s(self, tokens: int, done_tokens: int) -> float:
        """What is left of a prompt of which the leading tokens are computed."""
        if not done_tokens:
            return self.whole_s(tokens)
        if self._chunk_tokens is None:
            return self._step.prefill_s([(tokens - done_tokens, done_tokens)])
        return max(0.0, self.whole_s(tokens) - self._until_s(done_tokens))

    def step_s(self, tokens: int, done_tokens: int) -> float:
        """The next chunk of a prompt of which the leading tokens are computed."""
        new = min(tokens - done_tokens, self._chunk_tokens or tokens)
        return self._step.prefill_s([(new, done_tokens)])

    def _until_s(self, tokens: int) -> float:
        """Seconds from the first token until so many are computed."""
        size = self._chunk_tokens
        if size is None:
            return self._step.prefill_s([(tokens, 0)])
        whole, rest = divmod(tokens, size)
        while len(self._ends_s) <= whole:
            past = (len(self._ends_s) - 1) * size
            self._ends_s.append(self._ends_s[-1] + self._step.prefill_s([(size, past)]))
        return self._ends_s[whole] + (self._step.prefill_s([(rest, whole * size)]) if rest else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeSlackAt(RelativeSlack):
    """The same at one kind of instance.

    Attributes:
        work: of prompts there.
    """

    work: Work

    def rank(self, view: RequestView, now_s: float) -> float:
        """Its relative slack; below all others where a request goes on that had its first token."""
        if view.prefill_tokens > view.prompt_tokens:
            return -inf
        whole_s = self.work.whole_s(view.prefill_tokens)
        due_s = view.due_s if isfinite(view.due_s) else view.arrival_s + STRETCH_RATIO * whole_s
        return relative_slack_frac(due_s, now_s, self.left_s(view), whole_s)

    def left_s(self, view: RequestView) -> float:
        """Predicted, alone."""
        return self.work.left_s(view.prefill_tokens, view.cached_tokens)

    def step_s(self, view: RequestView) -> float:
        """Predicted, with nothing else in the step."""
        return self.work.step_s(view.prefill_tokens, view.cached_tokens)
