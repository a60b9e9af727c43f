"""Growth: a trace at another rate. Requests are added near the time of those observed, never pressed together."""

from dataclasses import replace
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workloads.arrivals import Floats
from workloads.errors import WorkloadError
from workloads.traces import Trace

Growth = Literal["shared", "independent"]
"""Whether what is added keeps the trace's busy minutes (``shared``) or has some of its own (``independent``)."""

JITTER_S = 5.0
"""How far an added request lies from the one it copies: a service that grows keeps its minutes, not its microseconds.

Blocks of ten seconds reproduce the gaps and the peak minutes of the public Azure traces; what is shorter averages out.
"""


def grown(
    trace: Trace, factor: float, seed: int, *, growth: Growth = "shared", window_s: tuple[float, float] | None = None
) -> Trace:
    """The trace at ``factor`` times its rate, every request with its own prompt and output, at about its own time.

    Each request stays where it is and comes ``factor`` times in all, the fraction by chance. Its copies lie within
    ``JITTER_S`` of it under shared growth. Under independent growth the copies of each round of copying are turned
    together by one random time, as the load of another service of the same kind. Below 1 requests are left out by
    chance. With one seed, the requests at a lower factor are among those at a higher one.

    Args:
        trace: what was observed, read as a circle.
        factor: > 0.
        seed: another one gives another thickening.
        growth: whether all copies share the trace's busy minutes.
        window_s: begin and end of what is wanted, in seconds from the start of the trace; may go round the circle any
            number of times. None: once, from its start.

    Returns:
        A trace of that window, from 0.

    Raises:
        WorkloadError: the factor or the window is not above 0, or no request is in it.
    """
    begin_s, end_s = window_s or (0.0, trace.duration_s)
    if not 0 < factor < np.inf or not 0 <= begin_s < end_s < np.inf:
        raise WorkloadError(
            f"{trace.name}: grown {factor:g} times from {begin_s:g} s to {end_s:g} s, expected a finite factor above 0 "
            "and an end after the beginning"
        )
    rounds = range(int(begin_s // trace.duration_s), ceil(end_s / trace.duration_s))
    parts = [_round(trace, factor, (seed, number), growth, (begin_s, end_s)) for number in rounds]
    at_s, rows, copies = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not len(rows):
        raise WorkloadError(
            f"{trace.name}: no request from {begin_s:g} s to {end_s:g} s at {factor:g} times its rate, expected a "
            "longer window or a higher rate"
        )
    order = np.argsort(at_s, kind="stable")
    found = picked(trace, rows[order], copies[order])
    return replace(found, arrival_s=at_s[order] - begin_s, duration_s=end_s - begin_s)


def picked(trace: Trace, rows: NDArray[np.int64], copies: NDArray[np.int64] | int = 0) -> Trace:
    """The requests of these rows in their order, with every column; their arrival times are those of the rows.

    Args:
        trace: any.
        rows: of it.
        copies: which copy of the trace each is of; copies share no prefixes.
    """
    cached = trace.cached_tokens
    return replace(
        trace, arrival_s=trace.arrival_s[rows], prompt_tokens=trace.prompt_tokens[rows],
        output_tokens=trace.output_tokens[rows], class_index=trace.class_index[rows],
        cached_tokens=None if cached is None else cached[rows],
        prefixes=trace.prefixes and trace.prefixes.picked(rows, copies),
    )  # fmt: skip


def _round(
    trace: Trace, factor: float, seed: tuple[int, int], growth: Growth, window_s: tuple[float, float]
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Times, rows and copies of the requests of one turn of the circle that lie in a window."""
    turn_s, begin_s = trace.duration_s, seed[1] * trace.duration_s
    chance = np.random.default_rng([*seed, 0]).random(len(trace))
    times, rows, copies = list[Floats](), list[NDArray[np.int64]](), list[NDArray[np.int64]]()
    for copy in range(ceil(factor)):
        rng = np.random.default_rng([*seed, 1, copy])
        at_s = trace.arrival_s
        if copy and growth == "shared":
            at_s = (at_s + rng.uniform(-JITTER_S, JITTER_S, len(trace))) % turn_s
        elif copy:
            at_s = (at_s + np.random.default_rng([seed[0], 2, copy]).uniform(0.0, turn_s)) % turn_s
        at_s = at_s + begin_s
        kept = (at_s >= window_s[0]) & (at_s < window_s[1])
        if factor < copy + 1:
            kept &= chance < factor - copy
        times.append(at_s[kept])
        rows.append(np.flatnonzero(kept))
        copies.append(np.full(len(rows[-1]), seed[1] * ceil(factor) + copy))
    return np.concatenate(times), np.concatenate(rows), np.concatenate(copies)
