"""Order: which of the prompts that wait at an instance is computed first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from planner.perf.parallel import relative_slack_frac

STRETCH_RATIO = 4.0
"""A request that nothing is promised in seconds is due after this many times its own work (assumed)."""

ARRIVAL, SLACK = 0, 1
"""The rules by which ``rank_of`` ranks."""

ORDERS: Mapping[str, int] = {"fifo": ARRIVAL, "lars": SLACK}
"""``policy.order`` of a scenario -> its rule."""


def rank_of(rule: int, tokens: int, due_s: float, now_s: float, left_s: float, whole_s: float) -> float:  # noqa: ARG001
    """Rank of a waiting prompt: the smallest is computed first, of equals the one that arrived first.

    A function of numbers, compiled into the simulator's engine. It is not called under ``ARRIVAL``, nor for a request
    that lost its memory after its first token, which goes before all others.

    ``SLACK``: (due - now - work left) / all its work. A second is little to a long prompt and much to a short one,
    whose slack shrinks faster: chunk by chunk a short prompt passes a long one. Source: Medha (arXiv 2409.17264),
    length-aware relative slack. Under every rule a prompt in progress gives way only to one with less work left (ours):
    equal prompts are served in order of arrival, and two long ones do not alternate.

    Args:
        rule: ``SLACK``, or a rule of your own.
        tokens: of the prompt that are to be computed.
        due_s: when its first token is due; where nothing is promised, ``STRETCH_RATIO`` times its work after arrival.
        now_s: the time.
        left_s: seconds of its work that are left, alone.
        whole_s: seconds of all its work.
    """
    return relative_slack_frac(due_s, now_s, left_s, whole_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """In which order an instance computes the prompts that wait.

    Attributes:
        rule: of ``rank_of``.
        limits_s: class name -> seconds from arrival in which a first token is promised; "" speaks of all others.
        priorities: class name -> priority, any whole number; an unnamed class has 0. At an instance the larger goes
            first: to be computed, prompts in progress included, and to get memory where KV caches arrive. What runs
            keeps its memory; where that runs short the smaller loses it first. Requests of equal priority go by rule.

    Raises:
        ValueError: ``ORDERS`` names no such rule.
    """

    rule: int = ARRIVAL
    limits_s: Mapping[str, float] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a rule that no order has: ``rank_of`` would rank by another."""
        if self.rule not in ORDERS.values():
            raise ValueError(f"order: rule {self.rule}, expected one of {sorted(ORDERS.values())}")

    @property
    def moves(self) -> bool:
        """Whether the order of two prompts may change while they wait."""
        return self.rule != ARRIVAL

    def priority(self, class_name: str) -> int:
        """Whose requests go first: the larger, the sooner."""
        return self.priorities.get(class_name, 0)

    def in_tiers(self, class_names: Iterable[str]) -> bool:
        """Whether any two of these classes differ in priority."""
        return len({self.priority(name) for name in class_names}) > 1

    def limit_s(self, class_name: str) -> float:
        """Seconds from arrival in which the first token of a request of a class is due; endless without a promise."""
        return self.limits_s.get(class_name, self.limits_s.get("", inf))
