"""Lengths stated by a median and a 95th percentile have no upper end; the context of a model has one."""

from collections.abc import Sequence

import numpy as np

from workloads.counts import percent
from workloads.traces import Trace, shortened

MOST_CUT_FRAC = 0.01
"""Share of the requests of one kind above which a context that is too short is no matter of a distribution's tail."""


def end_of(kinds: Sequence[Trace], context_tokens: int | None) -> int | None:
    """Where drawn lengths end: at the model's context; None where that would change more than the tail of a kind.

    Args:
        kinds: requests of each kind by themselves.
        context_tokens: prompt and output at most; None is no end.
    """
    if context_tokens is None:
        return None
    return context_tokens if max(_longer_frac(kind, context_tokens) for kind in kinds) <= MOST_CUT_FRAC else None


def within(trace: Trace, most_tokens: int | None) -> Trace:
    """A trace whose requests end where drawn lengths do."""
    return trace if most_tokens is None else shortened(trace, most_tokens)


def end_words(kinds: Sequence[Trace], drawn: Sequence[Trace], most_tokens: int | None) -> tuple[str, ...]:
    """That requests were shortened, and how many; nothing where none was.

    Args:
        kinds: requests of each kind as they are stated.
        drawn: the longest that will be simulated.
        most_tokens: where they end.
    """
    if most_tokens is None or not any(int((t.prompt_tokens + t.output_tokens).max()) >= most_tokens for t in drawn):
        return ()
    share = max(_longer_frac(kind, most_tokens) for kind in kinds)
    words = percent(share) if share > 0 else f"less than {100 / max(len(kind) for kind in kinds):.2f} %"
    return (
        f"{words} of the requests that the stated lengths draw are longer than the model's context of {most_tokens:,} "
        "tokens, and are drawn as long as that; policy.longer_context takes them as they are",
    )


def _longer_frac(trace: Trace, most_tokens: int) -> float:
    return float(np.mean(trace.prompt_tokens + trace.output_tokens > most_tokens)) if len(trace) else 0.0
