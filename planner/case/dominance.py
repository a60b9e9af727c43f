"""Dominance: options that are worse than another at everything need not be offered."""

from collections.abc import Sequence

from planner.envelope import Option
from planner.evidence import Excuse

DOMINANCE_RATIO = 1.05
"""An option goes where another on the same GPUs takes this much less time for every class: claims are no better."""


def undominated(options: Sequence[Option]) -> tuple[list[Option], tuple[Excuse, ...]]:
    """Options that differ in a knob alone, without those that another beats at everything.

    Args:
        options: on the same machine, in the same layout and role.

    Returns:
        Those worth offering, and an excuse for each of the others.
    """
    kept: list[Option] = []
    excuses: list[Excuse] = []
    for one in options:
        better = next((o for o in options if o is not one and _dominates(o, one)), None)
        if better is None:
            kept.append(one)
        else:
            words = f"{better.spec.name} serves the same for less of its time and memory"
            excuses.append(Excuse(option=one.spec.name, reason=words, bottleneck="dominated"))
    return kept, tuple(excuses)


def _dominates(one: Option, other: Option) -> bool:
    """Whether an option serves all that another does, each for clearly less time.

    It may hold more memory meanwhile, as long as its time runs out first.
    """
    for name, theirs in other.envelopes.items():
        mine = one.envelopes.get(name)
        if mine is None:
            return False
        busy_s, held_s = mine.prefill_s + mine.decode_s, mine.kv_tokens_s / one.kv_tokens
        if busy_s * DOMINANCE_RATIO > theirs.prefill_s + theirs.decode_s:
            return False
        if held_s > max(theirs.kv_tokens_s / other.kv_tokens, busy_s):
            return False
    return True
