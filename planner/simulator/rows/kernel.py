"""A row, tick after tick until its manager has to look: the inner loop, compiled where Numba is installed.

Without Numba the same functions run as they stand, some hundred times slower.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from planner.simulator.rows.state import (
    BUCKET_TOKENS,
    GOLDEN,
    LATENCY_BIN_RATIO,
    LATENCY_BINS,
    LATENCY_MIN_S,
    QUEUE,
    Books,
    Counts,
    Crew,
    Floats,
    Ints,
    Records,
)

try:
    from numba import njit

    from planner.simulator.core.cache import cached
except ImportError:  # pragma: no cover

    def njit(function: Callable[..., Any] | None = None, **_: bool) -> Callable[..., Any]:
        """Not compiled."""
        return function or njit

    def cached(compiled: Any) -> Any:  # noqa: ANN401 - as core.cache has it
        """Nothing to keep."""
        return compiled


compiled: Callable[..., Any] = njit
nogil: Callable[..., Any] = njit(nogil=True)

EPS_S = 1e-9


@compiled
def _close(me: Records, at_s: float, measured: bool) -> None:
    """Let go of those who leave at the next bucket of an instance."""
    me.bucket += 1
    slot = me.bucket & (me.ring - 1)
    ended = me.ends[slot]
    if ended:
        seen_s = max(at_s - me.ends_came_s[slot] / ended, LATENCY_MIN_S)
        if measured:
            place = int(np.log(seen_s / LATENCY_MIN_S) / np.log(LATENCY_BIN_RATIO))
            me.bins[min(place, LATENCY_BINS - 1)] += ended
        me.finished += ended
        me.running -= ended
        me.anchor -= me.ends_anchor[slot]
        me.ends[slot] = 0
        me.ends_came_s[slot] = 0.0
        me.ends_anchor[slot] = 0.0


@compiled
def _begin(me: Records, kind: Records, at_s: float) -> bool:
    """Begin the prompt at the head of a queue, if it has come and its KV finds room beside the batch's."""
    if me.started >= me.arrived or me.came_s[me.started & (QUEUE - 1)] > at_s + EPS_S:
        return False
    sample = (me.started + me.offset) % kind.samples
    need = kind.prompt[sample] + me.anchor + me.running * me.turn
    reserve = kind.block * (me.running + 1)  # one block for every running request
    if me.running and (need + reserve > kind.kv or me.running >= kind.most):
        return False
    me.sample = sample
    me.left_s = kind.work_s[sample]
    me.working = 1
    me.started += 1
    return True


@compiled
def _join(me: Records, kind: Records, at_s: float, measured: bool) -> None:
    """A prompt is computed: each decoding request advances by the token that rode along, and the newcomer joins."""
    me.working = 0
    if me.running:
        me.turn += 1
    while me.turn >= (me.bucket + 1) * BUCKET_TOKENS:
        _close(me, at_s, measured)
    output = kind.output[me.sample]
    anchor = kind.prompt[me.sample] - me.turn
    end = max(int(np.rint((me.turn + output - 1) / BUCKET_TOKENS)), me.bucket + 1)
    slot = end & (me.ring - 1)
    me.ends[slot] += 1
    me.ends_came_s[slot] += me.came_s[(me.started - 1) & (QUEUE - 1)]
    me.ends_anchor[slot] += anchor
    me.anchor += anchor
    me.running += 1
    if output <= 1 and me.running == 1:  # its first token was its last, and no other request waits for the bucket's end
        me.turn = (me.bucket + 1) * BUCKET_TOKENS
        _close(me, at_s, measured)


@compiled
def _decode(me: Records, kind: Records, clock: int, at_s: float, until_s: float, measured: bool) -> float:
    """Advance a batch until a request may leave, or until ``until_s``; when that is."""
    n = min(me.running, kind.most)
    context = me.anchor / n + me.turn
    slow = kind.decode_slow[clock, n]
    more = (until_s - at_s) / ((kind.base_s[n] + kind.token_s[n] * context) * slow)
    step_s = (kind.base_s[n] + kind.token_s[n] * (context + more / 2)) * slow  # that of the middle of the stretch
    reached = me.turn + (until_s - at_s) / step_s
    edge = (me.bucket + 1) * BUCKET_TOKENS
    while edge <= reached and not me.ends[(me.bucket + 1) & (me.ring - 1)]:  # no request leaves at this one
        me.bucket += 1
        edge += BUCKET_TOKENS
    if edge <= reached:
        edge_s: float = min(until_s, at_s + (edge - me.turn) * step_s)
        me.turn = edge
        _close(me, edge_s, measured)
        return edge_s
    me.turn = reached
    return until_s


