"""Dominance: options that are worse than another at everything need not be offered."""

from collections.abc import Collection, Sequence
from math import isclose

from planner.capacity.envelope import Envelope, Option
from planner.results.evidence import Excuse

DOMINANCE_RATIO = 1.05
"""An option goes where another on the same GPUs takes this much less time for every class: claims are no better."""

ROOMY_FRAC = 0.5
"""Share of a latency limit that leaves queues as much again: below it a faster idle instance is no advantage."""

TIE_FRAC = 1e-9
"""Claims that differ by no more are the same: what is left between them is rounding."""


def undominated(
    options: Sequence[Option], late: Collection[str] = ()
) -> tuple[list[Option], tuple[Excuse, ...]]:  # fmt: skip
    """Options that differ in a knob alone, without those that another beats at everything.

    Of options with the same claims the one with the largest chunk stays: it makes the fewest steps.

    Args:
        options: on the same machine, in the same layout and role.
        late: names of those whose longest step is longer than a token may take; they beat none that keeps it.

    Returns:
        Those worth offering, and an excuse for each of the others.
    """
    kept: list[Option] = []
    excuses: list[Excuse] = []
    for one in options:
        rivals = (o for o in options if o is not one and (o.spec.name not in late or one.spec.name in late))
        better = next((o for o in rivals if _dominates(o, one) or _equals(o, one)), None)
        if better is None:
            kept.append(one)
        else:
            how = "in fewer steps" if _equals(better, one) else "for less of its time and memory"
            words = f"{better.spec.name} serves the same {how}"
            excuses.append(Excuse(option=one.spec.name, reason=words, bottleneck="dominated"))
    return kept, tuple(excuses)


def _dominates(one: Option, other: Option) -> bool:
    """Whether an option serves all that another does, each for clearly less time.

    It may hold more memory meanwhile, as long as its time runs out first. Where a limit on latency leaves it little
    room it must be as quick without load: what is cheap but late is no substitute.
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
        if any(a > max(ROOMY_FRAC, b) for a, b in zip(mine.idle_frac, theirs.idle_frac, strict=True)):
            return False
    return True


def _equals(one: Option, other: Option) -> bool:
    """Whether an option with larger chunks claims what another does, class by class."""
    if (one.spec.chunk_tokens or 0) <= (other.spec.chunk_tokens or 0) or set(one.envelopes) != set(other.envelopes):
        return False
    return all(
        isclose(mine, theirs, rel_tol=TIE_FRAC)
        for name, claimed in other.envelopes.items()
        for mine, theirs in zip(_claims(one, one.envelopes[name]), _claims(other, claimed), strict=True)
    )


def _claims(option: Option, envelope: Envelope) -> tuple[float, float]:
    """Shares of the time and of the memory of an instance that a request a second takes."""
    return envelope.prefill_s + envelope.decode_s, envelope.kv_tokens_s / option.kv_tokens
