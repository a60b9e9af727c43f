"""Sessions of several turns, as AIPerf writes them: when their turns arrive, and what they hold of those before.

A turn states what it adds. Its prompt is the whole conversation: all that was added, and the answers before. The next
turn comes ``delay`` after the answer before has ended. Source: ai-dynamo/aiperf, docs/reference/
conversation-context-mode.md (``deltas_without_responses``, which sessions of lengths are) and aiperf/dataset/loader/
mooncake_trace.py at db4f639 (``session_id``, ``timestamp`` and ``delay`` in milliseconds).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from workloads.trace_formats import UNITS
from workloads.traces import MOST_TOKENS

ANSWER_S_PER_TOKEN = 0.02
"""How long an answer takes before the user goes on, where nothing is stated. Assumed: 50 tokens a second."""

BLOCK_TOKENS = 64
"""Of the blocks by which a prompt's prefix is told; what is left at its end is not found again."""

_SESSION_BLOCKS = 1 << 40
"""Numbers that the blocks of one session have to themselves."""

Item = Mapping[str, Any]


def flat(items: Sequence[Item]) -> tuple[list[Item], list[int]]:
    """One item for each turn, where sessions hold a list of turns; and which item of the file each came from."""
    made: list[Item] = []
    source: list[int] = []
    for at, item in enumerate(items):
        turns = item.get("turns")
        if isinstance(turns, list):
            apart = {"session_id": item.get("session_id", f"item {at}")}
            made += [{**apart, **turn} if isinstance(turn, Mapping) else {} for turn in turns]
            source += [at] * len(turns)
        else:
            made.append(item)
            source.append(at)
    return made, source


def are_sessions(items: Sequence[Item]) -> bool:
    """Whether some turns arrive when the answer before them has ended."""
    return any("delay" in item and item.get("timestamp") is None for item in items)


@dataclass(slots=True)
class _Session:
    """How far a session has come."""

    first_block: int
    ends_s: float | None = None
    context_tokens: int = 0
    broken: bool = False


def sessions_at(items: Sequence[Item], *, unit: str, answer_s_per_token: float) -> list[Item]:
    """The turns as requests: arrivals, whole prompts and the blocks these share with the turn before.

    Args:
        items: turns, those of a session in order; one without ``session_id`` is a session by itself.
        unit: of ``timestamp`` and ``delay``.
        answer_s_per_token: what an answer takes, s for each of its tokens.

    Returns:
        The same number of items. What is wrong in a turn stays as it is, and the turns after it are empty: when they
        arrive and what they hold is not known.
    """
    tick_s, made = UNITS[unit], list[Item]()
    known: dict[object, _Session] = {}
    for at, item in enumerate(items):
        if not item:
            made.append(item)
            continue
        session = known.setdefault(_name(item, at), _Session(first_block=len(known) * _SESSION_BLOCKS))
        made.append({} if session.broken else _turn(session, item, tick_s, answer_s_per_token))
    return made


def _turn(session: _Session, item: Item, tick_s: float, answer_s_per_token: float) -> Item:
    """One turn as a request, the session moved on past its answer."""
    added, answer = _whole(item.get("input_length")), _whole(item.get("output_length"))
    stated, delay = _number(item.get("timestamp")), _number(item.get("delay", 0))
    arrival = stated
    if arrival is None and session.ends_s is not None and delay is not None and delay >= 0:
        arrival = session.ends_s / tick_s + delay
    if added is None or answer is None or arrival is None or not isfinite(arrival * tick_s):
        session.broken = True
        return {**item, "timestamp": arrival}
    prompt = session.context_tokens + added
    session.context_tokens = prompt + answer
    session.ends_s = arrival * tick_s + answer * answer_s_per_token
    first = session.first_block
    whole = round(arrival) if tick_s < 1 and stated is None else arrival
    return {
        **item, "timestamp": whole, "input_length": prompt, "hash_ids": range(first, first + prompt // BLOCK_TOKENS)
    }  # fmt: skip


def _number(value: object) -> float | None:
    """A finite number, or None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None


def _whole(value: object) -> int | None:
    """A number of tokens, or None."""
    return value if type(value) is int and 1 <= value <= MOST_TOKENS else None


def _name(item: Item, at: int) -> object:
    """Of its session; a turn without one is a session by itself."""
    name = item.get("session_id")
    return name if isinstance(name, str | int) else ("row", at)


def sessions_words(items: Sequence[Item], answer_s_per_token: float | None) -> str:
    """What was made of sessions, in words."""
    names = {_name(item, at) for at, item in enumerate(items)}
    took = ANSWER_S_PER_TOKEN if answer_s_per_token is None else answer_s_per_token
    how = "assumed" if answer_s_per_token is None else "stated"
    return (
        f"{len(items):,} turns of {len(names):,} sessions: a prompt is the whole conversation before it, and a turn "
        f"comes its delay after the answer before, taken for {took:g} s a token ({how}: workload.answer_s_per_token); "
        "a slower answer does not hold the next turn back in the simulation"
    )