@compiled
def _advance_one(me: Records, kind: Records, clock: int, now_s: float, end_s: float, measured: bool) -> float:
    """One instance through one tick; the joules it drew."""
    at_s, energy_j = now_s, 0.0
    while at_s < end_s - EPS_S:
        if me.working or _begin(me, kind, at_s):
            slow = kind.prefill_slow[clock]
            spent_s = min(me.left_s * slow, end_s - at_s)
            energy_j += spent_s * kind.prefill_w[clock, me.sample]
            me.left_s -= spent_s / slow
            at_s += spent_s
            if me.left_s <= EPS_S:
                _join(me, kind, at_s, measured)
            continue
        until_s = end_s
        if me.started < me.arrived:
            came_s = me.came_s[me.started & (QUEUE - 1)]
            if at_s < came_s < end_s:
                until_s = came_s
        before_s, watts = at_s, kind.decode_w[clock, min(me.running, kind.most)]
        at_s = _decode(me, kind, clock, at_s, until_s, measured) if me.running else until_s
        energy_j += (at_s - before_s) * watts
    return energy_j


@compiled
def _tick(
    now_s: float, tick_s: float, arrivals: Counts, clock: Ints, crew: Crew, machine_w: Floats, measured: bool
) -> float:
    """All instances through one tick; the row's mean watts, and those of each machine added to ``machine_w``."""
    row_w = 0.0
    for i in range(len(clock)):
        me = crew.instances[i]
        for _ in range(arrivals[i]):
            share = (me.arrived + me.offset) * GOLDEN
            me.came_s[me.arrived & (QUEUE - 1)] = now_s + tick_s * (share - np.floor(share))
            me.arrived += 1
        watts = _advance_one(me, crew.kinds[me.kind], clock[i], now_s, now_s + tick_s, measured) / tick_s
        row_w += watts
        machine_w[crew.machine_of[i]] += watts
    return row_w


@compiled
def _note(index: int, machine_w: Floats, books: Books) -> None:
    """Keep what is asked for of single machines."""
    together, part = 0.0, books.now[0].part
    for machine in range(len(books.peak_w)):
        together += machine_w[machine]
        books.peak_w[machine] = max(books.peak_w[machine], together)
        if len(books.kept_w):
            books.kept_w[index, machine] = machine_w[machine]
        if machine + 1 == part:
            books.part_w[index] = together


@compiled
def _called(index: int, end_s: float, row_w: Floats, now: Records) -> bool:
    """Whether the manager has to look at a reading that is due at the end of a tick."""
    if not now.managed or end_s % now.interval_s >= 1e-9 * max(1.0, end_s) + 1e-6:
        return False
    last = index + 1 - now.late_ticks
    first = max(0, last - now.span_ticks)
    if last <= first:
        return False
    now.seen_frac = row_w[first:last].max() / now.limit_w
    called: bool = now.seen_frac < now.low_frac or now.seen_frac > now.high_frac or now.look != 0
    return called


@nogil
def advance(
    begin: int, end: int, tick_s: float, measured_from: int, arrivals: Counts, clock: Ints, crew: Crew, books: Books
) -> int:
    """A row from tick ``begin`` to ``end``, or to the first meter reading that its manager has to look at.

    Args:
        begin: first tick.
        end: the tick after the last.
        tick_s: resolution.
        measured_from: first tick whose latencies and machine watts are kept.
        arrivals: (ticks from ``begin`` on, instances) requests.
        clock: (instances,) position of the clock of each.
        crew: who serves.
        books: what is noted.

    Returns:
        The tick after the last one served; ``called`` and ``seen_frac`` are set where the manager has to look.
    """
    now, machine_w = books.now[0], np.zeros(books.now[0].machines)
    now.called = 0
    for index in range(begin, end):
        machine_w[:] = 0.0
        now_s, measured = index * tick_s, index >= measured_from
        watts = _tick(now_s, tick_s, arrivals[index - begin], clock, crew, machine_w, measured)
        books.row_w[index] = watts
        if measured and len(books.peak_w):
            _note(index, machine_w, books)
        now.above_s = now.above_s + tick_s if watts > now.limit_w else 0.0
        now.longest_s = max(now.longest_s, now.above_s)
        if _called(index, now_s + tick_s, books.row_w, now):
            now.called = 1
            return index + 1
    return end


def kept_advance() -> Callable[..., Any]:
    """``advance``, its machine code kept between runs."""
    kept: Callable[..., Any] = cached(advance)
    return kept


def records(count: int, kind: np.dtype[np.void]) -> Records:
    """So many records of zeros, as ``advance`` reads them: plain ones where it is compiled, which it knows at once."""
    made = np.zeros(count, kind)
    return made if hasattr(advance, "py_func") else made.view(np.recarray)
