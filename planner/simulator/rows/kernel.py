"""One tick of every instance of a row: the inner loop, compiled where Numba is installed.

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
    Floats,
    Ints,
    Records,
)

try:
    from numba import njit

    from planner.simulator.core.cache import cached
except ImportError:  # pragma: no cover

    def njit(function: Callable[..., Any]) -> Callable[..., Any]:
        """Not compiled."""
        return function

    def cached(compiled: Any) -> Any:  # noqa: ANN401 - as core.cache has it
        """Nothing to keep."""
        return compiled


compiled: Callable[..., Any] = njit

EPS_S = 1e-9


@compiled
def _close(me: Records, at_s: float, measured: bool) -> None:
    """Let go of those who leave at the next bucket of an instance."""
    me.bucket += 1
    slot = me.bucket % me.ring
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
    if me.started >= me.arrived or me.came_s[me.started % QUEUE] > at_s + EPS_S:
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
    slot = end % me.ring
    me.ends[slot] += 1
    me.ends_came_s[slot] += me.came_s[(me.started - 1) % QUEUE]
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
    step_s = (kind.base_s[n] + kind.token_s[n] * context) * kind.decode_slow[clock, n]
    edge = (me.bucket + 1) * BUCKET_TOKENS
    edge_s: float = at_s + (edge - me.turn) * step_s
    if edge_s <= until_s:
        me.turn = edge
        _close(me, edge_s, measured)
        return edge_s
    me.turn += (until_s - at_s) / step_s
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
            came_s = me.came_s[me.started % QUEUE]
            if at_s < came_s < end_s:
                until_s = came_s
        before_s, watts = at_s, kind.decode_w[clock, min(me.running, kind.most)]
        at_s = _decode(me, kind, clock, at_s, until_s, measured) if me.running else until_s
        energy_j += (at_s - before_s) * watts
    return energy_j


@compiled
def advance(
    now_s: float, tick_s: float, arrivals: Ints, clock: Ints, watts: Floats, instances: Records, kinds: Records,
    measured: bool,
) -> None:  # fmt: skip
    """All instances through one tick; their mean watts go to ``watts``."""
    for i in range(len(watts)):
        me = instances[i]
        for _ in range(arrivals[i]):
            me.came_s[me.arrived % QUEUE] = now_s + tick_s * ((me.arrived + me.offset) * GOLDEN % 1.0)
            me.arrived += 1
        watts[i] = _advance_one(me, kinds[me.kind], clock[i], now_s, now_s + tick_s, measured) / tick_s


def kept_advance() -> Callable[..., Any]:
    """``advance``, its machine code kept between runs."""
    kept: Callable[..., Any] = cached(advance)
    return kept
